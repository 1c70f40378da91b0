//! `countersign sign`: a signed request as a curl line, as JSON, or sent.

mod payload;
mod send;
mod target;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use countersign_core::secret::SecretText;
use countersign_core::signature::signing::{CannotSign, ToSign};
use countersign_core::signature::{BodyUse, Profile};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::profiles::{self, Setting};
use super::{Failure, secret_file, show};
use crate::ambient::{Clock as _, Entropy, SystemClock, SystemEntropy};
use crate::shell::quoted;
use payload::Payload;
use target::Target;

/// Bodies above this size declare their digest, so that the gateway can pass them on as they come.
const DECLARE_ABOVE: u64 = 1 << 20;
/// More than any file of settings or secret.
const LONGEST_SETTINGS: u64 = 64 * 1024;

/// `countersign sign`
#[derive(Debug, Args)]
#[command(
    after_help = "The secret comes from CS_SECRET, --secret-file or --env-file, and is never an argument. For a profile with attributes it may be JSON: \
{\"secret\": \"...\", \"token_secret\": \"...\"}.\n\nExample:  countersign sign GET http://127.0.0.1:8080/api/v3.0/hello"
)]
pub struct SignArgs {
    /// GET, POST, ...
    method: String,
    /// The whole URL, as it will be sent
    url: String,
    /// The signature profile: the name of a built-in one (see countersign profiles), or a file (with / in it, or ending in .toml)
    #[arg(long, value_name = "NAME|FILE", default_value = "v3.0")]
    profile: String,
    /// A constant of the profile; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<Setting>,
    /// A header that is sent, and signed if the profile signs it; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<HeaderLine>,
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
    /// Print JSON: the request with the string that was signed or, with --send, the answer
    #[arg(long)]
    json: bool,
}

/// `Name: value`, on the command line.
#[derive(Debug, Clone)]
struct HeaderLine {
    /// The name as it was written.
    shown: String,
    name: HeaderName,
    value: String,
}

impl FromStr for HeaderLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (shown, value) = text.split_once(':').ok_or("write NAME: VALUE")?;
        let name: HeaderName = shown.parse().map_err(|_| format!("{shown:?} is not the name of a header"))?;
        if [header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(&name) {
            return Err(format!("{shown} comes from the body"));
        }
        let value = value.trim_matches([' ', '\t']);
        HeaderValue::from_str(value).map_err(|_| format!("the value of {shown} cannot be sent in a header"))?;
        Ok(Self { shown: shown.into(), name, value: value.into() })
    }
}

/// A request with everything that goes into its head.
struct SignedRequest {
    method: Method,
    target: Target,
    /// Names as they are shown, with their values.
    headers: Vec<(String, String)>,
    payload: Payload,
}

pub(super) fn run(arguments: &SignArgs) -> Result<String, Failure> {
    let method = arguments.method.to_ascii_uppercase();
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Failure::Usage(format!("{:?} is not a method", arguments.method)))?;
    let mut target = Target::read(&arguments.url)?;
    let profile = profiles::find(&arguments.profile, &arguments.settings)?;
    if !profile.can_sign() {
        return Err(verifies_only(&profile));
    }
    let (key_id, secret) = credentials(arguments, profile.names_key())?;
    let payload = Payload::read(arguments.data.as_deref())?;
    // A profile that signs a digest only needs no more: a file of any size can be signed.
    let whole = if profile.body_use() == BodyUse::Bytes { payload.whole()? } else { None };
    let body = payload.body(whole.as_deref())?;
    let mut sent = arguments.headers.clone();
    sent.extend(content_type(arguments, &payload)?);
    if arguments.digest || (profile.body_use() == BodyUse::Sha256 && payload.length() > DECLARE_ABOVE) {
        sent.push(line("Content-Digest", format!("sha-256=:{}:", STANDARD.encode(body.digest().sha256())))?);
    }
    let mut headers = HeaderMap::new();
    for HeaderLine { shown, name, value } in &sent {
        let value = HeaderValue::from_str(value).map_err(|_| Failure::Usage(format!("the value of {shown} cannot be sent in a header")))?;
        headers.append(name, value);
    }
    if !matches!(payload, Payload::None) {
        headers.insert(header::CONTENT_LENGTH, payload.length().into());
    }
    // Another Host than that of the URL, as for a gateway that is tried out under its own address.
    let host = sent.iter().find(|line| line.name == header::HOST).map_or(target.authority.as_str(), |line| line.value.as_str());
    let request = ToSign { method: method.as_str(), scheme: target.scheme, host, target: &target.path_and_query, headers: &headers, body };
    let dice: &dyn Entropy = &SystemEntropy;
    let nonce = dice.fresh().map_err(|error| Failure::of("the request cannot be signed", error))?;
    let signed = profile.sign(&key_id, &secret, &request, SystemClock.now(), nonce).map_err(|error| match error {
        CannotSign::VerifiesOnly(_) => verifies_only(&profile),
        error => cannot_sign(arguments, &error),
    })?;
    let mut headers: Vec<(String, String)> = signed.headers.into_iter().map(|(name, value)| (name.into(), value)).collect();
    // What the profile adds stands in the place of what was there.
    let given = sent.into_iter().filter(|line| !headers.iter().any(|(name, _)| line.name.as_str().eq_ignore_ascii_case(name)));
    let given: Vec<_> = given.map(|HeaderLine { shown, value, .. }| (shown, value)).collect();
    headers.extend(given);
    target.path_and_query = signed.target;
    let request = SignedRequest { method, target, headers, payload };
    if arguments.send {
        return send::send(request, arguments.json);
    }
    if arguments.json {
        return Ok(show::json(&report(&request, &profile, &signed.string_to_sign)));
    }
    Ok(curl(&request))
}

