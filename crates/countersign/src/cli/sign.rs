//! `countersign sign`: a signed request as a curl line, as JSON, or sent.

mod send;
mod target;

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use countersign_core::id::KeyId;
use countersign_core::secret::SecretText;
use countersign_core::signature::signing::ToSign;
use countersign_core::signature::{Body, BodyDigest, BodyHasher, Profile};
use http::{HeaderName, Method};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Failure, show};
use crate::ambient::{Clock as _, Entropy, SystemClock, SystemEntropy};
use target::Target;

/// Bodies above this size declare their digest, so that the gateway can pass them on as they come.
const DECLARE_ABOVE: u64 = 1 << 20;
/// More than any file of settings or secret.
const LONGEST_SETTINGS: u64 = 64 * 1024;

/// `countersign sign`
#[derive(Debug, Args)]
#[command(
    after_help = "The secret comes from CS_SECRET, --secret-file or --env-file, and is never an argument.\n\nExample:  countersign sign GET http://127.0.0.1:8080/api/v3.0/hello"
)]
pub struct SignArgs {
    /// GET, POST, ...
    method: String,
    /// The whole URL, as it will be sent
    url: String,
    /// The key id [default: CS_KEY_ID]
    #[arg(long, value_name = "KEY_ID")]
    key_id: Option<String>,
    /// A file that holds the secret
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// A file with lines CS_KEY_ID=... and CS_SECRET=..., as countersign dev writes it
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
    env_file: Option<PathBuf>,
    /// The body, or @FILE
    #[arg(long, value_name = "TEXT|@FILE")]
    data: Option<String>,
    /// The media type of the body [default: application/json if it is that, else application/octet-stream]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Declare the digest of the body in its head, whatever its size
    #[arg(long)]
    digest: bool,
    /// Send the request and print the answer
    #[arg(long)]
    send: bool,
    /// Print JSON, with the string that was signed
    #[arg(long)]
    json: bool,
}

/// A body, its length and its digest.
enum Payload {
    None,
    Text(Vec<u8>),
    File(PathBuf, File, u64),
}

/// A request with everything that goes into its head.
struct SignedRequest {
    method: Method,
    target: Target,
    headers: Vec<(HeaderName, String)>,
    payload: Payload,
}

pub(super) fn run(arguments: &SignArgs) -> Result<String, Failure> {
    let method = arguments.method.to_ascii_uppercase();
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Failure::Usage(format!("{:?} is not a method", arguments.method)))?;
    let target = Target::read(&arguments.url)?;
    let (key_id, secret) = credentials(arguments)?;
    let mut payload = Payload::read(arguments.data.as_deref())?;
    let digest = payload.digest()?;
    let content_type = arguments.content_type.clone().or_else(|| payload.media_type());
    let mut sent = http::HeaderMap::new();
    if let Some(content_type) = &content_type {
        let value = content_type.parse().map_err(|_| Failure::Usage(format!("{content_type:?} cannot be a media type")))?;
        sent.insert(http::header::CONTENT_TYPE, value);
    }
    let request = ToSign {
        method: method.as_str(),
        scheme: target.scheme,
        host: &target.authority,
        target: &target.path_and_query,
        headers: &sent,
        body: Body::Digest(digest),
    };
    let dice: &dyn Entropy = &SystemEntropy;
    let nonce = dice.fresh().map_err(|error| Failure::of("the request cannot be signed", error))?;
    let profile = Profile::native().map_err(|error| Failure::of("the native profile cannot be read", error))?;
    let signed = profile
        .sign(key_id.as_str(), &secret, &request, SystemClock.now(), nonce)
        .map_err(|error| Failure::of("the request cannot be signed", error))?;
    let mut headers: Vec<(HeaderName, String)> =
        signed.headers.into_iter().filter_map(|(name, value)| Some((name.parse().ok()?, value))).collect();
    headers.extend(content_type.map(|value| (http::header::CONTENT_TYPE, value)));
    if arguments.digest || payload.length() > DECLARE_ABOVE {
        let declared = format!("sha-256=:{}:", STANDARD.encode(digest.sha256()));
        headers.push((HeaderName::from_static("content-digest"), declared));
    }
    let request = SignedRequest { method, target, headers, payload };
    if arguments.send {
        return send::send(request, arguments.json);
    }
    if arguments.json {
        let headers: serde_json::Map<_, _> = request.headers.iter().map(|(name, value)| (shown(name), value.as_str().into())).collect();
        return Ok(show::json(&json!({
            "method": request.method.as_str(),
            "url": request.target.url(),
            "headers": headers,
            "string_to_sign": String::from_utf8_lossy(&signed.string_to_sign),
        })));
    }
    Ok(curl(&request))
}

