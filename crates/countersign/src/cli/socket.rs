//! The conversation with a running gateway: HTTP/1.1 to its admin API, over the local socket.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::{Failure, show};
use crate::config_check;

/// How long an answer may take. Hashing a password under load is the slowest.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// More than any page of answers.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// Which gateway is asked, and how the answer is printed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which gateway")]
pub struct Ask {
    /// The data directory of the gateway [default: as the configuration says, or countersign-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file of the gateway [default: countersign.toml, if there is one]
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// The local socket of the gateway
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Ask {
    /// Finds the gateway.
    pub fn gateway(&self) -> Result<Gateway, Failure> {
        let of_config = |path: &Path| config_check::read(path).map(|checked| checked.config.admin.socket);
        let usual = Path::new("countersign.toml");
        let socket = match (&self.socket, &self.data, &self.config) {
            (Some(socket), ..) => socket.clone(),
            (None, Some(data), _) => config_check::control_socket(data),
            (None, None, Some(config)) => of_config(config)?,
            (None, None, None) if usual.exists() => of_config(usual)?,
            (None, None, None) => config_check::control_socket(Path::new("countersign-data")),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Gateway { socket, runtime: runtime.map_err(|error| Failure::of("this process cannot start", error))? })
    }

    /// One thing as it was answered, or in words.
    pub fn said(&self, answer: &Value, words: impl FnOnce(&Value) -> String) -> String {
        if self.json { show::json(answer) } else { words(answer) }
    }

    /// Many things.
    pub fn table(&self, columns: &[show::Column], items: Vec<Value>, none: &str) -> String {
        if self.json { show::json(&Value::Array(items)) } else { show::table(columns, &items, none) }
    }

    /// What was done, for people; what is there now, for programs.
    pub fn done(&self, answer: &Value, words: &str) -> String {
        self.said(answer, |_| format!("{words}\n"))
    }

    /// What was done to something that is no longer there, as `how` and its name for programs.
    pub fn gone(&self, how: &str, name: &str, words: &str) -> String {
        self.said(&json!({ how: name }), |_| format!("{words}\n"))
    }
}

/// Where the names are that people use for ids.
pub struct Names {
    /// How such an id begins.
    prefix: &'static str,
    /// The list of those who have one.
    path: &'static str,
    /// Its member with the name.
    member: &'static str,
    /// What stands before the name where it is shown.
    said: &'static str,
}

/// Clients (`cl_...`).
pub const CLIENT_NAMES: Names = Names { prefix: "cl_", path: "/clients", member: "name", said: "" };
/// Users (`us_...`).
pub const USER_NAMES: Names = Names { prefix: "us_", path: "/users", member: "username", said: "" };
/// Users beside clients, which may have the same names.
pub const USER_PRINCIPALS: Names = Names { said: "user:", ..USER_NAMES };

/// A running gateway, as its admin API.
pub struct Gateway {
    socket: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Gateway {
    /// Reads something.
    pub fn read(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, None)
    }

    /// Reads something that may not be there.
    pub fn find(&self, path: &str) -> Result<Option<Value>, Failure> {
        let (status, answer) = self.ask(Method::GET, path, None)?;
        match answer.get("code").and_then(Value::as_str) {
            _ if status.is_success() => Ok(Some(answer)),
            Some("not_found") => Ok(None),
            _ => Err(refused(status, &answer)),
        }
    }

    /// Reads all pages of a list.
    pub fn read_all(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let cursor = after.map(|after| format!("&after={}", segment(&after))).unwrap_or_default();
            let mut page = self.read(&format!("{path}?limit=1000{cursor}"))?;
            if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => after = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }

    /// Puts names where `items` have ids in `member`, for people. One whose bearer is gone stays as it is.
    pub fn name(&self, items: &mut [Value], member: &str, names: &Names) -> Result<(), Failure> {
        let is_one = |value: &Value| value.as_str().is_some_and(|id| id.starts_with(names.prefix));
        if !items.iter().filter_map(|item| item.get(member)).any(is_one) {
            return Ok(());
        }
        let bearers = self.read_all(names.path)?;
        let known: HashMap<&str, &str> =
            bearers.iter().filter_map(|bearer| Some((bearer.get("id")?.as_str()?, bearer.get(names.member)?.as_str()?))).collect();
        for value in items.iter_mut().filter_map(|item| item.get_mut(member)) {
            if let Some(name) = value.as_str().and_then(|id| known.get(id)) {
                *value = format!("{}{name}", names.said).into();
            }
        }
        Ok(())
    }

    /// Adds something.
    pub fn add(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, Some(body))
    }

