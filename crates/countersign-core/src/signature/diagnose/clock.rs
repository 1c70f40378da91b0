//! What is wrong with the time of a signature.

use std::time::Duration;

use super::super::expression::Expr;
use super::super::fields::Fields;
use super::super::profile::Profile;
use super::super::request::Body;
use super::super::rules::TimeRule;
use super::super::time_format::TimeFormat;
use super::super::times;
use super::mistake::Mistake;
use super::moment::{FORMATS, Moment, guess, written};
use super::reading::Problem;
use super::visible::quoted;
use crate::code::Code;
use crate::now::UnixMillis;

/// How far off a time zone a clock may be besides.
const SLACK: Duration = Duration::from_secs(120);

/// What the time check has to say, with the likely cause. `fields` are complete.
pub(super) fn problem(profile: &Profile, fields: &Fields<'_>, body: Body<'_>, moment: &Moment, now: UnixMillis) -> Option<Problem> {
    let rule = profile.time.as_ref()?;
    let wanted = rule.formats.first().or(rule.expires_formats.first());
    let shown = quoted(&moment.text, 0);
    let form = |found: &TimeFormat, name: &str| in_other_form(&format!("The timestamp {shown}"), found, name, wanted);
    let Ok(times) = times::read(rule, &fields.context(body)) else {
        // What is wrong may be the end, beside a beginning that is good.
        if let Some(end) = unreadable_end(rule, fields, body) {
            return Some(unreadable("The end of the signature", &end, rule.expires_formats.first(), now));
        }
        return Some(unreadable("The timestamp", &moment.text, wanted, now));
    };
    let Err(refusal) = times.judge(now) else {
        // A shape can refuse what the format reads, such as `1764000000.5`.
        let field = profile.fields.get(moment.field?)?;
        let shape = field.shape.as_ref().filter(|shape| !shape.fits(&moment.text))?;
        return Some(match guess(&moment.text, now) {
            Some((_, format, name)) if Some(&format) != wanted => form(&format, name),
            _ => Problem::new(Mistake::FieldMalformed, format!("The timestamp {shown} must be {}.", shape.words())),
        });
    };
    let is_plausible = |at: UnixMillis| at.since(now).max(now.since(at)) < Duration::from_secs(400 * 86_400);
    if !is_plausible(times.signed_at)
        && let Some((_, format, name)) = guess(&moment.text, now)
    {
        return Some(form(&format, name));
    }
    let (off, side) = match times.signed_at.since(now) {
        Duration::ZERO => (now.since(times.signed_at), "behind"),
        ahead => (ahead, "ahead of"),
    };
    // Its window has not passed, so its own end has.
    let ended = rule.at.is_none() || (off <= rule.past && rule.window.is_none());
    if refusal.code == Code::TimestampTooOld && ended {
        return Some(Problem::new(
            Mistake::Expired,
            format!("The signature said itself until when it is good, and that is {} ago.", span(now.since(times.good_until))),
        ));
    }
    let half_hours = (off + SLACK).as_secs() / 1800;
    let rest = off.abs_diff(Duration::from_secs(half_hours * 1800));
    if (1..=28).contains(&half_hours) && rest <= SLACK {
        let words = match half_hours {
            1 => "half an hour".to_owned(),
            2 => "one hour".to_owned(),
            _ => format!("{}{} hours", half_hours / 2, if half_hours % 2 == 1 { ".5" } else { "" }),
        };
        return Some(Problem::new(
            Mistake::LocalTime,
            format!("The timestamp is {words} {side} our clock: local time was probably written as UTC, or the request is as old."),
        ));
    }
    Some(Problem::new(Mistake::ClockOff, format!("The timestamp is {} {side} our clock.", span(off))))
}

/// A span of time in the largest units that say enough.
fn span(off: Duration) -> String {
    let seconds = off.as_secs();
    match seconds {
        0..600 => format!("{} s", off.as_secs_f64()),
        600..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A time that is in another format than the wanted one.
fn in_other_form(what: &str, found: &TimeFormat, name: &str, wanted: Option<&TimeFormat>) -> Problem {
    let asked =
        wanted.and_then(|wanted| FORMATS.iter().find(|(known, _)| known == wanted)).map_or("the format of the scheme", |(_, name)| name);
    let is_number =
        |format: &TimeFormat| matches!(format, TimeFormat::Unix | TimeFormat::UnixMs | TimeFormat::UnixUs | TimeFormat::UnixDecimal);
    let mistake = if is_number(found) && wanted.is_some_and(is_number) { Mistake::TimestampUnit } else { Mistake::TimestampForm };
    Problem::new(mistake, format!("{what} is in {name}; the scheme asks for {asked}."))
}

/// A time that the scheme cannot read.
fn unreadable(what: &str, text: &[u8], wanted: Option<&TimeFormat>, now: UnixMillis) -> Problem {
    let what = format!("{what} {}", quoted(text, 0));
    match guess(text, now) {
        Some((_, format, name)) => in_other_form(&what, &format, name, wanted),
        None => Problem::new(Mistake::FieldMalformed, format!("{what} is not a time in the format of the scheme.")),
    }
}

/// The end of a signature as it was written, if the beginning reads well and the end does not.
fn unreadable_end(rule: &TimeRule, fields: &Fields<'_>, body: Body<'_>) -> Option<Vec<u8>> {
    let context = fields.context(body);
    let reads = |expr: &Expr, formats: &[TimeFormat]| match context.read(expr) {
        Ok(Some(value)) => formats.iter().any(|format| format.read(value.bytes()).is_some()),
        _ => false,
    };
    let (at, end) = (rule.at.as_ref()?, rule.expires.as_ref()?);
    if !reads(at, &rule.formats) || reads(end, &rule.expires_formats) {
        return None;
    }
    written(fields.profile, end, &fields.values, fields.head.headers).map(|(_, text)| text)
}
