//! What reading a request shows before any MAC is computed: fields that are missing, misspelled or malformed. What can be put
//! right is, so that the search can go on.

use http::HeaderName;

use super::super::bytes::Bytes;
use super::super::coverage::Provenance;
use super::super::evaluate::Context;
use super::super::expression::{Expr, Source, Step};
use super::super::fields::Fields;
use super::super::filter::Filter;
use super::super::parameters;
use super::super::profile::Profile;
use super::super::rfc9421::Found;
use super::super::rules::FieldSource;
use super::super::slots::SlotSource;
use super::super::value::{Data, Value};
use super::mistake::Mistake;
use super::sent::Sent;
use super::visible::{quoted, visible};
use crate::nearest::nearest;

/// How often a request is put right.
const MOST_REPAIRS: usize = 6;

/// Something wrong, in words.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) mistake: Mistake,
    pub(super) words: String,
}

impl Problem {
    pub(super) fn new(mistake: Mistake, words: impl Into<String>) -> Self {
        Self { mistake, words: words.into() }
    }
}

/// The fields of a request, whatever they look like.
pub(super) struct Read<'v> {
    pub(super) fields: Vec<Option<Value<'v>>>,
    pub(super) signature: Option<Found<'v>>,
    pub(super) problems: Vec<Problem>,
    /// Whether the MAC has the shape that the profile asks for.
    pub(super) mac_fits: bool,
}

/// Why a value is not there.
enum Fault {
    /// None of these headers was sent.
    Header(Vec<HeaderName>),
    Parameter(String),
    /// The value of a header does not begin so.
    Prefix(HeaderName, String),
    /// A header names another authentication scheme, or none.
    Scheme(HeaderName, String),
    /// A map lacks a member.
    Member(usize, String),
    /// What it is read from is missing, which is said elsewhere.
    Elsewhere,
    /// The value is there and cannot be read.
    Unreadable,
}

/// Puts right what can be: headers under other names, and values without their prefix.
pub(super) fn repair<'v>(profile: &Profile, request: &Sent<'v>) -> (Sent<'v>, Vec<Problem>) {
    let (mut request, mut problems) = (request.clone(), Vec::new());
    for _ in 0..MOST_REPAIRS {
        let Some((better, problem)) = repair_one(profile, &request) else { break };
        request = better;
        problems.push(problem);
    }
    (request, problems)
}

fn repair_one<'v>(profile: &Profile, request: &Sent<'v>) -> Option<(Sent<'v>, Problem)> {
    let mut fields = blank(profile, request, None);
    let detected = profile.detect.iter().any(|expr| matches!(fields.context(request.body()).read(expr), Ok(Some(_))));
    let mut wanted: Vec<&Expr> = if detected { Vec::new() } else { profile.detect.iter().collect() };
    for field in &profile.fields {
        let FieldSource::Expr(expr) = &field.from else {
            fields.values.push(None);
            continue;
        };
        let value = fields.context(request.body()).read(expr).ok().flatten();
        if value.is_none() && !field.optional {
            wanted.push(expr);
        }
        fields.values.push(value);
    }
    wanted.into_iter().find_map(|expr| put_right(profile, request, fault(&fields.context(request.body()), expr)?))
}

