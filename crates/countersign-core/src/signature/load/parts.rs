//! Reading the sections of a profile that say how a signature is made, what must hold beside it, and for how long it is good.

use std::time::Duration;

use super::super::coverage::Parts;
use super::super::expression::{BodyUse, Expr, Kind, Piece, Place, Source, Step, Template, is_of_credential};
use super::super::rules::{
    Derive, KeyRule, KeyText, MacAlgorithm, MacEncoding, MacRule, ReplayRule, Require, Requirement, TimeRule, Window,
};
use super::super::time_format::TimeFormat;
use super::super::{message_signatures, rfc9421::Covered};
use super::table::Item;
use super::{BadProfile, Loader, MOST_KEEP, MOST_WINDOW};

impl<'t> Loader<'t> {
    /// The names of a credential's attributes, which templates of the key may read.
    pub(super) fn attributes(&mut self, key: Option<Item<'t>>) -> Result<(), BadProfile> {
        let Some(item) = key else { return Ok(()) };
        let mut table = item.table("[key]")?;
        let names = table.find("attributes").map(Item::texts).transpose()?.unwrap_or_default();
        self.attributes = names.into_iter().map(|text| text.text.to_owned()).collect();
        Ok(())
    }

    pub(super) fn key(&mut self, item: Option<Item<'t>>) -> Result<KeyRule, BadProfile> {
        let attributes = self.attributes.clone();
        let plain = |loader: &mut Self| loader.scope(Place::Key).template("{secret}").unwrap_or_default();
        let Some(item) = item else {
            let material = plain(self);
            return Ok(KeyRule { material, derive: Vec::new(), derived_as: KeyText::Bytes, least: 16, attributes, is_static: true });
        };
        let mut table = item.table("[key]")?;
        let _read_before = table.find("attributes");
        let material = match table.find("material") {
            Some(item) => self.template(item, Place::Key)?,
            None => plain(self),
        };
        let mut derive = Vec::new();
        for text in table.find("derive").map(Item::texts).transpose()?.unwrap_or_default() {
            derive.push(match text.text.strip_prefix("each:") {
                Some(expression) => {
                    let read = self.scope(Place::Request).expression(expression);
                    let expr =
                        read.map_err(|error| BadProfile::new(text.at(), error.message, "write each: and an expression that gives a list"))?;
                    if expr.info.kind != Kind::Many {
                        return Err(BadProfile::new(text.at(), "each: takes a list", "use split"));
                    }
                    Derive::Each(expr)
                }
                None => Derive::Text(self.template_text(text, Place::Request)?),
            });
        }
        let derived_as = match table.find("derived_as") {
            Some(item) => one_of(item, &[("bytes", KeyText::Bytes), ("hex", KeyText::Hex), ("base64", KeyText::Base64)])?,
            None => KeyText::Bytes,
        };
        let least = table.find("least").map(|item| item.number(1024)).transpose()?.unwrap_or(16);
        table.finish()?;
        let is_static = material.iter().all(is_of_credential);
        Ok(KeyRule { material, derive, derived_as, least: usize::try_from(least).unwrap_or(16), attributes, is_static })
    }

    pub(super) fn builtin(&self, mac: Item<'t>, rule: Option<Item<'t>>) -> Result<Option<message_signatures::Rule>, BadProfile> {
        let mut table = mac.table("[mac]")?;
        let Some(item) = table.find("builtin") else {
            return match rule {
                Some(item) => Err(BadProfile::new(item.at(), "[rfc9421] without builtin = \"rfc9421\"", "add it to [mac]")),
                None => Ok(None),
            };
        };
        one_of(item, &[("rfc9421", ())])?;
        let mut made = message_signatures::Rule::default();
        let Some(item) = rule else { return Ok(Some(made)) };
        let mut table = item.table("[rfc9421]")?;
        let text = |item: Option<Item<'t>>| item.map(Item::text).transpose().map(|text| text.map(|text| text.text.to_owned()));
        made.label = text(table.find("label"))?;
        made.tag = text(table.find("tag"))?;
        made.require_nonce = table.find("require_nonce").map(Item::yes).transpose()?.unwrap_or(false);
        for (key, list) in [("components", &mut made.components), ("sign_components", &mut made.sign_components)] {
            for text in table.find(key).map(Item::texts).transpose()?.unwrap_or_default() {
                let parsed = Covered::parse(&[text.text]);
                list.push(parsed.map_err(|error| BadProfile::new(text.at(), error.to_string(), "write a component such as \"@method\""))?);
            }
        }
        table.finish()?;
        Ok(Some(made))
    }

