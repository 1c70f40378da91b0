//! Reads a profile from its file, and holds it to every check that needs no request. The language is described in
//! `docs/reference/profiles.md`. Errors say where in the file they are and what to write.

mod apart;
mod checks;
mod collections;
mod fields;
mod mac_parameter;
mod parts;
mod sign;
mod table;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::de::DeTable;

use super::built_in::built_in;
use super::coverage::Parts;
use super::expression::{BadExpression, Expr, Info, Kind, MOST_PIECES, Piece, Place, Scope, Template, can_be_read, info_of};
use super::pick::Pattern;
use super::profile::Profile;
use super::rules::Field;
use super::secret::LiveSecret;
use super::slots::Slots;
use crate::id::ProfileName;
use mac_parameter::MacParameter;
use table::{Item, Table, Text};

/// How large the file of a profile may be, in bytes.
pub const MOST_BYTES: usize = 64 * 1024;
/// How many pieces one text may be made of, with those of the lets and collections that it reads.
const MOST_EXPANDED: usize = 1024;
/// How long claims are kept at most when signatures have no time, in seconds.
const MOST_KEEP: u64 = 7 * 86_400;
/// The longest window, in seconds.
const MOST_WINDOW: u64 = 7 * 86_400;

/// Why a profile cannot be used, and where in its file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct BadProfile {
    /// The place in the text.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl BadProfile {
    fn new(at: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at, message: message.into(), help: help.into() }
    }

    /// Line and column in `text`, counted from one.
    pub fn line_and_column(&self, text: &str) -> (usize, usize) {
        let before = text.get(..self.at.start.min(text.len())).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

/// Values for the constants of a profile, from the configuration or the command line.
pub type Constants = BTreeMap<String, String>;

impl Profile {
    /// Reads and checks a profile.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn load(text: &str, set: &Constants) -> Result<Self, BadProfile> {
        if text.len() > MOST_BYTES {
            return Err(BadProfile::new(0..0, format!("the file has more than {MOST_BYTES} bytes"), "a profile is a page of text"));
        }
        let parsed = DeTable::parse(text)
            .map_err(|error| BadProfile::new(error.span().unwrap_or_default(), error.message().to_owned(), "the file must be TOML"))?;
        let mut loader = Loader {
            text,
            constants: BTreeMap::new(),
            attributes: Vec::new(),
            fields: Vec::new(),
            patterns: Vec::new(),
            lets: Vec::new(),
            collections: Vec::new(),
            slots: Slots::default(),
            signed: Vec::new(),
        };
        loader.profile(Table::root(&parsed), set)
    }

    /// The native scheme, `v3.0`, which is part of the program.
    ///
    /// # Errors
    /// Never for the file that is built in, which a test loads.
    pub fn native() -> Result<Self, BadProfile> {
        Self::load(built_in("v3.0").unwrap_or_default(), &Constants::new())
    }
}

/// What is known so far while a file is read.
struct Loader<'t> {
    text: &'t str,
    constants: BTreeMap<String, Arc<[u8]>>,
    attributes: Vec<String>,
    fields: Vec<(String, Info)>,
    patterns: Vec<Option<Arc<Pattern>>>,
    lets: Vec<(String, Info)>,
    collections: Vec<(String, Info)>,
    slots: Slots,
    /// Texts that steps of signing have named.
    signed: Vec<(String, Info)>,
}

