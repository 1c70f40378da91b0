//! The tables of a profile that say how the MAC is computed and what must hold beside it.

use std::time::Duration;

use super::super::collect::{Collection, Missing, Origin, Repeated, Sort};
use super::super::coverage::Parts;
use super::super::expression::{Expr, Info, Kind, Piece, Place, Source, Step, Template, info_of};
use super::super::filter::Filter;
use super::super::parameters;
use super::super::profile::{Derive, KeyRule, KeyText, MacAlgorithm, MacEncoding, MacRule, Require, Requirement, TimeRule, Window};
use super::super::slots::SlotSource;
use super::super::time_format::TimeFormat;
use super::super::{BodyUse, alphabet::Alphabet};
use super::super::{message_signatures, rfc9421::Covered};
use super::mac_parameter::MacParameter;
use super::table::{Item, Table, Text};
use super::{BadProfile, Loader, MOST_WINDOW, readable};

impl<'t> Loader<'t> {
    /// The names of a credential's attributes, which templates of the key may read.
    pub(super) fn attributes(&mut self, key: Option<Item<'t>>) -> Result<(), BadProfile> {
        let Some(item) = key else { return Ok(()) };
        let mut table = item.table("[key]")?;
        let names = table.find("attributes").map(Item::texts).transpose()?.unwrap_or_default();
        self.attributes = names.into_iter().map(|text| text.text.to_owned()).collect();
        Ok(())
    }

    pub(super) fn key(&mut self, item: Option<Item<'t>>) -> Result<KeyRule, BadProfile> {
        let attributes = self.attributes.clone();
        let plain = |loader: &mut Self| loader.scope(Place::Key).template("{secret}").unwrap_or_default();
        let Some(item) = item else {
            let material = plain(self);
            return Ok(KeyRule { material, derive: Vec::new(), derived_as: KeyText::Bytes, least: 16, attributes, is_static: true });
        };
        let mut table = item.table("[key]")?;
        let _read_before = table.find("attributes");
        let material = match table.find("material") {
            Some(item) => self.template(item, Place::Key)?,
            None => plain(self),
        };
        let mut derive = Vec::new();
        for text in table.find("derive").map(Item::texts).transpose()?.unwrap_or_default() {
            derive.push(match text.text.strip_prefix("each:") {
                Some(expression) => {
                    let read = self.scope(Place::Request).expression(expression);
                    let expr =
                        read.map_err(|error| BadProfile::new(text.at(), error.message, "write each: and an expression that gives a list"))?;
                    if expr.info.kind != Kind::Many {
                        return Err(BadProfile::new(text.at(), "each: takes a list", "use split"));
                    }
                    Derive::Each(expr)
                }
                None => Derive::Text(self.template_text(text, Place::Request)?),
            });
        }
        let derived_as = match table.find("derived_as") {
            Some(item) => one_of(item, &[("bytes", KeyText::Bytes), ("hex", KeyText::Hex), ("base64", KeyText::Base64)])?,
            None => KeyText::Bytes,
        };
        let least = table.find("least").map(|item| item.number(1024)).transpose()?.unwrap_or(16);
        table.finish()?;
        let is_static = reads_nothing(&material);
        Ok(KeyRule { material, derive, derived_as, least: usize::try_from(least).unwrap_or(16), attributes, is_static })
    }