    pub(super) fn mac_rule(&mut self, item: Item<'t>, is_builtin: bool) -> Result<MacRule, BadProfile> {
        let mut table = item.table("[mac]")?;
        let _read_before = table.find("builtin");
        let names: Vec<_> = MacAlgorithm::ALL.into_iter().map(|(algorithm, name)| (name, algorithm)).collect();
        let algorithm = table.find("algorithm").map(|item| one_of(item, &names)).transpose()?;
        let chosen = match (table.find("algorithm_from"), table.find("algorithms")) {
            (None, None) => None,
            (Some(from), Some(known)) => {
                let from = self.expr_of(from.text()?, Kind::One, Place::Request)?;
                let mut list = Vec::new();
                for (name, item) in known.table("algorithms")?.entries() {
                    list.push((name.to_ascii_lowercase().into(), one_of(item, &names)?));
                }
                Some((from, list))
            }
            (Some(item), None) | (None, Some(item)) => {
                return Err(BadProfile::new(item.at(), "algorithm_from and algorithms go together", "add the other one"));
            }
        };
        if algorithm.is_none() && chosen.is_none() {
            return Err(BadProfile::new(item.at(), "[mac] has no algorithm", "add algorithm = \"hmac-sha256\""));
        }
        let encodings = [
            ("hex", MacEncoding::Hex),
            ("base64", MacEncoding::Base64),
            ("base64url", MacEncoding::Base64Url),
            ("base64_of_hex", MacEncoding::Base64OfHex),
        ];
        let encoding = match table.find("encoding") {
            Some(item) if is_builtin => {
                return Err(BadProfile::new(item.at(), "the built-in says how the MAC is written", "leave encoding out"));
            }
            Some(item) => one_of(item, &encodings)?,
            // A byte sequence of structured fields (RFC 8941 section 3.3.5).
            None if is_builtin => MacEncoding::Base64,
            None => MacEncoding::Hex,
        };
        let undelimited = table.find("undelimited").map(Item::yes).transpose()?.unwrap_or(false);
        let mut messages = Vec::new();
        match table.find("message") {
            Some(item) if is_builtin => return Err(BadProfile::new(item.at(), "the built-in makes the message", "leave message out")),
            Some(item) => messages.push(self.template(item, Place::Message)?),
            None if is_builtin => {}
            None => return Err(BadProfile::new(table.at(), "[mac] has no message", "add message: the string to sign")),
        }
        if let Some(item) = table.find("alternatives") {
            for item in item.list()? {
                if messages.len() == 4 {
                    return Err(BadProfile::new(item.at(), "more than 3 alternatives", "write fewer"));
                }
                messages.push(self.template(item, Place::Message)?);
            }
        }
        table.finish()?;
        let reads_secret = messages.iter().any(reads_secret);
        Ok(MacRule { algorithm, chosen, encoding, messages, reads_secret, undelimited })
    }

