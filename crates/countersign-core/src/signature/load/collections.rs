//! Reading `[collect]`, and what can be said of its texts before any request comes.

use super::super::BodyUse;
use super::super::alphabet::Alphabet;
use super::super::collection::{Collection, Missing, Origin, Repeated, Sort};
use super::super::coverage::Parts;
use super::super::expression::{Expr, Info, Kind, Piece, Place, Source, Step, Template, info_of};
use super::super::filter::Filter;
use super::super::parameters;
use super::super::slots::SlotSource;
use super::mac_parameter::MacParameter;
use super::parts::one_of;
use super::table::{Item, Table, Text};
use super::{BadProfile, Loader, readable};

impl<'t> Loader<'t> {
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
            let texts = item.map(Item::texts).transpose()?.unwrap_or_default().into_iter();
            // Names of headers have no case.
            Ok(texts.map(|text| if of_headers { text.text.to_ascii_lowercase().into() } else { text.text.into() }).collect())
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
            lines: None,
            pieces: expanded(collection),
        };
        // Items that end in what they cannot contain are over where no name can begin.
        let (mut names, mut values) = (Alphabet::NONE, Alphabet::NONE);
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
                Origin::Headers => collection.name.iter().fold(collection.header_names(), |alphabet, filter| filter.alphabet(alphabet)),
                _ => through(&collection.name),
            };
            names = names.union(name);
            values = values.union(through(&collection.value));
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
        contents = contents.union(names).union(values);
        for template in [Some(&collection.item), collection.item_empty.as_ref()].into_iter().flatten() {
            info.body = info.body | info_of(template).body;
            contents = template.iter().fold(contents, |all, piece| all.union(made_of(piece, names, values)));
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
        info.alphabet = info.alphabet.union(contents.union(texts));
        let behind_name = |item: &Template| match item.get(1) {
            Some(Piece::Text(text)) => text.first().copied(),
            _ => None,
        };
        let of_empty = collection.item_empty.as_ref().map(behind_name);
        let behind_name = behind_name(&collection.item).filter(|byte| of_empty.is_none_or(|other| other == Some(*byte)));
        info.lines = behind_name.filter(|byte| ends && collection.pseudo.is_empty() && !names.contains(*byte)).map(|byte| (names, byte));
        info
    }

    /// Every header that has a slot.
    fn headers(&self) -> Parts {
        let headers = self.slots.iter().filter(|(_, source)| matches!(source, SlotSource::Header(_)));
        headers.fold(Parts::NONE, |all, (slot, _)| all.and(Parts::slot(slot)))
    }
}

/// What a value in an item can be made of.
fn made_of(piece: &Piece, names: Alphabet, values: Alphabet) -> Alphabet {
    let expr = match piece {
        // That of the text is known as it stands.
        Piece::Text(_) => return Alphabet::NONE,
        Piece::Value(expr) => expr,
        Piece::When { .. } => return Alphabet::ALL,
    };
    let own = match expr.source {
        Source::ItemName => names,
        Source::ItemValue => values,
        // As it was sent, of a raw query; the others have none.
        Source::ItemPair => Alphabet::VISIBLE,
        _ => return expr.info.alphabet,
    };
    expr.steps.iter().fold(own, |alphabet, step| match step {
        Step::Filter(filter) => filter.alphabet(alphabet),
        _ => Alphabet::ALL,
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
