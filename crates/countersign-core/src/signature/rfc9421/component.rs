//! What a signature can cover (RFC 9421 section 2): names with parameters, each read as a source of one value.

use std::borrow::Cow;
use std::ops::Range;

use http::HeaderName;
use sfv::visitor::{ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, ItemSerializer, KeyRef, Parser, RefBareItem, StringRef};

use super::strict::FieldType;
use super::{MOST_COMPONENTS, MOST_PARAMETERS, Wrong, start_of};

/// An ordered list of components, each once, and its canonical text: `("@method" "date")`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Covered {
    /// An inner list (RFC 9651 section 3.1.1) in canonical form; of a signature with the parameters of it.
    pub(super) text: String,
    list: Vec<Component>,
    /// The first thing that makes it impossible to compute a value. Judged only when the signature is chosen: those of other
    /// parties may use what is not known here.
    pub(super) wrong: Option<Wrong>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Component {
    written: Range<usize>,
    source: Source,
}

/// Where the value of a component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Method,
    TargetUri,
    Authority,
    Scheme,
    RequestTarget,
    Path,
    Query,
    /// A parameter of the query, by its name in canonical encoding.
    QueryParam(String),
    Field(HeaderName, Reading),
}

/// How the value of a field is made of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// Joined with `, ` (section 2.1).
    Joined,
    /// `;sf`: as a structured field in canonical form (section 2.1.1).
    Strict(FieldType),
    /// `;key`: one member of a dictionary (section 2.1.2).
    Member(String),
    /// `;bs`: each line as a byte sequence (section 2.1.3).
    Wrapped,
}

/// A text is not a component that can be signed here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadComponent {
    /// Its place in the list.
    pub index: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl Covered {
    /// Reads components in the form that RFC 9421 writes them: `"@query-param";name="a"`. The quotes around the name can be
    /// left out: `@query-param;name="a"`, `date`.
    ///
    /// # Errors
    ///
    /// A component that is not known, has parameters that it cannot have, or comes twice; more than [`MOST_COMPONENTS`].
    pub fn parse(list: &[&str]) -> Result<Self, BadComponent> {
        let mut covered = Self::default();
        covered.open();
        for (index, text) in list.iter().enumerate() {
            let bad = |reason: String| BadComponent { index, reason };
            let quoted = if text.starts_with('"') {
                (*text).to_owned()
            } else {
                let end = text.find(';').unwrap_or(text.len());
                let (name, parameters) = text.split_at(end);
                format!("\"{name}\"{parameters}")
            };
            let item = covered.item().map_err(|wrong| bad(wrong.to_string()))?;
            Parser::new(&quoted).parse_item_with_visitor(item).map_err(|error| bad(error.to_string()))?;
            if let Some(wrong) = &covered.wrong {
                return Err(bad(wrong.to_string()));
            }
        }
        covered.close();
        Ok(covered)
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The components in canonical form.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.sources().map(|(written, _)| written)
    }

    /// The components, each with the header that it reads, in full or a part of it.
    pub fn with_headers(&self) -> impl Iterator<Item = (&str, Option<&HeaderName>)> {
        self.sources().map(|(written, source)| match source {
            Source::Field(name, _) => (written, Some(name)),
            _ => (written, None),
        })
    }

    /// Whether all lines of a header are covered.
    pub(super) fn covers_header(&self, name: &HeaderName) -> bool {
        self.list.iter().any(|component| match &component.source {
            Source::Field(field, reading) => field == name && !matches!(reading, Reading::Member(_)),
            _ => false,
        })
    }

    /// Each component with where its value comes from.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.list.iter().map(|component| (self.text.get(component.written.clone()).unwrap_or_default(), &component.source))
    }

    pub(super) fn open(&mut self) {
        self.text.push('(');
    }

    pub(super) fn close(&mut self) {
        self.text.push(')');
    }

    /// Room for one more component.
    pub(super) fn item(&mut self) -> Result<Item<'_>, Wrong> {
        if self.list.len() >= MOST_COMPONENTS {
            return Err(format!("a signature may cover at most {MOST_COMPONENTS} components").into());
        }
        if !self.text.ends_with('(') {
            self.text.push(' ');
        }
        Ok(Item(self))
    }
}

/// Writes `;key=value` in canonical form (RFC 9651 section 4.1.1.2).
pub(super) fn write_parameter<'i>(key: &str, value: impl Into<RefBareItem<'i>>, text: &mut String) {
    text.extend([";", key]);
    let value = value.into();
    if value != RefBareItem::Boolean(true) {
        text.push('=');
        write_item(value, text);
    }
}

/// Writes a bare item in canonical form (RFC 9651 section 4.1.3.1).
pub(super) fn write_item<'i>(item: impl Into<RefBareItem<'i>>, text: &mut String) {
    let _same_text: &mut String = ItemSerializer::with_buffer(text).bare_item(item).finish();
}

/// A component whose name comes next.
pub(super) struct Item<'c>(&'c mut Covered);

impl<'v> ItemVisitor<'v> for Item<'_> {
    type Out = ();
    type Error = Wrong;

    fn bare_item(self, item: BareItemFromInput<'v>) -> Result<impl ParameterVisitor<'v, Out = ()>, Wrong> {
        let start = self.0.text.len();
        write_item(&item, &mut self.0.text);
        let mut given = Given::default();
        let name = if let BareItemFromInput::String(name) = item {
            name
        } else {
            given.wrong = Some("the name of a covered component is a string: put it in double quotes".into());
            Cow::Borrowed(StringRef::constant(""))
        };
        Ok(Named { covered: self.0, start, name, given })
    }
}

