//! Collections: text made of many headers or parameters, as canonical queries and lists of signed headers are.

use std::borrow::Cow;
use std::collections::VecDeque;

use http::HeaderName;

use super::bytes::Bytes;
use super::coverage::{Parts, Provenance};
use super::evaluate::{Context, Data, ItemText, MOST_VALUES, Value, too_many, too_many_parameters, twice};
use super::expression::{Expr, Piece, Source, Step, Template};
use super::filter::Filter;
use super::parameters;
use super::slots::SlotSource;
use crate::code::{Code, Refusal};

/// A collection, as its profile says it.
#[derive(Debug, Clone)]
pub(super) struct Collection {
    pub(super) from: Vec<Origin>,
    /// Only these names, in this order.
    pub(super) names: Option<Expr>,
    /// Only names that start so.
    pub(super) prefixes: Vec<Box<str>>,
    pub(super) exclude: Vec<Box<str>>,
    /// What of `exclude` is the query parameter with the MAC: there, leaving it out leaves nothing out.
    pub(super) spares: Option<Box<str>>,
    /// Whether it may leave out something but `spares`: then what that is left out of is not covered.
    pub(super) leaves_out: bool,
    /// Whether an item lacks something of the name and the value that it is made of: then they are covered in part only.
    pub(super) cuts: bool,
    pub(super) missing: Missing,
    pub(super) repeated: Repeated,
    pub(super) name: Box<[Filter]>,
    pub(super) value: Box<[Filter]>,
    /// Names as the list writes them, not in lower case.
    pub(super) as_listed: bool,
    pub(super) sort: Option<Sort>,
    pub(super) item: Template,
    pub(super) item_empty: Option<Template>,
    pub(super) skip_empty: bool,
    pub(super) join: Box<[u8]>,
    /// Listed names that are not headers, in lower case.
    pub(super) pseudo: Vec<(Box<str>, Template)>,
    pub(super) plus_is_space: bool,
    /// Whether a `;` may stand in a decoded query or form as it is.
    pub(super) semicolon_is_plain: bool,
}

/// What a collection is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Headers,
    Query,
    RawQuery,
    Form,
    /// A map field.
    Map(usize),
}

/// What the absence of a listed name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Refuse,
    Skip,
    Empty,
}

/// What is done with several values of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Repeated {
    Each,
    Join(Box<[u8]>),
    SortedJoin(Box<[u8]>),
    Unique,
    First,
    Refuse,
}

impl Repeated {
    /// What stands between several values of one name that become one.
    pub(super) fn joins_with(&self) -> Option<&[u8]> {
        match self {
            Self::Join(with) | Self::SortedJoin(with) => Some(with),
            Self::Each | Self::Unique | Self::First | Self::Refuse => None,
        }
    }
}

/// By what items are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Name,
    NameValue,
    Item,
}

impl Collection {
    /// Whether each item holds all of the name and the value that it is made of. An empty value needs no place.
    pub(super) fn holds_all(&self) -> bool {
        let whole = !self.name.iter().chain(&self.value).any(Filter::can_cut);
        // Only what is taken from the request piece by piece is at hand as it was sent.
        let has_pairs = self.names.is_none() && self.repeated == Repeated::Each && self.from == [Origin::RawQuery];
        let holds = |template: &[Piece], source: &Source| {
            template.iter().any(|piece| match piece {
                Piece::Value(expr) => {
                    expr.source == *source && expr.steps.iter().all(|step| matches!(step, Step::Filter(filter) if !filter.can_cut()))
                }
                Piece::Text(_) | Piece::When { .. } => false,
            })
        };
        let all = |template: &[Piece], with_value: bool| {
            has_pairs && holds(template, &Source::ItemPair)
                || whole && holds(template, &Source::ItemName) && (!with_value || holds(template, &Source::ItemValue))
        };
        all(&self.item, true) && self.item_empty.iter().all(|template| all(template, false))
    }
}

/// One item before it is written.
struct Item<'v> {
    name: Bytes<'v>,
    value: Bytes<'v>,
    /// Both as sent, of a raw query.
    pair: &'v [u8],
}

/// Makes the text of a collection.
pub(super) fn collect<'v>(context: &Context<'_, 'v>, collection: &'v Collection) -> Result<Value<'v>, Refusal> {
    let mut gathered = Gathered { context, collection, items: Vec::new(), written: Vec::new(), from: Provenance::NONE };
    match &collection.names {
        Some(names) => {
            if let Some(names) = context.read(names)? {
                // Who trusts the text trusts what chose it.
                gathered.from.direct = gathered.from.direct.and(names.from.direct);
                gathered.listed(&names)?;
            }
        }
        None => {
            for from in &collection.from {
                gathered.all_of(*from)?;
            }
        }
    }
    gathered.finish()
}