/// Reads the fields of a request, in whatever shape they are.
pub(super) fn read<'v>(profile: &'v Profile, request: &'v Sent<'v>) -> Result<Read<'v>, Problem> {
    let signature = match &profile.builtin {
        None => None,
        Some(rule) => match rule.find(&request.headers) {
            Ok(Some(found)) => Some(found),
            Ok(None) => return Err(not_signed(profile)),
            Err(refusal) => return Err(Problem::new(Mistake::FieldMalformed, format!("{}.", refusal.detail.unwrap_or_default()))),
        },
    };
    let mut fields = blank(profile, request, signature);
    let (mut problems, mut mac_fits, mut any) = (Vec::new(), true, false);
    for (index, field) in profile.fields.iter().enumerate() {
        let read = match &field.from {
            FieldSource::Expr(expr) => fields.context(request.body()).read(expr),
            FieldSource::Builtin(param) => {
                let bytes = fields.signature.as_ref().and_then(|found| param.of(found));
                Ok(bytes.map(|bytes| Value::one(Bytes::from(bytes), Provenance::NONE)))
            }
        };
        let value = match read {
            Ok(value) => value,
            Err(refusal) => {
                problems.push(Problem::new(Mistake::FieldMalformed, format!("{}.", refusal.detail.unwrap_or_default())));
                None
            }
        };
        any |= value.is_some();
        match (&value, &field.from) {
            (None, FieldSource::Expr(expr)) if !field.optional => {
                problems.extend(
                    fault(&fields.context(request.body()), expr).and_then(|fault| missing(profile, request, &fields, &field.name, &fault)),
                );
            }
            (Some(value), _) => {
                let fits = field.shape.as_ref().is_none_or(|shape| match &value.data {
                    Data::One(bytes) => shape.fits(bytes.as_slice()),
                    Data::Many(list) => list.iter().all(|bytes| shape.fits(bytes.as_slice())),
                    Data::Map(_) => true,
                });
                if !fits && index == profile.mac {
                    mac_fits = false;
                } else if !fits && !is_time(profile, index) {
                    let words = field.shape.as_ref().map(|shape| shape.words()).unwrap_or_default();
                    let words = format!("{} must be {words}; it is {}.", field.name, quoted(value.bytes(), 0));
                    problems.push(Problem::new(Mistake::FieldMalformed, words));
                }
            }
            _ => {}
        }
        fields.values.push(value);
    }
    if !any {
        return Err(not_signed(profile));
    }
    Ok(Read { fields: fields.values, signature: fields.signature, problems, mac_fits })
}

fn not_signed(profile: &Profile) -> Problem {
    let headers: Vec<String> = profile.detect.iter().flat_map(|expr| headers_of(profile, expr)).map(|name| title(&name)).collect();
    let what = if headers.is_empty() { "its parameters".to_owned() } else { headers.join(" or ") };
    Problem::new(Mistake::NotSigned, format!("The request is not signed in the scheme {}: it does not have {what}.", profile.name))
}

fn blank<'v>(profile: &'v Profile, request: &'v Sent<'_>, signature: Option<Found<'v>>) -> Fields<'v> {
    Fields { profile, head: request.head(), values: Vec::new(), signature, times: None }
}

/// Whether a field holds the time: what is wrong with that is said with more knowledge.
fn is_time(profile: &Profile, index: usize) -> bool {
    let times = profile.time.iter().flat_map(|time| time.at.iter().chain(&time.expires));
    times.into_iter().any(|expr| matches!(expr.source, Source::Field(field) if field == index))
}

/// Why a value is absent. `None` when it is there.
fn fault<'v>(context: &Context<'_, 'v>, expr: &'v Expr) -> Option<Fault> {
    if !matches!(context.read(expr), Ok(None)) {
        return None;
    }
    let profile = context.profile;
    match &expr.source {
        Source::Member(index, slot) | Source::Members(index, slot) => {
            let map = context.fields.get(*index).and_then(Option::as_ref);
            let member = match profile.slots.get(*slot) {
                Some(SlotSource::Member(_, name)) => name.to_string(),
                _ => String::new(),
            };
            let has = |value: &Value<'_>| matches!(&value.data, Data::Map(all) if all.iter().any(|(name, _)| name.as_slice().eq_ignore_ascii_case(member.as_bytes())));
            return Some(match map {
                None => Fault::Elsewhere,
                Some(map) if has(map) => Fault::Unreadable,
                Some(_) => Fault::Member(*index, member),
            });
        }
        Source::Field(_) => return Some(Fault::Elsewhere),
        Source::QueryParameter(slot) => {
            if let Some(SlotSource::Query(name)) = profile.slots.get(*slot) {
                return Some(Fault::Parameter(name.to_string()));
            }
        }
        _ => {}
    }
    let headers = headers_of(profile, expr);
    let there = headers.iter().find(|name| context.head.headers.contains_key(*name)).cloned();
    let Some(header) = there else {
        return Some(if headers.is_empty() { Fault::Unreadable } else { Fault::Header(headers) });
    };
    // The first step that gives nothing, of the value that is there.
    let step = (1..=expr.steps.len()).find_map(|count| {
        let steps = expr.steps.get(..count)?;
        let part = Expr { steps: steps.into(), ..expr.clone() };
        let context: Context<'_, '_> = *context;
        let gives = matches!(context.read(&part), Ok(Some(_)));
        let was_there = count > 1 || !matches!(steps.first(), Some(Step::Or(_)));
        (!gives && was_there).then(|| steps.last().cloned()).flatten()
    });
    Some(match step {
        Some(Step::Filter(Filter::StripPrefix(prefix))) => Fault::Prefix(header, String::from_utf8_lossy(&prefix).into_owned()),
        Some(Step::Filter(Filter::Scheme(scheme))) => Fault::Scheme(header, String::from_utf8_lossy(&scheme).into_owned()),
        _ => Fault::Unreadable,
    })
}

