//! Expressions and templates in compiled form: a source and its steps, with what is known of their values before any request
//! comes. `parse` reads them from text.

mod parse;
mod segments;
mod sources;
mod steps;

use std::ops::BitOr;
use std::sync::Arc;

use http::HeaderName;

use super::alphabet::Alphabet;
use super::coverage::{Parts, Slot};
use super::filter::Filter;
use super::pick::Pattern;
use super::time_format::TimeFormat;

pub(super) use parse::{BadExpression, MOST_PIECES, Place, Scope};
pub(super) use sources::can_be_read;

/// A value: where it is read, and what is done to it, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expr {
    pub(super) source: Source,
    pub(super) steps: Box<[Step]>,
    pub(super) info: Info,
}

impl Expr {
    /// Whether it depends on the credential and the profile alone.
    fn is_of_credential(&self) -> bool {
        let of_step = |step: &Step| match step {
            Step::Or(other) => other.is_of_credential(),
            Step::Digest => false,
            _ => true,
        };
        matches!(self.source, Source::Secret | Source::Attribute(_) | Source::Text(_)) && self.steps.iter().all(of_step)
    }

    /// The header that it is, if it is one as it was sent.
    pub(super) fn plain_header(&self) -> Option<Slot> {
        match self.source {
            Source::Header(slot) if self.steps.is_empty() => Some(slot),
            _ => None,
        }
    }

    /// Whether there is one value or a list before a step: what comes behind it is for one of them, or nothing changes that.
    pub(super) fn kind_before(&self, at: usize) -> Kind {
        let asked = self.steps.get(at..).unwrap_or_default().iter().find_map(|step| match step {
            Step::Join(_) | Step::Sorted | Step::First => Some(Kind::Many),
            Step::Split(_) | Step::Params(_) | Step::Pick(_) => Some(Kind::One),
            _ => None,
        });
        asked.unwrap_or(self.info.kind)
    }

    /// What a condition needs of the body: whether there is one can be told without its bytes.
    pub(super) fn body_use_of_condition(&self) -> BodyUse {
        match self.source {
            Source::Body if self.steps.is_empty() => BodyUse::Sha256,
            _ => self.info.body,
        }
    }
}

/// What is known of a value when the profile is loaded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Info {
    pub(super) kind: Kind,
    /// The bytes that may be in it.
    pub(super) alphabet: Alphabet,
    /// Its length, if it always has the same.
    pub(super) length: Option<usize>,
    /// Everything it may have been read from.
    pub(super) reads: Parts,
    pub(super) body: BodyUse,
    /// The byte that it begins with, if that is always the same.
    pub(super) begins: Option<u8>,
    /// Whether its last byte stands nowhere else in it: then it is over where that byte is, whatever follows.
    pub(super) ends_itself: bool,
    /// Of lines without an end: what their names are made of, and what stands behind each name. They are over where what follows
    /// cannot begin as a line does.
    pub(super) lines: Option<(Alphabet, u8)>,
    /// How many pieces are written or read for it, those of the lets and collections that it reads counted each time.
    pub(super) pieces: usize,
}

/// One value, a list, or names with values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    One,
    Many,
    Map,
}

impl Kind {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::One => "one value",
            Self::Many => "a list",
            Self::Map => "a map",
        }
    }
}

/// What of the body has to be at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BodyUse {
    /// Nothing.
    None,
    /// Its SHA-256, which can be declared in the head and compared while the body streams.
    Sha256,
    /// Its bytes.
    Bytes,
}

impl BitOr for BodyUse {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.max(other)
    }
}

