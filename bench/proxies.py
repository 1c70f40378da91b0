"""How each proxy is configured for a scenario: one worker, listening on LISTEN, forwarding to UPSTREAM.

`haproxy(kind)` and `nginx(kind)` give a command line, or None where the proxy cannot do it. `Ours` sets a data directory up once and
gives each run a copy of it, so that every run begins with the same state and without claims."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import base64
import gen

HERE = os.path.dirname(os.path.abspath(__file__))
HOME = os.environ.get("BENCH_HOME", os.path.expanduser("~/.cache/countersign-bench"))
RUN = os.path.join(HOME, "run")
LISTEN, ADMIN, UPSTREAM = ("127.0.0.1", 18480), ("127.0.0.1", 18481), ("127.0.0.1", 19490)
SIGNING_KEYS = 4


def write(name, text):
    os.makedirs(RUN, exist_ok=True)
    path = os.path.join(RUN, name)
    with open(path, "w") as out:
        out.write(text)
    return path


def haproxy(kind):
    rules = {
        "pass": [],
        # The algorithm is fixed, then the signature, then the expiry: what a careful configuration checks first.
        "token": [
            "http-request set-var(txn.bearer) http_auth_bearer",
            "http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')",
            "http-request deny deny_status 401 unless { var(txn.alg) -m str HS256 }",
            f"http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,\"{gen.HS256_SECRET}\") -m int 1 }}",
            "http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')",
            "http-request set-var(txn.now) date()",
            "http-request deny deny_status 401 unless { var(txn.exp),sub(txn.now) -m int gt 0 }",
            "http-request set-header x-auth-sub %[var(txn.bearer),jwt_payload_query('$.sub')]",
        ],
        "signed": [
            "http-request set-var(txn.kid) req.hdr(x-key)",
            f"http-request set-var(txn.key) var(txn.kid),map({RUN}/hmac_keys.map)",
            "http-request deny deny_status 401 unless { var(txn.key) -m found }",
            "http-request set-var(txn.ts) req.hdr(x-date),add(0)",
            "http-request set-var(txn.age) date(),sub(txn.ts)",
            "http-request deny deny_status 401 unless { var(txn.age) -m int ge -3600 } { var(txn.age) -m int le 3600 }",
            'http-request set-var-fmt(txn.canon) "%[method]\\n%[pathq]\\n%[req.hdr(x-date)]\\n%[req.hdr(x-nonce)]\\n%[var(txn.kid)]"',
            "http-request set-var(txn.sig) var(txn.canon),hmac(sha256,txn.key),base64",
            "http-request deny deny_status 401 unless { req.hdr(x-signature),secure_memcmp(txn.sig) }",
            "http-request set-header x-auth-sub %[var(txn.kid)]",
        ],
    }[kind]
    write("hmac_keys.map", "".join(f"{name} {base64.b64encode(key).decode()}\n" for name, key in gen.HOME_MADE_KEYS.items()))
    path = write("haproxy.cfg", f"""
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
    http-reuse always
frontend f
    bind {LISTEN[0]}:{LISTEN[1]}
    {chr(10).join("    " + rule for rule in rules)}
    default_backend b
backend b
    server s {UPSTREAM[0]}:{UPSTREAM[1]} pool-max-conn 1024
""")
    return [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", path]


def nginx(kind):
    if kind == "signed":
        return None
    check = 'if ($http_authorization != "Bearer none") { return 401; }' if kind == "token" else ""
    path = write("nginx.conf", f"""
worker_processes 1; daemon off; pid {RUN}/nginx.pid; error_log {RUN}/nginx.err error;
events {{ worker_connections 4096; multi_accept on; }}
http {{
  access_log off; client_body_temp_path {RUN}/nginx_b; proxy_temp_path {RUN}/nginx_p;
  fastcgi_temp_path {RUN}/nginx_f; uwsgi_temp_path {RUN}/nginx_u; scgi_temp_path {RUN}/nginx_s;
  keepalive_requests 100000000; keepalive_timeout 60s; client_body_buffer_size 64k;
  upstream b {{ server {UPSTREAM[0]}:{UPSTREAM[1]}; keepalive 512; keepalive_requests 100000000; }}
  server {{ listen {LISTEN[0]}:{LISTEN[1]} backlog=1024;
    location / {{ {check} proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; }} }}
}}
""")
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-c", path]


class Ours:
    """Countersign, with a user and signing keys made through its own API."""

    CONFIG = """
data = "{data}"
threads = 1
[[listener]]
address = "{listen}"
[admin]
address = "{admin}"
[tokens]
access_seconds = 3600
[limits]
nonces_per_key = 1000000
[upstream.api]
url = "http://{upstream}"
idle_connections = 512
[[route]]
path = "/open/*"
require = "anyone"
upstream = "api"
[[route]]
path = "/token-only/*"
require = "jwt"
upstream = "api"
[[route]]
path = "/signed/*"
require = "hmac"
upstream = "api"
"""

    def __init__(self, program):
        self.program = program
        self.template = os.path.join(RUN, "template")
        shutil.rmtree(self.template, ignore_errors=True)
        running = subprocess.Popen(self._command(self.template), stderr=open(f"{RUN}/setup.log", "wb"))
        try:
            wait_until(lambda: os.path.exists(os.path.join(self.template, "run.json")), running)
            post = lambda path, body: self._local("POST", path, body)
            post("/admin/v1/users", {"username": "bench", "password": "bench password of some length"})
            client = post("/admin/v1/clients", {"name": "bench"})["id"]
            made = [post(f"/admin/v1/clients/{client}/signing-keys", {}) for _ in range(SIGNING_KEYS)]
            self.keys = [(key["id"], key["secret"]) for key in made]
            public = http.client.HTTPConnection(*LISTEN)
            public.request("POST", "/token", "grant_type=password&username=bench&password=bench+password+of+some+length", {"Content-Type": "application/x-www-form-urlencoded"})
            self.token = json.load(public.getresponse())["access_token"]
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(20)

    def _command(self, data):
        address = lambda pair: f"{pair[0]}:{pair[1]}"
        config = write("countersign.toml", self.CONFIG.format(data=data, listen=address(LISTEN), admin=address(ADMIN), upstream=address(UPSTREAM)))
        return [self.program, "serve", "--config", config]

    def _local(self, method, path, body):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(os.path.join(self.template, "control/countersign.sock"))
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text or "null")

    def __call__(self, _kind):
        data = os.path.join(RUN, "data")
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(self.template, data, ignore=lambda folder, names: [n for n in names if n.endswith(".sock")])
        shutil.rmtree(os.path.join(data, "replay"), ignore_errors=True)
        return self._command(data)


def wait_until(is_so, process, seconds=20):
    end = time.time() + seconds
    while time.time() < end:
        if process.poll() is not None:
            raise RuntimeError("the proxy ended instead of starting: see the logs in " + RUN)
        if is_so():
            return
        time.sleep(0.02)
    raise RuntimeError("the proxy is not ready: see the logs in " + RUN)


def listens(address):
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(address) == 0
