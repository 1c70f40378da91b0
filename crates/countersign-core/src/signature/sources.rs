//! What expressions begin with: the parts of a request, its headers and parameters, and what was made of them before.

use http::HeaderName;

use super::body::BodyDigest;
use super::bytes::Bytes;
use super::collect;
use super::collection::{Collection, Origin};
use super::coverage::{Parts, Provenance, Slot};
use super::evaluate::Context;
use super::expression::{HeaderNames, Source};
use super::parameters;
use super::profile::Profile;
use super::request::{Body, Head, Port};
use super::slots::SlotSource;
use super::value::{Data, MOST_VALUES, Value};
use crate::code::{Code, Refusal};

impl<'v> Context<'_, 'v> {
    pub(super) fn source(&self, source: &'v Source) -> Result<Option<Value<'v>>, Refusal> {
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
            Source::QueryParameter(slot) => {
                // As the query is signed; but a MAC in base64 holds a plus.
                let is_mac = self.profile.fields.get(self.profile.mac).is_some_and(|mac| mac.info.reads.contains(Parts::slot(*slot)));
                let signs_space = |of: &Collection| of.plus_is_space && of.from.contains(&Origin::Query);
                let plus_is_space = !is_mac && self.profile.collections.iter().any(signs_space);
                self.parameter(*slot, head.query().unwrap_or_default().as_bytes(), plus_is_space)
            }
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

    fn header(&self, slot: Slot) -> Result<Option<Value<'v>>, Refusal> {
        Ok(header_line(self.profile, self.head, slot)?.map(|line| Value::lent(line, Parts::slot(slot))))
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

    pub(super) fn field(&self, index: usize) -> Option<&Value<'v>> {
        self.fields.get(index).and_then(Option::as_ref)
    }

    /// A field is a source of its own, beside what it was read from.
    pub(super) fn of_field(&self, index: usize, read_from: Provenance) -> Provenance {
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

    /// A part of the request that is always there.
    pub(super) fn part(&self, source: &Source) -> Option<(&'v str, Parts)> {
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
}

/// The one line of a header. Sent twice it is ambiguous: the upstream might read the other.
pub(super) fn header_line<'v>(profile: &Profile, head: Head<'v>, slot: Slot) -> Result<Option<&'v [u8]>, Refusal> {
    let Some(SlotSource::Header(name)) = profile.slots.get(slot) else { return Ok(None) };
    let mut lines = head.headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (_, Some(_)) => Err(twice(name)),
        (line, None) => Ok(line.map(http::HeaderValue::as_bytes)),
    }
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
