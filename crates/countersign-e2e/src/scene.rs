//! A scene for a test: a gateway in front of a recording upstream, with a user, a partner, keys and lists.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::connection::{Answer, Connection, raw};
use crate::gateway::Gateway;
use crate::sign::{Signed, Signer};
use crate::upstream::RecordingUpstream;

/// The user of every scene.
pub const USERNAME: &str = "ada";
/// The password of that user.
pub const PASSWORD: &str = "a long engine of analysis";
/// Every scope that an admin key can have.
pub const ADMIN_SCOPES: [&str; 5] = ["read", "allow-lists", "users", "clients", "admin-keys"];

/// The host that requests name: the port differs with each start, a signature must not.
const HOST: &str = "api.test";

/// The routes of a scene. `/open` needs nothing, the others say what they need.
const ROUTES: &str = r#"
[[route]]
path = "/api/v3.0/*"
require = "hmac and from(partners)"
upstream = "api"
[[route]]
path = ["/api/v{digit}*", "/api/v{digit}*/*"]
refuse = true
[[route]]
path = "/api/*"
require = "jwt or api_key"
upstream = "api"
[[route]]
path = "/open/*"
require = "anyone"
upstream = "api"
[[route]]
path = "/open/Private/*"
require = "jwt"
upstream = "api"
[[route]]
path = "/small/*"
require = "anyone"
upstream = "api"
body_bytes = 1000
[[route]]
path = "/read/*"
methods = ["GET"]
require = "anyone"
upstream = "api"
[[route]]
path = "/signed/*"
require = "hmac"
upstream = "api"
[[route]]
path = "/both/*"
require = "jwt and hmac"
upstream = "api"
[[route]]
path = "/scoped/*"
require = "jwt and scope(orders)"
upstream = "api"
[[route]]
path = "/office/*"
require = "from(office)"
upstream = "api"
[[route]]
path = "/either/*"
require = "jwt or from(office)"
upstream = "api"
[[route]]
path = "/nowhere/*"
require = "anyone"
upstream = "nowhere"
"#;

/// A gateway in front of a recording upstream.
pub struct Scene {
    /// The gateway. Taken out to be killed.
    pub gateway: Gateway,
    /// The upstream behind every route but `/nowhere`.
    pub upstream: RecordingUpstream,
    /// The partner with a signing key.
    pub partner: Signer,
    /// The partner's client id.
    pub client: String,
    /// An API key of the partner.
    pub api_key: String,
    /// An admin key with every scope.
    pub admin_key: String,
    /// The configuration, for another start.
    pub config: String,
    /// Where everything is; removed at the end.
    pub folder: TempDir,
}

impl Scene {
    /// A scene whose upstream answers everything with 200.
    pub fn start() -> Self {
        Self::start_with(RecordingUpstream::start(), "")
    }

    /// A scene with this upstream and more lines of configuration, put before the tables of `[limits]`.
    pub fn start_with(upstream: RecordingUpstream, more: &str) -> Self {
        Self::start_listening(upstream, "", more)
    }

    /// A scene with more lines for its listener, too.
    pub fn start_listening(upstream: RecordingUpstream, listener: &str, more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("countersign-e2e-").tempdir().expect("a temporary folder");
        let config = format!(
            "data = \"{}\"\nthreads = 2\n[[listener]]\naddress = \"127.0.0.1:0\"\n{listener}\n[admin]\naddress = \"127.0.0.1:0\"\n\
             [upstream.api]\nurl = \"http://{}\"\nresponse_seconds = 2\n[upstream.nowhere]\nurl = \"http://{}\"\n{more}\n{ROUTES}",
            folder.path().join("data").display(),
            upstream.address(),
            nobody_listens_here(),
        );
        let gateway = Gateway::serve(folder.path(), &config);
        let socket = gateway.data().join("control/countersign.sock");
        let local = |method: &str, path: &str, body: Value| socket_call(&socket, method, path, &body).assert_ok().json();
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned();

        let admin_key = text(&local("POST", "/admin/v1/admin-keys", json!({"label": "e2e", "scopes": ADMIN_SCOPES})), "key");
        local("POST", "/admin/v1/users", json!({"username": USERNAME, "password": PASSWORD}));
        let client = text(&local("POST", "/admin/v1/clients", json!({"name": "partner"})), "id");
        let key = local("POST", &format!("/admin/v1/clients/{client}/signing-keys"), json!({}));
        let api_key = text(&local("POST", &format!("/admin/v1/clients/{client}/api-keys"), json!({"label": "e2e"})), "key");
        for list in ["partners", "office"] {
            local("POST", "/admin/v1/allow-lists", json!({"name": list}));
        }
        local("POST", "/admin/v1/allow-lists/partners/entries", json!({"network": "127.0.0.0/8"}));
        let partner = Signer { key_id: text(&key, "id"), secret: text(&key, "secret") };
        Self { gateway, upstream, partner, client, api_key, admin_key, config, folder }
    }