    /// Changes something.
    pub fn change(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::PATCH, path, Some(body))
    }

    /// Removes something.
    pub fn remove(&self, path: &str) -> Result<(), Failure> {
        self.call(Method::DELETE, path, None).map(drop)
    }

    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let (status, answer) = self.ask(method, path, body)?;
        if status.is_success() { Ok(answer) } else { Err(refused(status, &answer)) }
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value), Failure> {
        let talk = async {
            match tokio::time::timeout(ANSWER_TIME, self.talk(method, path, body)).await {
                Ok(answer) => answer,
                Err(_late) => Err(Failure::Unreachable(format!(
                    "the gateway at {} did not answer in {} s",
                    self.socket.display(),
                    ANSWER_TIME.as_secs()
                ))),
            }
        };
        self.runtime.block_on(talk)
    }

    async fn talk(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value), Failure> {
        let lost = |error: hyper::Error| Failure::Unreachable(format!("the gateway at {} broke off: {error}", self.socket.display()));
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.not_there(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder().method(&method).uri(format!("/admin/v1{path}")).header(header::HOST, "countersign");
        // The operator at the machine means whatever is there now; editors at a distance send what they read.
        if method == Method::PATCH || method == Method::DELETE {
            request = request.header(header::IF_MATCH, "*");
        }
        let bytes = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(bytes)).map_err(|error| Failure::of("this cannot be asked", error))?;
        let response = sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        connection.abort();
        let body = body.map_err(|error| Failure::Unreachable(format!("the answer of the gateway broke off: {error}")))?.to_bytes();
        if status == StatusCode::NO_CONTENT || (status.is_success() && body.is_empty()) {
            return Ok((status, Value::Null));
        }
        let answer: Value = serde_json::from_slice(&body)
            .map_err(|_not_json| Failure::Unreachable(format!("what answers at {} is not a Countersign gateway", self.socket.display())))?;
        Ok((status, answer))
    }

    fn not_there(&self, error: &std::io::Error) -> Failure {
        let socket = self.socket.display();
        Failure::Unreachable(match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => format!(
                "no gateway is running at {socket}: start it with countersign serve (or dev), or say which one is meant with --data DIR or --config FILE"
            ),
            std::io::ErrorKind::PermissionDenied => {
                format!("{socket} may only be used by the user that the gateway runs as: use sudo -u, or the admin API with a key")
            }
            _ => format!("the gateway at {socket} cannot be reached: {error}"),
        })
    }
}

/// A refusal of the admin API (RFC 9457), in words.
fn refused(status: StatusCode, problem: &Value) -> Failure {
    let text = |name: &str| problem.get(name).and_then(Value::as_str);
    let mut words = text("title").unwrap_or("the gateway refused").to_owned();
    if let Some(code) = text("code") {
        words.push_str(&format!(" ({code})"));
    }
    if let Some(detail) = text("detail") {
        words.push_str(&format!(": {detail}"));
    }
    let errors = problem.get("errors").and_then(Value::as_array).filter(|errors| !errors.is_empty());
    match (errors, text("fix")) {
        (Some(errors), _) => {
            for error in errors {
                let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
                // What the admin API asks for in JSON is a flag here.
                let detail = part("detail").replace("\"wide\": true", "--wide");
                words.push_str(&format!("\n  {}: {detail}", part("pointer").trim_start_matches("#/")));
            }
        }
        (None, Some(fix)) => words.push_str(&format!("\n  {fix}")),
        (None, None) => {}
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Unreachable(words),
        _ => Failure::Failed(words),
    }
}

/// A name as one segment of a path, or a value in a query.
pub fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_says_what_to_do_in_the_words_of_the_command_line() {
        let said = |status: u16, problem: Value| match refused(StatusCode::from_u16(status).unwrap(), &problem) {
            Failure::Failed(text) => (1, text),
            Failure::Unreachable(text) => (4, text),
            other => panic!("{other:?}"),
        };
        let wide = json!({"title": "Bad", "code": "invalid_body", "fix": "Correct it.", "errors": [{"pointer": "#/network", "detail": "say so with \"wide\": true"}]});
        assert_eq!(said(422, wide), (1, "Bad (invalid_body)\n  network: say so with --wide".into()));
        let exists = json!({"title": "There is one already", "code": "already_exists", "fix": "Choose another name."});
        assert_eq!(said(409, exists), (1, "There is one already (already_exists)\n  Choose another name.".into()));
        assert_eq!(said(403, json!({})), (4, "the gateway refused".into()));
    }

    #[test]
    fn names_stay_one_segment_of_a_path() {
        assert_eq!(segment("a/../b?c=d é"), "a%2F..%2Fb%3Fc%3Dd%20%C3%A9");
    }
}
