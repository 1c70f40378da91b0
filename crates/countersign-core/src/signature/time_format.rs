//! How schemes write a time.
//!
//! Read strictly: fixed numbers of digits, no signs, no leap seconds, years from 1970 to 9999. Dates are reckoned here, because
//! a library that reads many more formats would have to be told what not to read.

use super::time_pattern::TimePattern;
use crate::now::UnixMillis;

/// The last millisecond of the year 9999.
pub(super) const LAST: i64 = 253_402_300_799_999;

/// A way to write a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TimeFormat {
    /// Seconds since 1970, at most 12 digits.
    Unix,
    /// Milliseconds since 1970, at most 15 digits.
    UnixMs,
    /// Microseconds since 1970, at most 18 digits.
    UnixUs,
    /// Seconds since 1970 with a fraction of up to 9 digits, or without one.
    UnixDecimal,
    /// `Tue, 21 Aug 2012 17:29:18 GMT` (RFC 9110 section 5.6.7), of the forms there only this one. The zone can be `UTC` or a
    /// number as well (RFC 5322), and the day one digit. The day of the week can be any: published vectors have wrong ones.
    Http,
    /// RFC 3339, with a fraction or without, also without punctuation: `20150830T123600Z`.
    Iso,
    /// `20150830T123600Z`.
    Amz,
    /// A pattern of `%Y %m %d %H %M %S %f %b %z` and text.
    Pattern(TimePattern),
}

impl TimeFormat {
    /// A format by its name, or a pattern. An error says what is wrong with it.
    pub(super) fn parse_name(name: &str) -> Result<Self, String> {
        Ok(match name {
            "unix" => Self::Unix,
            "unix_ms" => Self::UnixMs,
            "unix_us" => Self::UnixUs,
            "unix_decimal" => Self::UnixDecimal,
            "http" => Self::Http,
            "iso" => Self::Iso,
            "amz" => Self::Amz,
            _ if name.contains('%') => Self::Pattern(TimePattern::parse(name)?),
            _ => {
                return Err(format!(
                    "{name} is no format of times: it is unix, unix_ms, unix_us, unix_decimal, http, iso, amz or a pattern such as %Y-%m-%d"
                ));
            }
        })
    }

    /// Whether a time can be read from it: a pattern may be of a day only, which is enough to write.
    pub(super) fn is_readable(&self) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.is_readable(),
            _ => true,
        }
    }

    /// Reads a time. What is finer than a millisecond is dropped.
    pub(super) fn read(&self, text: &[u8]) -> Option<UnixMillis> {
        let millis = match self {
            Self::Unix => digits(text, 12)?.checked_mul(1000)?,
            Self::UnixMs => digits(text, 15)?,
            Self::UnixUs => digits(text, 18)? / 1000,
            Self::UnixDecimal => decimal(text)?,
            Self::Http => http(text)?,
            Self::Iso => iso(text)?,
            Self::Amz => basic(text).filter(|(_, rest)| rest == b"Z")?.0,
            Self::Pattern(pattern) => pattern.read(text)?,
        };
        (0..=LAST).contains(&millis).then_some(UnixMillis::from_millis(millis))
    }

    /// Writes a time, in UTC. A time out of the years 1970 to 9999 is written as the nearest one in them. `iso` and `http` have
    /// no fraction, `unix_decimal` has three digits, and `%f` has six.
    pub(super) fn write(&self, time: UnixMillis) -> String {
        let millis = time.millis().clamp(0, LAST);
        let (seconds, fraction) = (millis / 1000, millis % 1000);
        let moment = Moment::of(millis);
        let Moment { year, month, day, hour, minute, second, .. } = moment;
        match self {
            Self::Unix => seconds.to_string(),
            Self::UnixMs => millis.to_string(),
            Self::UnixUs => millis.saturating_mul(1000).to_string(),
            Self::UnixDecimal => format!("{seconds}.{fraction:03}"),
            Self::Http => {
                // 1970 began on a Thursday.
                let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"].into_iter().cycle().nth(index(seconds / 86_400 % 7));
                let (weekday, month) = (weekday.unwrap_or_default(), moment.month_name());
                format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
            }
            Self::Iso => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
            Self::Amz => format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"),
            Self::Pattern(pattern) => pattern.write(moment),
        }
    }
}

/// A day and a time of day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) millis: i64,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first day of `year`, which is from 1970 to 10000.
const fn days_before(year: i64) -> i64 {
    let past = year - 1;
    // 477 leap days came before 1970.
    365 * (year - 1970) + past / 4 - past / 100 + past / 400 - 477
}

fn index(number: i64) -> usize {
    usize::try_from(number).unwrap_or_default()
}

impl Moment {
    /// The moment so many milliseconds after the start of 1970, from 0 to [`LAST`].
    pub(super) fn of(millis: i64) -> Self {
        let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
        // Years of 366 days are a guess that is never too late, and at most some years too early.
        let mut year = 1970 + days / 366;
        while days_before(year + 1) <= days {
            year += 1;
        }
        let (mut month, mut day) = (1, days - days_before(year));
        while day >= days_of_month(year, month) {
            day -= days_of_month(year, month);
            month += 1;
        }
        Self {
            year,
            month,
            day: day + 1,
            hour: rest / 3_600_000,
            minute: rest / 60_000 % 60,
            second: rest / 1000 % 60,
            millis: rest % 1000,
        }
    }