    /// Lines for `start_with`: an upstream at this address that may take its time, behind `/patient/`.
    pub fn patient(upstream: &RecordingUpstream) -> String {
        format!(
            "[upstream.patient]\nurl = \"http://{}\"\nresponse_seconds = 120\n\
             [[route]]\npath = \"/patient/*\"\nrequire = \"anyone\"\nupstream = \"patient\"\n",
            upstream.address()
        )
    }

    /// Starts the gateway again on the same data.
    pub fn start_again(&mut self) {
        self.gateway = Gateway::serve(self.folder.path(), &self.config);
    }

    /// kill -9 and start again.
    pub fn kill_and_start_again(&mut self) {
        self.kill_and_start_again_after(|| {});
    }

    /// kill -9, do something to the data, start again.
    pub fn kill_and_start_again_after(&mut self, act: impl FnOnce()) {
        let dead = std::mem::replace(&mut self.gateway, Gateway::nobody());
        dead.kill();
        act();
        self.start_again();
    }

    /// SIGTERM, wait, start again.
    pub fn stop_and_start_again(&mut self) {
        self.stop_and_start_again_after(|| {});
    }

    /// SIGTERM, wait, do something to the data, start again.
    pub fn stop_and_start_again_after(&mut self, act: impl FnOnce()) {
        let stopped = std::mem::replace(&mut self.gateway, Gateway::nobody());
        assert!(stopped.stop().success(), "a planned end is a good end");
        act();
        self.start_again();
    }

    /// Sends bytes over a connection of their own.
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        raw(self.gateway.listen, bytes)
    }

    /// A connection to the gateway.
    pub fn connect(&self) -> Connection {
        Connection::to(self.gateway.listen)
    }

    /// A GET with these header lines (each ended by CR LF).
    pub fn get(&self, target: &str, headers: &str) -> Answer {
        self.raw(format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{headers}\r\n").as_bytes())
    }

    /// A GET with an access token.
    pub fn get_as(&self, target: &str, access: &str) -> Answer {
        self.get(target, &format!("Authorization: Bearer {access}\r\n"))
    }

    /// A request of the partner, still to be signed.
    pub fn signed(&self, method: &str, target: &str) -> Signed {
        self.partner.request(method, HOST, target)
    }

    /// Calls the admin API with the admin key.
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        admin_call(self.gateway.admin, &self.admin_key, method, path, body)
    }

    /// Logs the user in.
    pub fn login(&self) -> Tokens {
        let answer = login(self.gateway.listen, USERNAME, PASSWORD).assert_ok();
        Tokens::of(&answer)
    }

    /// Refreshes by RFC 6749.
    pub fn refresh(&self, refresh: &str) -> Answer {
        post(
            self.gateway.listen,
            "/token",
            "application/x-www-form-urlencoded",
            &format!("grant_type=refresh_token&refresh_token={refresh}"),
        )
    }

    /// POST of a body.
    pub fn post(&self, target: &str, content_type: &str, body: &str) -> Answer {
        post(self.gateway.listen, target, content_type, body)
    }
}

/// What a login gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
}

impl Tokens {
    /// Reads the answer of `POST /token`.
    pub fn of(answer: &Answer) -> Self {
        let body = answer.json();
        let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}")).to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }
}

/// Logs in with a form.
pub fn login(listen: SocketAddr, username: &str, password: &str) -> Answer {
    let body = format!("grant_type=password&username={username}&password={}", password.replace(' ', "+"));
    post(listen, "/token", "application/x-www-form-urlencoded", &body)
}

fn post(listen: SocketAddr, target: &str, content_type: &str, body: &str) -> Answer {
    let length = body.len();
    raw(
        listen,
        format!("POST {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}")
            .as_bytes(),
    )
}

/// Calls the admin API over TCP. A body of `null` is none; a change of something that is there says `If-Match: *`.
pub fn admin_call(admin: SocketAddr, key: &str, method: &str, path: &str, body: &Value) -> Answer {
    let bytes = admin_bytes(&admin.to_string(), &format!("Authorization: Bearer {key}\r\n"), method, path, body);
    raw(admin, &bytes)
}

/// As [`admin_call`], of a gateway that may be killed at any moment.
///
/// # Errors
/// When no whole answer came.
pub fn try_admin_call(admin: SocketAddr, key: &str, method: &str, path: &str, body: &Value) -> std::io::Result<Answer> {
    let mut connection = Connection::try_to(admin)?;
    connection.try_send(&admin_bytes(&admin.to_string(), &format!("Authorization: Bearer {key}\r\n"), method, path, body))?;
    let answer = connection.try_answer()?;
    if answer.whole { Ok(answer) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

fn socket_call(socket: &Path, method: &str, path: &str, body: &Value) -> Answer {
    let mut connection = Connection::to_socket(socket);
    connection.send(&admin_bytes("localhost", "", method, path, body)).answer()
}

fn admin_bytes(host: &str, headers: &str, method: &str, path: &str, body: &Value) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}");
    if matches!(method, "PUT" | "PATCH" | "DELETE") {
        head.push_str("If-Match: *\r\n");
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    if !body.is_empty() {
        head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    format!("{head}\r\n{body}").into_bytes()
}

/// An address on loopback where nothing listens.
fn nobody_listens_here() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    listener.local_addr().expect("an address")
}