/// Where a value is read. The reference is `docs/reference/profiles.md`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    Method,
    Scheme,
    Host,
    HostName,
    Port,
    Target,
    Path,
    Query,
    Url,
    Body,
    /// `body | sha256`, which needs no bytes at hand.
    BodySha256,
    Header(Slot),
    /// `header:host`: as it was sent.
    HostHeader,
    Headers(Arc<[HeaderNames]>),
    QueryParameter(Slot),
    FormParameter(Slot),
    /// A constant of the profile.
    Text(Arc<[u8]>),
    Secret,
    Attribute(usize),
    Field(usize),
    /// The one value of a member of a map field.
    Member(usize, Slot),
    /// All values of a member.
    Members(usize, Slot),
    Let(usize),
    Collection(usize),
    /// In `[[sign]]`.
    Now,
    Fresh,
    KeyId,
    Mac,
    /// A text that a step of signing has named.
    Signed(usize),
    /// In the items of a collection.
    ItemName,
    ItemValue,
    ItemPair,
}

/// Which headers a list is read from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum HeaderNames {
    Name(HeaderName),
    Prefix(Box<str>),
}

/// What is done to a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Filter(Filter),
    Or(Box<Expr>),
    Default(Arc<[u8]>),
    /// By the hash of the MAC's algorithm.
    Digest,
    Time(TimeFormat),
    /// So many seconds later.
    Plus(u32),
    Params(Box<[u8]>),
    Pick(Arc<Pattern>),
    Split(Box<[u8]>),
    Join(Box<[u8]>),
    Sorted,
    First,
    Json(Box<str>),
    /// The text `present`, when the pointer names any value at all.
    JsonPresent(Box<str>),
    Without(Box<[Box<str>]>),
    All,
}

/// Text with values in it.
pub(super) type Template = Box<[Piece]>;

/// One piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// Text that is always the same.
    Text(Box<[u8]>),
    /// A value. Absent, it makes the request malformed.
    Value(Expr),
    /// Pieces that are there only under a condition.
    When { condition: Expr, holds: bool, then: Template },
}

/// What is known of the text that a template gives.
pub(super) fn info_of(template: &[Piece]) -> Info {
    let mut info = Info {
        kind: Kind::One,
        alphabet: Alphabet::NONE,
        length: Some(0),
        reads: Parts::NONE,
        body: BodyUse::None,
        begins: begins_with(template),
        ends_itself: false,
        lines: None,
        pieces: 0,
    };
    for piece in template {
        match piece {
            Piece::Text(text) => {
                info.alphabet = info.alphabet.union(Alphabet::of(text));
                info.length = info.length.map(|length| length.saturating_add(text.len()));
                info.pieces = info.pieces.saturating_add(1);
            }
            Piece::Value(expr) => {
                info.alphabet = info.alphabet.union(expr.info.alphabet);
                info.length = info.length.zip(expr.info.length).map(|(a, b)| a.saturating_add(b));
                info.reads = info.reads.and(expr.info.reads);
                info.body = info.body | expr.info.body;
                info.pieces = info.pieces.saturating_add(expr.info.pieces);
            }
            Piece::When { condition, then, .. } => {
                let inner = info_of(then);
                info.alphabet = info.alphabet.union(inner.alphabet);
                info.length = None;
                // What a condition reads is not signed by it.
                info.reads = info.reads.and(inner.reads);
                info.body = info.body | inner.body | condition.body_use_of_condition();
                info.pieces = info.pieces.saturating_add(condition.info.pieces).saturating_add(inner.pieces);
            }
        }
    }
    info
}

/// The byte that every text of a template begins with.
fn begins_with(template: &[Piece]) -> Option<u8> {
    let (first, rest) = template.split_first()?;
    match first {
        Piece::Text(text) => text.first().copied(),
        Piece::Value(expr) => expr.info.begins,
        // It may be left out.
        Piece::When { then, .. } => begins_with(then).filter(|byte| begins_with(rest) == Some(*byte)),
    }
}

/// Whether a piece depends on the credential and the profile alone.
pub(super) fn is_of_credential(piece: &Piece) -> bool {
    match piece {
        Piece::Text(_) => true,
        Piece::Value(expr) => expr.is_of_credential(),
        Piece::When { condition, then, .. } => condition.is_of_credential() && then.iter().all(is_of_credential),
    }
}
