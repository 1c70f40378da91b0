//! Reads expressions and templates. Every error says where it is in the text.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use http::HeaderName;

use super::super::alphabet::Alphabet;
use super::super::coverage::{Parts, Slot};
use super::super::filter::Filter;
use super::super::hash::Hash;
use super::super::json_pointer;
use super::super::percent::Percent;
use super::super::pick::Pattern;
use super::super::slots::{SlotSource, Slots};
use super::super::time_format::TimeFormat;
use super::{BodyUse, Expr, HeaderNames, Info, Kind, Piece, Source, Step, Template};
use crate::nearest::nearest;

/// How many filters one expression may have.
const MOST_FILTERS: usize = 16;
/// How many pieces one template may have.
const MOST_PIECES: usize = 64;

/// An expression or template that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct BadExpression {
    /// Where in the text.
    pub(in super::super) at: Range<usize>,
    /// What is wrong, and what to write.
    pub(in super::super) message: String,
}

/// Where an expression stands, which decides what it may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Place {
    /// Fields, conditions, lets, checks.
    Request,
    /// The string to sign: may read the secret.
    Message,
    /// The key: may read the secret and its attributes.
    Key,
    /// What a request must hold beside its MAC: may read attributes of the credential.
    Require,
    /// What signing adds.
    Sign,
    /// The items of a collection.
    Item,
}

/// What names mean.
pub(in super::super) struct Scope<'s> {
    pub(in super::super) constants: &'s BTreeMap<String, Arc<[u8]>>,
    pub(in super::super) attributes: &'s [String],
    pub(in super::super) fields: &'s [(String, Info)],
    /// Of the fields that a pattern was picked from.
    pub(in super::super) patterns: &'s [Option<Arc<Pattern>>],
    pub(in super::super) lets: &'s [(String, Info)],
    pub(in super::super) collections: &'s [(String, Info)],
    /// What steps of signing have named so far.
    pub(in super::super) signed: &'s [(String, Info)],
    pub(in super::super) slots: &'s mut Slots,
    pub(in super::super) place: Place,
}

const fn info(kind: Kind, alphabet: Alphabet, reads: Parts) -> Info {
    Info { kind, alphabet, length: None, reads, body: BodyUse::None, begins: None, ends_itself: false }
}

const fn fixed(mut info: Info, length: usize) -> Info {
    info.length = Some(length);
    info
}

const fn begins(mut info: Info, byte: u8) -> Info {
    info.begins = Some(byte);
    info
}

