//! Reading `[[sign]]`: what signing adds to a request.

use super::super::expression::{Info, Place, info_of};
use super::super::rules::{SignStep, SignTo};
use super::table::Item;
use super::{BadProfile, Loader, readable};

impl<'t> Loader<'t> {
    pub(super) fn sign(&mut self, item: Option<Item<'t>>) -> Result<Vec<SignStep>, BadProfile> {
        let mut steps = Vec::new();
        for item in item.map(Item::list).transpose()?.unwrap_or_default() {
            let mut table = item.table("[[sign]]")?;
            let mut named = None;
            let to = match (table.find("header"), table.find("query"), table.find("let")) {
                (Some(header), None, None) => {
                    let text = header.text()?;
                    let name = text
                        .text
                        .parse()
                        .map_err(|_| BadProfile::new(text.at(), "this is not a header name", "write a name such as X-Signature"))?;
                    SignTo::Header(name, text.text.into())
                }
                (None, Some(query), None) => SignTo::Query(query.text()?.text.into()),
                (None, None, Some(name)) => {
                    let text = name.text()?;
                    readable(text.at(), text.text, Place::Sign)?;
                    named = Some(text.text);
                    SignTo::Let
                }
                _ => {
                    return Err(BadProfile::new(
                        table.at(),
                        "a step of signing adds one header or one parameter",
                        "write header = \"...\", query = \"...\" or let = \"...\"",
                    ));
                }
            };
            let value = table.get("value")?;
            let value = self.template(value, Place::Sign)?;
            if let Some(name) = named {
                // It is written once, however often it is used.
                self.signed.push((name.to_owned(), Info { pieces: 1, ..info_of(&value) }));
            }
            let condition = self.condition(&mut table, Place::Sign)?;
            table.finish()?;
            steps.push(SignStep { to, value, condition });
        }
        Ok(steps)
    }
}