struct Gathered<'c, 'x, 'v> {
    context: &'c Context<'x, 'v>,
    collection: &'v Collection,
    items: Vec<Item<'v>>,
    /// Items that are text already, by where they stand among `items`: those of pseudo names.
    written: Vec<(usize, Vec<u8>)>,
    from: Provenance,
}

impl<'v> Gathered<'_, '_, 'v> {
    /// The names of a list, in its order.
    fn listed(&mut self, names: &Value<'v>) -> Result<(), Refusal> {
        let Data::Many(names) = &names.data else { return Ok(()) };
        if names.len() > MOST_VALUES {
            return Err(too_many());
        }
        let of_headers = self.collection.from == [Origin::Headers];
        let parameters = if of_headers { Vec::new() } else { self.parameters()? };
        // By where they stand: a list that repeats a name takes its values twice and is no nearer to all of them.
        let mut taken = vec![false; parameters.len()];
        let mut dropped = self.collection.leaves_out;
        for listed in names {
            let lower = listed.as_slice().to_ascii_lowercase();
            // Names of headers have no case. All others are what they are: signed as listed, they have to be there as listed.
            let wanted = if of_headers { lower.as_slice() } else { listed.as_slice() };
            if self.collection.exclude.iter().any(|name| name.as_bytes() == wanted) {
                continue;
            }
            if let Some((_, template)) = self.collection.pseudo.iter().find(|(name, _)| name.as_bytes() == lower) {
                let (mut text, mut from) = (Vec::new(), Provenance::NONE);
                self.context.write(template, &mut text, &mut from)?;
                self.from = self.from.and(from);
                self.written.push((self.items.len(), text));
                continue;
            }
            let name = if self.collection.as_listed { listed.clone() } else { Bytes::Long(lower.clone()) };
            let values: Vec<Bytes<'v>> = if of_headers {
                HeaderName::from_bytes(&lower).map(|header| self.header(&header)).unwrap_or_default()
            } else {
                let same = parameters.iter().zip(&mut taken).filter(|(item, _)| item.name.as_slice() == wanted);
                same.map(|(item, taken)| {
                    *taken = true;
                    item.value.clone()
                })
                .collect()
            };
            dropped |= self.drops(&values);
            match (values.is_empty(), self.collection.missing) {
                (false, _) => self.values(&name, values, b"")?,
                (true, Missing::Empty) => self.items.push(Item { name, value: Bytes::Lent(b""), pair: b"" }),
                (true, Missing::Skip) => {}
                (true, Missing::Refuse) => {
                    let name = String::from_utf8_lossy(&lower).into_owned();
                    return Err(Refusal::with(Code::SignatureMalformed, format!("{name} is listed as signed and is not there")));
                }
            }
        }
        // Parameters that are not listed are not signed.
        let all = !self.collection.from.contains(&Origin::Headers) && !dropped && taken.iter().all(|taken| *taken);
        for from in &self.collection.from {
            self.reached(*from, all);
        }
        Ok(())
    }

    /// The values of one header, and that it was reached.
    fn header(&mut self, name: &HeaderName) -> Vec<Bytes<'v>> {
        let head = &self.context.head;
        let is_host = *name == http::header::HOST;
        let mut values: Vec<_> = head.headers.get_all(name).iter().map(|value| Bytes::Lent(value.as_bytes())).collect();
        if is_host && values.is_empty() {
            // HTTP/2 has an authority in its place.
            values.push(Bytes::Lent(head.host.as_bytes()));
        }
        if !values.is_empty() && !is_host && self.context.profile.slots.of_header(name).is_none() {
            self.from = self.from.and(Provenance::UNTRACED);
        }
        let reached = if is_host { Some(Parts::HOST) } else { self.context.profile.slots.of_header(name).map(Parts::slot) };
        if let Some(parts) = reached.filter(|_| !values.is_empty()) {
            let from = Provenance::of(parts);
            self.from = self.from.and(if self.collection.cuts || self.drops(&values) { from.cut() } else { from });
        }
        values
    }

    /// Everything of one source, in the order of the request.
    fn all_of(&mut self, from: Origin) -> Result<(), Refusal> {
        if from != Origin::Headers {
            let mut found = VecDeque::from(self.parameters_of(from)?);
            let mut dropped = self.leaves_out(from, &found);
            let (mut taken, mut left) = (Vec::new(), Vec::new());
            found.retain(|item| {
                let wanted = self.wants(item.name.as_slice());
                if matches!(from, Origin::Map(_)) {
                    if wanted { &mut taken } else { &mut left }.push(item.name.clone());
                }
                wanted
            });
            while let Some(name) = found.pop_front() {
                if self.collection.repeated == Repeated::Each {
                    self.values(&name.name, vec![name.value], name.pair)?;
                    continue;
                }
                let mut values = vec![name.value];
                found.retain(|item| {
                    let same = item.name.as_slice() == name.name.as_slice();
                    if same {
                        values.push(item.value.clone());
                    }
                    !same
                });
                if self.drops(&values) {
                    dropped = true;
                    left.push(name.name.clone());
                }
                self.values(&name.name, values, b"")?;
            }
            if !self.collection.cuts {
                self.members(from, &taken, &left);
            }
            self.reached(from, !dropped && !self.collection.leaves_out && self.collection.prefixes.is_empty());
            return Ok(());
        }
        let headers = self.context.head.headers;
        let host = Some(&http::header::HOST).filter(|host| !headers.contains_key(*host));
        let names: Vec<HeaderName> = headers.keys().chain(host).filter(|name| self.wants(name.as_str().as_bytes())).cloned().collect();
        for name in names {
            let values = self.header(&name);
            self.values(&Bytes::Long(name.as_str().as_bytes().to_vec()), values, b"")?;
        }
        Ok(())
    }

    /// Whether something that is not the MAC is left out by its name: the MAC is one parameter of the query. One of the same name in
    /// a form, or a second one in the query that is written otherwise, is not read as the MAC.
    fn leaves_out(&self, from: Origin, found: &VecDeque<Item<'v>>) -> bool {
        let mut may_be_mac = matches!(from, Origin::Query | Origin::RawQuery);
        found.iter().filter(|item| !self.wants(item.name.as_slice())).any(|item| {
            let has_its_name = self.collection.spares.as_deref().is_some_and(|name| name.as_bytes() == item.name.as_slice());
            !(has_its_name && std::mem::take(&mut may_be_mac))
        })
    }

    fn wants(&self, name: &[u8]) -> bool {
        let collection = self.collection;
        !collection.exclude.iter().any(|excluded| excluded.as_bytes() == name)
            && (collection.prefixes.is_empty() || collection.prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes())))
    }

    /// Whether one of the values of a name does not get into the text.
    fn drops(&self, values: &[Bytes<'v>]) -> bool {
        match self.collection.repeated {
            Repeated::First => values.len() > 1,
            // A value that came twice is written once: how often it came is not signed.
            Repeated::Unique => {
                let written = |value: &Bytes<'v>| filtered(&self.collection.value, value.clone()).map(|value| value.as_slice().to_vec());
                let mut distinct: Vec<_> = values.iter().map(written).collect();
                distinct.sort();
                distinct.dedup();
                distinct.len() < values.len()
            }
            Repeated::Each | Repeated::Join(_) | Repeated::SortedJoin(_) | Repeated::Refuse => false,
        }
    }

    fn parameters(&self) -> Result<Vec<Item<'v>>, Refusal> {
        let mut all = Vec::new();
        for from in &self.collection.from {
            all.extend(self.parameters_of(*from)?);
        }
        Ok(all)
    }

    fn parameters_of(&self, from: Origin) -> Result<Vec<Item<'v>>, Refusal> {
        let head = &self.context.head;
        let (encoded, raw, plus): (&'v [u8], bool, bool) = match from {
            Origin::Query => (head.query().unwrap_or_default().as_bytes(), false, self.collection.plus_is_space),
            Origin::RawQuery => (head.query().unwrap_or_default().as_bytes(), true, false),
            Origin::Form => (self.context.form().unwrap_or_default(), false, true),
            Origin::Map(index) => {
                let map = self.context.fields.get(index).and_then(Option::as_ref);
                let Some(Data::Map(members)) = map.map(|map| &map.data) else { return Ok(Vec::new()) };
                return Ok(members.iter().map(|(name, value)| Item { name: name.clone(), value: value.clone(), pair: b"" }).collect());
            }
            Origin::Headers => return Ok(Vec::new()),
        };
        // Signed as `+`, it is read as a space by most upstreams.
        if matches!(from, Origin::Query) && !plus && encoded.contains(&b'+') {
            return Err(Refusal::with(Code::SignatureMalformed, "a + in the query could be a space: write %2B or %20"));
        }
        // An upstream could count it as a parameter without a name, and no item would show it.
        if !encoded.is_empty() && encoded.split(|byte| *byte == b'&').any(<[u8]>::is_empty) {
            let words = "there is nothing before, behind or between two & of the query or form: that would not be signed";
            return Err(Refusal::with(Code::SignatureMalformed, words));
        }
        // Signed as `%3B`, it is read as an `&` by some.
        if !raw && !self.collection.semicolon_is_plain && encoded.contains(&b';') {
            return Err(Refusal::with(Code::SignatureMalformed, "a ; in the query or form could be an &: write %3B"));
        }
        let decode = |text: &'v [u8]| if raw { Bytes::Lent(text) } else { parameters::decode(text, plus) };
        let items = parameters::split_query(encoded).ok_or_else(too_many_parameters)?;
        let items = items.map(|(name, value)| Item {
            name: decode(name),
            value: decode(value.unwrap_or_default()),
            pair: pair(encoded, name, value),
        });
        Ok(items.collect())
    }

    /// Adds the values of one name.
    fn values(&mut self, name: &Bytes<'v>, values: Vec<Bytes<'v>>, pair: &'v [u8]) -> Result<(), Refusal> {
        let wrong = || Refusal::with(Code::SignatureMalformed, "a signed name or value is not in the form that the scheme asks for");
        let written = filtered(&self.collection.name, name.clone()).ok_or_else(wrong)?;
        let mut clean = Vec::with_capacity(values.len());
        for value in values {
            clean.push(filtered(&self.collection.value, value).ok_or_else(wrong)?);
        }
        match &self.collection.repeated {
            Repeated::Refuse if clean.len() > 1 => {
                if self.collection.from == [Origin::Headers] {
                    return Err(HeaderName::from_bytes(name.as_slice()).map_or_else(|_| wrong(), |name| twice(&name)));
                }
                let name = String::from_utf8_lossy(name.as_slice()).into_owned();
                return Err(Refusal::with(Code::SignatureMalformed, format!("the parameter {name} came more than once")));
            }
            Repeated::First => clean.truncate(1),
            Repeated::Unique => {
                clean.sort_by(|a, b| a.as_slice().cmp(b.as_slice()));
                clean.dedup_by(|a, b| a.as_slice() == b.as_slice());
            }
            Repeated::SortedJoin(_) => clean.sort_by(|a, b| a.as_slice().cmp(b.as_slice())),
            Repeated::Each | Repeated::Join(_) | Repeated::Refuse => {}
        }
        if let Some(with) = self.collection.repeated.joins_with()
            && clean.len() > 1
        {
            let joined = clean.iter().map(Bytes::as_slice).collect::<Vec<_>>().join(with);
            clean = vec![Bytes::Long(joined)];
        }
        self.items.extend(clean.into_iter().map(|value| Item { name: written.clone(), value, pair }));
        Ok(())
    }

    /// What of a source that has more than what was taken is now covered.
    fn reached(&mut self, from: Origin, all: bool) {
        let profile = self.context.profile;
        let (parts, is_mine): (Parts, fn(&SlotSource) -> Option<&str>) = match from {
            Origin::Query | Origin::RawQuery => (Parts::QUERY, |source| match source {
                SlotSource::Query(name) => Some(name),
                _ => None,
            }),
            Origin::Form if self.context.form().is_some() => (Parts::BODY, |source| match source {
                SlotSource::Form(name) => Some(name),
                _ => None,
            }),
            // Its members are covered one by one. What is trusted is the map.
            Origin::Map(index) => return self.from.direct = self.from.direct.and(profile.field_slot(index)),
            // That the body is no form is said by a header.
            Origin::Form => return self.from.direct = self.from.direct.and(Parts::UNTRACED),
            Origin::Headers => return,
        };
        if all {
            self.from = self.from.and(Provenance::of(parts));
            return;
        }
        self.from = self.from.and(Provenance::of(parts).cut());
        if !self.collection.prefixes.is_empty()
            || self.collection.names.is_some()
            || self.collection.cuts
            || self.collection.repeated != Repeated::Each
        {
            return;
        }
        // What was taken is covered by itself.
        for (slot, source) in profile.slots.iter() {
            if is_mine(source).is_some_and(|name| self.wants(name.as_bytes())) {
                self.from = self.from.and(Provenance::of(Parts::slot(slot)));
            }
        }
    }

    /// The members of a map that were taken, by their names before any filter, are covered, in it and in the maps that it was
    /// made of: if none of that name in any case was left, or left out of the text.
    fn members(&mut self, from: Origin, taken: &[Bytes<'v>], left: &[Bytes<'v>]) {
        let Origin::Map(mut index) = from else { return };
        for _ in 0..4 {
            for (slot, source) in self.context.profile.slots.iter() {
                if let SlotSource::Member(of, name) = source
                    && *of == index
                    && is_among(taken, name)
                    && !is_among(left, name)
                {
                    self.from = self.from.and(Provenance::of(Parts::slot(slot)));
                }
            }
            let origin = self.context.fields.get(index).and_then(Option::as_ref).map(|value| value.from.direct);
            let next = origin.and_then(|direct| {
                direct.slots().find_map(|slot| match self.context.profile.slots.get(slot) {
                    Some(SlotSource::Field(index)) => Some(*index),
                    _ => None,
                })
            });
            match next {
                Some(next) => index = next,
                None => return,
            }
        }
    }

    /// Sorts and joins.
    fn finish(mut self) -> Result<Value<'v>, Refusal> {
        if self.collection.skip_empty {
            self.items.retain(|item| !item.value.as_slice().is_empty());
        }
        match self.collection.sort {
            Some(Sort::Name) => self.items.sort_by(|a, b| a.name.as_slice().cmp(b.name.as_slice())),
            Some(Sort::NameValue) => {
                self.items.sort_by(|a, b| (a.name.as_slice(), a.value.as_slice()).cmp(&(b.name.as_slice(), b.value.as_slice())));
            }
            Some(Sort::Item) | None => {}
        }
        let mut texts: Vec<Cow<'_, [u8]>> = Vec::with_capacity(self.items.len() + self.written.len());
        let mut written = self.written.iter().peekable();
        let mut direct = Parts::NONE;
        for (index, item) in self.items.iter().enumerate() {
            while let Some((_, text)) = written.next_if(|(at, _)| *at <= index) {
                texts.push(Cow::Borrowed(text));
            }
            texts.push(Cow::Owned(self.text(item, &mut direct)?));
        }
        texts.extend(written.map(|(_, text)| Cow::Borrowed(text.as_slice())));
        if self.collection.sort == Some(Sort::Item) {
            texts.sort();
        }
        let from = Provenance { direct: self.from.direct.and(direct), ..self.from };
        Ok(Value::one(Bytes::Long(texts.join(&*self.collection.join)), from))
    }

    /// The text of an item. `direct` learns what it reads beside its name and its value: that is trusted with the text.
    fn text(&self, item: &Item<'v>, direct: &mut Parts) -> Result<Vec<u8>, Refusal> {
        let (name, value) = (item.name.as_slice(), item.value.as_slice());
        let template = match &self.collection.item_empty {
            Some(template) if value.is_empty() => template,
            _ => &self.collection.item,
        };
        let mut text = Vec::with_capacity(name.len() + value.len() + 4);
        for piece in template {
            match piece {
                Piece::Text(plain) => text.extend_from_slice(plain),
                Piece::Value(Expr { source: Source::ItemName, steps, .. }) if steps.is_empty() => text.extend_from_slice(name),
                Piece::Value(Expr { source: Source::ItemValue, steps, .. }) if steps.is_empty() => text.extend_from_slice(value),
                other => {
                    let context = Context { item: Some(ItemText { name, value, pair: item.pair }), ..*self.context };
                    let mut from = Provenance::NONE;
                    context.write(std::slice::from_ref(other), &mut text, &mut from)?;
                    *direct = direct.and(from.direct);
                }
            }
        }
        Ok(text)
    }
}

/// Whether a member of this name is among those, in any case: so members are read.
fn is_among(names: &[Bytes<'_>], wanted: &str) -> bool {
    names.iter().any(|name| name.as_slice().eq_ignore_ascii_case(wanted.as_bytes()))
}

fn filtered<'v>(filters: &[Filter], bytes: Bytes<'v>) -> Option<Bytes<'v>> {
    filters.iter().try_fold(bytes, |bytes, filter| filter.apply(bytes).map(|applied| applied.bytes))
}

/// A parameter as it stands in the query: its name, and its value if it has one, with what is between them.
fn pair<'v>(encoded: &'v [u8], name: &'v [u8], value: Option<&'v [u8]>) -> &'v [u8] {
    // Both are pieces of `encoded`, so the pair is the piece from the one to the other.
    let start = (name.as_ptr() as usize).saturating_sub(encoded.as_ptr() as usize);
    let length = name.len() + value.map_or(0, |value| value.len() + 1);
    encoded.get(start..start + length).unwrap_or_default()
}