impl Scope<'_> {
    /// Reads `header:date | trim | lower`.
    pub(in super::super) fn expression(&mut self, text: &str) -> Result<Expr, BadExpression> {
        let segments = segments(text)?;
        let Some((first, filters)) = segments.split_first() else { return Err(bad(0..0, "an expression is missing".into())) };
        if filters.len() > MOST_FILTERS {
            return Err(bad(0..text.len(), format!("an expression has at most {MOST_FILTERS} filters")));
        }
        let (source, info) = self.source(first)?;
        let mut expr = Expr { source, steps: Box::default(), info };
        let mut steps = Vec::new();
        for segment in filters {
            let step = self.step(segment)?;
            expr.info = after(&step, expr.info).map_err(|message| bad(segment.at.clone(), format!("{}: {message}", segment.name)))?;
            expr.info.ends_itself = false;
            // The digest of the body can be known without the body.
            if matches!((&expr.source, &step), (Source::Body, Step::Filter(Filter::Digest(Hash::Sha256)))) && steps.is_empty() {
                expr.source = Source::BodySha256;
                expr.info.body = BodyUse::Sha256;
                continue;
            }
            // No body has the digest of no bytes.
            if matches!((&expr.source, &step), (Source::Body, Step::Filter(Filter::Digest(_)) | Step::Digest)) && steps.is_empty() {
                steps.push(Step::Default(Arc::default()));
            }
            steps.push(step);
        }
        expr.steps = steps.into();
        Ok(expr)
    }

    /// Reads `{method} {target}`.
    pub(in super::super) fn template(&mut self, text: &str) -> Result<Template, BadExpression> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.extend_from_slice(before.as_bytes());
            let offset = text.len() - from.len();
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.push(from.as_bytes().first().copied().unwrap_or_default());
                rest = after;
                continue;
            }
            let Some(inside) = from.strip_prefix('{') else {
                return Err(bad(offset..offset + 1, "a } without {; write }} for a brace".into()));
            };
            let Some(end) = closing(inside) else {
                return Err(bad(offset..offset + 1, "a { without }; write {{ for a brace".into()));
            };
            let (inside, after) = inside.split_at(end);
            let start = offset + 1;
            let expr = self.expression(inside).map_err(|e| bad(start + e.at.start..start + e.at.end, e.message))?;
            if expr.info.kind != Kind::One {
                let message = format!("a template takes one value, and this is {}", expr.info.kind.words());
                return Err(bad(start..start + end, message));
            }
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
            }
            pieces.push(Piece::Value(expr));
            rest = after.strip_prefix('}').unwrap_or_default();
        }
        plain.extend_from_slice(rest.as_bytes());
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.into()));
        }
        if pieces.len() > MOST_PIECES {
            return Err(bad(0..text.len(), format!("a template has at most {MOST_PIECES} pieces")));
        }
        Ok(pieces.into())
    }

    fn source(&mut self, segment: &Segment<'_>) -> Result<(Source, Info), BadExpression> {
        let plain = |source, info| Ok((source, info));
        if segment.colon {
            return self.source_with_name(segment);
        }
        let (upper, lower) = (Alphabet::of(UPPER), Alphabet::of(LOWER));
        let host = lower.union(Alphabet::of(b"0123456789.-_:[]%!$&'()*+,;=~"));
        let visible = Alphabet::VISIBLE;
        match segment.name {
            "method" => plain(Source::Method, info(Kind::One, upper.union(Alphabet::of(b"-_")), Parts::METHOD)),
            "scheme" => plain(Source::Scheme, info(Kind::One, lower, Parts::SCHEME)),
            "host" => plain(Source::Host, info(Kind::One, host, Parts::HOST)),
            "host_name" => plain(Source::HostName, info(Kind::One, host, Parts::HOST.and(Parts::HOST_NAME))),
            "port" => plain(Source::Port, info(Kind::One, Alphabet::of(DIGITS), Parts::PORT)),
            "target" => plain(Source::Target, begins(info(Kind::One, visible, Parts::PATH.and(Parts::QUERY)), b'/')),
            "path" => plain(Source::Path, begins(info(Kind::One, visible.minus(Alphabet::of(b"?")), Parts::PATH), b'/')),
            "query" => plain(Source::Query, info(Kind::One, visible, Parts::QUERY)),
            "url" => {
                let all = Parts::SCHEME.and(Parts::HOST).and(Parts::PATH).and(Parts::QUERY);
                plain(Source::Url, begins(info(Kind::One, visible, all), b'h'))
            }
            "body" => {
                let body = Info { body: BodyUse::Bytes, ..info(Kind::One, Alphabet::ALL, Parts::BODY) };
                plain(Source::Body, body)
            }
            "secret" if matches!(self.place, Place::Key | Place::Message) => {
                plain(Source::Secret, info(Kind::One, Alphabet::ALL, Parts::NONE))
            }
            "secret" => Err(bad(segment.at.clone(), "the secret can be read in [key] and in message only".into())),
            "now" if self.place == Place::Sign => plain(Source::Now, info(Kind::One, Alphabet::of(DIGITS), Parts::NONE)),
            "fresh" if self.place == Place::Sign => plain(Source::Fresh, fixed(info(Kind::One, Alphabet::ALL, Parts::NONE), 16)),
            "key_id" if self.place == Place::Sign => plain(Source::KeyId, info(Kind::One, visible, Parts::NONE)),
            "mac" if self.place == Place::Sign => plain(Source::Mac, info(Kind::One, visible, Parts::NONE)),
            "name" if self.place == Place::Item => plain(Source::ItemName, info(Kind::One, Alphabet::ALL, Parts::NONE)),
            "value" if self.place == Place::Item => plain(Source::ItemValue, info(Kind::One, Alphabet::ALL, Parts::NONE)),
            "pair" if self.place == Place::Item => plain(Source::ItemPair, info(Kind::One, Alphabet::VISIBLE, Parts::NONE)),
            name => self.named(name, segment),
        }
    }

    /// A field, a member of one, a let, a collection.
    fn named(&mut self, name: &str, segment: &Segment<'_>) -> Result<(Source, Info), BadExpression> {
        if let Some((field, member)) = name.split_once('.') {
            let Some((index, of)) = find(self.fields, field) else { return Err(self.unknown(segment, field)) };
            if of.kind != Kind::Map {
                return Err(bad(segment.at.clone(), format!("{field} is {}, and only a map has members", of.kind.words())));
            }
            let (member, many) = member.strip_suffix("[]").map_or((member, false), |member| (member, true));
            let slot = self.slot(SlotSource::Member(index, member.to_ascii_lowercase().into()), segment)?;
            let reads = Parts::slot(slot).and(of.reads);
            let kind = if many { Kind::Many } else { Kind::One };
            let pattern = self.patterns.get(index).and_then(Option::as_ref);
            let alphabet = pattern.map_or(of.alphabet, |pattern| pattern.alphabet(member, of.alphabet));
            let info = Info { kind, alphabet, length: None, reads, body: of.body, begins: None, ends_itself: false };
            return Ok((if many { Source::Members(index, slot) } else { Source::Member(index, slot) }, info));
        }
        if self.place == Place::Sign
            && let Some((index, info)) = find(self.signed, name)
        {
            return Ok((Source::Signed(index), info));
        }
        if let Some((index, info)) = find(self.fields, name) {
            return Ok((Source::Field(index), info));
        }
        if let Some((index, info)) = find(self.lets, name) {
            return Ok((Source::Let(index), info));
        }
        if let Some((index, info)) = find(self.collections, name) {
            return Ok((Source::Collection(index), info));
        }
        Err(self.unknown(segment, name))
    }

    fn source_with_name(&mut self, segment: &Segment<'_>) -> Result<(Source, Info), BadExpression> {
        let argument = segment.one_argument();
        let header = |name: &str| {
            let lower = name.to_ascii_lowercase();
            lower.parse::<HeaderName>().map_err(|_| bad(segment.at.clone(), format!("{name:?} is not a header name")))
        };
        let names_one = || argument.clone().ok_or_else(|| bad(segment.at.clone(), format!("write {}:NAME", segment.name)));
        match segment.name {
            "header" => {
                let name = header(&names_one()?)?;
                if name == http::header::HOST {
                    return Ok((Source::HostHeader, info(Kind::One, Alphabet::VISIBLE, Parts::HOST)));
                }
                let slot = self.slot(SlotSource::Header(name), segment)?;
                Ok((Source::Header(slot), info(Kind::One, Alphabet::HEADER, Parts::slot(slot))))
            }
            "headers" => {
                let mut names = Vec::new();
                for name in &segment.arguments {
                    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                    names.push(match name.strip_suffix('*') {
                        Some(prefix) if !prefix.is_empty() => HeaderNames::Prefix(prefix.into()),
                        _ => HeaderNames::Name(header(&name)?),
                    });
                }
                if names.is_empty() {
                    return Err(bad(segment.at.clone(), "write headers:NAME,NAME or headers:PREFIX*".into()));
                }
                Ok((Source::Headers(names.into()), info(Kind::Many, Alphabet::HEADER, Parts::UNTRACED)))
            }
            "query" => {
                let slot = self.slot(SlotSource::Query(names_one()?.into()), segment)?;
                Ok((Source::QueryParameter(slot), info(Kind::One, Alphabet::ALL, Parts::slot(slot).and(Parts::QUERY))))
            }
            "form" => {
                let slot = self.slot(SlotSource::Form(names_one()?.into()), segment)?;
                let info = info(Kind::One, Alphabet::ALL, Parts::slot(slot).and(Parts::BODY));
                Ok((Source::FormParameter(slot), Info { body: BodyUse::Bytes, ..info }))
            }
            "const" => {
                let name = names_one()?;
                let Some(value) = self.constants.get(&name) else {
                    let known = nearest(&name, self.constants.keys().map(String::as_str));
                    return Err(bad(segment.at.clone(), format!("there is no constant {name}{}", meant(known))));
                };
                let info = fixed(info(Kind::One, Alphabet::of(value), Parts::NONE), value.len());
                Ok((Source::Text(Arc::clone(value)), info))
            }
            "attribute" if matches!(self.place, Place::Key | Place::Require | Place::Sign) => {
                let name = names_one()?;
                let Some(index) = self.attributes.iter().position(|known| *known == name) else {
                    return Err(bad(segment.at.clone(), format!("{name} is not in attributes of [key]")));
                };
                Ok((Source::Attribute(index), info(Kind::One, Alphabet::ALL, Parts::NONE)))
            }
            "attribute" => {
                Err(bad(segment.at.clone(), "attributes of a credential can be read in [key], [[require]] and [[sign]] only".into()))
            }
            other => Err(self.unknown(segment, other)),
        }
    }

    fn step(&mut self, segment: &Segment<'_>) -> Result<Step, BadExpression> {
        let wants = |what: &str| bad(segment.at.clone(), format!("write {}:{what}", segment.name));
        let one = || <&[Vec<u8>; 1]>::try_from(segment.arguments.as_slice()).ok().map(|[one]| one.clone());
        let text = |what: &str| one().and_then(|one| String::from_utf8(one).ok()).ok_or_else(|| wants(what));
        let separator = || one().filter(|one| !one.is_empty()).ok_or_else(|| wants("'x'"));
        let none = |step: Step| {
            if segment.colon { Err(bad(segment.at.clone(), format!("{} takes no arguments", segment.name))) } else { Ok(step) }
        };
        match segment.name {
            "or" => {
                let inner = text("'EXPRESSION'")?;
                let expr = self.expression(&inner).map_err(|e| bad(segment.at.clone(), e.message))?;
                Ok(Step::Or(Box::new(expr)))
            }
            "default" => Ok(Step::Default(one().ok_or_else(|| wants("'text'"))?.into())),
            "optional" => none(Step::Default(Arc::default())),
            "digest" => none(Step::Digest),
            "plus" => {
                let seconds = text("'SECONDS'")?.parse().map_err(|_| wants("'SECONDS'"))?;
                Ok(Step::Plus(seconds))
            }
            "sorted" => none(Step::Sorted),
            "first" => none(Step::First),
            "all" => none(Step::All),
            "time" => TimeFormat::parse_name(&text("'FORMAT'")?).map(Step::Time).map_err(|message| bad(segment.at.clone(), message)),
            "params" => Ok(Step::Params(separator()?.into())),
            "pick" => {
                let pattern = Pattern::parse(&text("'PATTERN'")?).map_err(|message| bad(segment.at.clone(), message.to_string()))?;
                Ok(Step::Pick(Arc::new(pattern)))
            }
            "split" => Ok(Step::Split(separator()?.into())),
            "join" => Ok(Step::Join(one().ok_or_else(|| wants("'x'"))?.into())),
            "json" | "json_present" => {
                let pointer = text("'/POINTER'")?;
                json_pointer::check(&pointer).map_err(|message| bad(segment.at.clone(), message))?;
                Ok(if segment.name == "json" { Step::Json(pointer.into()) } else { Step::JsonPresent(pointer.into()) })
            }
            "without" => {
                let names = segment.arguments.iter().map(|name| String::from_utf8_lossy(name).to_ascii_lowercase().into()).collect();
                Ok(Step::Without(names))
            }
            name => match Filter::parse(name, &self.with_constants(name, &segment.arguments)) {
                Some(filter) => filter.map(Step::Filter).map_err(|message| bad(segment.at.clone(), message)),
                None => Err(bad(segment.at.clone(), format!("there is no filter {name}{}", meant(nearest(name, FILTERS))))),
            },
        }
    }

    /// `take:'const:NAME'` takes its number from a constant.
    fn with_constants(&self, name: &str, arguments: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let constant = |argument: &Vec<u8>| {
            let name = argument.strip_prefix(b"const:".as_slice())?;
            self.constants.get(std::str::from_utf8(name).ok()?).map(|value| value.to_vec())
        };
        arguments.iter().map(|argument| constant(argument).filter(|_| name == "take").unwrap_or_else(|| argument.clone())).collect()
    }

    fn slot(&mut self, source: SlotSource, segment: &Segment<'_>) -> Result<Slot, BadExpression> {
        let most = || bad(segment.at.clone(), format!("a profile names at most {} headers, parameters, fields and members", Slot::MOST));
        self.slots.intern(source).ok_or_else(most)
    }

    fn unknown(&self, segment: &Segment<'_>, name: &str) -> BadExpression {
        let known =
            SOURCES.into_iter().chain([self.fields, self.lets, self.collections].into_iter().flatten().map(|(name, _)| name.as_str()));
        bad(
            segment.at.clone(),
            format!(
                "there is no source, field, let or collection {name}{}; fields and lets must stand above their use",
                meant(nearest(name, known))
            ),
        )
    }
}

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";
const SOURCES: [&str; 18] = [
    "method",
    "scheme",
    "host",
    "host_name",
    "port",
    "target",
    "path",
    "query",
    "url",
    "body",
    "header",
    "headers",
    "form",
    "const",
    "secret",
    "attribute",
    "now",
    "fresh",
];
const FILTERS: [&str; 51] = [
    "lower",
    "upper",
    "trim",
    "squeeze",
    "squeeze_unquoted",
    "escape_lines",
    "replace",
    "before",
    "after",
    "take",
    "strip_prefix",
    "drop_prefix",
    "drop_suffix",
    "is",
    "or",
    "default",
    "optional",
    "hex",
    "base64",
    "base64url",
    "unhex",
    "unbase64",
    "unbase64url",
    "md5",
    "sha1",
    "sha256",
    "sha384",
    "sha512",
    "digest",
    "pct",
    "pct_path",
    "pct_form",
    "pct_uri",
    "pct_dotnet",
    "unpct",
    "unpct_form",
    "normal_path",
    "time",
    "scheme",
    "params",
    "pick",
    "split",
    "join",
    "sorted",
    "first",
    "json",
    "json_present",
    "without",
    "uuid",
    "plus",
    "length",
];

