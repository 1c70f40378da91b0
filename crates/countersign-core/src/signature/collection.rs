//! A collection as its profile says it: where it takes names and values from, and how they are written.

use super::alphabet::Alphabet;
use super::expression::{Expr, Piece, Source, Step, Template};
use super::filter::Filter;

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

/// What the name of a header is made of, in lower case (RFC 9110 section 5.6.2).
const TOKEN: &[u8] = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";

impl Collection {
    /// What the names of headers are made of, before its filters.
    pub(super) const fn header_names(&self) -> Alphabet {
        let lower = Alphabet::of(TOKEN);
        if self.as_listed { lower.union(Alphabet::UPPER) } else { lower }
    }

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
