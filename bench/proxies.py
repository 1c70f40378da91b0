"""The proxies and what each needs for a scenario. Each listens on a port of its own, forwards to UPSTREAM, and has one worker thread.

`Countersign` runs with the configuration that an operator would write; nothing is switched off for the bench."""
import base64
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import gen

HERE = Path(__file__).resolve().parent
FIRST_PORT, UPSTREAM = int(os.environ.get("BENCH_PORT", 18480)), ("127.0.0.1", int(os.environ.get("BENCH_UPSTREAM_PORT", 19490)))
#: Enough that no key has too many live nonces (100 000) before a run of a few minutes is over.
PARTNERS = 64
NETWORKS = 10_000
PASSWORD = "a long password for the bench"


def program(name):
    return shutil.which(name) or f"/usr/sbin/{name}"


def countersign():
    """The gateway's program: $COUNTERSIGN, or the release build of this tree."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    return os.environ.get("COUNTERSIGN") or str(target / "release/countersign")


class Proxy:
    """A proxy that runs on core 0 while the block is open."""

    #: Counted from the first port of the bench.
    port = 0

    @property
    def listen(self):
        """Where it takes requests."""
        return ("127.0.0.1", FIRST_PORT + self.port)

    def __init__(self, directory, scenario):
        self.directory, self.scenario = Path(directory), scenario
        self.directory.mkdir(parents=True, exist_ok=True)

    def command(self):
        """What to start; files that it needs are written here."""
        raise NotImplementedError

    def __enter__(self):
        command = self.command()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(self.listen)  # or else somebody else would be measured
        self.log = open(self.directory / f"{self.name}.log", "wb")
        priority = ["nice", "-n", os.environ.get("BENCH_NICE", "-10" if os.geteuid() == 0 else "0")]
        self.process = subprocess.Popen([*priority, "taskset", "-c", "0", *command], stdout=self.log, stderr=self.log, start_new_session=True)
        try:
            self.wait_until_it_listens()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        family = self.processes()
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in family:
                try:
                    os.kill(process, number)
                except ProcessLookupError:
                    pass
            try:
                self.process.wait(10)
                break
            except subprocess.TimeoutExpired:
                continue
        self.log.close()

    def wait_until_it_listens(self):
        for _ in range(200):
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(self.listen) == 0 and self.is_ready():
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} does not listen; see {self.log.name}")

    def is_ready(self):
        """Whether it does all it should, once it listens."""
        return True

    def processes(self):
        """The process and its descendants."""
        found, todo = [], [self.process.pid]
        while todo:
            found.append(todo.pop())
            for thread in Path(f"/proc/{found[-1]}/task").glob("*/children"):
                try:
                    todo += map(int, thread.read_text().split())
                except OSError:
                    pass
        return found


class HAProxy(Proxy):
    name, port = "haproxy", 2
    scenarios = ("pass", "post10k", "token", "foreign", "forged", "signed", "allow10k")

    def __init__(self, directory, scenario, issuer=None, networks="networks"):
        super().__init__(directory, scenario)
        self.issuer, self.networks = issuer, networks
        self.keys = [(f"partner{n:02d}", hashlib.sha256(f"partner {n}".encode()).digest()) for n in range(PARTNERS)]

    def rules(self):
        if self.scenario in ("token", "foreign", "forged"):
            return f"""
    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str ES256 }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify(txn.alg,"{self.directory}/issuer.pem") -m int 1 }}
    http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless {{ var(txn.exp),sub(txn.now) -m int gt 0 }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.iss') -m str {self.issuer['iss']} }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.aud') -m str {self.issuer['aud']} }}
    http-request set-header X-Consumer-ID %[var(txn.token),jwt_payload_query('$.sub')]"""
        if self.scenario == "signed":
            lines = [f"{key_id} {base64.b64encode(secret).decode()}\n" for key_id, secret in self.keys]
            (self.directory / "keys.map").write_text("".join(lines))
            return f"""
    http-request set-var(txn.id) req.hdr(x-key-id)
    http-request set-var(txn.key) var(txn.id),map({self.directory}/keys.map)
    http-request deny deny_status 401 unless {{ var(txn.key) -m found }}
    http-request set-var(txn.time) req.hdr(x-timestamp),add(0)
    http-request set-var(txn.age) date(),sub(txn.time)
    http-request deny deny_status 401 unless {{ var(txn.age) -m int ge -60 }} {{ var(txn.age) -m int le 300 }}
    http-request set-var-fmt(txn.text) "%[method]\\n%[pathq]\\n%[req.hdr(x-timestamp)]\\n%[req.hdr(x-nonce)]\\n%[var(txn.id)]"
    http-request set-var(txn.mac) var(txn.text),hmac(sha256,txn.key),base64
    http-request deny deny_status 401 unless {{ req.hdr(x-signature),secure_memcmp(txn.mac) }}
    http-request set-header X-Consumer-ID %[var(txn.id)]"""
        if self.scenario == "allow10k":
            return f"http-request deny deny_status 403 unless {{ src -f {self.directory}/{self.networks} }}"
        return ""

    def command(self):
        config = self.directory / "haproxy.cfg"
        config.write_text(f"""
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
frontend in
    bind {self.listen[0]}:{self.listen[1]}
    {self.rules()}
    default_backend out
backend out
    server upstream {UPSTREAM[0]}:{UPSTREAM[1]} pool-max-conn 1024