fn meant(known: Option<&str>) -> String {
    known.map(|known| format!("; {known} is near")).unwrap_or_default()
}

/// What is known of a value after a step, or why the step cannot be taken.
fn after(step: &Step, before: Info) -> Result<Info, String> {
    let one = |info: Info| {
        if before.kind == Kind::One { Ok(info) } else { Err(format!("it is for one value, and this is {}", before.kind.words())) }
    };
    let list = |info: Info| {
        if before.kind == Kind::Many { Ok(info) } else { Err(format!("it is for a list, and this is {}", before.kind.words())) }
    };
    let map =
        |info: Info| if before.kind == Kind::Map { Ok(info) } else { Err(format!("it is for a map, and this is {}", before.kind.words())) };
    match step {
        Step::Filter(_) | Step::Digest if before.kind == Kind::Map => Err("it is for one value or a list, and this is a map".into()),
        Step::Filter(filter) => {
            let begins = before
                .begins
                .filter(|_| matches!(filter, Filter::Lower | Filter::NormalPath | Filter::Unpct | Filter::Encode(Percent::Path)));
            Ok(Info { alphabet: filter.alphabet(before.alphabet), length: filter.fixed_length(before.length), begins, ..before })
        }
        Step::Or(other) if other.info.kind != before.kind => {
            Err(format!("the other expression gives {}, and this is {}", other.info.kind.words(), before.kind.words()))
        }
        Step::Or(other) => Ok(Info {
            alphabet: before.alphabet.union(other.info.alphabet),
            length: before.length.filter(|length| other.info.length == Some(*length)),
            reads: before.reads.and(other.info.reads),
            body: before.body | other.info.body,
            begins: None,
            ..before
        }),
        Step::Default(text) if before.kind == Kind::Map => Err(format!("{:?} is no map", String::from_utf8_lossy(text))),
        Step::Default(text) => Ok(Info {
            alphabet: before.alphabet.union(Alphabet::of(text)),
            length: before.length.filter(|length| *length == text.len()),
            begins: None,
            ..before
        }),
        Step::Digest => Ok(Info { alphabet: Alphabet::ALL, length: None, ..before }),
        Step::Time(_) => one(Info { alphabet: Alphabet::VISIBLE.union(Alphabet::of(b" ")), length: None, ..before }),
        Step::Plus(_) => one(Info { length: None, ..before }),
        Step::Params(_) | Step::Pick(_) => one(Info { kind: Kind::Map, length: None, ..before }),
        Step::Split(_) => one(Info { kind: Kind::Many, length: None, ..before }),
        Step::Join(separator) => {
            list(Info { kind: Kind::One, alphabet: before.alphabet.union(Alphabet::of(separator)), length: None, ..before })
        }
        Step::Sorted => list(before),
        Step::First => list(Info { kind: Kind::One, ..before }),
        Step::Json(_) | Step::JsonPresent(_) => one(Info { alphabet: Alphabet::ALL, length: None, ..before }),
        Step::Without(_) | Step::All => map(Info { alphabet: Alphabet::ALL, length: None, ..before }),
    }
}