    pub(super) fn builtin(&self, mac: Item<'t>, rule: Option<Item<'t>>) -> Result<Option<message_signatures::Rule>, BadProfile> {
        let mut table = mac.table("[mac]")?;
        let Some(item) = table.find("builtin") else {
            return match rule {
                Some(item) => Err(BadProfile::new(item.at(), "[rfc9421] without builtin = \"rfc9421\"", "add it to [mac]")),
                None => Ok(None),
            };
        };
        one_of(item, &[("rfc9421", ())])?;
        let mut made = message_signatures::Rule::default();
        let Some(item) = rule else { return Ok(Some(made)) };
        let mut table = item.table("[rfc9421]")?;
        let text = |item: Option<Item<'t>>| item.map(Item::text).transpose().map(|text| text.map(|text| text.text.to_owned()));
        made.label = text(table.find("label"))?;
        made.tag = text(table.find("tag"))?;
        made.require_nonce = table.find("require_nonce").map(Item::yes).transpose()?.unwrap_or(false);
        for (key, list) in [("components", &mut made.components), ("sign_components", &mut made.sign_components)] {
            for text in table.find(key).map(Item::texts).transpose()?.unwrap_or_default() {
                let parsed = Covered::parse(&[text.text]);
                list.push(parsed.map_err(|error| BadProfile::new(text.at(), error.to_string(), "write a component such as \"@method\""))?);
            }
        }
        table.finish()?;
        Ok(Some(made))
    }

    pub(super) fn mac_rule(&mut self, item: Item<'t>, is_builtin: bool) -> Result<MacRule, BadProfile> {
        let mut table = item.table("[mac]")?;
        let _read_before = table.find("builtin");
        let names: Vec<_> = MacAlgorithm::ALL.into_iter().map(|(algorithm, name)| (name, algorithm)).collect();
        let algorithm = table.find("algorithm").map(|item| one_of(item, &names)).transpose()?;
        let chosen = match (table.find("algorithm_from"), table.find("algorithms")) {
            (None, None) => None,
            (Some(from), Some(known)) => {
                let from = self.expr_of(from.text()?, Kind::One, Place::Request)?;
                let mut list = Vec::new();
                for (name, item) in known.table("algorithms")?.entries() {
                    list.push((name.to_ascii_lowercase().into(), one_of(item, &names)?));
                }
                Some((from, list))
            }
            (Some(item), None) | (None, Some(item)) => {
                return Err(BadProfile::new(item.at(), "algorithm_from and algorithms go together", "add the other one"));
            }
        };
        if algorithm.is_none() && chosen.is_none() {
            return Err(BadProfile::new(item.at(), "[mac] has no algorithm", "add algorithm = \"hmac-sha256\""));
        }
        let encodings = [
            ("hex", MacEncoding::Hex),
            ("base64", MacEncoding::Base64),
            ("base64url", MacEncoding::Base64Url),
            ("base64_of_hex", MacEncoding::Base64OfHex),
        ];
        let encoding = match table.find("encoding") {
            Some(item) if is_builtin => {
                return Err(BadProfile::new(item.at(), "the built-in says how the MAC is written", "leave encoding out"));
            }
            Some(item) => one_of(item, &encodings)?,
            // A byte sequence of structured fields (RFC 8941 section 3.3.5).
            None if is_builtin => MacEncoding::Base64,
            None => MacEncoding::Hex,
        };
        let undelimited = table.find("undelimited").map(Item::yes).transpose()?.unwrap_or(false);
        let mut messages = Vec::new();
        match table.find("message") {
            Some(item) if is_builtin => return Err(BadProfile::new(item.at(), "the built-in makes the message", "leave message out")),
            Some(item) => messages.push(self.template(item, Place::Message)?),
            None if is_builtin => {}
            None => return Err(BadProfile::new(table.at(), "[mac] has no message", "add message: the string to sign")),
        }
        if let Some(item) = table.find("alternatives") {
            for item in item.list()? {
                if messages.len() == 4 {
                    return Err(BadProfile::new(item.at(), "more than 3 alternatives", "write fewer"));
                }
                messages.push(self.template(item, Place::Message)?);
            }
        }
        table.finish()?;
        let reads_secret = messages.iter().any(reads_secret);
        Ok(MacRule { algorithm, chosen, encoding, messages, reads_secret, undelimited })
    }