    pub(super) fn requires(&mut self, item: Option<Item<'t>>) -> Result<Vec<Require>, BadProfile> {
        let mut requires = Vec::new();
        for item in item.map(Item::list).transpose()?.unwrap_or_default() {
            if requires.len() == 16 {
                return Err(BadProfile::new(item.at(), "more than 16 requirements", "write fewer"));
            }
            let mut table = item.table("[[require]]")?;
            let condition = self.condition(&mut table, Place::Require)?;
            let found: Vec<_> = ["equal", "includes", "one_of", "present", "absent"]
                .into_iter()
                .filter_map(|key| table.find(key).map(|item| (key, item)))
                .collect();
            let [(kind, what)] = found.as_slice() else {
                return Err(BadProfile::new(
                    table.at(),
                    "a requirement says one thing",
                    "write one of equal, includes, one_of, present and absent",
                ));
            };
            let mistake = table.find("mistake").map(Item::text).transpose()?;
            let words = format!("the scheme asks that {kind} = {}", self.text.get(what.at()).unwrap_or_default());
            let mistake = mistake.map_or(words, |text| text.text.to_owned()).into();
            let (what, place) = (self.requirement(kind, *what)?, what.at());
            table.finish()?;
            if let (Requirement::Equal(..), Some((condition, true))) = (&what, &condition)
                && condition.info.reads.contains(Parts::BODY)
                && condition.info.body != BodyUse::None
            {
                return Err(BadProfile::new(
                    place,
                    "an equality under when = \"body\" does not hold when somebody takes the body away",
                    "put the condition on what declares the digest, such as when = \"header:digest\"",
                ));
            }
            let of_credential = match &what {
                Requirement::Equal(a, b) => reads_attribute(a) || reads_attribute(b),
                Requirement::Present(expr) | Requirement::Absent(expr) | Requirement::Includes(expr, _) | Requirement::OneOf(expr, _) => {
                    reads_attribute(expr)
                }
            } || condition.as_ref().is_some_and(|(expr, _)| reads_attribute(expr));
            requires.push(Require { condition, what, mistake, of_credential });
        }
        Ok(requires)
    }

    fn requirement(&mut self, kind: &str, item: Item<'t>) -> Result<Requirement, BadProfile> {
        if matches!(kind, "present" | "absent") {
            let expr = self.expr(item.text()?, Place::Require)?;
            return Ok(if kind == "present" { Requirement::Present(expr) } else { Requirement::Absent(expr) });
        }
        let texts = item.texts()?;
        let Some((first, rest)) = texts.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            return Err(BadProfile::new(item.at(), format!("{kind} takes a list of two or more"), "write the expression first"));
        };
        if kind == "includes" {
            let expr = self.expr(*first, Place::Require)?;
            return Ok(Requirement::Includes(expr, rest.iter().map(|text| text.text.split('|').map(Into::into).collect()).collect()));
        }
        // Of a list or a map only a part would be compared, and all of it would count as signed.
        let expr = self.expr_of(*first, Kind::One, Place::Require)?;
        match (kind, rest) {
            ("equal", [other]) => Ok(Requirement::Equal(expr, self.expr_of(*other, Kind::One, Place::Require)?)),
            ("equal", _) => Err(BadProfile::new(item.at(), "equal takes two expressions", "write two")),
            _ => Ok(Requirement::OneOf(expr, rest.iter().map(|text| text.text.as_bytes().into()).collect())),
        }
    }

    pub(super) fn time(&mut self, item: Item<'t>) -> Result<TimeRule, BadProfile> {
        let mut table = item.table("[time]")?;
        let expr = |loader: &mut Self, item: Option<Item<'t>>| {
            item.map(|item| loader.expr_of(item.text()?, Kind::One, Place::Request)).transpose()
        };
        let at = expr(self, table.find("at"))?;
        let expires = expr(self, table.find("expires"))?;
        if at.is_none() && expires.is_none() {
            return Err(BadProfile::new(
                table.at(),
                "[time] has neither at nor expires",
                "add one, or leave [time] out and name time as uncovered",
            ));
        }
        let formats = formats(table.find("format"))?;
        let expires_formats = formats_or(table.find("expires_format"), &formats)?;
        let seconds =
            |item: Option<Item<'t>>, default: u64| item.map_or(Ok(default), |item| item.number(MOST_WINDOW)).map(Duration::from_secs);
        let (past, future) = (seconds(table.find("past"), 300)?, seconds(table.find("future"), 60)?);
        let ahead_most = seconds(table.find("ahead_most"), 3600)?;
        let window = match table.find("window") {
            Some(item) => {
                let from = self.expr_of(item.text()?, Kind::One, Place::Request)?;
                let in_millis = match table.find("window_unit") {
                    Some(item) => one_of(item, &[("s", false), ("ms", true)])?,
                    None => false,
                };
                let most = Duration::from_secs(table.get("window_most")?.number(MOST_WINDOW)?);
                Some(Window { from, in_millis, most })
            }
            None => None,
        };
        table.finish()?;
        let rule = TimeRule { at, formats, past, future, window, expires, expires_formats, ahead_most };
        if rule.formats.is_empty() && rule.expires_formats.is_empty() {
            return Err(BadProfile::new(item.at(), "[time] has no format", "add format = \"unix\""));
        }
        if rule.at.is_some() && rule.formats.is_empty() {
            return Err(BadProfile::new(item.at(), "at has no format: expires_format is for expires only", "add format = \"unix\""));
        }
        Ok(rule)
    }

    pub(super) fn replay(&mut self, item: Option<Item<'t>>) -> Result<ReplayRule, BadProfile> {
        let day = Duration::from_secs(86_400);
        let Some(item) = item else { return Ok(ReplayRule { once: Vec::new(), counter: None, keep: day }) };
        let mut table = item.table("[replay]")?;
        let mut once = Vec::new();
        for text in table.find("once").map(Item::texts).transpose()?.unwrap_or_default() {
            once.push(self.expr_of(text, Kind::One, Place::Request)?);
        }
        let counter = table.find("counter").map(|item| self.expr_of(item.text()?, Kind::One, Place::Request)).transpose()?;
        let keep = table.find("keep").map(|item| item.number(MOST_KEEP)).transpose()?.map_or(day, Duration::from_secs);
        table.finish()?;
        Ok(ReplayRule { once, counter, keep })
    }
}

