//! Evaluates expressions and templates over a request.

use std::time::Duration;

use super::bytes::Bytes;
use super::coverage::{Parts, Provenance};
use super::expression::{Expr, Kind, Piece, Source, Step};
use super::filter::Filter;
use super::json_pointer;
use super::parameters;
use super::params;
use super::profile::Profile;
use super::request::{Body, Head};
use super::rules::MacAlgorithm;
use super::secret::Attribute;
use super::sources::too_many;
use super::value::{Data, MOST_VALUES, Value};
use crate::code::{Code, Refusal};
use crate::now::UnixMillis;

/// What signing knows beside the request.
#[derive(Clone, Copy)]
pub(super) struct Signing<'v> {
    pub(super) now: UnixMillis,
    pub(super) fresh: &'v [u8; 16],
    pub(super) key_id: &'v str,
    /// The encoded MAC, or a placeholder of the same length.
    pub(super) mac: &'v str,
    /// Texts that steps have named.
    pub(super) named: &'v [Vec<u8>],
}

/// The secret and its attributes, where a template may read them.
#[derive(Clone, Copy)]
pub(super) struct Credential<'v> {
    pub(super) secret: &'v [u8],
    pub(super) attributes: &'v [Attribute],
    /// Whether it stands in for one that is not known or not shown: its text need not fit the scheme.
    pub(super) stands_in: bool,
}

/// The item of a collection.
#[derive(Clone, Copy)]
pub(super) struct ItemText<'c> {
    pub(super) name: &'c [u8],
    pub(super) value: &'c [u8],
    /// Both as sent.
    pub(super) pair: &'c [u8],
}

/// What an expression can read.
#[derive(Clone, Copy)]
pub(super) struct Context<'c, 'v> {
    pub(super) profile: &'v Profile,
    pub(super) head: Head<'v>,
    pub(super) body: Body<'v>,
    pub(super) fields: &'c [Option<Value<'v>>],
    pub(super) credential: Option<Credential<'v>>,
    pub(super) signing: Option<Signing<'v>>,
    pub(super) algorithm: MacAlgorithm,
    /// The item of a collection that is being written.
    pub(super) item: Option<ItemText<'c>>,
}