    pub(super) fn requires(&mut self, item: Option<Item<'t>>) -> Result<Vec<Require>, BadProfile> {
        let mut requires = Vec::new();
        for item in item.map(Item::list).transpose()?.unwrap_or_default() {
            if requires.len() == 16 {
                return Err(BadProfile::new(item.at(), "more than 16 requirements", "write fewer"));
            }
            let mut table = item.table("[[require]]")?;
            let condition = self.condition(&mut table, Place::Require)?;
            let found: Vec<_> = ["equal", "includes", "one_of", "present", "absent"]
                .into_iter()
                .filter_map(|key| table.find(key).map(|item| (key, item)))
                .collect();
            let [(kind, what)] = found.as_slice() else {
                return Err(BadProfile::new(
                    table.at(),
                    "a requirement says one thing",
                    "write one of equal, includes, one_of, present and absent",
                ));
            };
            let mistake = table.find("mistake").map(Item::text).transpose()?;
            let words = format!("the scheme asks that {kind} = {}", self.text.get(what.at()).unwrap_or_default());
            let mistake = mistake.map_or(words, |text| text.text.to_owned()).into();
            let (what, place) = (self.requirement(kind, *what)?, what.at());
            table.finish()?;
            if let (Requirement::Equal(..), Some((condition, true))) = (&what, &condition)
                && condition.info.reads.contains(Parts::BODY)
                && condition.info.body != BodyUse::None
            {
                return Err(BadProfile::new(
                    place,
                    "an equality under when = \"body\" does not hold when somebody takes the body away",
                    "put the condition on what declares the digest, such as when = \"header:digest\"",
                ));
            }
            let of_credential = match &what {
                Requirement::Equal(a, b) => reads_attribute(a) || reads_attribute(b),
                Requirement::Present(expr) | Requirement::Absent(expr) | Requirement::Includes(expr, _) | Requirement::OneOf(expr, _) => {
                    reads_attribute(expr)
                }
            } || condition.as_ref().is_some_and(|(expr, _)| reads_attribute(expr));
            requires.push(Require { condition, what, mistake, of_credential });
        }
        Ok(requires)
    }

