//! Reads the steps of an expression, and says what is known of a value behind each.

use std::sync::Arc;

use super::super::alphabet::Alphabet;
use super::super::filter::Filter;
use super::super::json_pointer;
use super::super::percent::Percent;
use super::super::pick::Pattern;
use super::super::time_format::TimeFormat;
use super::parse::{BadExpression, Scope, bad, meant};
use super::segments::Segment;
use super::{Info, Kind, Step};
use crate::nearest::nearest;

impl Scope<'_> {
    /// One step.
    pub(super) fn step(&mut self, segment: &Segment<'_>) -> Result<Step, BadExpression> {
        let wants = |what: &str| bad(segment.at.clone(), format!("write {}:{what}", segment.name));
        let one = || <&[Vec<u8>; 1]>::try_from(segment.arguments.as_slice()).ok().map(|[one]| one.clone());
        let text = |what: &str| one().and_then(|one| String::from_utf8(one).ok()).ok_or_else(|| wants(what));
        let separator = || one().filter(|one| !one.is_empty()).ok_or_else(|| wants("'x'"));
        let none = |step: Step| {
            if segment.colon { Err(bad(segment.at.clone(), format!("{} takes no arguments", segment.name))) } else { Ok(step) }
        };
        match segment.name {
            "or" => {
                let inner = text("'EXPRESSION'")?;
                let expr = self.expression(&inner).map_err(|e| bad(segment.at.clone(), e.message))?;
                Ok(Step::Or(Box::new(expr)))
            }
            "default" => Ok(Step::Default(one().ok_or_else(|| wants("'text'"))?.into())),
            "optional" => none(Step::Default(Arc::default())),
            "digest" => none(Step::Digest),
            "plus" => {
                let seconds = text("'SECONDS'")?.parse().map_err(|_| wants("'SECONDS'"))?;
                Ok(Step::Plus(seconds))
            }
            "sorted" => none(Step::Sorted),
            "first" => none(Step::First),
            "all" => none(Step::All),
            "time" => TimeFormat::parse_name(&text("'FORMAT'")?).map(Step::Time).map_err(|message| bad(segment.at.clone(), message)),
            "params" => Ok(Step::Params(separator()?.into())),
            "pick" => {
                let pattern = Pattern::parse(&text("'PATTERN'")?).map_err(|message| bad(segment.at.clone(), message.to_string()))?;
                Ok(Step::Pick(Arc::new(pattern)))
            }
            "split" => Ok(Step::Split(separator()?.into())),
            "join" => Ok(Step::Join(one().ok_or_else(|| wants("'x'"))?.into())),
            "json" | "json_present" => {
                let pointer = text("'/POINTER'")?;
                json_pointer::check(&pointer).map_err(|message| bad(segment.at.clone(), message))?;
                Ok(if segment.name == "json" { Step::Json(pointer.into()) } else { Step::JsonPresent(pointer.into()) })
            }
            "without" => {
                let name = |name: &Vec<u8>| {
                    let name = String::from_utf8_lossy(name);
                    if name.ends_with('*') { (*name).into() } else { name.to_ascii_lowercase().into() }
                };
                Ok(Step::Without(segment.arguments.iter().map(name).collect()))
            }
            name => match Filter::parse(name, &self.with_constants(name, &segment.arguments)) {
                Some(filter) => filter.map(Step::Filter).map_err(|message| bad(segment.at.clone(), message)),
                None => Err(bad(segment.at.clone(), format!("there is no filter {name}{}", meant(nearest(name, FILTERS))))),
            },
        }
    }

    /// `take:'const:NAME'` takes its number from a constant.
    fn with_constants(&self, name: &str, arguments: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let constant = |argument: &Vec<u8>| {
            let name = argument.strip_prefix(b"const:".as_slice())?;
            self.constants.get(std::str::from_utf8(name).ok()?).map(|value| value.to_vec())
        };
        arguments.iter().map(|argument| constant(argument).filter(|_| name == "take").unwrap_or_else(|| argument.clone())).collect()
    }
}

