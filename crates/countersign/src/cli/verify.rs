//! `countersign verify`: judges a signature offline, and shows what the judgement rests on. It opens nothing: no rule, no
//! allow-list and no memory of requests is asked.

mod gateway;
mod keys;
mod raw_request;
mod report;
mod visible;

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use countersign_core::code::{Code, Refusal};
use countersign_core::now::UnixMillis;
use countersign_core::request_view::Scheme;
use countersign_core::signature::built_in::BUILT_IN;
use countersign_core::signature::diagnose::{Diagnosis, Known, Limits, Suspect, diagnose};
use countersign_core::signature::load::Constants;
use countersign_core::signature::signing::canonical_host;
use countersign_core::signature::{Body, Head, Profile, Trace};
use jiff::Timestamp;

use super::Failure;
use super::profiles::{self, Setting};
use super::show::{self, Style};
use crate::ambient::{Clock as _, SystemClock};
use keys::{Found, Keys};
use raw_request::RawRequest;
use report::Report;
use visible::Difference;

/// How large a request, or a string to sign, may be, in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// `countersign verify`
#[derive(Debug, Args)]
#[command(
    after_help = "The request is read from standard input: request line, headers, an empty line, body. Lines of the head end in LF or CR LF. \
The body is as long as Content-Length says (chunks are put together), or else all of the rest.\n\n\
The keys file is a JSON object: key id to secret, to a list of live secrets, or to an object with \"secret\" and the further attributes of the scheme. \
For a scheme whose requests name no key: \"@route\", or the only entry.\n\n\
Exit status: 0 accept, 1 refuse, 2 wrong usage.\n\n\
Example:  countersign verify --profile stripe --keys keys.json --at 1764000000 < request.txt"
)]
pub struct VerifyArgs {
    /// The signature profile: the name of a built-in one, or a file (with / in it, or ending in .toml)
    #[arg(long, value_name = "NAME|FILE", default_value = "v3.0")]
    profile: String,
    /// The keys file
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// The time to judge at: Unix seconds, or 2026-12-31T18:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,
    /// How the request was sent [default: https; http if its port is 80 or its host is this machine]
    #[arg(long)]
    scheme: Option<SchemeName>,
    /// A constant of the profile; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<Setting>,
    /// The string that the caller signed: says where it differs first
    #[arg(long, value_name = "FILE")]
    string_to_sign: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemeName {
    Https,
    Http,
}

/// A moment to judge at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment(UnixMillis);

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = "write Unix seconds, or 2026-12-31T18:00:00Z";
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
            let seconds: i64 = seconds.parse().map_err(|_| bad)?;
            if fraction.contains('.') {
                return Err(bad);
            }
            let millis = format!("{fraction:0<3.3}").parse().map_err(|_| bad)?;
            return Ok(Self(UnixMillis::from_millis(seconds.saturating_mul(1000).saturating_add(millis))));
        }
        let at: Timestamp = text.parse().map_err(|_| bad)?;
        Ok(Self(UnixMillis::from_millis(at.as_millisecond())))
    }
}

pub(super) fn run(arguments: &VerifyArgs) -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        eprintln!("Reading the request from standard input; Ctrl-D ends it.");
    }
    judge(arguments, io::stdin().lock(), SystemClock.now(), Style::of_stdout())
}

/// The whole command, for any input and time.
fn judge(arguments: &VerifyArgs, input: impl Read, now: UnixMillis, style: Style) -> Result<String, Failure> {
    let profile = profiles::find(&arguments.profile, &arguments.settings)?;
    let keys = Keys::read(&arguments.keys)?;
    let given = arguments.string_to_sign.as_deref().map(read_file).transpose()?;
    let bytes = read_all(input).map_err(|why| Failure::Usage(format!("standard input cannot be read: {why}")))?;
    let request = RawRequest::read(&bytes).map_err(|why| Failure::Usage(format!("standard input is not an HTTP request: {why}")))?;
    drop(bytes);
    let suggested = request.suggested_scheme();
    let scheme = match arguments.scheme {
        Some(SchemeName::Https) => Scheme::Https,
        Some(SchemeName::Http) => Scheme::Http,
        None => suggested.unwrap_or(Scheme::Https),
    };
    let at = arguments.at.map_or(now, |at| at.0);
    let host = canonical_host(request.host(), scheme);
    let judgement = Judgement::of(&profile, &request, scheme, &host, &keys, at, given)?;
    let report = Report {
        profile: &profile,
        request: &request,
        scheme,
        scheme_is_assumed: arguments.scheme.is_none(),
        host: &host,
        at,
        gateway: gateway::refusal(&request, scheme, &profile),
        judgement,
    };
    let text = if arguments.json { show::json(&report.json()) } else { report.words(style) };
    // The report belongs on standard output either way; the exit status says which it was.
    if report.judgement.trace.judged.is_ok() { Ok(text) } else { Err(Failure::Answered(text)) }
}

