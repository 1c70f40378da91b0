//! Evaluates expressions and templates over a request. Values are bytes with their provenance; what is lent from the request
//! stays lent.

use std::time::Duration;

use http::HeaderName;

use super::body::BodyDigest;
use super::bytes::Bytes;
use super::collect;
use super::coverage::{Parts, Provenance, Slot};
use super::expression::{Expr, HeaderNames, Kind, Piece, Source, Step};
use super::filter::Filter;
use super::json_pointer;
use super::parameters;
use super::params;
use super::profile::{MacAlgorithm, Profile};
use super::request::{Body, Head, Port};
use super::secret::Attribute;
use super::slots::SlotSource;
use crate::code::{Code, Refusal};
use crate::now::UnixMillis;

/// A value with its provenance. It may be a secret, so it cannot be printed.
#[derive(Clone)]
pub(super) struct Value<'v> {
    pub(super) data: Data<'v>,
    pub(super) from: Provenance,
}

/// One value, a list, or names with values.
#[derive(Clone)]
pub(super) enum Data<'v> {
    One(Bytes<'v>),
    Many(Vec<Bytes<'v>>),
    Map(Vec<(Bytes<'v>, Bytes<'v>)>),
}

/// How many values a list or map may have.
pub(super) const MOST_VALUES: usize = 64;

impl<'v> Value<'v> {
    pub(super) const fn one(bytes: Bytes<'v>, from: Provenance) -> Self {
        Self { data: Data::One(bytes), from }
    }

    const fn lent(bytes: &'v [u8], parts: Parts) -> Self {
        Self::one(Bytes::Lent(bytes), Provenance::of(parts))
    }

    /// The bytes of one value.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::One(bytes) => bytes.as_slice(),
            Data::Many(_) | Data::Map(_) => b"",
        }
    }

    /// The same where who trusts it trusts this as well.
    fn trusting(mut self, parts: Parts) -> Self {
        self.from.direct = self.from.direct.and(parts);
        self
    }

    /// Whether it is there and not empty, which is what conditions ask.
    pub(super) fn is_something(&self) -> bool {
        match &self.data {
            Data::One(bytes) => !bytes.as_slice().is_empty(),
            Data::Many(list) => !list.is_empty(),
            Data::Map(map) => !map.is_empty(),
        }
    }
}

/// What signing knows beside the request.
#[derive(Clone, Copy)]
pub(super) struct Signing<'v> {
    pub(super) now: UnixMillis,
    pub(super) fresh: &'v [u8; 16],
    pub(super) key_id: &'v str,
    /// The encoded MAC, or a placeholder of the same length.
    pub(super) mac: &'v str,
    /// Texts that steps have named.
    pub(super) named: &'v [Vec<u8>],
}

/// The secret and its attributes, where a template may read them.
#[derive(Clone, Copy)]
pub(super) struct Credential<'v> {
    pub(super) secret: &'v [u8],
    pub(super) attributes: &'v [Attribute],
}

/// The item of a collection.
#[derive(Clone, Copy)]
pub(super) struct ItemText<'c> {
    pub(super) name: &'c [u8],
    pub(super) value: &'c [u8],
    /// Both as sent.
    pub(super) pair: &'c [u8],
}

/// What an expression can read.
#[derive(Clone, Copy)]
pub(super) struct Context<'c, 'v> {
    pub(super) profile: &'v Profile,
    pub(super) head: Head<'v>,
    pub(super) body: Body<'v>,
    pub(super) fields: &'c [Option<Value<'v>>],
    pub(super) credential: Option<Credential<'v>>,
    pub(super) signing: Option<Signing<'v>>,
    pub(super) algorithm: MacAlgorithm,
    /// The item of a collection that is being written.
    pub(super) item: Option<ItemText<'c>>,
}

