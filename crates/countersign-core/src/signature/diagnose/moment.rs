//! Mistakes about the fields of a signature: its time, its nonce, its key id.

use std::time::Duration;

use http::HeaderMap;

use super::super::bytes::Bytes;
use super::super::expression::{Expr, Source};
use super::super::percent::{self, Percent};
use super::super::profile::Profile;
use super::super::slots::SlotSource;
use super::super::time_format::TimeFormat;
use super::super::value::{Data, Value};
use super::change::{Area, Change, Trial};
use super::mistake::Mistake;
use super::sent::Sent;
use crate::now::UnixMillis;

/// Formats in which a time may have been written, with what people call them.
pub(super) const FORMATS: [(TimeFormat, &str); 7] = [
    (TimeFormat::Unix, "Unix seconds"),
    (TimeFormat::UnixMs, "Unix milliseconds"),
    (TimeFormat::UnixUs, "Unix microseconds"),
    (TimeFormat::Iso, "ISO 8601"),
    (TimeFormat::Amz, "ISO 8601 without punctuation"),
    (TimeFormat::Http, "an HTTP date"),
    (TimeFormat::UnixDecimal, "Unix seconds with a fraction"),
];

/// How far a time may be from our clock to be taken for one in some format.
const NEAR: Duration = Duration::from_secs(400 * 86_400);