""")
        return [program("haproxy"), "-db", "-f", str(config)]


class Nginx(Proxy):
    name, port = "nginx", 3
    scenarios = ("pass", "post10k", "allow10k")

    def __init__(self, directory, scenario, issuer=None, networks="networks"):
        super().__init__(directory, scenario)
        self.networks = networks

    def command(self):
        directory, allow, check = self.directory, "", ""
        if self.scenario == "allow10k":
            lines = (directory / self.networks).read_text().split()
            (directory / "networks.geo").write_text("".join(f"{network} 1;\n" for network in lines))
            allow, check = f"geo $allowed {{ default 0; include {directory}/networks.geo; }}", "if ($allowed = 0) { return 403; }"
        config = directory / "nginx.conf"
        config.write_text(f"""
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.error error;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 100000000; keepalive_timeout 60s; client_body_buffer_size 64k;
    {" ".join(f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))}
    {allow}
    upstream out {{ server {UPSTREAM[0]}:{UPSTREAM[1]}; keepalive 1024; keepalive_requests 100000000; }}
    server {{
        listen {self.listen[0]}:{self.listen[1]};
        location / {{ {check} proxy_pass http://out; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }}
    }}
}}
""")
        return [program("nginx"), "-c", str(config), "-p", str(directory)]


class Countersign(Proxy):
    name = "countersign"
    scenarios = ("pass", "post10k", "token", "foreign", "forged", "signed", "allow10k")

    def __init__(self, directory, scenario, issuer=None, networks="networks"):
        super().__init__(directory, scenario)
        self.data = self.directory / "countersign-data"
        self.keys = json.loads((self.directory / "partners.json").read_text())["keys"] if (self.directory / "partners.json").exists() else []
        self.networks = networks

    def command(self):
        # Every run starts from the same data: what an earlier one claimed is not there.
        shutil.rmtree(self.data, ignore_errors=True)
        saved = self.directory / "prepared"
        if saved.exists():
            shutil.copytree(saved, self.data)
        config = self.directory / "countersign.toml"
        config.write_text(f"""
data = "{self.data}"
threads = 1

[[listener]]
address = "{self.listen[0]}:{self.listen[1]}"

[admin]
address = "{self.listen[0]}:{self.listen[1] + 1}"

[upstream.api]
url = "http://{UPSTREAM[0]}:{UPSTREAM[1]}"

[[route]]
path = "/api/v3.0/*"
require = "hmac"
upstream = "api"

[[route]]
path = ["/api/v{{digit}}*", "/api/v{{digit}}*/*"]
refuse = true

[[route]]
path = "/api/*"
require = "jwt"
upstream = "api"

[[route]]
path = "/public/*"
require = "anyone"
upstream = "api"

[[route]]
path = "/{self.networks}/*"
require = "from({self.networks})"
upstream = "api"
""")
        return [countersign(), "serve", "--config", str(config)]

    def is_ready(self):
        return (self.data / "run.json").exists()

    def prepare(self, with_networks):
        """Adds a user, partners and allow-lists, once; later runs start from a copy."""
        shutil.rmtree(self.directory / "prepared", ignore_errors=True)
        with self:
            self.admin("POST", "/users", {"username": "bench", "password": PASSWORD})
            client = self.admin("POST", "/clients", {"name": "bench"})["id"]
            made = [self.admin("POST", f"/clients/{client}/signing-keys", {}) for _ in range(PARTNERS)]
            self.keys = [(key["id"], key["secret"]) for key in made]
            (self.directory / "partners.json").write_text(json.dumps({"keys": self.keys}))
            for name in ("networks", "others"):
                (self.directory / name).write_text("\n".join(gen.networks(NETWORKS - 1) + (["127.0.0.0/8"] if name == "networks" else [])))
                if with_networks:
                    self.admin("POST", "/allow-lists", {"name": name})
                    for network in (self.directory / name).read_text().split():
                        self.admin("POST", f"/allow-lists/{name}/entries", {"network": network})
        shutil.copytree(self.data, self.directory / "prepared")

    def admin(self, method, path, body):
        """Asks the admin API over its local socket."""
        if getattr(self, "socket", None) is None or self.socket.sock is None:
            self.socket = http.client.HTTPConnection("localhost")
            self.socket.sock = socket.socket(socket.AF_UNIX)
            self.socket.sock.connect(str(self.data / "control/countersign.sock"))
        self.socket.request(method, f"/admin/v1{path}", json.dumps(body), {"Content-Type": "application/json"})
        answer = self.socket.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)

    def log_in(self):
        """An access token of the bench's user."""
        return self.ask("POST", "/token", {"grant_type": "password", "username": "bench", "password": PASSWORD})["access_token"]

    def public_key(self):
        """The key that verifies our access tokens, in PEM."""
        key = self.ask("GET", "/.well-known/jwks.json")["keys"][0]
        point = b"".join(base64.urlsafe_b64decode(key[name] + "=" * (-len(key[name]) % 4)) for name in ("x", "y"))
        # SubjectPublicKeyInfo of an uncompressed point on P-256 (RFC 5480): nothing in front of the point varies.
        whole = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004") + point
        return f"-----BEGIN PUBLIC KEY-----\n{base64.encodebytes(whole).decode()}-----END PUBLIC KEY-----\n"

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection(*self.listen)
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)


def claims(token):
    """What an access token says; for telling HAProxy what to expect."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


PROXIES = {proxy.name: proxy for proxy in (Countersign, HAProxy, Nginx)}


def home():
    """Where files of a run are kept: out of the tree, and on a disk, since the claim log is one of them."""
    path = Path(os.environ.get("BENCH_HOME") or Path(tempfile.gettempdir()) / f"countersign-bench-{os.getuid()}")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
