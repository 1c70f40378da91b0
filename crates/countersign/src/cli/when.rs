//! Moments as people write them.

use std::str::FromStr;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// A moment on the command line: `2026-12-31T18:00:00Z`, `2026-12-31` (the start of that day, UTC), or a time from now: `12h`,
/// `7d`, `1mo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When(Timestamp);

impl When {
    /// RFC 3339 in UTC.
    pub fn rfc3339(self) -> String {
        self.0.to_string()
    }

    fn read(text: &str, now: Timestamp) -> Option<Self> {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Some(Self(at));
        }
        if let Ok(day) = text.parse::<Date>() {
            return TimeZone::UTC.to_timestamp(day.to_datetime(Time::midnight())).ok().map(Self);
        }
        let span: Span = text.parse().ok()?;
        let then = TimeZone::UTC.to_datetime(now).checked_add(span).ok()?;
        TimeZone::UTC.to_timestamp(then).ok().map(Self)
    }
}

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text, Timestamp::now())
            .ok_or("write 2026-12-31T18:00:00Z, 2026-12-31 (the start of that day, UTC), or a time from now: 12h, 7d, 1mo")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now: Timestamp = "2026-01-31T10:00:00Z".parse().unwrap();
        for (written, meant) in [
            ("2026-12-31T18:00:00Z", "2026-12-31T18:00:00Z"),
            ("2026-12-31T18:00:00+02:00", "2026-12-31T16:00:00Z"),
            ("2026-12-31", "2026-12-31T00:00:00Z"),
            ("12h", "2026-01-31T22:00:00Z"),
            ("7d", "2026-02-07T10:00:00Z"),
            ("1mo", "2026-02-28T10:00:00Z"),
            ("90 minutes", "2026-01-31T11:30:00Z"),
        ] {
            assert_eq!(When::read(written, now).map(When::rfc3339).as_deref(), Some(meant), "{written}");
        }
        for bad in ["", "tomorrow", "7", "31.12.2026", "2026-02-30"] {
            assert_eq!(When::read(bad, now), None, "{bad}");
        }
    }
}
