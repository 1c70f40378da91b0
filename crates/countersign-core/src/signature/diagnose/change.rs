//! What a client may have done: one mistake, and how to make it.

use http::HeaderName;

use super::bench::Edit;
use super::mistake::Mistake;
use super::text::TextChange;
use crate::request_view::Scheme;

/// One change to the request, to its fields, to the profile or to the text.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Method(String),
    Scheme(Scheme),
    Host(String),
    Path(String),
    Query(Option<String>),
    Header(HeaderName, Option<Vec<u8>>),
    Body(Vec<u8>),
    /// Another value for a field.
    Field(usize, Vec<u8>),
    Edit(Edit),
    /// The string to sign.
    Text(TextChange),
    Many(Vec<Self>),
}

/// What of a request a change is about: two mistakes are made together only in different places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Area {
    Method,
    Host,
    Path,
    Query,
    Header,
    Body,
    Time,
    Field,
    Recipe,
    Text,
}

/// One mistake that is tried.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub(super) mistake: Mistake,
    pub(super) area: Area,
    pub(super) change: Change,
    /// What exactly, for the sentence: "`GET` for `POST`".
    pub(super) detail: String,
    /// Whether it is common enough to be tried together with another one.
    pub(super) common: bool,
}

impl Trial {
    pub(super) const fn new(mistake: Mistake, area: Area, change: Change) -> Self {
        Self { mistake, area, change, detail: String::new(), common: false }
    }

    pub(super) fn common(mut self) -> Self {
        self.common = true;
        self
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}