    fn requirement(&mut self, kind: &str, item: Item<'t>) -> Result<Requirement, BadProfile> {
        if matches!(kind, "present" | "absent") {
            let expr = self.expr(item.text()?, Place::Require)?;
            return Ok(if kind == "present" { Requirement::Present(expr) } else { Requirement::Absent(expr) });
        }
        let texts = item.texts()?;
        let Some((first, rest)) = texts.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            return Err(BadProfile::new(item.at(), format!("{kind} takes a list of two or more"), "write the expression first"));
        };
        if kind == "includes" {
            let expr = self.expr(*first, Place::Require)?;
            return Ok(Requirement::Includes(expr, rest.iter().map(|text| text.text.split('|').map(Into::into).collect()).collect()));
        }
        // Of a list or a map only a part would be compared, and all of it would count as signed.
        let expr = self.expr_of(*first, Kind::One, Place::Require)?;
        match (kind, rest) {
            ("equal", [other]) => Ok(Requirement::Equal(expr, self.expr_of(*other, Kind::One, Place::Require)?)),
            ("equal", _) => Err(BadProfile::new(item.at(), "equal takes two expressions", "write two")),
            _ => Ok(Requirement::OneOf(expr, rest.iter().map(|text| text.text.as_bytes().into()).collect())),
        }
    }

    pub(super) fn time(&mut self, item: Item<'t>) -> Result<TimeRule, BadProfile> {
        let mut table = item.table("[time]")?;
        let expr = |loader: &mut Self, item: Option<Item<'t>>| {
            item.map(|item| loader.expr_of(item.text()?, Kind::One, Place::Request)).transpose()
        };
        let at = expr(self, table.find("at"))?;
        let expires = expr(self, table.find("expires"))?;
        if at.is_none() && expires.is_none() {
            return Err(BadProfile::new(
                table.at(),
                "[time] has neither at nor expires",
                "add one, or leave [time] out and name time as uncovered",
            ));
        }
        let formats = formats(table.find("format"))?;
        let expires_formats = formats_or(table.find("expires_format"), &formats)?;
        let seconds =
            |item: Option<Item<'t>>, default: u64| item.map_or(Ok(default), |item| item.number(MOST_WINDOW)).map(Duration::from_secs);
        let (past, future) = (seconds(table.find("past"), 300)?, seconds(table.find("future"), 60)?);
        let ahead_most = seconds(table.find("ahead_most"), 3600)?;
        let window = match table.find("window") {
            Some(item) => {
                let from = self.expr_of(item.text()?, Kind::One, Place::Request)?;
                let in_millis = match table.find("window_unit") {
                    Some(item) => one_of(item, &[("s", false), ("ms", true)])?,
                    None => false,
                };
                let most = Duration::from_secs(table.get("window_most")?.number(MOST_WINDOW)?);
                Some(Window { from, in_millis, most })
            }
            None => None,
        };
        table.finish()?;
        let rule = TimeRule { at, formats, past, future, window, expires, expires_formats, ahead_most };
        if rule.formats.is_empty() && rule.expires_formats.is_empty() {
            return Err(BadProfile::new(item.at(), "[time] has no format", "add format = \"unix\""));
        }
        if rule.at.is_some() && rule.formats.is_empty() {
            return Err(BadProfile::new(item.at(), "at has no format: expires_format is for expires only", "add format = \"unix\""));
        }
        Ok(rule)
    }

    pub(super) fn read_collections(&mut self, item: Option<Item<'t>>, mac: Option<&MacParameter>) -> Result<Vec<Collection>, BadProfile> {
        let mut collections = Vec::new();
        for (name, item) in item.map(|item| item.table("[collect]")).transpose()?.map_or_else(Vec::new, |table| table.entries()) {
            readable(item.at(), name, Place::Request)?;
            if self.fields.iter().any(|(known, _)| known == name) {
                return Err(BadProfile::new(item.at(), format!("{name} is the name of a field"), "choose another name"));
            }
            if collections.len() == 8 {
                return Err(BadProfile::new(item.at(), "more than 8 collections", "write fewer"));
            }
            let mut table = item.table(format!("the collection {name}"))?;
            let collection = self.collection(&mut table, mac)?;
            table.finish()?;
            self.collections.push((name.to_owned(), self.collection_info(&collection)));
            collections.push(collection);
        }
        Ok(collections)
    }

    fn collection(&mut self, table: &mut Table<'t>, mac: Option<&MacParameter>) -> Result<Collection, BadProfile> {
        let mut from = Vec::new();
        for text in table.get("from")?.texts()? {
            from.push(self.collection_source(text)?);
        }
        let of_headers = from.contains(&Origin::Headers);
        let names = table.find("names").map(|item| self.expr_of(item.text()?, Kind::Many, Place::Request)).transpose()?;
        let texts = |item: Option<Item<'t>>| -> Result<Vec<Box<str>>, BadProfile> {
            Ok(item.map(Item::texts).transpose()?.unwrap_or_default().into_iter().map(|text| text.text.into()).collect())
        };
        let (prefix, exclude) = (table.find("prefix"), texts(table.find("exclude"))?);
        if let Some(prefix) = prefix.filter(|_| names.is_some()) {
            return Err(BadProfile::new(prefix.at(), "prefix beside names has no meaning", "keep one of them"));
        }
        let prefixes = texts(prefix)?;
        let missing = match table.find("missing") {
            Some(item) => one_of(item, &[("refuse", Missing::Refuse), ("skip", Missing::Skip), ("empty", Missing::Empty)])?,
            None => Missing::Refuse,
        };
        let repeated = match table.find("repeated") {
            Some(item) => repeated(item)?,
            None if of_headers => Repeated::Join(b",".as_slice().into()),
            None => Repeated::Each,
        };
        let name = filters(table.find("name"))?;
        let value = filters(table.find("value"))?;
        let as_listed = match table.find("name_as") {
            Some(item) => {
                let as_listed = one_of(item, &[("lower", false), ("listed", true)])?;
                if !as_listed && from != [Origin::Headers] {
                    let message = "only names of headers have no case: in lower case, a parameter signs one of another name";
                    return Err(BadProfile::new(item.at(), message, "leave name_as out, and let clients sign names as they send them"));
                }
                as_listed
            }
            None => from != [Origin::Headers],
        };
        let sort = match table.find("sort") {
            Some(item) => Some(one_of(item, &[("name", Sort::Name), ("name,value", Sort::NameValue), ("item", Sort::Item)])?),
            None => None,
        };
        let item = table.get("item")?;
        let item = self.template(item, Place::Item)?;
        let item_empty = table.find("item_empty").map(|item| self.template(item, Place::Item)).transpose()?;
        let skip_empty = table.find("skip_empty").map(Item::yes).transpose()?.unwrap_or(false);
        let join = table.find("join").map(Item::text).transpose()?.map_or_else(Box::default, |text| text.text.as_bytes().into());
        let mut pseudo = Vec::new();
        for (name, item) in
            table.find("pseudo").map(|item| item.table("pseudo")).transpose()?.map_or_else(Vec::new, |table| table.entries())
        {
            pseudo.push((name.to_ascii_lowercase().into(), self.template(item, Place::Request)?));
        }
        let plus_is_space = table.find("plus_is_space").map(Item::yes).transpose()?.unwrap_or(false);
        let semicolon_is_plain = table.find("semicolon_is_plain").map(Item::yes).transpose()?.unwrap_or(false);
        let is_mac = |name: &str| mac.is_some_and(|mac| *mac.name == *name);
        let leaves_out = skip_empty || exclude.iter().any(|name| !is_mac(name));
        let spares = exclude.iter().find(|name| is_mac(name)).cloned();
        let mut collection = Collection {
            from,
            names,
            prefixes,
            exclude,
            spares,
            leaves_out,
            cuts: false,
            missing,
            repeated,
            name,
            value,
            as_listed,
            sort,
            item,
            item_empty,
            skip_empty,
            join,
            pseudo,
            plus_is_space,
            semicolon_is_plain,
        };
        collection.cuts = !collection.holds_all();
        collection.leaves_out |= collection.cuts;
        Ok(collection)
    }

    fn collection_source(&self, text: Text<'t>) -> Result<Origin, BadProfile> {
        Ok(match text.text {
            "headers" => Origin::Headers,
            "query" => Origin::Query,
            "raw_query" => Origin::RawQuery,
            "form" => Origin::Form,
            name => {
                let index = self.fields.iter().position(|(known, info)| known == name && info.kind == Kind::Map);
                Origin::Map(index.ok_or_else(|| {
                    BadProfile::new(
                        text.at(),
                        format!("{name} is no source of a collection"),
                        "write headers, query, raw_query, form, or the name of a map field",
                    )
                })?)
            }
        })
    }

    fn collection_info(&self, collection: &Collection) -> Info {
        let mut info = Info {
            kind: Kind::One,
            alphabet: Alphabet::NONE,
            length: None,
            reads: Parts::NONE,
            body: BodyUse::None,
            begins: None,
            ends_itself: false,
            pieces: expanded(collection),
        };
        // Items that end in what they cannot contain are over where no name can begin.
        let mut names = Alphabet::NONE;
        let mut contents = collection.repeated.joins_with().map_or(Alphabet::NONE, Alphabet::of);
        for from in &collection.from {
            let (alphabet, reads, body) = match from {
                // Any header may be listed, also those that have slots, and Host.
                Origin::Headers => (Alphabet::HEADER, self.headers().and(Parts::HOST), BodyUse::None),
                Origin::Query => (Alphabet::ALL, Parts::QUERY, BodyUse::None),
                Origin::RawQuery => (Alphabet::VISIBLE, Parts::QUERY, BodyUse::None),
                Origin::Form => (Alphabet::ALL, Parts::BODY, BodyUse::Bytes),
                Origin::Map(index) => (Alphabet::ALL, self.fields.get(*index).map_or(Parts::NONE, |(_, info)| info.reads), BodyUse::None),
            };
            let through = |filters: &[Filter]| filters.iter().fold(alphabet, |alphabet, filter| filter.alphabet(alphabet));
            let name = match from {
                Origin::Headers => collection.name.iter().fold(Alphabet::of(TOKEN), |alphabet, filter| filter.alphabet(alphabet)),
                _ => through(&collection.name),
            };
            names = names.union(name);
            contents = contents.union(name).union(through(&collection.value));
            info.reads = info.reads.and(reads);
            info.body = info.body | body;
        }
        for (_, template) in &collection.pseudo {
            let inner = info_of(template);
            info.alphabet = info.alphabet.union(inner.alphabet);
            info.reads = info.reads.and(inner.reads);
            info.body = info.body | inner.body;
        }
        if let Some(names) = &collection.names {
            info.body = info.body | names.info.body;
        }
        for template in [Some(&collection.item), collection.item_empty.as_ref()].into_iter().flatten() {
            info.body = info.body | info_of(template).body;
        }
        let is_line = |item: &Template| match (item.first(), item.last()) {
            (Some(Piece::Value(Expr { source: Source::ItemName, steps, .. })), Some(Piece::Text(text))) => {
                steps.is_empty() && !contents.contains_all(text)
            }
            _ => false,
        };
        let ends = collection.join.is_empty() && is_line(&collection.item) && collection.item_empty.iter().all(is_line);
        let texts =
            collection.item.iter().chain(collection.item_empty.iter().flatten()).fold(Alphabet::of(&collection.join), |all, piece| {
                match piece {
                    Piece::Text(text) => all.union(Alphabet::of(text)),
                    _ => all,
                }
            });
        info.alphabet = info.alphabet.union(if ends && collection.pseudo.is_empty() { names } else { contents.union(texts) });
        info
    }

    /// Every header that has a slot.
    fn headers(&self) -> Parts {
        let headers = self.slots.iter().filter(|(_, source)| matches!(source, SlotSource::Header(_)));
        headers.fold(Parts::NONE, |all, (slot, _)| all.and(Parts::slot(slot)))
    }
}