impl<'v> Context<'_, 'v> {
    /// Writes a template. `coverage` learns what was written.
    pub(super) fn write(&self, template: &'v [Piece], out: &mut Vec<u8>, coverage: &mut Provenance) -> Result<(), Refusal> {
        for piece in template {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Value(expr) => match self.at_hand(expr) {
                    Some((bytes, from)) => {
                        out.extend_from_slice(bytes);
                        *coverage = coverage.and(from);
                    }
                    None => {
                        let value = self.value(expr)?;
                        out.extend_from_slice(value.bytes());
                        *coverage = coverage.and(value.from);
                    }
                },
                Piece::When { condition, holds, then } => {
                    // Not signed by that, but what trusts the text trusts what chose it.
                    coverage.direct = coverage.direct.and(self.profile.deciding(condition));
                    if self.holds(condition)? == *holds {
                        self.write(then, out, coverage)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What is written as it stands in the head or in a field, which most of a string to sign is: no value is made for it.
    pub(super) fn at_hand(&self, expr: &Expr) -> Option<(&[u8], Provenance)> {
        if !expr.steps.is_empty() {
            return None;
        }
        if let Source::Field(index) = expr.source {
            let value = self.field(index)?;
            let Data::One(bytes) = &value.data else { return None };
            return Some((bytes.as_slice(), self.of_field(index, value.from)));
        }
        let (text, parts) = self.part(&expr.source)?;
        Some((text.as_bytes(), Provenance::of(parts)))
    }

    /// A part of the request that is always there.
    fn part(&self, source: &Source) -> Option<(&'v str, Parts)> {
        let head = &self.head;
        Some(match source {
            Source::Method => (head.method, Parts::METHOD),
            Source::Scheme => (head.scheme.as_str(), Parts::SCHEME),
            Source::Host => (head.host, Parts::HOST),
            // With the default port the name is all that a host has; with any other, the request has to sign the port as well.
            Source::HostName => (head.host_name(), if matches!(head.port(), Port::Default(_)) { Parts::HOST } else { Parts::HOST_NAME }),
            Source::Target => (head.target, Parts::PATH.and(Parts::QUERY)),
            Source::Path => (head.path(), Parts::PATH),
            _ => return None,
        })
    }

    /// A value that has to be there. An absent body or query is an empty text where it is written as it is.
    fn value(&self, expr: &'v Expr) -> Result<Value<'v>, Refusal> {
        if let Some(value) = self.read(expr)? {
            return Ok(value);
        }
        match expr.source {
            Source::Body if expr.steps.is_empty() => Ok(Value::lent(b"", Parts::BODY)),
            Source::Query if expr.steps.is_empty() => Ok(Value::lent(b"", Parts::QUERY)),
            _ => Err(self.profile.absent(expr)),
        }
    }

    /// Whether a condition holds: its value is there and not empty.
    pub(super) fn holds(&self, condition: &'v Expr) -> Result<bool, Refusal> {
        // Whether there is a body is known also when its bytes are elsewhere.
        if matches!(condition.source, Source::Body) && condition.steps.is_empty() {
            return Ok(self.body.is_there());
        }
        Ok(self.read(condition)?.is_some_and(|value| value.is_something()))
    }

    /// Reads an expression; `None` when it is absent.
    pub(super) fn read(&self, expr: &'v Expr) -> Result<Option<Value<'v>>, Refusal> {
        let mut value = self.source(&expr.source)?;
        let shown = value.is_some();
        for step in &expr.steps {
            value = match (step, value) {
                (Step::Or(other), None) => self.read(other)?.map(|value| value.trusting(self.profile.giving_way(expr))),
                (Step::Default(text), None) => {
                    // Absence is then what was signed. A source that is there, and of which a filter made nothing, is not absent.
                    let from = match expr.source {
                        // They are always there: what they are made of has decided that a filter made nothing of them.
                        Source::Let(_) | Source::Collection(_) => Provenance { direct: self.profile.deciding(expr), ..Provenance::NONE },
                        _ => Provenance::of(self.profile.direct(&expr.source)),
                    };
                    let from = if shown { from.cut() } else { from };
                    let from = Provenance { direct: from.direct.and(self.profile.giving_way(expr)), ..from };
                    Some(match expr.info.kind {
                        Kind::Many if text.is_empty() => Value { data: Data::Many(Vec::new()), from },
                        Kind::Many => Value { data: Data::Many(vec![Bytes::Lent(text)]), from },
                        Kind::One | Kind::Map => Value::one(Bytes::Lent(text), from),
                    })
                }
                (Step::Or(_) | Step::Default(_), there) => there,
                (_, None) => None,
                (step, Some(value)) => self.step(step, value)?,
            };
        }
        Ok(value)
    }

    fn source(&self, source: &'v Source) -> Result<Option<Value<'v>>, Refusal> {
        let head = &self.head;
        match source {
            Source::Method | Source::Scheme | Source::Host | Source::HostName | Source::Target | Source::Path => {
                Ok(self.part(source).map(|(text, parts)| Value::lent(text.as_bytes(), parts)))
            }
            Source::Port => Ok(Some(match head.port() {
                Port::Said(port) => Value::lent(port.as_bytes(), Parts::PORT),
                Port::Default(port) => Value::one(Bytes::Long(port.to_string().into_bytes()), Provenance::of(Parts::PORT)),
            })),
            Source::Query => Ok(head.query().map(|query| Value::lent(query.as_bytes(), Parts::QUERY))),
            Source::Url => {
                let url = format!("{}://{}{}", head.scheme.as_str(), head.host, head.target);
                let parts = Parts::SCHEME.and(Parts::HOST).and(Parts::PATH).and(Parts::QUERY);
                Ok(Some(Value::one(Bytes::Long(url.into_bytes()), Provenance::of(parts))))
            }
            Source::Body => match self.body {
                Body::Bytes(bytes, _) => Ok(Some(Value::lent(bytes, Parts::BODY))),
                Body::Empty | Body::Digest(BodyDigest::Empty) => Ok(None),
                // The caller reads the body when the profile asks for its bytes.
                Body::Digest(_) => Err(Code::CouldNotDecide.into()),
            },
            Source::BodySha256 => {
                let digest = self.body.digest().sha256();
                Ok(Some(Value::one(Bytes::from_slice(&digest), Provenance::of(Parts::BODY))))
            }
            Source::Header(slot) => self.header(*slot),
            Source::HostHeader => {
                let host = head.headers.get(http::header::HOST).map_or(head.host.as_bytes(), http::HeaderValue::as_bytes);
                Ok(Some(Value::lent(host, Parts::HOST)))
            }
            Source::Headers(names) => self.headers(names),
            Source::QueryParameter(slot) => self.parameter(*slot, head.query().unwrap_or_default().as_bytes(), false),
            Source::FormParameter(slot) => match self.form() {
                Some(form) => self.parameter(*slot, form, true),
                None => Ok(None),
            },
            Source::Text(text) => Ok(Some(Value::one(Bytes::Lent(text), Provenance::NONE))),
            Source::Secret => Ok(self.credential.map(|credential| Value::one(Bytes::Lent(credential.secret), Provenance::NONE))),
            Source::Attribute(index) => Ok(self.credential.and_then(|credential| {
                let attribute = credential.attributes.get(*index)?.expose()?;
                Some(Value::one(Bytes::Lent(attribute), Provenance::NONE))
            })),
            Source::Field(index) => Ok(self.field(*index).map(|value| {
                let from = self.of_field(*index, value.from);
                Value { data: value.data.clone(), from }
            })),
            Source::Member(index, slot) => self.member(*index, *slot),
            Source::Members(index, slot) => Ok(self.field(*index).map(|value| {
                let values = self.members(value, *slot);
                Value { data: Data::Many(values), from: self.of_slot(*slot, value) }
            })),
            Source::Let(index) => {
                let Some(template) = self.profile.lets.get(*index) else { return Ok(None) };
                let (mut text, mut from) = (Vec::new(), Provenance::NONE);
                self.write(template, &mut text, &mut from)?;
                Ok(Some(Value::one(Bytes::Long(text), from)))
            }
            Source::Collection(index) => match self.profile.collections.get(*index) {
                Some(collection) => collect::collect(self, collection).map(Some),
                None => Ok(None),
            },
            Source::Now => {
                Ok(self.signing.map(|signing| Value::one(Bytes::Long(signing.now.millis().to_string().into_bytes()), Provenance::NONE)))
            }
            Source::Fresh => Ok(self.signing.map(|signing| Value::one(Bytes::Lent(signing.fresh), Provenance::NONE))),
            Source::KeyId => Ok(self.signing.map(|signing| Value::one(Bytes::Lent(signing.key_id.as_bytes()), Provenance::NONE))),
            Source::Mac => Ok(self.signing.map(|signing| Value::one(Bytes::Lent(signing.mac.as_bytes()), Provenance::NONE))),
            Source::Signed(index) => {
                Ok(self.signing.and_then(|signing| Some(Value::one(Bytes::Lent(signing.named.get(*index)?), Provenance::NONE))))
            }
            Source::ItemName => Ok(self.item.map(|item| Value::one(Bytes::from_slice(item.name), Provenance::NONE))),
            Source::ItemValue => Ok(self.item.map(|item| Value::one(Bytes::from_slice(item.value), Provenance::NONE))),
            Source::ItemPair => Ok(self.item.map(|item| Value::one(Bytes::from_slice(item.pair), Provenance::NONE))),
        }
    }

    /// The one value of a header. Sent twice it is ambiguous: the upstream might read the other.
    fn header(&self, slot: Slot) -> Result<Option<Value<'v>>, Refusal> {
        let Some(SlotSource::Header(name)) = self.profile.slots.get(slot) else { return Ok(None) };
        let mut values = self.head.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(twice(name)),
            (value, None) => Ok(value.map(|value| Value::lent(value.as_bytes(), Parts::slot(slot)))),
        }
    }

    fn headers(&self, names: &[HeaderNames]) -> Result<Option<Value<'v>>, Refusal> {
        let wanted = |name: &HeaderName| {
            names.iter().any(|wanted| match wanted {
                HeaderNames::Name(wanted) => wanted == name,
                HeaderNames::Prefix(prefix) => name.as_str().starts_with(&**prefix),
            })
        };
        let found = self.head.headers.iter().filter(|(name, _)| wanted(name)).map(|(_, value)| Bytes::Lent(value.as_bytes()));
        let list: Vec<_> = found.take(MOST_VALUES + 1).collect();
        if list.len() > MOST_VALUES {
            return Err(too_many());
        }
        Ok(Some(Value { data: Data::Many(list), from: Provenance::UNTRACED }).filter(Value::is_something))
    }

    /// The one value of a parameter, decoded.
    fn parameter(&self, slot: Slot, encoded: &'v [u8], plus_is_space: bool) -> Result<Option<Value<'v>>, Refusal> {
        let Some(SlotSource::Query(wanted) | SlotSource::Form(wanted)) = self.profile.slots.get(slot) else { return Ok(None) };
        let mut found = None;
        for (name, value) in parameters::split_query(encoded).ok_or_else(too_many_parameters)? {
            if parameters::decode(name, plus_is_space).as_slice() != wanted.as_bytes() {
                continue;
            }
            if found.replace(value.unwrap_or_default()).is_some() {
                return Err(Refusal::with(Code::SignatureMalformed, format!("the parameter {wanted} came more than once")));
            }
        }
        Ok(found.map(|value| Value::one(parameters::decode(value, plus_is_space), Provenance::of(Parts::slot(slot)))))
    }

    /// The body, if it is a form.
    pub(super) fn form(&self) -> Option<&'v [u8]> {
        let content_type = self.head.headers.get(http::header::CONTENT_TYPE)?.as_bytes();
        let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
        match self.body {
            Body::Bytes(bytes, _) if media_type.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded") => Some(bytes),
            _ => None,
        }
    }

    fn field(&self, index: usize) -> Option<&Value<'v>> {
        self.fields.get(index).and_then(Option::as_ref)
    }

    /// A field is a source of its own, beside what it was read from.
    fn of_field(&self, index: usize, read_from: Provenance) -> Provenance {
        let slot = self.profile.field_slot(index);
        Provenance { direct: slot, whole: slot.and(read_from.whole), partly: read_from.partly }
    }

    fn of_slot(&self, slot: Slot, map: &Value<'v>) -> Provenance {
        let slot = Parts::slot(slot);
        Provenance { direct: slot, whole: slot, partly: map.from.partly.and(map.from.whole) }
    }

    fn members(&self, map: &Value<'v>, slot: Slot) -> Vec<Bytes<'v>> {
        let (Data::Map(members), Some(SlotSource::Member(_, wanted))) = (&map.data, self.profile.slots.get(slot)) else {
            return Vec::new();
        };
        let named = members.iter().filter(|(name, _)| name.as_slice().eq_ignore_ascii_case(wanted.as_bytes()));
        named.map(|(_, value)| value.clone()).collect()
    }

    fn member(&self, index: usize, slot: Slot) -> Result<Option<Value<'v>>, Refusal> {
        let Some(map) = self.field(index) else { return Ok(None) };
        let mut values = self.members(map, slot).into_iter();
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Refusal::with(Code::SignatureMalformed, format!("{} came more than once", self.profile.slot_words(slot)))),
            (value, None) => Ok(value.map(|value| Value::one(value, self.of_slot(slot, map)))),
        }
    }

    fn step(&self, step: &'v Step, value: Value<'v>) -> Result<Option<Value<'v>>, Refusal> {
        let Value { data, from } = value;
        let one = |bytes, from| Ok(Some(Value::one(bytes, from)));
        match (step, data) {
            (Step::Filter(filter), data) => Ok(filtered(filter, data, from)),
            (Step::Digest, data) => Ok(filtered(&Filter::Digest(self.algorithm.hash()), data, from)),
            (Step::Time(format), Data::One(bytes)) => {
                let at = if self.signing.is_some() && from == Provenance::NONE {
                    std::str::from_utf8(bytes.as_slice()).ok().and_then(|text| text.parse().ok()).map(UnixMillis::from_millis)
                } else {
                    self.profile.read_time(bytes.as_slice())
                };
                let Some(at) = at else { return Ok(None) };
                let written = format.write(at).into_bytes();
                // Of a day or a minute other times are written in the same way.
                let tells_all = format.read(&written) == Some(at);
                one(Bytes::Long(written), if tells_all { from } else { from.cut() })
            }
            (Step::Plus(seconds), Data::One(bytes)) => {
                let at = std::str::from_utf8(bytes.as_slice()).ok().and_then(|text| text.parse().ok()).map(UnixMillis::from_millis);
                let Some(at) = at else { return Ok(None) };
                let later = at.plus(Duration::from_secs((*seconds).into()));
                one(Bytes::Long(later.millis().to_string().into_bytes()), from)
            }
            (Step::Params(separators), Data::One(bytes)) => {
                let Some(members) = params::parse_params(bytes.as_slice(), separators) else { return Ok(None) };
                let members = members.into_iter().map(|(name, value)| (bytes.clone().sub(name), value.of(&bytes)));
                Ok(Some(Value { data: Data::Map(members.collect()), from: from.cut() }))
            }
            (Step::Pick(pattern), Data::One(bytes)) => {
                let Some(picked) = pattern.pick(bytes.as_slice()) else { return Ok(None) };
                let names = pattern.names().map(|name| Bytes::from_slice(name.as_bytes()));
                let members = names.zip(picked.into_iter().map(|range| bytes.clone().sub(range))).collect();
                Ok(Some(Value { data: Data::Map(members), from: from.cut() }))
            }
            (Step::Split(separator), Data::One(bytes)) => {
                let list = split(&bytes, separator);
                if list.len() > MOST_VALUES {
                    return Err(too_many());
                }
                Ok(Some(Value { data: Data::Many(list), from: from.cut() }))
            }
            (Step::Join(separator), Data::Many(list)) => {
                let joined = list.iter().map(Bytes::as_slice).collect::<Vec<_>>().join(&**separator);
                one(Bytes::Long(joined), from)
            }
            (Step::Sorted, Data::Many(mut list)) => {
                list.sort_by(|a, b| a.as_slice().cmp(b.as_slice()));
                Ok(Some(Value { data: Data::Many(list), from }))
            }
            (Step::First, Data::Many(list)) => {
                let more = list.len() > 1;
                let first = list.into_iter().next();
                Ok(first.map(|first| Value::one(first, if more { from.cut() } else { from })))
            }
            (Step::Json(pointer), Data::One(bytes)) => {
                let found = json_pointer::find(bytes.as_slice(), pointer);
                Ok(found.map(|found| Value::one(Bytes::Long(found), from.cut())))
            }
            (Step::JsonPresent(pointer), Data::One(bytes)) => {
                Ok(json_pointer::exists(bytes.as_slice(), pointer).then(|| Value::one(Bytes::Lent(b"present"), from.cut())))
            }
            (Step::Without(names), Data::Map(mut members)) => {
                let is_named = |name: &[u8], wanted: &str| match wanted.strip_suffix('*') {
                    // As a collection takes its `prefix`: what the one keeps out of a map, the other keeps out of a query.
                    Some(prefix) => name.starts_with(prefix.as_bytes()),
                    None => name.eq_ignore_ascii_case(wanted.as_bytes()),
                };
                members.retain(|(name, _)| !names.iter().any(|wanted| is_named(name.as_slice(), wanted)));
                Ok(Some(Value { data: Data::Map(members), from }).filter(Value::is_something))
            }
            (Step::All, Data::Map(members)) => {
                let decoded = members.into_iter().map(|(name, value)| {
                    let value = parameters::decode(value.as_slice(), false).into_static();
                    (name, value)
                });
                Ok(Some(Value { data: Data::Map(decoded.collect()), from }))
            }
            // The kinds were checked when the profile was loaded.
            _ => Err(Code::CouldNotDecide.into()),
        }
    }
}