impl<'t> Loader<'t> {
    fn profile(&mut self, mut root: Table<'t>, set: &Constants) -> Result<Profile, BadProfile> {
        let name = root.get("name")?.text()?;
        let name: ProfileName = name.text.parse().map_err(|error| BadProfile::new(name.at(), format!("{error}"), "choose another name"))?;
        let title = root.get("title")?.text()?.text.into();
        let source = root.find("source").map(Item::text).transpose()?.map_or_else(Box::default, |text| text.text.into());
        self.constants(root.find("constants"), set)?;
        let uncovered = self.uncovered(root.find("uncovered"))?;
        // The key's attributes must be known before its templates; its templates read fields.
        let key_item = root.find("key");
        self.attributes(key_item)?;
        let mac_item = root.get("mac")?;
        let builtin = self.builtin(mac_item, root.find("rfc9421"))?;
        let mut fields = self.builtin_fields(builtin.is_some())?;
        self.read_fields(root.get("fields")?, &mut fields)?;
        let detect = self.detect(root.get("detect")?)?;
        let index = |name: &str, fields: &[Field]| fields.iter().position(|field| *field.name == *name);
        let mac_name = if builtin.is_some() { "signature" } else { "mac" };
        let mac = index(mac_name, &fields)
            .ok_or_else(|| BadProfile::new(0..0, "the fields have no mac", "add mac to [fields]: where the signature stands"))?;
        let key_id = index("key_id", &fields).or_else(|| index("keyid", &fields).filter(|_| builtin.is_some()));
        let mac_parameter = MacParameter::find(&fields, &self.slots, mac);
        let collections = self.read_collections(root.find("collect"), mac_parameter.as_ref())?;
        let (let_names, lets) = self.read_lets(root.find("let"))?;
        let key = self.key(key_item)?;
        let rule = self.mac_rule(mac_item, builtin.is_some())?;
        let requires = self.requires(root.find("require"))?;
        let time = root.find("time").map(|item| self.time(item)).transpose()?;
        let replay = self.replay(root.find("replay"))?;
        let sign = self.sign(root.find("sign"))?;
        root.finish()?;
        let mut profile = Profile {
            name,
            title,
            source,
            detect,
            slots: std::mem::take(&mut self.slots),
            fields,
            key_id,
            mac,
            collections,
            lets,
            let_names,
            key,
            rule,
            requires,
            time,
            replay,
            uncovered,
            sign,
            builtin,
            beside_mac: Parts::NONE,
            body: super::BodyUse::None,
            tier: crate::replay::Tier::Minutes,
            nobody: LiveSecret::nobody(),
        };
        if let Some(parameter) = mac_parameter.filter(|_| profile.collections.iter().any(|collection| collection.spares.is_some())) {
            let start = self.text.find("exclude").unwrap_or_default();
            profile.beside_mac = parameter.beside(&profile, start..start)?;
        }
        checks::check(&mut profile, self.text)?;
        Ok(profile)
    }