/// What the name of a header is made of, in lower case (RFC 9110 section 5.6.2).
pub(super) const TOKEN: &[u8] = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";

/// The value of a text among known ones.
fn one_of<T: Clone>(item: Item<'_>, known: &[(&str, T)]) -> Result<T, BadProfile> {
    let text = item.text()?;
    let found = known.iter().find(|(name, _)| *name == text.text).map(|(_, value)| value.clone());
    found.ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        BadProfile::new(text.at(), format!("{:?} is not known here", text.text), format!("write one of {}", names.join(", ")))
    })
}

fn repeated(item: Item<'_>) -> Result<Repeated, BadProfile> {
    let text = item.text()?;
    let quoted = |text: &str| text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).map(|text| text.as_bytes().into());
    let (name, with) = text.text.split_once(':').unwrap_or((text.text, "''"));
    match (name, quoted(with)) {
        ("each", _) => Ok(Repeated::Each),
        ("unique", _) => Ok(Repeated::Unique),
        ("first", _) => Ok(Repeated::First),
        ("refuse", _) => Ok(Repeated::Refuse),
        ("join", Some(with)) => Ok(Repeated::Join(with)),
        ("sorted_join", Some(with)) => Ok(Repeated::SortedJoin(with)),
        _ => Err(BadProfile::new(
            text.at(),
            format!("{:?} says nothing about repeated names", text.text),
            "write each, join:',', sorted_join:',', unique, first or refuse",
        )),
    }
}

