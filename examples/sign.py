"""Signs a request by the scheme v3.0 and sends it. Prints the status and the answer; ends with 0 on 2xx.

    CS_KEY_ID=ck_... CS_SECRET=css_... python3 sign.py METHOD URL [BODY|@FILE] [CONTENT-TYPE]
"""

import hashlib
import hmac
import http.client
import os
import secrets
import sys
import time
from urllib.parse import urlsplit

DEFAULT_PORT = {"http": ":80", "https": ":443"}


def sign(method, url, body, content_type, key_id, secret, timestamp=None, nonce=None):
    """Gives the four headers. `body` is bytes; `content_type` is the value that will be sent, "" for none."""
    timestamp = str(timestamp or int(time.time()))
    nonce = nonce or secrets.token_hex(16)
    parts = urlsplit(url)
    lines = [
        "v3.0",
        key_id,
        timestamp,
        nonce,
        method.upper(),
        parts.netloc.lower().removesuffix(DEFAULT_PORT[parts.scheme]),
        target(parts),
        content_type,
        hashlib.sha256(body).hexdigest(),
    ]
    mac = hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()
    return {"X-Key-Id": key_id, "X-Timestamp": timestamp, "X-Nonce": nonce, "X-Signature": "v3=" + mac}


def target(parts):
    """Path and query, which are sent as they are here."""
    return (parts.path or "/") + ("?" + parts.query if parts.query else "")


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: sign.py METHOD URL [BODY|@FILE] [CONTENT-TYPE]")
    method, url, body, content_type = (sys.argv[1:] + ["", ""])[:4]
    if body.startswith("@"):
        with open(body[1:], "rb") as file:
            body = file.read()
    else:
        body = os.fsencode(body)
    content_type = content_type or ("application/json" if body else "")
    headers = sign(method, url, body, content_type, os.environ["CS_KEY_ID"], os.environ["CS_SECRET"])
    if content_type:
        headers["Content-Type"] = content_type

    # http.client sends the target and the headers as given. urllib.request would follow redirects, and add a
    # Content-Type to a body that has none.
    parts = urlsplit(url)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.netloc, timeout=30)
    connection.request(method.upper(), target(parts), body or None, headers)
    answer = connection.getresponse()
    print(answer.status, flush=True)
    sys.stdout.buffer.write(answer.read())
    return 0 if 200 <= answer.status < 300 else 1


if __name__ == "__main__":
    sys.exit(main())