    fn scope(&mut self, place: Place) -> Scope<'_> {
        Scope {
            constants: &self.constants,
            attributes: &self.attributes,
            fields: &self.fields,
            patterns: &self.patterns,
            lets: &self.lets,
            collections: &self.collections,
            signed: &self.signed,
            slots: &mut self.slots,
            place,
        }
    }

    /// Reads an expression.
    fn expr(&mut self, text: Text<'t>, place: Place) -> Result<Expr, BadProfile> {
        let expr = self.scope(place).expression(text.text).map_err(|error| self.bad(text, error))?;
        bounded(text.at(), &expr.info)?;
        Ok(expr)
    }

    /// Reads an expression of one kind.
    fn expr_of(&mut self, text: Text<'t>, kind: Kind, place: Place) -> Result<Expr, BadProfile> {
        let expr = self.expr(text, place)?;
        if expr.info.kind == kind {
            return Ok(expr);
        }
        let message = format!("this gives {}, and {} is asked for here", expr.info.kind.words(), kind.words());
        Err(BadProfile::new(text.at(), message, "use .member, split, join or first"))
    }

    fn bad(&self, text: Text<'t>, error: BadExpression) -> BadProfile {
        BadProfile::new(text.inside(self.text, error.at), error.message, "see docs/reference/profiles.md")
    }

    /// Reads a template, or a list of parts of which some stand under a condition.
    fn template(&mut self, item: Item<'t>, place: Place) -> Result<Template, BadProfile> {
        let mut pieces = Vec::new();
        let parts = if item.text().is_ok() { vec![item] } else { item.list()? };
        for part in parts {
            let Ok(text) = part.text() else {
                let mut table = part.table("a part of a template")?;
                let text = table.get("text")?.text()?;
                let condition = self.condition(&mut table, place)?;
                table.finish()?;
                let (condition, holds) = condition.ok_or_else(|| {
                    BadProfile::new(part.at(), "this part has no condition", "add when or unless, or write the text alone")
                })?;
                pieces.push(Piece::When { condition, holds, then: self.template_text(text, place)? });
                continue;
            };
            pieces.extend(self.template_text(text, place)?);
        }
        if count(&pieces) > MOST_PIECES {
            let message = format!("a template has at most {MOST_PIECES} pieces, all its parts together");
            return Err(BadProfile::new(item.at(), message, "write fewer"));
        }
        bounded(item.at(), &info_of(&pieces))?;
        Ok(pieces.into())
    }

    fn template_text(&mut self, text: Text<'t>, place: Place) -> Result<Template, BadProfile> {
        let template = self.scope(place).template(text.text).map_err(|error| self.bad(text, error))?;
        bounded(text.at(), &info_of(&template))?;
        Ok(template)
    }

    /// `when` or `unless` of a table.
    fn condition(&mut self, table: &mut Table<'t>, place: Place) -> Result<Option<(Expr, bool)>, BadProfile> {
        match (table.find("when"), table.find("unless")) {
            (Some(_), Some(unless)) => Err(BadProfile::new(unless.at(), "when and unless together", "write one of them")),
            (Some(when), None) => Ok(Some((self.expr(when.text()?, place)?, true))),
            (None, Some(unless)) => Ok(Some((self.expr(unless.text()?, place)?, false))),
            (None, None) => Ok(None),
        }
    }

    fn constants(&mut self, item: Option<Item<'t>>, set: &Constants) -> Result<(), BadProfile> {
        let entries = item.map(|item| item.table("[constants]")).transpose()?.map_or_else(Vec::new, |table| table.entries());
        if let Some(unknown) = set.keys().find(|name| !entries.iter().any(|(known, _)| known == name)) {
            let known: Vec<_> = entries.iter().map(|(name, _)| *name).collect();
            let help = if known.is_empty() { "it has none".to_owned() } else { format!("its constants are {}", known.join(", ")) };
            return Err(BadProfile::new(0..0, format!("the profile has no constant {unknown}"), help));
        }
        for (name, item) in entries {
            let value = match (set.get(name), item.text()) {
                (Some(value), _) => value.as_str(),
                (None, Ok(text)) => text.text,
                (None, Err(_)) => {
                    let mut table = item.table(format!("the constant {name}"))?;
                    let required = table.get("required")?.yes()?;
                    table.finish()?;
                    if required {
                        let help = format!("set it where the profile is named: set = {{ {name} = \"...\" }}");
                        return Err(BadProfile::new(item.at(), format!("the constant {name} has no value"), help));
                    }
                    ""
                }
            };
            self.constants.insert(name.to_owned(), value.as_bytes().into());
        }
        Ok(())
    }

    fn uncovered(&self, item: Option<Item<'t>>) -> Result<Parts, BadProfile> {
        let mut uncovered = Parts::NONE;
        for text in item.map(Item::texts).transpose()?.unwrap_or_default() {
            let part = Parts::named(text.text).ok_or_else(|| {
                BadProfile::new(
                    text.at(),
                    format!("{:?} is no part of a request", text.text),
                    "the parts are method, path, query, host, body, time, boundary",
                )
            })?;
            uncovered = uncovered.and(part);
        }
        Ok(uncovered)
    }

    fn detect(&mut self, item: Item<'t>) -> Result<Vec<Expr>, BadProfile> {
        let mut detect = Vec::new();
        for text in item.texts()? {
            let expr = self.expr(text, Place::Request)?;
            if expr.info.body != super::BodyUse::None {
                return Err(BadProfile::new(text.at(), "a scheme is detected by the head of a request", "use header:NAME or query:NAME"));
            }
            detect.push(expr);
        }
        if detect.is_empty() {
            return Err(BadProfile::new(
                item.at(),
                "detect is empty",
                "name what requests of this scheme show, such as header:x-signature",
            ));
        }
        Ok(detect)
    }

    fn read_lets(&mut self, item: Option<Item<'t>>) -> Result<(Vec<Box<str>>, Vec<Template>), BadProfile> {
        let (mut names, mut lets) = (Vec::new(), Vec::new());
        for (name, item) in item.map(|item| item.table("[let]")).transpose()?.map_or_else(Vec::new, |table| table.entries()) {
            readable(item.at(), name, Place::Request)?;
            if self.fields.iter().chain(&self.collections).any(|(known, _)| known == name) {
                return Err(BadProfile::new(item.at(), format!("{name} is the name of a field or a collection"), "choose another name"));
            }
            if lets.len() == 32 {
                return Err(BadProfile::new(item.at(), "more than 32 lets", "write fewer"));
            }
            let template = self.template(item, Place::Request)?;
            self.lets.push((name.to_owned(), info_of(&template)));
            names.push(name.into());
            lets.push(template);
        }
        Ok((names, lets))
    }
}

/// What has a name is there to be read by it.
fn readable(at: Range<usize>, name: &str, place: Place) -> Result<(), BadProfile> {
    if can_be_read(name, place) {
        return Ok(());
    }
    let message = format!("what is called {name:?} could never be read: it is a source, or no word of an expression");
    Err(BadProfile::new(at, message, "choose another name of letters, digits, _ and -"))
}

/// Each let can read those above it many times: without a bound a small file could mean endless work for each request.
fn bounded(at: Range<usize>, info: &Info) -> Result<(), BadProfile> {
    if info.pieces <= MOST_EXPANDED {
        return Ok(());
    }
    let message = format!("this is made of more than {MOST_EXPANDED} pieces, with those of the lets and collections that it reads");
    Err(BadProfile::new(at, message, "read a let or a collection in fewer places"))
}

/// The pieces as they are written.
fn count(template: &[Piece]) -> usize {
    template.iter().map(|piece| if let Piece::When { then, .. } = piece { count(then) } else { 1 }).sum()
}