/// Filters without a source: `trim | squeeze`.
fn filters(item: Option<Item<'_>>) -> Result<Box<[Filter]>, BadProfile> {
    let Some(item) = item else { return Ok(Box::default()) };
    let text = item.text()?;
    let mut slots = super::super::slots::Slots::default();
    let constants = std::collections::BTreeMap::new();
    let mut scope = super::Scope {
        constants: &constants,
        attributes: &[],
        fields: &[],
        patterns: &[],
        lets: &[],
        collections: &[],
        signed: &[],
        slots: &mut slots,
        place: Place::Item,
    };
    let expr = scope.expression(&format!("value | {}", text.text));
    let expr = expr.map_err(|error| BadProfile::new(text.at(), error.message, "write filters for one value"))?;
    let filters = expr.steps.iter().map(|step| match step {
        Step::Filter(filter) => Ok(filter.clone()),
        _ => Err(BadProfile::new(text.at(), "only filters from bytes to bytes can be used here", "see the table of filters")),
    });
    filters.collect()
}

fn formats(item: Option<Item<'_>>) -> Result<Vec<TimeFormat>, BadProfile> {
    let mut formats = Vec::new();
    for text in item.map(Item::texts).transpose()?.unwrap_or_default() {
        let format = TimeFormat::parse_name(text.text);
        if format.as_ref().is_ok_and(|format| !format.is_readable()) {
            return Err(BadProfile::new(text.at(), "a time is read to the second, and this pattern has none", "add %H, %M and %S"));
        }
        formats.push(
            format
                .map_err(|message| BadProfile::new(text.at(), message.to_string(), "write unix, unix_ms, http, iso, amz or a pattern"))?,
        );
    }
    Ok(formats)
}