/// How much is tried: a person waits, not a request, so up to a tenth of a second instead of the gateway's 5 ms.
const PATIENT: Limits = Limits { macs: 40_000, bytes: 100 << 19 };

/// What came of it.
struct Judgement {
    trace: Trace,
    key_id: Option<String>,
    /// Which of several secrets it was signed with, from 1.
    secret: Option<usize>,
    /// How the caller's own string compares, if there is one.
    compared: Option<Compared>,
    /// What the caller did wrong, where the signature was refused.
    diagnosis: Diagnosis,
}

/// The known mistakes, tried.
fn diagnosed(
    profile: &Profile,
    head: Head<'_>,
    request: &RawRequest,
    keys: &Keys,
    at: UnixMillis,
    key_id: Option<&str>,
    own: Option<&[u8]>,
) -> Diagnosis {
    let secrets = keys.find(profile, key_id).map(|found| found.live).unwrap_or_default();
    let built_in: Vec<Profile> = BUILT_IN.iter().filter_map(|(_, text)| Profile::load(text, &Constants::new()).ok()).collect();
    let profiles: Vec<&Profile> = built_in.iter().collect();
    let known = Known { secrets: &secrets, others: &[], profiles: &profiles, hosts: &[] };
    diagnose(profile, &Suspect { head, body: &request.body, now: at, own_string: own }, &known, PATIENT)
}

/// A caller's own string to sign beside ours.
enum Compared {
    Same,
    Differs(Difference),
    /// There is no string to compare with.
    Nothing,
}

impl Judgement {
    fn of(
        profile: &Profile,
        request: &RawRequest,
        scheme: Scheme,
        host: &str,
        keys: &Keys,
        at: UnixMillis,
        given: Option<Vec<u8>>,
    ) -> Result<Self, Failure> {
        let head = Head { method: &request.method, scheme, host, target: request.target(), headers: &request.headers };
        let refused = |refusal: Refusal| Self {
            trace: Trace::unread(Err(refusal)),
            key_id: None,
            secret: None,
            compared: given.as_ref().map(|_| Compared::Nothing),
            diagnosis: diagnosed(profile, head, request, keys, at, profile.key_named_in(head).as_deref(), given.as_deref()),
        };
        let fields = match profile.find_fields(head) {
            Ok(Some(fields)) => fields,
            Ok(None) => {
                let detail = format!("the request shows no signature of the profile {}", profile.name().as_str());
                return Ok(refused(Refusal::with(Code::CredentialsRequired, detail)));
            }
            Err(refusal) => return Ok(refused(refusal)),
        };
        let key_id = if profile.names_key() { Some(fields.key_id().unwrap_or_default()) } else { None };
        let found = keys.find(profile, key_id)?;
        let body = Body::of(&request.body);
        let mut trace = fields.trace(body, &found.live, at);
        let accepts = |secret| fields.trace(body, std::slice::from_ref(secret), at).judged.is_ok();
        let which = if trace.judged.is_ok() && found.live.len() > 1 { found.live.iter().position(accepts) } else { None };
        if let Some(why) = &found.lacks {
            trace.judged = Err(match trace.judged {
                Err(refusal) if refusal.code != Code::SignatureMismatch => refusal,
                _ => Refusal::with(Code::SignatureMismatch, why.clone()),
            });
        }
        let diagnosis = match trace.judged {
            Ok(()) => Diagnosis::default(),
            Err(_) => diagnosed(profile, head, request, keys, at, key_id, given.as_deref()),
        };
        let compared = given.map(|given| compare(&trace, &found, given));
        Ok(Self { diagnosis, trace, key_id: key_id.map(str::to_owned), secret: which.map(|index| index.saturating_add(1)), compared })
    }
}

fn compare(trace: &Trace, found: &Found<'_>, given: Vec<u8>) -> Compared {
    let Some(ours) = trace.strings_to_sign.first() else { return Compared::Nothing };
    let shows_placeholder = ours.windows(keys::PLACEHOLDER.len()).any(|part| part == keys::PLACEHOLDER);
    let given = if shows_placeholder { found.hide(given) } else { given };
    if trace.strings_to_sign.contains(&given) {
        return Compared::Same;
    }
    visible::first_difference(ours, &given).map_or(Compared::Same, Compared::Differs)
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = File::open(path).map_err(|error| error.to_string()).and_then(read_all);
    read.map_err(|why| Failure::Usage(format!("{} cannot be read: {why}", path.display())))
}

fn read_all(input: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    input.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MOST_BYTES { Err(format!("there are more than {MOST_BYTES} bytes")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests;
