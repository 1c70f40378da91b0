"""Makes the request files: records of a 32-bit little-endian length and a raw HTTP/1.1 request. Standard library only."""
import base64
import hashlib
import hmac
import json
import os
import struct
import time

HOST = "api.test"
TARGET = "/open/items/123?x=1"


def write(path, requests):
    with open(path, "wb") as out:
        for request in requests:
            out.write(struct.pack("<I", len(request)) + request)


def request(method="GET", target=TARGET, headers=(), body=b""):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {HOST}", "User-Agent: bench/1.0", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines += ["Content-Type: application/octet-stream", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def plain(target=TARGET):
    return [request(target=target)]


def post10k():
    return [request("POST", body=bytes(97 + i % 26 for i in range(10240)))]


def bearer(token, target="/token-only/items/123?x=1"):
    return [request(target=target, headers=[("Authorization", f"Bearer {token}")])]


def flipped(token):
    """The token with one character of its signature changed."""
    head, payload, signature = token.split(".")
    other = "A" if signature[4] != "A" else "B"
    return f"{head}.{payload}.{signature[:4]}{other}{signature[5:]}"


NO_BODY = hashlib.sha256(b"").hexdigest()


def native(keys, count):
    """Signed GET requests by the v3.0 scheme, each with a nonce of its own, over several keys."""
    now = int(time.time())
    run = os.urandom(6).hex()
    made = []
    macs = [(key_id, hmac.new(secret.encode(), digestmod=hashlib.sha256)) for key_id, secret in keys]
    for i in range(count):
        key_id, mac = macs[i % len(macs)]
        target, nonce = f"/signed/items/{i}?x=1", f"{run}{i:012x}"
        mac = mac.copy()
        mac.update(f"v3.0\n{key_id}\n{now}\n{nonce}\nGET\n{HOST}\n{target}\n\n{NO_BODY}".encode())
        made.append(request(target=target, headers=[("X-Key-Id", key_id), ("X-Timestamp", now), ("X-Nonce", nonce), ("X-Signature", f"v3={mac.hexdigest()}")]))
    return made


HOME_MADE_KEYS = {f"key{i:03d}": hashlib.sha256(f"hk{i}".encode()).digest() for i in range(100)}


def home_made(count=10_000, forged=False):
    """Requests with an HMAC that a proxy's configuration language can check: no body, no replay."""
    now = int(time.time())
    made = []
    for i in range(count):
        key_id, target, nonce = f"key{i % 100:03d}", f"/signed/items/{i}?x=1", f"{i:032x}"
        text = f"GET\n{target}\n{now}\n{nonce}\n{key_id}"
        key = HOME_MADE_KEYS[key_id] + (b"x" if forged else b"")
        mac = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
        made.append(request(target=target, headers=[("X-Key", key_id), ("X-Date", now), ("X-Nonce", nonce), ("X-Signature", mac)]))
    return made


HS256_SECRET = "bench-hs256-secret-0123456789abcdef"


def hs256_token():
    encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    now = int(time.time())
    claims = {"iss": "https://issuer.test", "sub": "user-1", "aud": "api", "iat": now, "exp": now + 86400, "jti": "1", "scope": "items:read items:write"}
    text = encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + "." + encode(json.dumps(claims).encode())
    return text + "." + encode(hmac.new(HS256_SECRET.encode(), text.encode(), hashlib.sha256).digest())