fn filtered<'v>(filter: &Filter, data: Data<'v>, from: Provenance) -> Option<Value<'v>> {
    match data {
        Data::One(bytes) => {
            let applied = filter.apply(bytes)?;
            Some(Value::one(applied.bytes, if applied.cut { from.cut() } else { from }))
        }
        Data::Many(list) => {
            let before = list.len();
            let mut cut = false;
            let mut kept = Vec::with_capacity(before);
            for applied in list.into_iter().filter_map(|bytes| filter.apply(bytes)) {
                cut |= applied.cut;
                kept.push(applied.bytes);
            }
            cut |= kept.len() < before;
            Some(Value { data: Data::Many(kept), from: if cut { from.cut() } else { from } }).filter(Value::is_something)
        }
        Data::Map(_) => None,
    }
}

/// The pieces between `separator`. An empty text has none.
fn split<'v>(bytes: &Bytes<'v>, separator: &[u8]) -> Vec<Bytes<'v>> {
    let text = bytes.as_slice();
    if text.is_empty() {
        return Vec::new();
    }
    let mut pieces = Vec::new();
    let mut start = 0;
    while pieces.len() <= MOST_VALUES {
        let rest = text.get(start..).unwrap_or_default();
        let Some(at) = rest.windows(separator.len().max(1)).position(|window| window == separator) else { break };
        pieces.push(bytes.clone().sub(start..start + at));
        start += at + separator.len();
    }
    pieces.push(bytes.clone().sub(start..text.len()));
    pieces
}

pub(super) fn twice(name: &HeaderName) -> Refusal {
    Refusal::with(Code::DuplicateHeader, format!("{name} came more than once"))
}

pub(super) fn too_many_parameters() -> Refusal {
    Refusal::with(Code::SignatureMalformed, format!("a signed request has at most {} parameters", parameters::MOST))
}

pub(super) fn too_many() -> Refusal {
    Refusal::with(Code::SignatureMalformed, format!("a list of the signature has more than {MOST_VALUES} values"))
}