/// The request as a line for a shell. Good once, and for a few minutes.
fn curl(request: &SignedRequest) -> String {
    let mut words = vec!["curl".to_owned()];
    if request.target.path_and_query.contains(['[', ']', '{', '}']) {
        words.push("--globoff".into());
    }
    match (request.method.as_str(), &request.payload) {
        ("GET", Payload::None) | ("POST", Payload::Text(_)) => {}
        ("HEAD", Payload::None) => words.push("--head".into()),
        (method, _) => words.extend(["-X".to_owned(), method.to_owned()]),
    }
    words.push(quoted(&request.target.url()));
    for (name, value) in &request.headers {
        words.extend(["-H".into(), quoted(&format!("{}: {value}", shown(name)))]);
    }
    match &request.payload {
        Payload::None => {}
        // curl reads a file for data that starts with @, and --data-raw does not.
        Payload::Text(text) => words.extend(["--data-raw".into(), quoted(&String::from_utf8_lossy(text))]),
        // -T streams the file; it would ask for a 100 response first, which is ours to give.
        Payload::File(path, ..) => words.extend(["-T".into(), quoted(&path.display().to_string())]),
    }
    format!("{}\n", words.join(" "))
}

/// The name of a header as documentation writes it: `X-Key-Id`.
fn shown(name: &HeaderName) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| format!("{}{}", first.to_ascii_uppercase(), letters.as_str())).unwrap_or_default()
    };
    name.as_str().split('-').map(word).collect::<Vec<_>>().join("-")
}

/// The text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Payload {
    fn read(data: Option<&str>) -> Result<Self, Failure> {
        let Some(data) = data else { return Ok(Self::None) };
        let Some(path) = data.strip_prefix('@') else { return Ok(Self::Text(data.as_bytes().to_vec())) };
        let cannot = |error| Failure::of(format_args!("{path} cannot be read"), error);
        let file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if !metadata.is_file() {
            return Err(Failure::Usage(format!("{path} is not a file: a body is read twice, to sign and to send")));
        }
        Ok(Self::File(path.into(), file, metadata.len()))
    }

    fn length(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Text(text) => text.len() as u64,
            Self::File(.., length) => *length,
        }
    }

    fn digest(&mut self) -> Result<BodyDigest, Failure> {
        match self {
            Self::None => Ok(BodyDigest::of(b"")),
            Self::Text(text) => Ok(BodyDigest::of(text)),
            Self::File(path, file, _) => {
                digest_of(file).map_err(|error| Failure::of(format_args!("{} cannot be read", path.display()), error))
            }
        }
    }

    fn media_type(&self) -> Option<String> {
        let is_json = |text: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
        match self {
            Self::None => None,
            Self::Text(text) if is_json(text) => Some("application/json".into()),
            Self::File(path, ..) if path.extension().is_some_and(|end| end == "json") => Some("application/json".into()),
            _ => Some("application/octet-stream".into()),
        }
    }
}

fn digest_of(file: &mut File) -> io::Result<BodyDigest> {
    let mut hasher = BodyHasher::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
    file.rewind()?;
    Ok(hasher.finish())
}

/// Finds the key id and the secret: an argument names files, the environment holds values.
fn credentials(arguments: &SignArgs) -> Result<(KeyId, SecretText), Failure> {
    let settings = arguments.env_file.as_deref().map(read_small).transpose()?;
    let setting = |name: &str| settings.as_ref().and_then(|text| find_setting(text, name)).map(Zeroizing::new);
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(Zeroizing::new);
    let key_id = match &arguments.key_id {
        Some(key_id) => key_id.clone(),
        None => setting("CS_KEY_ID")
            .or_else(|| variable("CS_KEY_ID"))
            .map(|id| id.to_string())
            .ok_or_else(|| Failure::Usage("no key id: use --key-id, --env-file countersign-data/demo.env, or set CS_KEY_ID".into()))?,
    };
    let secret = match &arguments.secret_file {
        Some(path) => Some(Zeroizing::new(read_small(path)?.trim_end_matches(['\r', '\n']).to_owned())),
        None => setting("CS_SECRET").or_else(|| variable("CS_SECRET")),
    };
    let mut secret = secret
        .filter(|secret| !secret.is_empty())
        .ok_or_else(|| Failure::Usage("no secret: set CS_SECRET, or use --secret-file or --env-file countersign-data/demo.env".into()))?;
    let key_id = key_id.parse().map_err(|error| Failure::Usage(format!("{error}")))?;
    Ok((key_id, SecretText::new(std::mem::take(&mut *secret))))
}

fn read_small(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let read = File::open(path).and_then(|file| file.take(LONGEST_SETTINGS).read_to_string(&mut text));
    read.map_err(|error| Failure::of(format_args!("{} cannot be read", path.display()), error))?;
    Ok(text)
}

/// The value of `NAME=value` in a file that a shell could source.
fn find_setting(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| {
        let line = line.trim();
        line.strip_prefix("export ").unwrap_or(line).strip_prefix(name)?.strip_prefix('=')
    })?;
    let unquoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    Some(unquoted.unwrap_or(value).to_owned())
}

#[cfg(test)]
mod tests;