/// The media type that is sent, unless a header gives it.
fn content_type(arguments: &SignArgs, payload: &Payload) -> Result<Option<HeaderLine>, Failure> {
    let is_given = arguments.headers.iter().any(|line| line.name == header::CONTENT_TYPE);
    match (&arguments.content_type, is_given) {
        (Some(_), true) => Err(Failure::Usage("the Content-Type is given twice: --content-type and -H".into())),
        (Some(given), false) => line("Content-Type", given.clone()).map(Some),
        (None, true) => Ok(None),
        (None, false) => payload.media_type().map(|found| line("Content-Type", found)).transpose(),
    }
}

fn line(name: &str, value: String) -> Result<HeaderLine, Failure> {
    format!("{name}: {value}").parse().map_err(Failure::Usage)
}

/// A part that is missing is often a constant that has no value.
fn cannot_sign(arguments: &SignArgs, error: &CannotSign) -> Failure {
    let open = profiles::without_value(&arguments.profile, &arguments.settings);
    let settings: Vec<String> = open.iter().map(|name| format!("--set {name}=...")).collect();
    let hint = if settings.is_empty() { String::new() } else { format!("; the profile may need {}", settings.join(" ")) };
    Failure::Failed(format!("the request cannot be signed: {error}{hint}"))
}

fn verifies_only(profile: &Profile) -> Failure {
    let known = profiles::that_sign().join(", ");
    let why = "has no [[sign]]: it verifies only";
    Failure::Usage(format!("the profile {} {why}. These sign: {known}", profile.name().as_str()))
}

/// The signed request for programs. A header that is sent more than once has a list of values.
fn report(request: &SignedRequest, profile: &Profile, string_to_sign: &[u8]) -> Value {
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in &request.headers {
        let value: Value = value.as_str().into();
        match headers.get_mut(name) {
            None => _ = headers.insert(name.clone(), value),
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    let mut all = json!({
        "method": request.method.as_str(),
        "url": request.target.url(),
        "headers": headers,
        "profile": profile.name().as_str(),
        "string_to_sign": String::from_utf8_lossy(string_to_sign),
    });
    if let (Err(_), Some(members)) = (std::str::from_utf8(string_to_sign), all.as_object_mut()) {
        members.insert("string_to_sign_base64".into(), STANDARD.encode(string_to_sign).into());
    }
    all
}

/// The request as a line for a shell. Good once, and for a few minutes.
fn curl(request: &SignedRequest) -> String {
    let mut words = vec!["curl".to_owned()];
    if request.target.path_and_query.contains(['[', ']', '{', '}']) {
        words.push("--globoff".into());
    }
    // curl resolves dot segments, and what is sent would not be what was signed.
    if request.target.path_and_query.contains("/.") {
        words.push("--path-as-is".into());
    }
    match (request.method.as_str(), &request.payload) {
        ("GET", Payload::None) | ("POST", Payload::Text(_)) => {}
        ("HEAD", Payload::None) => words.push("--head".into()),
        (method, _) => words.extend(["-X".to_owned(), method.to_owned()]),
    }
    words.push(quoted(&request.target.url()));
    for (name, value) in &request.headers {
        // curl leaves a header out whose value is empty, unless a semicolon stands for it.
        let header = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        words.extend(["-H".into(), quoted(&header)]);
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

/// Finds the key id, which not every scheme has, and the secret: an argument names files, the environment holds values.
fn credentials(arguments: &SignArgs, names_key: bool) -> Result<(String, SecretText), Failure> {
    let settings = arguments.env_file.as_deref().map(read_small).transpose()?;
    let setting = |name: &str| settings.as_ref().and_then(|text| find_setting(text, name)).map(Zeroizing::new);
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(Zeroizing::new);
    let key_id = match &arguments.key_id {
        Some(key_id) => key_id.clone(),
        None if !names_key => String::new(),
        None => setting("CS_KEY_ID")
            .or_else(|| variable("CS_KEY_ID"))
            .map(|id| id.to_string())
            .ok_or_else(|| Failure::Usage("no key id: use --key-id, --env-file countersign-data/demo.env, or set CS_KEY_ID".into()))?,
    };
    let secret = match &arguments.secret_file {
        Some(path) => Some(secret_file::read(path)?),
        None => setting("CS_SECRET").or_else(|| variable("CS_SECRET")),
    };
    let mut secret = secret
        .filter(|secret| !secret.is_empty())
        .ok_or_else(|| Failure::Usage("no secret: set CS_SECRET, or use --secret-file or --env-file countersign-data/demo.env".into()))?;
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
