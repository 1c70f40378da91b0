//! Reading `[fields]`.

use std::ops::Range;
use std::sync::Arc;

use super::super::BodyUse;
use super::super::alphabet::Alphabet;
use super::super::coverage::{Parts, Slot};
use super::super::expression::{Expr, Info, Kind, Place, Step};
use super::super::message_signatures;
use super::super::rules::{Field, FieldSource};
use super::super::shape::Shape;
use super::super::slots::SlotSource;
use super::table::Item;
use super::{BadProfile, Loader, readable};

impl<'t> Loader<'t> {
    /// The parameters that the built-in finds are fields that are there from the start.
    pub(super) fn builtin_fields(&mut self, is_builtin: bool) -> Result<Vec<Field>, BadProfile> {
        let mut fields = Vec::new();
        for param in message_signatures::Param::ALL.into_iter().filter(|_| is_builtin) {
            let info = Info {
                kind: Kind::One,
                alphabet: Alphabet::ALL,
                length: None,
                reads: Parts::NONE,
                body: BodyUse::None,
                begins: None,
                ends_itself: false,
                lines: None,
                pieces: 1,
            };
            let optional = param != message_signatures::Param::Signature;
            self.add_field(&mut fields, 0..0, param.name(), FieldSource::Builtin(param), None, optional, info)?;
        }
        Ok(fields)
    }

    pub(super) fn read_fields(&mut self, item: Item<'t>, fields: &mut Vec<Field>) -> Result<(), BadProfile> {
        for (name, item) in item.table("[fields]")?.entries() {
            readable(item.at(), name, Place::Request)?;
            if fields.iter().any(|field| *field.name == *name) {
                return Err(BadProfile::new(item.at(), format!("{name} cannot be the name of a field"), "choose another name"));
            }
            let (from, shape, optional) = match item.text() {
                Ok(text) => (text, None, false),
                Err(_) => {
                    let mut table = item.table(format!("the field {name}"))?;
                    let from = table.get("from")?.text()?;
                    let shape = table.find("match").map(|item| self.shape(item)).transpose()?;
                    let optional = table.find("optional").map(Item::yes).transpose()?.unwrap_or(false);
                    table.finish()?;
                    (from, shape, optional)
                }
            };
            let expr = self.expr(from, Place::Request)?;
            let mut info = expr.info;
            if let Some(shape) = &shape {
                info.alphabet = shape.alphabet();
                info.length = shape.fixed_length();
                info.ends_itself = shape.ends_itself();
            }
            let is_candidate = name == "mac" && info.kind == Kind::Many;
            if matches!(name, "mac" | "key_id") && info.kind != Kind::One && !is_candidate {
                return Err(BadProfile::new(from.at(), format!("{name} is {}", info.kind.words()), "give one value"));
            }
            if name == "key_id" && info.body != BodyUse::None {
                let message = "key_id is read from the body, and the key is looked up before the body is read";
                return Err(BadProfile::new(from.at(), message, "leave it out, and name the key at the route with signing_key"));
            }
            self.add_field(fields, item.at(), name, FieldSource::Expr(expr), shape, optional, info)?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "what a field is made of")]
    fn add_field(
        &mut self,
        fields: &mut Vec<Field>,
        at: Range<usize>,
        name: &str,
        from: FieldSource,
        shape: Option<Shape>,
        optional: bool,
        mut info: Info,
    ) -> Result<(), BadProfile> {
        let slot = self.slots.intern(SlotSource::Field(fields.len()));
        let slot =
            slot.ok_or_else(|| BadProfile::new(at, format!("more than {} headers, parameters and fields", Slot::MOST), "name fewer"))?;
        let reads = info.reads;
        info.reads = reads.and(Parts::slot(slot));
        // It is read once, however often it is used.
        info.pieces = 1;
        self.fields.push((name.to_owned(), info));
        self.patterns.push(match &from {
            FieldSource::Expr(Expr { steps, .. }) => match steps.last() {
                Some(Step::Pick(pattern)) => Some(Arc::clone(pattern)),
                _ => None,
            },
            FieldSource::Builtin(_) => None,
        });
        info.reads = reads;
        fields.push(Field { name: name.into(), from, shape, optional, info, slot });
        Ok(())
    }

    fn shape(&self, item: Item<'t>) -> Result<Shape, BadProfile> {
        let text = item.text()?;
        Shape::parse(text.text)
            .map_err(|message| BadProfile::new(text.at(), message.to_string(), "write characters and classes, such as [0-9a-f]{32}"))
    }
}