/// A time as it was written, and where it stands.
pub(super) struct Moment {
    pub(super) text: Vec<u8>,
    /// The field that holds it, if it is one.
    pub(super) field: Option<usize>,
    /// What it is, if any format fits.
    pub(super) at: Option<UnixMillis>,
    /// The format that fits.
    pub(super) format: Option<(TimeFormat, &'static str)>,
}

/// The time of a signature, however it is written.
pub(super) fn find(profile: &Profile, fields: &[Option<Value<'_>>], request: &Sent<'_>, now: UnixMillis) -> Option<Moment> {
    let rule = profile.time.as_ref()?;
    let expr = rule.at.as_ref().or(rule.expires.as_ref())?;
    let formats = if rule.at.is_some() { &rule.formats } else { &rule.expires_formats };
    let (field, text) = written(profile, expr, fields, &request.headers)?;
    let own = formats.iter().find_map(|format| Some((format.read(&text)?, format.clone())));
    let name_of =
        |format: &TimeFormat| FORMATS.iter().find(|(known, _)| known == format).map_or("the format of the scheme", |(_, name)| name);
    if let Some((at, format)) = own {
        let name = name_of(&format);
        return Some(Moment { text, field, at: Some(at), format: Some((format, name)) });
    }
    let guess = guess(&text, now);
    Some(Moment { text, field, at: guess.as_ref().map(|(at, ..)| *at), format: guess.map(|(_, format, name)| (format, name)) })
}

/// The format in which a text is a time near our clock.
pub(super) fn guess(text: &[u8], now: UnixMillis) -> Option<(UnixMillis, TimeFormat, &'static str)> {
    FORMATS.into_iter().find_map(|(format, name)| {
        let at = format.read(text.trim_ascii())?;
        (at.since(now).max(now.since(at)) < NEAR).then_some((at, format, name))
    })
}

/// The text that an expression reads, before its filters.
pub(super) fn written(
    profile: &Profile,
    expr: &Expr,
    fields: &[Option<Value<'_>>],
    headers: &HeaderMap,
) -> Option<(Option<usize>, Vec<u8>)> {
    use super::super::expression::Step;
    let there = match &expr.source {
        Source::Field(index) => match fields.get(*index)?.as_ref().map(|value| &value.data) {
            Some(Data::One(bytes)) => Some((Some(*index), bytes.as_slice().to_vec())),
            _ => None,
        },
        Source::Header(slot) => match profile.slots.get(*slot) {
            Some(SlotSource::Header(name)) => headers.get(name).map(|value| (None, value.as_bytes().to_vec())),
            _ => None,
        },
        _ => None,
    };
    there.or_else(|| {
        expr.steps.iter().find_map(|step| match step {
            Step::Or(other) => written(profile, other, fields, headers),
            _ => None,
        })
    })
}

/// Mistakes about the fields of a signature.
pub(super) fn trials(profile: &Profile, fields: &[Option<Value<'_>>], request: &Sent<'_>, now: UnixMillis) -> Vec<Trial> {
    let mut all = Vec::new();
    let moment = find(profile, fields, request, now);
    if let Some(moment) = &moment {
        times(moment, request, &mut all);
    }
    let time = moment.and_then(|moment| moment.field);
    for expr in &profile.replay.once {
        if let Source::Field(index) = expr.source
            && Some(index) != time
            && let Some(text) = one(fields, index)
        {
            let mut add = |value: Vec<u8>, detail: &str| {
                if value != text {
                    all.push(Trial::new(Mistake::NonceForm, Area::Field, Change::Field(index, value)).detail(detail));
                }
            };
            add(text.to_ascii_uppercase(), "in upper case");
            add(text.to_ascii_lowercase(), "in lower case");
            add(text.iter().copied().filter(|byte| *byte != b'-').collect(), "without dashes");
            add(Vec::new(), "empty");
        }
    }
    for (index, field) in profile.fields.iter().enumerate().filter(|(index, _)| *index != profile.mac && Some(*index) != time) {
        let Some(text) = one(fields, index) else { continue };
        let mut add = |value: Vec<u8>, detail: &str| {
            if value != text {
                let detail = format!("{} {detail}", field.name);
                all.push(Trial::new(Mistake::OtherField, Area::Field, Change::Field(index, value)).detail(detail));
            }
        };
        add(percent::decode(Bytes::Lent(text), false).as_slice().to_vec(), "is percent-decoded");
        add(Percent::Strict.encode(Bytes::Lent(text)).as_slice().to_vec(), "is percent-encoded");
        add(text.to_ascii_lowercase(), "is in lower case");
        add(text.to_ascii_uppercase(), "is in upper case");
        add(Vec::new(), "is empty");
    }
    all
}

fn one<'f>(fields: &'f [Option<Value<'_>>], index: usize) -> Option<&'f [u8]> {
    match fields.get(index)?.as_ref().map(|value| &value.data) {
        Some(Data::One(bytes)) => Some(bytes.as_slice()),
        _ => None,
    }
}

fn times(moment: &Moment, request: &Sent<'_>, all: &mut Vec<Trial>) {
    let mut add = |mistake, text: String, detail: String, common: bool| {
        if text.as_bytes() == moment.text {
            return;
        }
        let field = moment.field.map(|index| Change::Field(index, text.clone().into_bytes()));
        // A time that is read from one header may be signed with others.
        let same = request.headers.iter().filter(|(_, value)| value.as_bytes() == moment.text);
        let mut changes: Vec<Change> = same.map(|(name, _)| Change::Header(name.clone(), Some(text.clone().into_bytes()))).collect();
        let alone = field.clone().filter(|_| !changes.is_empty() && common);
        changes.extend(field);
        for change in [Some(Change::Many(changes)), alone].into_iter().flatten() {
            let trial = Trial::new(mistake, Area::Time, change).detail(detail.clone());
            all.push(if common { trial.common() } else { trial });
        }
    };
    let (Some(at), Some((format, _))) = (moment.at, &moment.format) else { return };
    let is_number =
        |format: &TimeFormat| matches!(format, TimeFormat::Unix | TimeFormat::UnixMs | TimeFormat::UnixUs | TimeFormat::UnixDecimal);
    for (other, name) in &FORMATS {
        let mistake = if is_number(other) && is_number(format) { Mistake::TimestampUnit } else { Mistake::TimestampForm };
        let common = mistake == Mistake::TimestampUnit && *other != TimeFormat::UnixDecimal;
        add(mistake, other.write(at), format!("{name} in the string to sign"), common);
    }
    let iso = TimeFormat::Iso.write(at);
    let iso = iso.trim_end_matches('Z');
    for end in [".000Z", "+00:00", "", ".000000+00:00", " UTC"] {
        add(Mistake::TimestampForm, format!("{iso}{end}"), format!("ISO 8601 with `{end}` at its end"), false);
    }
    let (unit, steps) = match format {
        TimeFormat::UnixMs | TimeFormat::UnixUs | TimeFormat::UnixDecimal => ("ms", 1..=8),
        _ => ("s", 1..=3),
    };
    for step in steps {
        let span = if unit == "s" { Duration::from_secs(step) } else { Duration::from_millis(step) };
        add(Mistake::TimestampTakenTwice, format.write(at.minus(span)), format!("{step} {unit} earlier"), step == 1);
        add(Mistake::TimestampTakenTwice, format.write(at.plus(span)), format!("{step} {unit} later"), step == 1);
    }
    if !is_number(format) {
        for hours in 1..=12 {
            let span = Duration::from_secs(hours * 3600);
            add(Mistake::TimestampForm, format.write(at.minus(span)), format!("local time, {hours} h behind UTC"), false);
            add(Mistake::TimestampForm, format.write(at.plus(span)), format!("local time, {hours} h ahead of UTC"), false);
        }
    }
}
