//! What the values of a profile are read from, and what decides which of them counts: who trusts a value trusts that too.

use super::coverage::Parts;
use super::expression::{Expr, Piece, Source, Step, Template};
use super::profile::Profile;
use super::rules::FieldSource;
use super::slots::SlotSource;

impl Profile {
    /// Everything that a set of slots was read from.
    pub(super) fn roots(&self, parts: Parts, deep: u8) -> Parts {
        let Some(deeper) = deep.checked_sub(1) else { return parts };
        parts.slots().fold(parts, |all, slot| match self.slots.get(slot) {
            Some(SlotSource::Field(index) | SlotSource::Member(index, _)) => {
                let reads = self.fields.get(*index).map_or(Parts::NONE, |field| field.info.reads);
                let more = reads.without(all);
                all.and(if more.is_empty() { Parts::NONE } else { self.roots(more, deeper) })
            }
            _ => all,
        })
    }

    pub(super) fn field_slot(&self, index: usize) -> Parts {
        self.fields.get(index).map_or(Parts::NONE, |field| Parts::slot(field.slot))
    }

    /// The source of an expression as a set.
    pub(super) fn direct(&self, source: &Source) -> Parts {
        match source {
            Source::Method => Parts::METHOD,
            Source::Scheme => Parts::SCHEME,
            Source::Host | Source::HostHeader => Parts::HOST,
            Source::HostName => Parts::HOST_NAME,
            Source::Port => Parts::PORT,
            Source::Headers(_) => Parts::UNTRACED,
            Source::Target => Parts::PATH.and(Parts::QUERY),
            Source::Path => Parts::PATH,
            Source::Query => Parts::QUERY,
            Source::Url => Parts::SCHEME.and(Parts::HOST).and(Parts::PATH).and(Parts::QUERY),
            Source::Body | Source::BodySha256 => Parts::BODY,
            Source::Header(slot) | Source::QueryParameter(slot) | Source::FormParameter(slot) => Parts::slot(*slot),
            Source::Member(_, slot) | Source::Members(_, slot) => Parts::slot(*slot),
            Source::Field(index) => self.field_slot(*index),
            _ => Parts::NONE,
        }
    }

    /// What decides whether an expression is there, and which of its alternatives counts. Who trusts what stands under a condition
    /// trusts this.
    pub(super) fn deciding(&self, expr: &Expr) -> Parts {
        let source = match &expr.source {
            Source::Let(index) => self.lets.get(*index).map_or(Parts::NONE, |template| self.deciding_text(template)),
            // Whatever it is made of.
            Source::Collection(_) => Parts::UNTRACED,
            Source::FormParameter(slot) => Parts::slot(*slot).and(self.form_type()),
            source => self.direct(source).and(self.hiding_source(expr)),
        };
        expr.steps.iter().fold(source, |all, step| match step {
            Step::Or(other) => all.and(self.deciding(other)),
            _ => all,
        })
    }

    fn deciding_text(&self, template: &Template) -> Parts {
        template.iter().fold(Parts::NONE, |all, piece| match piece {
            Piece::Text(_) => all,
            Piece::Value(expr) => all.and(self.deciding(expr)),
            Piece::When { condition, then, .. } => all.and(self.deciding(condition)).and(self.deciding_text(then)),
        })
    }

    /// What can make an expression absent while all that it reads stays as it was signed. Who trusts that it is absent trusts this.
    pub(super) fn hiding(&self, expr: &Expr) -> Parts {
        let alternatives = expr.steps.iter().filter_map(|step| if let Step::Or(other) = step { Some(other) } else { None });
        alternatives.fold(self.hiding_source(expr), |all, other| all.and(self.hiding(other)))
    }

    /// What can let a later alternative of an expression, or its default, count in place of one that is signed.
    pub(super) fn giving_way(&self, expr: &Expr) -> Parts {
        let (mut hidden, mut all) = (self.hiding_source(expr), Parts::NONE);
        for step in &expr.steps {
            match step {
                Step::Or(other) => {
                    all = all.and(hidden);
                    hidden = hidden.and(self.hiding(other));
                }
                Step::Default(_) => all = all.and(hidden),
                _ => {}
            }
        }
        all
    }

    fn hiding_source(&self, expr: &Expr) -> Parts {
        match &expr.source {
            Source::Let(index) => self.lets.get(*index).map_or(Parts::NONE, |template| self.deciding_text(template)),
            // Whatever it is made of.
            Source::Collection(_) => Parts::UNTRACED,
            Source::FormParameter(_) => self.form_type(),
            // A field reads only those above it, so this ends.
            Source::Field(index) | Source::Member(index, _) | Source::Members(index, _) => {
                match self.fields.get(*index).map(|field| &field.from) {
                    Some(FieldSource::Expr(from)) => self.hiding(from),
                    Some(FieldSource::Builtin(_)) | None => Parts::NONE,
                }
            }
            // A header or a parameter that is signed cannot go away.
            _ => Parts::NONE,
        }
    }

    /// The header that says whether a body is a form.
    fn form_type(&self) -> Parts {
        self.slots.of_header(&http::header::CONTENT_TYPE).map_or(Parts::UNTRACED, Parts::slot)
    }
}