fn find(list: &[(String, Info)], name: &str) -> Option<(usize, Info)> {
    list.iter().enumerate().find(|(_, (known, _))| known == name).map(|(index, (_, info))| (index, *info))
}

fn bad(at: Range<usize>, message: String) -> BadExpression {
    BadExpression { at, message }
}

/// One part of an expression between `|`.
struct Segment<'t> {
    at: Range<usize>,
    name: &'t str,
    colon: bool,
    arguments: Vec<Vec<u8>>,
}

impl Segment<'_> {
    fn one_argument(&self) -> Option<String> {
        <&[Vec<u8>; 1]>::try_from(self.arguments.as_slice())
            .ok()
            .and_then(|[one]| String::from_utf8(one.clone()).ok())
            .filter(|s| !s.is_empty())
    }
}

/// Splits at `|` outside of quotes, and each part at its `:` and commas.
fn segments(text: &str) -> Result<Vec<Segment<'_>>, BadExpression> {
    let mut segments = Vec::new();
    let mut start = 0;
    loop {
        let rest = text.get(start..).unwrap_or_default();
        let length = unquoted(rest, '|').unwrap_or(rest.len());
        let written = rest.get(..length).unwrap_or_default();
        let lead = written.len() - written.trim_start().len();
        let part = written.trim();
        let at = start + lead..start + lead + part.len();
        if part.is_empty() {
            return Err(bad(at, "an expression or filter is missing here".into()));
        }
        let (name, arguments) = part.split_once(':').map_or((part, None), |(name, arguments)| (name.trim_end(), Some(arguments)));
        let arguments_at = at.end - arguments.map_or(0, str::len);
        let colon = arguments.is_some();
        let arguments = arguments.map(|text| read_arguments(text, arguments_at)).transpose()?.unwrap_or_default();
        segments.push(Segment { at, name, colon, arguments });
        start += length + 1;
        if start > text.len() {
            return Ok(segments);
        }
    }
}

