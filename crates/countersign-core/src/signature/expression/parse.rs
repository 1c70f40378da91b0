//! Reads expressions and templates. Every error says where it is in the text.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::super::filter::Filter;
use super::super::hash::Hash;
use super::super::pick::Pattern;
use super::super::slots::Slots;
use super::segments::{closing, segments};
use super::steps::after;
use super::{BodyUse, Expr, Info, Kind, Piece, Source, Step, Template};

/// How many filters one expression may have.
const MOST_FILTERS: usize = 16;
/// How many pieces one template may have.
pub(in super::super) const MOST_PIECES: usize = 64;

/// An expression or template that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct BadExpression {
    /// Where in the text.
    pub(in super::super) at: Range<usize>,
    /// What is wrong, and what to write.
    pub(in super::super) message: String,
}

/// Where an expression stands, which decides what it may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Place {
    /// Fields, conditions, lets, checks, and what a key is derived by.
    Request,
    /// The string to sign: may read the secret.
    Message,
    /// What the key is made of: may read the secret and its attributes.
    Key,
    /// What a request must hold beside its MAC: may read attributes of the credential.
    Require,
    /// What signing adds.
    Sign,
    /// The items of a collection.
    Item,
}

/// What names mean.
pub(in super::super) struct Scope<'s> {
    pub(in super::super) constants: &'s BTreeMap<String, Arc<[u8]>>,
    pub(in super::super) attributes: &'s [String],
    pub(in super::super) fields: &'s [(String, Info)],
    /// Of the fields that a pattern was picked from.
    pub(in super::super) patterns: &'s [Option<Arc<Pattern>>],
    pub(in super::super) lets: &'s [(String, Info)],
    pub(in super::super) collections: &'s [(String, Info)],
    /// What steps of signing have named so far.
    pub(in super::super) signed: &'s [(String, Info)],
    pub(in super::super) slots: &'s mut Slots,
    pub(in super::super) place: Place,
}

impl Scope<'_> {
    /// Reads `header:date | trim | lower`.
    pub(in super::super) fn expression(&mut self, text: &str) -> Result<Expr, BadExpression> {
        let segments = segments(text)?;
        let Some((first, filters)) = segments.split_first() else { return Err(bad(0..0, "an expression is missing".into())) };
        if filters.len() > MOST_FILTERS {
            return Err(bad(0..text.len(), format!("an expression has at most {MOST_FILTERS} filters")));
        }
        let (source, info) = self.source(first)?;
        let mut expr = Expr { source, steps: Box::default(), info };
        let mut steps = Vec::new();
        for segment in filters {
            let step = self.step(segment)?;
            expr.info = after(&step, expr.info).map_err(|message| bad(segment.at.clone(), format!("{}: {message}", segment.name)))?;
            expr.info.ends_itself = false;
            expr.info.lines = None;
            // The digest of the body can be known without the body.
            if matches!((&expr.source, &step), (Source::Body, Step::Filter(Filter::Digest(Hash::Sha256)))) && steps.is_empty() {
                expr.source = Source::BodySha256;
                expr.info.body = BodyUse::Sha256;
                continue;
            }
            // No body has the digest of no bytes.
            if matches!((&expr.source, &step), (Source::Body, Step::Filter(Filter::Digest(_)) | Step::Digest)) && steps.is_empty() {
                steps.push(Step::Default(Arc::default()));
            }
            steps.push(step);
        }
        expr.steps = steps.into();
        Ok(expr)
    }

    /// Reads `{method} {target}`.
    pub(in super::super) fn template(&mut self, text: &str) -> Result<Template, BadExpression> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.extend_from_slice(before.as_bytes());
            let offset = text.len() - from.len();
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.push(from.as_bytes().first().copied().unwrap_or_default());
                rest = after;
                continue;
            }
            let Some(inside) = from.strip_prefix('{') else {
                return Err(bad(offset..offset + 1, "a } without {; write }} for a brace".into()));
            };
            let Some(end) = closing(inside) else {
                return Err(bad(offset..offset + 1, "a { without }; write {{ for a brace".into()));
            };
            let (inside, after) = inside.split_at(end);
            let start = offset + 1;
            let expr = self.expression(inside).map_err(|e| bad(start + e.at.start..start + e.at.end, e.message))?;
            if expr.info.kind != Kind::One {
                let message = format!("a template takes one value, and this is {}", expr.info.kind.words());
                return Err(bad(start..start + end, message));
            }
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
            }
            pieces.push(Piece::Value(expr));
            rest = after.strip_prefix('}').unwrap_or_default();
        }
        plain.extend_from_slice(rest.as_bytes());
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.into()));
        }
        if pieces.len() > MOST_PIECES {
            return Err(bad(0..text.len(), format!("a template has at most {MOST_PIECES} pieces")));
        }
        Ok(pieces.into())
    }
}

pub(super) fn meant(known: Option<&str>) -> String {
    known.map(|known| format!("; {known} is near")).unwrap_or_default()
}

pub(super) fn bad(at: Range<usize>, message: String) -> BadExpression {
    BadExpression { at, message }
}
