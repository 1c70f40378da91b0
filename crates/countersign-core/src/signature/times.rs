//! When a signature was made, and until when it is good.

use std::time::Duration;

use super::coverage::Provenance;
use super::evaluate::Context;
use super::expression::Expr;
use super::rules::{TimeRule, Window};
use super::time_format::TimeFormat;
use crate::code::{Code, Refusal};
use crate::now::UnixMillis;

/// The times of one signature.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// When it says it was signed. A signature that says only its end was signed at the earliest moment at which that end
    /// would have been accepted.
    pub(super) signed_at: UnixMillis,
    /// Until when it passes the time check.
    pub(super) good_until: UnixMillis,
    /// How far ahead of our clock it may be.
    future: Duration,
    /// What the check trusted.
    pub(super) from: Provenance,
}

/// Reads the times of a signature.
pub(super) fn read<'v>(rule: &'v TimeRule, context: &Context<'_, 'v>) -> Result<Times, Refusal> {
    let mut from = Provenance::NONE;
    let time = |expr: &'v Expr, formats: &[TimeFormat], from: &mut Provenance| -> Result<UnixMillis, Refusal> {
        let value;
        let (bytes, read_from) = match context.at_hand(expr) {
            Some(at_hand) => at_hand,
            None => {
                value = context.read(expr)?.ok_or_else(|| context.profile.absent(expr))?;
                (value.bytes(), value.from)
            }
        };
        *from = from.and(read_from);
        let read = formats.iter().find_map(|format| format.read(bytes));
        read.ok_or_else(|| {
            let what = context.profile.parts_words(context.profile.direct(&expr.source));
            Refusal::with(Code::SignatureMalformed, format!("{what} is not a time in the format of the scheme {}", context.profile.name))
        })
    };
    let at = rule.at.as_ref().map(|expr| time(expr, &rule.formats, &mut from)).transpose()?;
    let expires = match &rule.expires {
        // An end may be left out where there is a beginning.
        Some(expr) if at.is_some() && context.read(expr)?.is_none() => {
            from.direct = from.direct.and(context.profile.hiding(expr));
            None
        }
        Some(expr) => Some(time(expr, &rule.expires_formats, &mut from)?),
        None => None,
    };
    let mut past = rule.past;
    if let Some(window) = &rule.window {
        match context.read(&window.from)? {
            Some(value) => {
                from = from.and(value.from);
                past = chosen(window, value.bytes())?.min(window.most);
            }
            None => from.direct = from.direct.and(context.profile.hiding(&window.from)),
        }
    }
    let signed_at = at.or_else(|| expires.map(|end| end.minus(rule.ahead_most))).unwrap_or(UnixMillis::MIN);
    let good_until = match (at, expires) {
        (Some(at), Some(end)) => at.plus(past).min(end),
        (Some(at), None) => at.plus(past),
        (None, Some(end)) => end,
        (None, None) => UnixMillis::MIN,
    };
    Ok(Times { signed_at, good_until, future: if at.is_some() { rule.future } else { Duration::ZERO }, from })
}

/// The window that a request chooses.
fn chosen(window: &Window, text: &[u8]) -> Result<Duration, Refusal> {
    let number = plain_number(text).and_then(|number| u32::try_from(number).ok());
    let number = number.ok_or_else(|| Refusal::with(Code::SignatureMalformed, "the window of the signature is not a plain number"))?;
    Ok(if window.in_millis { Duration::from_millis(number.into()) } else { Duration::from_secs(number.into()) })
}

/// A number of digits and nothing else: no sign either, so that it is written in one way up to zeros in front.
pub(super) fn plain_number(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

impl Times {
    /// Judges them by our clock.
    pub(super) fn judge(&self, now: UnixMillis) -> Result<(), Refusal> {
        let say = |code, off: Duration, words: String| {
            let off = off.as_secs_f64();
            Err(Refusal::with(code, format!("the timestamp is {off} s {words}")))
        };
        if now > self.good_until {
            let allowed = self.good_until.since(self.signed_at).as_secs();
            return say(Code::TimestampTooOld, now.since(self.signed_at), format!("in the past by our clock; {allowed} s are accepted"));
        }
        let lead = self.signed_at.since(now);
        if lead > self.future {
            let allowed = self.future.as_secs();
            return say(Code::TimestampTooNew, lead, format!("in the future by our clock; {allowed} s are accepted"));
        }
        Ok(())
    }

    /// Judges them by the replay memory: what was signed at or before the fence may have been forgotten.
    pub(super) fn judge_fence(&self, now: UnixMillis, fence: UnixMillis) -> Result<(), Refusal> {
        if self.signed_at > fence {
            return Ok(());
        }
        let refusal = Refusal::from(Code::SignedBeforeFence);
        // The fence can be ahead of the clock: then a new signature helps only once the clock has passed it.
        let wait = fence.since(now);
        Err(if wait.is_zero() { refusal } else { refusal.after(wait.saturating_add(Duration::from_secs(1))) })
    }
}