    /// Milliseconds since the start of 1970. `None` when there is no such day or time of day.
    pub(super) fn millis(self) -> Option<i64> {
        let Self { year, month, day, hour, minute, second, millis } = self;
        let exists = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second);
        let days: i64 = (1..month).map(|month| days_of_month(year, month)).sum();
        exists.then(|| (((days_before(year) + days + day - 1) * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis)
    }

    pub(super) fn month_name(self) -> &'static str {
        MONTHS.get(index(self.month - 1)).copied().unwrap_or_default()
    }
}

/// A whole text of 1 to `most` digits.
fn digits(text: &[u8], most: usize) -> Option<i64> {
    (1..=most).contains(&text.len()).then_some(())?;
    text.iter().try_fold(0_i64, |number, byte| {
        byte.is_ascii_digit().then_some(())?;
        number.checked_mul(10)?.checked_add(i64::from(byte - b'0'))
    })
}

/// Exactly `count` digits, and what follows them.
pub(super) fn fixed(text: &[u8], count: usize) -> Option<(i64, &[u8])> {
    let (number, rest) = text.split_at_checked(count)?;
    Some((digits(number, count)?, rest))
}

/// A fraction of 1 to 9 digits in milliseconds, and what follows it.
pub(super) fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(count).filter(|_| (1..=9).contains(&count))?;
    let millis = digits.iter().chain(b"00").take(3).fold(0, |number, byte| number * 10 + i64::from(byte - b'0'));
    Some((millis, rest))
}

/// A month by its name, and what follows it.
pub(super) fn month(text: &[u8]) -> Option<(i64, &[u8])> {
    let (name, rest) = text.split_at_checked(3)?;
    let (number, _) = (1_i64..).zip(MONTHS).find(|(_, month)| month.as_bytes() == name)?;
    Some((number, rest))
}

/// A zone `+hhmm`, or with `colon` `+hh:mm`, as milliseconds to take off, and what follows it.
pub(super) fn zone(text: &[u8], colon: bool) -> Option<(i64, &[u8])> {
    let (sign, rest) = text.split_first()?;
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = fixed(rest, 2)?;
    let rest = if colon { rest.strip_prefix(b":").unwrap_or(rest) } else { rest };
    let (minutes, rest) = fixed(rest, 2)?;
    (hours < 24 && minutes < 60).then_some((sign * (hours * 60 + minutes) * 60_000, rest))
}

fn decimal(text: &[u8]) -> Option<i64> {
    let (seconds, millis) = match text.iter().position(|byte| *byte == b'.').and_then(|at| text.split_at_checked(at)) {
        Some((seconds, [_, digits @ ..])) => (seconds, fraction(digits).filter(|(_, rest)| rest.is_empty())?.0),
        _ => (text, 0),
    };
    digits(seconds, 12)?.checked_mul(1000)?.checked_add(millis)
}

fn http(text: &[u8]) -> Option<i64> {
    let (weekday, text) = text.split_at_checked(3)?;
    [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"].iter().any(|name| weekday == *name).then_some(())?;
    let text = text.strip_prefix(b", ")?;
    let (day, text) = fixed(text, 2).or_else(|| fixed(text, 1))?;
    let (month, text) = month(text.strip_prefix(b" ")?)?;
    let (year, text) = fixed(text.strip_prefix(b" ")?, 4)?;
    let (hour, text) = fixed(text.strip_prefix(b" ")?, 2)?;
    let (minute, text) = fixed(text.strip_prefix(b":")?, 2)?;
    let (second, text) = fixed(text.strip_prefix(b":")?, 2)?;
    let shift = match text.strip_prefix(b" ")? {
        b"GMT" | b"UTC" => 0,
        text => zone(text, false).filter(|(_, rest)| rest.is_empty())?.0,
    };
    Some(Moment { year, month, day, hour, minute, second, millis: 0 }.millis()? - shift)
}

/// `20150830T123600`, and what follows it.
fn basic(text: &[u8]) -> Option<(i64, &[u8])> {
    let (year, text) = fixed(text, 4)?;
    let (month, text) = fixed(text, 2)?;
    let (day, text) = fixed(text, 2)?;
    let (hour, text) = fixed(text.strip_prefix(b"T")?, 2)?;
    let (minute, text) = fixed(text, 2)?;
    let (second, text) = fixed(text, 2)?;
    Some((Moment { year, month, day, hour, minute, second, millis: 0 }.millis()?, text))
}

/// `2015-08-30T12:36:00`, and what follows it.
fn extended(text: &[u8]) -> Option<(i64, &[u8])> {
    let (year, text) = fixed(text, 4)?;
    let (month, text) = fixed(text.strip_prefix(b"-")?, 2)?;
    let (day, text) = fixed(text.strip_prefix(b"-")?, 2)?;
    let (hour, text) = fixed(text.strip_prefix(b"T")?, 2)?;
    let (minute, text) = fixed(text.strip_prefix(b":")?, 2)?;
    let (second, text) = fixed(text.strip_prefix(b":")?, 2)?;
    Some((Moment { year, month, day, hour, minute, second, millis: 0 }.millis()?, text))
}

fn iso(text: &[u8]) -> Option<i64> {
    let (moment, text) = extended(text).or_else(|| basic(text))?;
    let (millis, text) = match text.strip_prefix(b".") {
        Some(text) => fraction(text)?,
        None => (0, text),
    };
    let shift = match text {
        b"Z" => 0,
        _ => zone(text, true).filter(|(_, rest)| rest.is_empty())?.0,
    };
    Some(moment + millis - shift)
}

#[cfg(test)]
mod tests;
