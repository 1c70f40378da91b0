//! The fields of a signature: read from a request and well-formed. Nothing is verified yet.

use http::HeaderName;

use super::body;
use super::bytes::Bytes;
use super::coverage::{Parts, Provenance};
use super::detect;
use super::evaluate::Context;
use super::expression::{BodyUse, Expr, Step};
use super::profile::Profile;
use super::request::{Body, Head};
use super::rfc9421;
use super::rules::{Field, FieldSource, MacAlgorithm};
use super::slots::SlotSource;
use super::sources::header_line;
use super::times::{self, Times};
use super::value::{Data, Value};
use crate::code::{Code, Refusal};
use crate::now::UnixMillis;

/// The fields of a signature. Those that stand in the body are read with it.
pub struct Fields<'v> {
    pub(super) profile: &'v Profile,
    pub(super) head: Head<'v>,
    pub(super) values: Vec<Option<Value<'v>>>,
    pub(super) signature: Option<rfc9421::Found<'v>>,
    pub(super) times: Option<Times>,
}

/// Without the values: with its request, a MAC is a credential.
impl std::fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fields").field("profile", &self.profile.name).finish_non_exhaustive()
    }
}

impl Profile {
    /// Reads the fields of this scheme: `None` when the request shows none.
    ///
    /// # Errors
    /// A field is missing, repeated or malformed.
    pub fn find_fields<'v>(&'v self, head: Head<'v>) -> Result<Option<Fields<'v>>, Refusal> {
        let mut fields = Fields { profile: self, head, values: Vec::new(), signature: None, times: None };
        if !fields.is_shown()? {
            return Ok(None);
        }
        if let Some(rule) = &self.builtin {
            fields.signature = rule.find(head.headers)?;
            if fields.signature.is_none() {
                return Ok(None);
            }
        }
        fields.values.reserve_exact(self.fields.len());
        for field in &self.fields {
            let value = if field.info.body == BodyUse::None { fields.field(field, Body::Empty)? } else { None };
            fields.values.push(value);
        }
        if let Some(rule) = &self.time
            && rule.body_use() == BodyUse::None
        {
            fields.times = Some(times::read(rule, &fields.context(Body::Empty))?);
        }
        Ok(Some(fields))
    }
}

impl Profile {
    /// The key that a request names, also when not all fields of its signature can be read. For those who explain: nothing is
    /// known to be well-formed but this one field.
    pub fn key_named_in(&self, head: Head<'_>) -> Option<String> {
        let key_id = self.field_in(head, self.key_id?)?;
        String::from_utf8(key_id.bytes().to_vec()).ok()
    }

    /// Whether a head holds what can be a MAC of this scheme.
    pub(super) fn has_mac_in(&self, head: Head<'_>) -> bool {
        let Some(value) = self.field_in(head, self.mac) else { return false };
        let is_mac = |written: &Bytes<'_>| {
            let mac = self.rule.encoding.decode(written.as_slice());
            self.builtin.is_some()
                || mac.is_some_and(|mac| MacAlgorithm::ALL.iter().any(|(known, _)| known.length() == mac.as_slice().len()))
        };
        match &value.data {
            Data::One(one) => is_mac(one),
            Data::Many(list) => list.iter().any(is_mac),
            Data::Map(_) => false,
        }
    }

    /// One field of a head, whatever the others are.
    fn field_in<'v>(&'v self, head: Head<'v>, index: usize) -> Option<Value<'v>> {
        let mut fields = Fields { profile: self, head, values: Vec::new(), signature: None, times: None };
        if let Some(rule) = &self.builtin {
            fields.signature = rule.find(head.headers).ok()?;
        }
        for field in self.fields.get(..=index)? {
            let is_in_head = field.info.body == BodyUse::None;
            let value = if is_in_head { fields.field(field, Body::Empty).ok().flatten() } else { None };
            fields.values.push(value);
        }
        fields.values.pop().flatten()
    }
}