fn formats_or(item: Option<Item<'_>>, other: &[TimeFormat]) -> Result<Vec<TimeFormat>, BadProfile> {
    let own = formats(item)?;
    Ok(if own.is_empty() { other.to_vec() } else { own })
}

/// How many pieces a collection is made of. Its own items are as many as the request has; another collection that they read
/// is made for each of them.
fn expanded(collection: &Collection) -> usize {
    let value = |expr: &Expr| expr.info.pieces.saturating_mul(if reads_collection(expr) { parameters::MOST } else { 1 });
    let per_item = |template: &Template| template.iter().fold(0_usize, |all, piece| all.saturating_add(each(piece, &value)));
    let templates = collection.pseudo.iter().map(|(_, template)| template).chain([&collection.item]).chain(&collection.item_empty);
    let names = collection.names.as_ref().map_or(0, |names| names.info.pieces);
    templates.fold(names, |all, template| all.saturating_add(per_item(template)))
}

fn each(piece: &Piece, value: &impl Fn(&Expr) -> usize) -> usize {
    match piece {
        Piece::Text(_) => 1,
        Piece::Value(expr) => value(expr),
        Piece::When { condition, then, .. } => then.iter().fold(value(condition), |all, piece| all.saturating_add(each(piece, value))),
    }
}

fn reads_collection(expr: &Expr) -> bool {
    let alternative = |step: &Step| matches!(step, Step::Or(other) if reads_collection(other));
    matches!(expr.source, Source::Collection(_)) || expr.steps.iter().any(alternative)
}

fn reads_secret(template: &Template) -> bool {
    template.iter().any(|piece| match piece {
        Piece::Text(_) => false,
        Piece::Value(expr) => matches!(expr.source, Source::Secret),
        Piece::When { then, .. } => reads_secret(then),
    })
}

fn reads_attribute(expr: &Expr) -> bool {
    matches!(expr.source, Source::Attribute(_)) || expr.steps.iter().any(|step| matches!(step, Step::Or(other) if reads_attribute(other)))
}

/// Whether a template depends on the credential and the profile alone.
fn reads_nothing(template: &Template) -> bool {
    template.iter().all(|piece| match piece {
        Piece::Text(_) => true,
        Piece::Value(expr) => independent(expr),
        Piece::When { condition, then, .. } => independent(condition) && reads_nothing(then),
    })
}

fn independent(expr: &Expr) -> bool {
    let source = matches!(expr.source, Source::Secret | Source::Attribute(_) | Source::Text(_));
    source
        && expr.steps.iter().all(|step| match step {
            Step::Or(other) => independent(other),
            Step::Digest => false,
            _ => true,
        })
}
