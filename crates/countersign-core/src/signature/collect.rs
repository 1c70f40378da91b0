//! Collections: text made of many headers or parameters, as canonical queries and lists of signed headers are.

use std::borrow::Cow;
use std::collections::VecDeque;

use http::HeaderName;

use super::bytes::Bytes;
use super::collection::{Collection, Missing, Origin, Repeated, Sort};
use super::coverage::{Parts, Provenance};
use super::evaluate::{Context, ItemText};
use super::expression::{Expr, Piece, Source};
use super::filter::Filter;
use super::items::Item;
use super::sources::{too_many, twice};
use super::value::{Data, MOST_VALUES, Value};
use crate::code::{Code, Refusal};

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

/// A collection that is being made.
pub(super) struct Gathered<'c, 'x, 'v> {
    pub(super) context: &'c Context<'x, 'v>,
    pub(super) collection: &'v Collection,
    items: Vec<Item<'v>>,
    /// Items that are text already, by where they stand among `items`: those of pseudo names.
    written: Vec<(usize, Vec<u8>)>,
    pub(super) from: Provenance,
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
        for (at, listed) in names.iter().enumerate() {
            let lower = listed.as_slice().to_ascii_lowercase();
            let pseudo = self.collection.pseudo.iter().find(|(name, _)| name.as_bytes() == lower);
            let same = |earlier: &Bytes<'v>| match of_headers || pseudo.is_some() {
                true => earlier.as_slice().eq_ignore_ascii_case(listed.as_slice()),
                false => earlier.as_slice() == listed.as_slice(),
            };
            // Each would be written as often as it is listed, before anything is verified. What stands between two commas is no name,
            // unless a parameter has it.
            let is_name = !lower.is_empty() || parameters.iter().any(|item| item.name.as_slice().is_empty());
            if is_name && names.iter().take(at).any(same) {
                return Err(Refusal::with(Code::SignatureMalformed, "a name is listed twice as signed"));
            }
            // Names of headers have no case. All others are what they are: signed as listed, they have to be there as listed.
            let wanted = if of_headers { lower.as_slice() } else { listed.as_slice() };
            if self.collection.exclude.iter().any(|name| name.as_bytes() == wanted) {
                continue;
            }
            if let Some((_, template)) = pseudo {
                let (mut text, mut from) = (Vec::new(), Provenance::NONE);
                self.context.write(template, &mut text, &mut from)?;
                self.from = self.from.and(from);
                self.written.push((self.items.len(), text));
                continue;
            }
            let name = if self.collection.as_listed { listed.clone() } else { Bytes::Long(lower.clone()) };
            let values: Vec<Bytes<'v>> = if of_headers {
                match HeaderName::from_bytes(&lower) {
                    Ok(header) => self.header(&header),
                    // Written as if it was a header, it could be anything.
                    Err(_) if self.collection.missing == Missing::Empty => {
                        return Err(Refusal::with(Code::SignatureMalformed, "what is listed as signed is not the name of a header"));
                    }
                    Err(_) => Vec::new(),
                }
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
                (true, Missing::Empty) => self.values(&name, vec![Bytes::Lent(b"")], b"")?,
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
            self.reached(*from, all, &[]);
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
            let is_empty =
                |value: &Bytes<'v>| filtered(&self.collection.value, value.clone()).is_some_and(|value| value.as_slice().is_empty());
            let is_skipped = |item: &Item<'v>| self.collection.skip_empty && is_empty(&item.value);
            let is_left = |item: &&Item<'v>| is_skipped(item) || !self.wants(item.name.as_slice());
            let absent: Vec<Bytes<'v>> = found.iter().filter(is_left).map(|item| item.name.clone()).collect();
            let (mut taken, mut left) = (Vec::new(), Vec::new());
            found.retain(|item| {
                let wanted = self.wants(item.name.as_slice());
                if matches!(from, Origin::Map(_)) {
                    if wanted && !is_skipped(item) {
                        taken.push((item.name.clone(), item.value.clone()));
                    } else {
                        left.push(item.name.clone());
                    }
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
            self.reached(from, !dropped && !self.collection.leaves_out && self.collection.prefixes.is_empty(), &absent);
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
        let joined = texts.join(&*self.collection.join);
        // One empty item reads as none.
        let from = if joined.is_empty() && !texts.is_empty() { from.cut() } else { from };
        Ok(Value::one(Bytes::Long(joined), from))
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

pub(super) fn filtered<'v>(filters: &[Filter], bytes: Bytes<'v>) -> Option<Bytes<'v>> {
    filters.iter().try_fold(bytes, |bytes, filter| filter.apply(bytes).map(|applied| applied.bytes))
}