impl<'v> Fields<'v> {
    /// Whether the request shows any sign of the scheme.
    fn is_shown(&self) -> Result<bool, Refusal> {
        for expr in &self.profile.detect {
            if self.shows(expr)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the request shows what an expression of `detect` looks at, or one of its alternatives.
    fn shows(&self, expr: &'v Expr) -> Result<bool, Refusal> {
        if let Some(name) = self.own_header(expr) {
            return Ok(self.head.headers.contains_key(name));
        }
        // The `Signature` of another scheme is as good as absent.
        if self.profile.builtin.is_none() && detect::reads_signature(self.profile, expr) && detect::has_message_signatures(&self.head) {
            let is_other = detect::is_signature(self.profile, &expr.source);
            if !is_other && self.context(Body::Empty).read(expr)?.is_some_and(|value| !detect::came_from_signature(self.profile, &value)) {
                return Ok(true);
            }
            for step in &expr.steps {
                if let Step::Or(other) = step
                    && self.shows(other)?
                {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let is_there = match expr.plain_header() {
            Some(slot) => header_line(self.profile, self.head, slot)?.is_some(),
            None => self.context(Body::Empty).read(expr)?.is_some(),
        };
        Ok(is_there || detect::names_scheme(self.profile, expr, &self.head))
    }

    /// The header that shows a message signature. It may come in several lines, which are one dictionary, so its presence is
    /// enough.
    fn own_header(&self, expr: &Expr) -> Option<&'v HeaderName> {
        match self.profile.slots.get(expr.plain_header()?) {
            Some(SlotSource::Header(name)) if self.profile.builtin.is_some() => Some(name),
            _ => None,
        }
    }

    /// A header that changes what the request means and that the signature does not cover. `allowed` are those that the route
    /// names.
    pub fn uncovered_header(&self, allowed: &[HeaderName]) -> Option<&'static str> {
        let is_covered = |name: &HeaderName| self.signature.as_ref().is_some_and(|found| found.covers_header(name));
        body::uncovered_header_but(self.head.headers, allowed, is_covered)
    }

    /// The scheme.
    pub const fn profile(&self) -> &'v Profile {
        self.profile
    }

    /// The key that the request names. `None` for schemes that name none.
    pub fn key_id(&self) -> Option<&str> {
        let value = self.values.get(self.profile.key_id?)?.as_ref()?;
        std::str::from_utf8(value.bytes()).ok()
    }

    /// Until when the signature passes the time check; `None` when it has no time, or one that stands in the body.
    pub fn good_until(&self) -> Option<UnixMillis> {
        self.times.map(|times| times.good_until)
    }

    /// Judges when a request was signed, before its body is read. `fence` is what the replay cache says.
    ///
    /// # Errors
    /// `TimestampTooOld`, `TimestampTooNew`, `SignedBeforeFence`.
    pub fn check_time(&self, now: UnixMillis, fence: UnixMillis) -> Result<(), Refusal> {
        let Some(times) = &self.times else { return Ok(()) };
        times.judge(now)?;
        times.judge_fence(now, fence)
    }

    /// The fields with those that stand in the body.
    pub(super) fn complete(&self, body: Body<'v>) -> Result<Fields<'v>, Refusal> {
        let mut all = Fields {
            profile: self.profile,
            head: self.head,
            values: self.values.clone(),
            signature: self.signature.clone(),
            times: self.times,
        };
        for (index, field) in self.profile.fields.iter().enumerate() {
            if field.info.body != BodyUse::None {
                let value = all.field(field, body)?;
                if let Some(place) = all.values.get_mut(index) {
                    *place = value;
                }
            }
        }
        if let (Some(rule), None) = (&self.profile.time, &all.times) {
            all.times = Some(times::read(rule, &all.context(body))?);
        }
        Ok(all)
    }

    pub(super) fn context(&self, body: Body<'v>) -> Context<'_, 'v> {
        Context {
            profile: self.profile,
            head: self.head,
            body,
            fields: &self.values,
            credential: None,
            signing: None,
            algorithm: MacAlgorithm::HmacSha256,
            item: None,
        }
    }

    /// One field: there, and of its shape.
    fn field(&self, field: &'v Field, body: Body<'v>) -> Result<Option<Value<'v>>, Refusal> {
        let value = match &field.from {
            FieldSource::Expr(expr) => match expr.plain_header() {
                // Most fields are no more than that.
                Some(slot) => header_line(self.profile, self.head, slot)?.map(|line| Value::lent(line, Parts::slot(slot))),
                None => self.context(body).read(expr)?,
            },
            FieldSource::Builtin(param) => {
                let bytes = self.signature.as_ref().and_then(|found| param.of(found));
                bytes.map(|bytes| Value::one(Bytes::from(bytes), Provenance::NONE))
            }
        };
        let Some(value) = value else {
            return if field.optional { Ok(None) } else { Err(self.malformed(field, "is missing or not in the form of the scheme")) };
        };
        if let Some(shape) = &field.shape {
            let fits = match &value.data {
                Data::One(bytes) => shape.fits(bytes.as_slice()),
                Data::Many(list) => list.iter().all(|bytes| shape.fits(bytes.as_slice())),
                Data::Map(_) => false,
            };
            if !fits {
                return Err(self.malformed(field, &format!("must be {}", shape.words())));
            }
        }
        Ok(Some(value))
    }

    fn malformed(&self, field: &Field, what: &str) -> Refusal {
        let read = match &field.from {
            FieldSource::Expr(expr) => self.profile.parts_words(self.profile.direct(&expr.source)),
            FieldSource::Builtin(_) => String::new(),
        };
        let name = if read.is_empty() || read == *field.name { field.name.to_string() } else { format!("{} ({read})", field.name) };
        Refusal::with(Code::SignatureMalformed, format!("{name} {what}"))
    }
}