/// The headers that an expression can be read from.
fn headers_of(profile: &Profile, expr: &Expr) -> Vec<HeaderName> {
    let own = match &expr.source {
        Source::Header(slot) => match profile.slots.get(*slot) {
            Some(SlotSource::Header(name)) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    };
    let others = expr.steps.iter().flat_map(|step| match step {
        Step::Or(other) => headers_of(profile, other),
        _ => Vec::new(),
    });
    own.into_iter().chain(others).collect()
}

/// A request without a fault, and what was wrong.
fn put_right<'v>(profile: &Profile, request: &Sent<'v>, fault: Fault) -> Option<(Sent<'v>, Problem)> {
    let mut better = request.clone();
    let value_of = |name: &HeaderName| request.headers.get(name).map(|value| value.as_bytes().to_vec());
    let problem = match fault {
        Fault::Header(names) => {
            let (meant, found) = names.into_iter().find_map(|name| Some((near_header(profile, request, &name)?, name)))?;
            better.set_header(&found, value_of(&meant).as_deref());
            better.set_header(&meant, None);
            Problem::new(Mistake::HeaderMisspelled, format!("The request has {}; the scheme reads {}.", title(&meant), title(&found)))
        }
        Fault::Prefix(name, prefix) => {
            let value = value_of(&name)?;
            let (other, rest) = other_prefix(&value);
            better.set_header(&name, Some(&[prefix.as_bytes(), rest].concat()));
            let seen = if other.is_empty() { String::new() } else { format!(", and not with {}", quoted(other, 0)) };
            Problem::new(Mistake::PrefixMissing, format!("{} must begin with `{prefix}`{seen}.", title(&name)))
        }
        Fault::Scheme(name, scheme) => {
            let value = value_of(&name)?;
            let word = value.split(|byte| *byte == b' ').next().unwrap_or_default();
            let is_word = word.len() < value.len() && word.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
            // Some other credential is not a mistake.
            if is_word && [&b"basic"[..], b"bearer", b"apikey", b"digest"].iter().any(|known| word.eq_ignore_ascii_case(known)) {
                return None;
            }
            let rest = if is_word { value.get(word.len()..).unwrap_or_default() } else { &value };
            better.set_header(&name, Some(&[scheme.as_bytes(), b" ", rest.trim_ascii_start()].concat()));
            let seen = if is_word { format!(", and not with {}", quoted(word, 0)) } else { String::new() };
            Problem::new(Mistake::PrefixMissing, format!("{} must begin with `{scheme} `{seen}.", title(&name)))
        }
        _ => return None,
    };
    Some((better, problem))
}

/// What stands before a MAC where another prefix is asked for: `sha256=`, `v1,`.
fn other_prefix(value: &[u8]) -> (&[u8], &[u8]) {
    let end = value.iter().take(12).position(|byte| matches!(byte, b'=' | b',' | b':')).map_or(0, |at| at + 1);
    let rest_is_padding = value.get(end..).is_none_or(|rest| rest.iter().all(|byte| *byte == b'='));
    value.split_at_checked(if rest_is_padding { 0 } else { end }).unwrap_or((b"", value))
}

