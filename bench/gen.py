"""The requests that the driver sends, as files of records: a length (32 bits, little-endian) and so many bytes of HTTP/1.1.

Signed requests carry a time and are taken once, so they are made just before the run that sends them."""
import base64
import hashlib
import hmac
import itertools
import random
import struct
import time

HOST = "api.test"


def request(path, headers=(), method="GET", body=b""):
    """One request, with the headers that any client sends."""
    head = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "User-Agent: bench-driver/1.0", "Accept: */*"]
    head += [f"{name}: {value}" for name, value in headers]
    if body:
        head += ["Content-Type: application/octet-stream", f"Content-Length: {len(body)}"]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body


def write(path, requests):
    """Writes a file of requests."""
    with open(path, "wb") as file:
        for one in requests:
            file.write(struct.pack("<I", len(one)) + one)


def bearer(token):
    """The header that carries an access token."""
    return [("Authorization", f"Bearer {token}")]


def forged(token):
    """The same token with one character of its signature changed."""
    head, payload, signature = token.split(".")
    other = "A" if signature[10] != "A" else "B"
    return f"{head}.{payload}.{signature[:10]}{other}{signature[11:]}"


def foreign(token):
    """A token of the same claims whose header names another algorithm, as a token from elsewhere does."""
    _, payload, signature = token.split(".")
    header = base64.urlsafe_b64encode(b'{"typ":"JWT","alg":"HS256","kid":"somebody-elses-key"}').decode().rstrip("=")
    return f"{header}.{payload}.{signature}"


EMPTY_BODY = hashlib.sha256(b"").hexdigest()


def signed(count, keys):
    """GETs in the native scheme v3.0, all different, shared out between `keys`: pairs of key id and secret."""
    now = int(time.time())
    macs = [(key_id, hmac.new(secret.encode(), digestmod=hashlib.sha256)) for key_id, secret in keys]
    for number, (key_id, key) in zip(range(count), itertools.cycle(macs)):
        path = f"/api/v3.0/items/{number:06d}?x=1"
        nonce = f"{number:08x}{random.getrandbits(96):024x}"
        mac = key.copy()
        mac.update(f"v3.0\n{key_id}\n{now}\n{nonce}\nGET\n{HOST}\n{path}\n\n{EMPTY_BODY}".encode())
        yield request(path, [("X-Key-Id", key_id), ("X-Timestamp", now), ("X-Nonce", nonce), ("X-Signature", f"v3={mac.hexdigest()}")])


def home_made(count, keys):
    """GETs signed as one would have HAProxy check it: an HMAC over method, target, time, nonce and key id, in base64."""
    now = int(time.time())
    macs = [(key_id, hmac.new(secret, digestmod=hashlib.sha256)) for key_id, secret in keys]
    for number, (key_id, key) in zip(range(count), itertools.cycle(macs)):
        path = f"/api/v3.0/items/{number:06d}?x=1"
        nonce = f"{number:08x}{random.getrandbits(96):024x}"
        mac = key.copy()
        mac.update(f"GET\n{path}\n{now}\n{nonce}\n{key_id}".encode())
        signature = base64.b64encode(mac.digest()).decode()
        yield request(path, [("X-Key-Id", key_id), ("X-Timestamp", now), ("X-Nonce", nonce), ("X-Signature", signature)])


def spoiled(requests):
    """The same requests, each with another last character of its nonce: none of the signatures fits any more."""
    for one in requests:
        place = one.index(b"X-Nonce: ") + 9 + 31
        yield one[:place] + (b"0" if one[place:place + 1] != b"0" else b"1") + one[place + 1:]


def networks(count):
    """Different networks of many sizes, none of them with loopback in it."""
    dice = random.Random(7)
    found = set()
    while len(found) < count:
        length = dice.choice([16, 20, 22, 24, 24, 24, 28, 32, 32])
        address = dice.randrange(1 << 24, 223 << 24) & (0xFFFFFFFF << (32 - length))
        if address >> 24 not in (10, 127):
            found.add((address & 0xFFFFFFFF, length))
    dotted = lambda address: ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))
    return [f"{dotted(address)}/{length}" for address, length in sorted(found)]