impl<'v> Context<'_, 'v> {
    /// Writes a template. `coverage` learns what was written.
    pub(super) fn write(&self, template: &'v [Piece], out: &mut Vec<u8>, coverage: &mut Provenance) -> Result<(), Refusal> {
        for piece in template {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Value(expr) => match self.at_hand(expr) {
                    Some((bytes, from)) => {
                        out.extend_from_slice(bytes);
                        *coverage = coverage.and(from);
                    }
                    None => {
                        let value = self.value(expr)?;
                        out.extend_from_slice(value.bytes());
                        *coverage = coverage.and(value.from);
                    }
                },
                Piece::When { condition, holds, then } => {
                    // Not signed by that, but what trusts the text trusts what chose it.
                    coverage.direct = coverage.direct.and(self.profile.deciding(condition));
                    if self.holds(condition)? == *holds {
                        self.write(then, out, coverage)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What is written as it stands in the head or in a field, which most of a string to sign is: no value is made for it.
    pub(super) fn at_hand(&self, expr: &Expr) -> Option<(&[u8], Provenance)> {
        if !expr.steps.is_empty() {
            return None;
        }
        if let Source::Field(index) = expr.source {
            let value = self.field(index)?;
            let Data::One(bytes) = &value.data else { return None };
            return Some((bytes.as_slice(), self.of_field(index, value.from)));
        }
        let (text, parts) = self.part(&expr.source)?;
        Some((text.as_bytes(), Provenance::of(parts)))
    }

    /// A value that has to be there. An absent body or query is an empty text where it is written as it is.
    fn value(&self, expr: &'v Expr) -> Result<Value<'v>, Refusal> {
        if let Some(value) = self.read(expr)? {
            return Ok(value);
        }
        match expr.source {
            Source::Body if expr.steps.is_empty() => Ok(Value::lent(b"", Parts::BODY)),
            Source::Query if expr.steps.is_empty() => Ok(Value::lent(b"", Parts::QUERY)),
            // Which keys there are is not told by that.
            Source::Secret | Source::Attribute(_) if self.credential.is_some_and(|credential| credential.stands_in) => {
                Ok(Value::one(Bytes::Lent(b""), Provenance::NONE))
            }
            _ => Err(self.profile.absent(expr)),
        }
    }

    /// Whether a condition holds: its value is there and not empty.
    pub(super) fn holds(&self, condition: &'v Expr) -> Result<bool, Refusal> {
        // Whether there is a body is known also when its bytes are elsewhere.
        if matches!(condition.source, Source::Body) && condition.steps.is_empty() {
            return Ok(self.body.is_there());
        }
        Ok(self.read(condition)?.is_some_and(|value| value.is_something()))
    }

    /// Reads an expression; `None` when it is absent.
    pub(super) fn read(&self, expr: &'v Expr) -> Result<Option<Value<'v>>, Refusal> {
        if expr.steps.is_empty() {
            return self.source(&expr.source);
        }
        let mut value = self.source(&expr.source)?;
        let shown = value.is_some();
        for (at, step) in expr.steps.iter().enumerate() {
            value = match (step, value) {
                (Step::Or(other), None) => self.read(other)?.map(|value| value.of_either().trusting(self.profile.giving_way(expr))),
                (Step::Or(_), Some(there)) => Some(there.of_either()),
                (Step::Default(text), None) => {
                    // Absence is then what was signed. A source that is there, and of which a filter made nothing, is not absent.
                    let from = match expr.source {
                        // They are always there: what they are made of has decided that a filter made nothing of them.
                        Source::Let(_) | Source::Collection(_) => Provenance { direct: self.profile.deciding(expr), ..Provenance::NONE },
                        _ => Provenance::of(self.profile.direct(&expr.source)),
                    };
                    let from = if shown { from.cut() } else { from };
                    let from = Provenance { direct: from.direct.and(self.profile.giving_way(expr)), ..from };
                    Some(match expr.kind_before(at) {
                        Kind::Many if text.is_empty() => Value { data: Data::Many(Vec::new()), from },
                        Kind::Many => Value { data: Data::Many(vec![Bytes::Lent(text)]), from },
                        Kind::One | Kind::Map => Value::one(Bytes::Lent(text), from),
                    })
                }
                // Absent it would read the same.
                (Step::Default(text), Some(value)) if value.is_one(text) => Some(Value { from: value.from.cut(), ..value }),
                (Step::Default(_), there) => there,
                (_, None) => None,
                (step, Some(value)) => self.step(step, value)?,
            };
        }
        Ok(value)
    }

    fn step(&self, step: &'v Step, value: Value<'v>) -> Result<Option<Value<'v>>, Refusal> {
        let Value { data, from } = value;
        let one = |bytes, from| Ok(Some(Value::one(bytes, from)));
        match (step, data) {
            (Step::Filter(filter), data) => Ok(filtered(filter, data, from)),
            (Step::Digest, data) => Ok(filtered(&Filter::Digest(self.algorithm.hash()), data, from)),
            (Step::Time(format), Data::One(bytes)) => {
                let at = if self.signing.is_some() && from == Provenance::NONE {
                    std::str::from_utf8(bytes.as_slice()).ok().and_then(|text| text.parse().ok()).map(UnixMillis::from_millis)
                } else {
                    self.profile.read_time(bytes.as_slice())
                };
                let Some(at) = at else { return Ok(None) };
                let written = format.write(at).into_bytes();
                // Of a day or a minute other times are written in the same way.
                let tells_all = format.read(&written) == Some(at);
                one(Bytes::Long(written), if tells_all { from } else { from.cut() })
            }
            (Step::Plus(seconds), Data::One(bytes)) => {
                let at = std::str::from_utf8(bytes.as_slice()).ok().and_then(|text| text.parse().ok()).map(UnixMillis::from_millis);
                let Some(at) = at else { return Ok(None) };
                let later = at.plus(Duration::from_secs((*seconds).into()));
                one(Bytes::Long(later.millis().to_string().into_bytes()), from)
            }
            (Step::Params(separators), Data::One(bytes)) => {
                let Some(members) = params::parse_params(bytes.as_slice(), separators) else { return Ok(None) };
                let members = members.into_iter().map(|(name, value)| (bytes.clone().sub(name), value.of(&bytes)));
                Ok(Some(Value { data: Data::Map(members.collect()), from: from.cut() }))
            }
            (Step::Pick(pattern), Data::One(bytes)) => {
                let Some(picked) = pattern.pick(bytes.as_slice()) else { return Ok(None) };
                let names = pattern.names().map(|name| Bytes::from_slice(name.as_bytes()));
                let members = names.zip(picked.into_iter().map(|range| bytes.clone().sub(range))).collect();
                Ok(Some(Value { data: Data::Map(members), from: from.cut() }))
            }
            (Step::Split(separator), Data::One(bytes)) => {
                let list = split(&bytes, separator);
                if list.len() > MOST_VALUES {
                    return Err(too_many());
                }
                Ok(Some(Value { data: Data::Many(list), from: from.cut() }))
            }
            (Step::Join(separator), Data::Many(list)) => {
                let joined = list.iter().map(Bytes::as_slice).collect::<Vec<_>>().join(&**separator);
                // Of the lists that read the same, the one that it is split into is signed. One empty value reads as none.
                let tells_all = match list.as_slice() {
                    [] => true,
                    [one] if separator.is_empty() => !one.as_slice().is_empty(),
                    many => !separator.is_empty() && is_split_into(&joined, separator, many),
                };
                one(Bytes::Long(joined), if tells_all { from } else { from.cut() })
            }
            (Step::Sorted, Data::Many(mut list)) => {
                // Of the orders, the one that it is brought into is signed.
                let tells_all = list.is_sorted_by(|a, b| a.as_slice() <= b.as_slice());
                list.sort_by(|a, b| a.as_slice().cmp(b.as_slice()));
                Ok(Some(Value { data: Data::Many(list), from: if tells_all { from } else { from.cut() } }))
            }
            (Step::First, Data::Many(list)) => {
                let more = list.len() > 1;
                let first = list.into_iter().next();
                Ok(first.map(|first| Value::one(first, if more { from.cut() } else { from })))
            }
            (Step::Json(pointer), Data::One(bytes)) => {
                let found = json_pointer::find(bytes.as_slice(), pointer);
                Ok(found.map(|found| Value::one(Bytes::Long(found), from.cut())))
            }
            (Step::JsonPresent(pointer), Data::One(bytes)) => {
                Ok(json_pointer::exists(bytes.as_slice(), pointer).then(|| Value::one(Bytes::Lent(b"present"), from.cut())))
            }
            (Step::Without(names), Data::Map(mut members)) => {
                let is_named = |name: &[u8], wanted: &str| match wanted.strip_suffix('*') {
                    // As a collection takes its `prefix`: what the one keeps out of a map, the other keeps out of a query.
                    Some(prefix) => name.starts_with(prefix.as_bytes()),
                    None => name.eq_ignore_ascii_case(wanted.as_bytes()),
                };
                members.retain(|(name, _)| !names.iter().any(|wanted| is_named(name.as_slice(), wanted)));
                Ok(Some(Value { data: Data::Map(members), from }).filter(Value::is_something))
            }
            (Step::All, Data::Map(members)) => {
                let decoded = members.into_iter().map(|(name, value)| {
                    let value = parameters::decode(value.as_slice(), false).into_static();
                    (name, value)
                });
                Ok(Some(Value { data: Data::Map(decoded.collect()), from }))
            }
            // The kinds were checked when the profile was loaded.
            _ => Err(Code::CouldNotDecide.into()),
        }
    }
}

fn filtered<'v>(filter: &Filter, data: Data<'v>, from: Provenance) -> Option<Value<'v>> {
    match data {
        Data::One(bytes) => {
            let applied = filter.apply(bytes)?;
            Some(Value::one(applied.bytes, if applied.cut { from.cut() } else { from }))
        }
        Data::Many(list) => {
            let before = list.len();
            let mut cut = false;
            let mut kept = Vec::with_capacity(before);
            for applied in list.into_iter().filter_map(|bytes| filter.apply(bytes)) {
                cut |= applied.cut;
                kept.push(applied.bytes);
            }
            cut |= kept.len() < before;
            Some(Value { data: Data::Many(kept), from: if cut { from.cut() } else { from } }).filter(Value::is_something)
        }
        Data::Map(_) => None,
    }
}

/// Whether a text is split into these pieces.
fn is_split_into(text: &[u8], separator: &[u8], pieces: &[Bytes<'_>]) -> bool {
    let split = split(&Bytes::Lent(text), separator);
    split.len() == pieces.len() && split.iter().zip(pieces).all(|(a, b)| a.as_slice() == b.as_slice())
}

/// The pieces between `separator`. An empty text has none.
fn split<'v>(bytes: &Bytes<'v>, separator: &[u8]) -> Vec<Bytes<'v>> {
    let text = bytes.as_slice();
    if text.is_empty() {
        return Vec::new();
    }
    let mut pieces = Vec::new();
    let mut start = 0;
    while pieces.len() <= MOST_VALUES {
        let rest = text.get(start..).unwrap_or_default();
        let Some(at) = rest.windows(separator.len().max(1)).position(|window| window == separator) else { break };
        pieces.push(bytes.clone().sub(start..start + at));
        start += at + separator.len();
    }
    pieces.push(bytes.clone().sub(start..text.len()));
    pieces
}