/// The header that was sent in place of one that is missing.
fn near_header(profile: &Profile, request: &Sent<'_>, name: &HeaderName) -> Option<HeaderName> {
    const PLAIN: [&str; 14] = [
        "host",
        "accept",
        "accept-encoding",
        "accept-language",
        "user-agent",
        "content-type",
        "content-length",
        "connection",
        "cookie",
        "date",
        "origin",
        "referer",
        "via",
        "authorization",
    ];
    let free = |other: &&HeaderName| !PLAIN.contains(&other.as_str()) && profile.slots.of_header(other).is_none();
    let candidates: Vec<&HeaderName> = request.headers.keys().filter(free).collect();
    let plain = |name: &HeaderName| {
        let name = name.as_str().replace(['_', '.'], "-");
        name.strip_prefix("x-").map(str::to_owned).unwrap_or(name)
    };
    let wanted = plain(name);
    if let Some(same) = candidates.iter().find(|other| plain(other) == wanted) {
        return Some((*same).clone());
    }
    let names: Vec<String> = candidates.iter().map(|other| plain(other)).collect();
    let near = nearest(&wanted, names.iter().map(String::as_str)).map(str::to_owned);
    let near = near.or_else(|| {
        names
            .iter()
            .find(|other| other.len() >= 4 && wanted.len() >= 4 && (other.ends_with(&wanted) || wanted.ends_with(other.as_str())))
            .cloned()
    })?;
    let at = names.iter().position(|other| *other == near)?;
    candidates.get(at).map(|name| (*name).clone())
}

/// What is said about a field that is missing.
fn missing(profile: &Profile, request: &Sent<'_>, fields: &Fields<'_>, field: &str, fault: &Fault) -> Option<Problem> {
    Some(match fault {
        Fault::Elsewhere => return None,
        Fault::Header(names) => {
            let names: Vec<String> = names.iter().map(title).collect();
            Problem::new(Mistake::HeaderMissing, format!("The request does not have {}.", names.join(" or ")))
        }
        Fault::Parameter(name) => {
            let query = request.query().unwrap_or_default().as_bytes();
            let sent: Vec<String> = parameters::split_query(query)
                .into_iter()
                .flatten()
                .map(|(name, _)| String::from_utf8_lossy(parameters::decode(name, false).as_slice()).into_owned())
                .collect();
            let near = nearest(name, sent.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; it has `{}`", visible(near.as_bytes())));
            Problem::new(Mistake::HeaderMissing, format!("The request does not have the parameter `{name}`{near}."))
        }
        Fault::Member(index, name) => {
            let map = fields.values.get(*index).and_then(Option::as_ref);
            let Some(Data::Map(members)) = map.map(|map| &map.data) else { return None };
            let sent: Vec<String> = members.iter().map(|(name, _)| String::from_utf8_lossy(name.as_slice()).into_owned()).collect();
            let near = nearest(name, sent.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; it has `{}`", visible(near.as_bytes())));
            let whole = profile.fields.get(*index).map_or_else(String::new, |field| match &field.from {
                FieldSource::Expr(expr) => headers_of(profile, expr).iter().map(title).collect::<Vec<_>>().join(" or "),
                FieldSource::Builtin(_) => field.name.to_string(),
            });
            let whole = if whole.is_empty() { "The signature".to_owned() } else { whole };
            Problem::new(Mistake::MemberMissing, format!("{whole} does not have `{name}`{near}."))
        }
        Fault::Prefix(name, prefix) => Problem::new(Mistake::PrefixMissing, format!("{} must begin with `{prefix}`.", title(name))),
        Fault::Scheme(name, scheme) => Problem::new(Mistake::PrefixMissing, format!("{} must begin with `{scheme} `.", title(name))),
        Fault::Unreadable => {
            Problem::new(Mistake::FieldMalformed, format!("{field} cannot be read: it is not in the form of the scheme {}.", profile.name))
        }
    })
}

/// A name as it is usually written.
pub(super) fn title(name: &HeaderName) -> String {
    let capital = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => word.to_owned(),
    };
    name.as_str().split('-').map(capital).collect::<Vec<_>>().join("-")
}