/// The first `wanted` that is not in quotes.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '\'' => quoted = !quoted,
            c if c == wanted && !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// The end of an expression in a template: its `}`.
fn closing(inside: &str) -> Option<usize> {
    unquoted(inside, '}')
}

/// `'a','b'` or bare words.
fn read_arguments(text: &str, at: usize) -> Result<Vec<Vec<u8>>, BadExpression> {
    let mut arguments = Vec::new();
    let mut start = 0;
    loop {
        let rest = text.get(start..).unwrap_or_default();
        let length = unquoted(rest, ',').unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default().trim();
        let place = at + start..at + start + length;
        arguments.push(match word.strip_prefix('\'') {
            Some(inside) => {
                let inside = inside.strip_suffix('\'').ok_or_else(|| bad(place.clone(), "a quote is not closed".into()))?;
                unescape(inside).ok_or_else(|| bad(place, r"the escapes in quotes are \n \t \0 \\ and \'".into()))?
            }
            None if word.is_empty() || word.contains('\'') => {
                return Err(bad(place, "an argument is missing or has a quote inside".into()));
            }
            None => word.as_bytes().to_vec(),
        });
        start += length + 1;
        if start > text.len() {
            return Ok(arguments);
        }
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b't' => b'\t',
                b'0' => 0,
                same @ (b'\\' | b'\'') => same,
                _ => return None,
            },
            b'\'' => return None,
            other => other,
        });
    }
    Some(out)
}