/// A component whose parameters come next.
struct Named<'c, 'v> {
    covered: &'c mut Covered,
    start: usize,
    name: Cow<'v, StringRef>,
    given: Given,
}

impl<'v> ParameterVisitor<'v> for Named<'_, 'v> {
    type Out = ();
    type Error = Wrong;

    fn parameter(&mut self, key: &'v KeyRef, value: BareItemFromInput<'v>) -> Result<(), Wrong> {
        self.given.count += 1;
        if self.given.count > MOST_PARAMETERS {
            return Err(format!("a component may have at most {MOST_PARAMETERS} parameters").into());
        }
        write_parameter(key.as_str(), &value, &mut self.covered.text);
        if let Err(wrong) = self.given.take(key.as_str(), &value) {
            self.given.wrong.get_or_insert(wrong);
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Wrong> {
        let Self { covered, start, name, given } = self;
        let written = start..covered.text.len();
        let wrong = match given.source(name.as_str()) {
            Ok(source) if covered.list.iter().any(|component| component.source == source) => "it is listed twice".into(),
            Ok(source) => {
                covered.list.push(Component { written, source });
                return Ok(());
            }
            Err(wrong) => wrong,
        };
        if covered.wrong.is_none() {
            let component = start_of(covered.text.get(written).unwrap_or_default());
            covered.wrong = Some(format!("component {component}: {wrong}").into());
        }
        Ok(())
    }
}

/// The parameters of one component.
#[derive(Default)]
struct Given {
    sf: bool,
    bs: bool,
    req: bool,
    tr: bool,
    key: Option<String>,
    name: Option<String>,
    count: usize,
    wrong: Option<Wrong>,
}

impl Given {
    fn take(&mut self, key: &str, value: &BareItemFromInput<'_>) -> Result<(), Wrong> {
        let twice = match key {
            "sf" | "bs" | "req" | "tr" => {
                if !matches!(value, BareItemFromInput::Boolean(true)) {
                    return Err(format!("{key} has no value: write ;{key}").into());
                }
                let flag = match key {
                    "sf" => &mut self.sf,
                    "bs" => &mut self.bs,
                    "req" => &mut self.req,
                    _ => &mut self.tr,
                };
                std::mem::replace(flag, true)
            }
            "key" | "name" => {
                let BareItemFromInput::String(text) = value else {
                    return Err(format!("the value of {key} is a string: put it in double quotes").into());
                };
                let slot = if key == "key" { &mut self.key } else { &mut self.name };
                slot.replace(text.as_str().to_owned()).is_some()
            }
            _ => return Err(format!("the parameter {} is not known here", start_of(key)).into()),
        };
        if twice { Err(format!("the parameter {key} comes twice").into()) } else { Ok(()) }
    }

    /// What a component of this name and these parameters is read from (RFC 9421 section 2.5, step 2.4).
    fn source(self, component: &str) -> Result<Source, Wrong> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        if self.req {
            return Err("req is for responses: leave it out".into());
        }
        if self.tr {
            return Err("trailers do not pass this gateway: sign a header instead".into());
        }
        if component.starts_with('@') { self.derived(component) } else { self.field(component) }
    }

    fn derived(self, component: &str) -> Result<Source, Wrong> {
        if self.sf || self.bs || self.key.is_some() {
            return Err("sf, bs and key are for fields: leave them out".into());
        }
        let source = match component {
            "@query-param" => return self.name.map(Source::QueryParam).ok_or_else(|| "say which: ;name=\"...\"".into()),
            "@method" => Source::Method,
            "@target-uri" => Source::TargetUri,
            "@authority" => Source::Authority,
            "@scheme" => Source::Scheme,
            "@request-target" => Source::RequestTarget,
            "@path" => Source::Path,
            "@query" => Source::Query,
            "@status" => return Err("requests have no status: leave it out".into()),
            "@signature-params" => return Err("it is always signed: leave it out of the list".into()),
            _ => return Err("it is not known here".into()),
        };
        if self.name.is_some() { Err("name is for @query-param: leave it out".into()) } else { Ok(source) }
    }

    fn field(self, component: &str) -> Result<Source, Wrong> {
        if self.name.is_some() {
            return Err("name is for @query-param: leave it out".into());
        }
        let name = Some(component).filter(|name| !name.bytes().any(|byte| byte.is_ascii_uppercase()));
        let name = name.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        let name = name.ok_or("it is not the name of a field in lower case")?;
        let reading = match (self.bs, self.key, self.sf) {
            (true, None, false) => Reading::Wrapped,
            (true, ..) => return Err("bs goes neither with sf nor with key".into()),
            (false, Some(key), _) => match FieldType::of(&name) {
                None | Some(FieldType::Dictionary) => Reading::Member(key),
                Some(_) => return Err("this field is not a dictionary: leave key out".into()),
            },
            (false, None, true) => {
                let kind = FieldType::of(&name).ok_or("the structured type of this field is not known here: leave sf out")?;
                Reading::Strict(kind)
            }
            (false, None, false) => Reading::Joined,
        };
        Ok(Source::Field(name, reading))
    }
}