/// The value of a text among known ones.
pub(super) fn one_of<T: Clone>(item: Item<'_>, known: &[(&str, T)]) -> Result<T, BadProfile> {
    let text = item.text()?;
    let found = known.iter().find(|(name, _)| *name == text.text).map(|(_, value)| value.clone());
    found.ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        BadProfile::new(text.at(), format!("{:?} is not known here", text.text), format!("write one of {}", names.join(", ")))
    })
}

fn formats(item: Option<Item<'_>>) -> Result<Vec<TimeFormat>, BadProfile> {
    let mut formats = Vec::new();
    for text in item.map(Item::texts).transpose()?.unwrap_or_default() {
        let format = TimeFormat::parse_name(text.text);
        if format.as_ref().is_ok_and(|format| !format.is_readable()) {
            return Err(BadProfile::new(text.at(), "a time is read to the second, and this pattern has none", "add %H, %M and %S"));
        }
        formats.push(
            format
                .map_err(|message| BadProfile::new(text.at(), message.to_string(), "write unix, unix_ms, http, iso, amz or a pattern"))?,
        );
    }
    Ok(formats)
}

fn formats_or(item: Option<Item<'_>>, other: &[TimeFormat]) -> Result<Vec<TimeFormat>, BadProfile> {
    let own = formats(item)?;
    Ok(if own.is_empty() { other.to_vec() } else { own })
}

fn reads_secret(template: &Template) -> bool {
    template.iter().any(|piece| match piece {
        Piece::Text(_) => false,
        Piece::Value(expr) => is_secret(expr),
        Piece::When { then, .. } => reads_secret(then),
    })
}

fn is_secret(expr: &Expr) -> bool {
    matches!(expr.source, Source::Secret) || expr.steps.iter().any(|step| matches!(step, Step::Or(other) if is_secret(other)))
}

fn reads_attribute(expr: &Expr) -> bool {
    matches!(expr.source, Source::Attribute(_)) || expr.steps.iter().any(|step| matches!(step, Step::Or(other) if reads_attribute(other)))
}