/// What is known of a value after a step, or why the step cannot be taken.
pub(super) fn after(step: &Step, before: Info) -> Result<Info, String> {
    let one = |info: Info| {
        if before.kind == Kind::One { Ok(info) } else { Err(format!("it is for one value, and this is {}", before.kind.words())) }
    };
    let list = |info: Info| {
        if before.kind == Kind::Many { Ok(info) } else { Err(format!("it is for a list, and this is {}", before.kind.words())) }
    };
    let map =
        |info: Info| if before.kind == Kind::Map { Ok(info) } else { Err(format!("it is for a map, and this is {}", before.kind.words())) };
    match step {
        Step::Filter(_) | Step::Digest if before.kind == Kind::Map => Err("it is for one value or a list, and this is a map".into()),
        Step::Filter(filter) => {
            let begins = before
                .begins
                .filter(|_| matches!(filter, Filter::Lower | Filter::NormalPath | Filter::Unpct | Filter::Encode(Percent::Path)));
            Ok(Info { alphabet: filter.alphabet(before.alphabet), length: filter.fixed_length(before.length), begins, ..before })
        }
        Step::Or(other) if other.info.kind != before.kind => {
            Err(format!("the other expression gives {}, and this is {}", other.info.kind.words(), before.kind.words()))
        }
        Step::Or(other) => Ok(Info {
            alphabet: before.alphabet.union(other.info.alphabet),
            length: before.length.filter(|length| other.info.length == Some(*length)),
            reads: before.reads.and(other.info.reads),
            body: before.body | other.info.body,
            begins: None,
            pieces: before.pieces.saturating_add(other.info.pieces),
            ..before
        }),
        Step::Default(text) if before.kind == Kind::Map => Err(format!("{:?} is no map", String::from_utf8_lossy(text))),
        Step::Default(text) => Ok(Info {
            alphabet: before.alphabet.union(Alphabet::of(text)),
            length: before.length.filter(|length| *length == text.len()),
            begins: None,
            ..before
        }),
        Step::Digest => Ok(Info { alphabet: Alphabet::ALL, length: None, ..before }),
        Step::Time(_) => one(Info { alphabet: Alphabet::VISIBLE.union(Alphabet::of(b" ")), length: None, ..before }),
        Step::Plus(_) => one(Info { length: None, ..before }),
        Step::Params(_) | Step::Pick(_) => one(Info { kind: Kind::Map, length: None, ..before }),
        Step::Split(_) => one(Info { kind: Kind::Many, length: None, ..before }),
        Step::Join(separator) => {
            list(Info { kind: Kind::One, alphabet: before.alphabet.union(Alphabet::of(separator)), length: None, ..before })
        }
        Step::Sorted => list(before),
        Step::First => list(Info { kind: Kind::One, ..before }),
        Step::Json(_) | Step::JsonPresent(_) => one(Info { alphabet: Alphabet::ALL, length: None, ..before }),
        Step::Without(_) | Step::All => map(Info { alphabet: Alphabet::ALL, length: None, ..before }),
    }
}

const FILTERS: [&str; 51] = [
    "lower",
    "upper",
    "trim",
    "squeeze",
    "squeeze_unquoted",
    "escape_lines",
    "replace",
    "before",
    "after",
    "take",
    "strip_prefix",
    "drop_prefix",
    "drop_suffix",
    "is",
    "or",
    "default",
    "optional",
    "hex",
    "base64",
    "base64url",
    "unhex",
    "unbase64",
    "unbase64url",
    "md5",
    "sha1",
    "sha256",
    "sha384",
    "sha512",
    "digest",
    "pct",
    "pct_path",
    "pct_form",
    "pct_uri",
    "pct_dotnet",
    "unpct",
    "unpct_form",
    "normal_path",
    "time",
    "scheme",
    "params",
    "pick",
    "split",
    "join",
    "sorted",
    "first",
    "json",
    "json_present",
    "without",
    "uuid",
    "plus",
    "length",
];
