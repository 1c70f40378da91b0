//! Times in a format of their own: a pattern of `%Y %m %d %H %M %S %f %b %z` and text.

use super::time_format::{Moment, fixed, fraction, month, zone};

/// The most parts of a pattern.
const MOST_PARTS: usize = 32;

/// A pattern of a time. Each part of a time stands in it once at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimePattern {
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Text(u8),
    Year,
    Month,
    MonthName,
    Day,
    Hour,
    Minute,
    Second,
    Fraction,
    Zone,
}

impl TimePattern {
    /// Reads a pattern: `%Y` four digits, `%m %d %H %M %S` two, `%f` a fraction of a second of 1 to 9 digits, `%b` `Jan` to
    /// `Dec`, `%z` `+hhmm`, `%%` a percent sign. Everything else is text, in visible ASCII and spaces.
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let (mut parts, mut rest): (Vec<Part>, _) = (Vec::new(), pattern.as_bytes());
        while let [byte, after @ ..] = rest {
            let (part, after) = match (byte, after) {
                (b'%', [letter, after @ ..]) => (conversion(*letter)?, after),
                (b'%', []) => return Err("the pattern ends with %; a percent sign is %%".to_owned()),
                (0x20..=0x7e, _) => (Part::Text(*byte), after),
                _ => return Err("a pattern of a time is written in visible ASCII and spaces".to_owned()),
            };
            let twice = |other: Part| parts.contains(&other) && !matches!(other, Part::Text(_));
            if twice(part) || (part == Part::Month && twice(Part::MonthName)) || (part == Part::MonthName && twice(Part::Month)) {
                return Err(format!("the pattern {pattern} has a part twice"));
            }
            let digit_follows =
                !matches!(part, Part::MonthName | Part::Zone) && !matches!(part, Part::Text(byte) if !byte.is_ascii_digit());
            if parts.last() == Some(&Part::Fraction) && digit_follows {
                return Err("behind %f stands something that is not a digit, because %f takes all of them".to_owned());
            }
            if parts.len() == MOST_PARTS {
                return Err(format!("a pattern of a time has at most {MOST_PARTS} parts"));
            }
            parts.push(part);
            rest = after;
        }
        Ok(Self { parts: parts.into() })
    }

    /// Whether it names the day and the time of day to the second.
    pub(super) fn is_readable(&self) -> bool {
        let has = |part| self.parts.contains(&part);
        let day = has(Part::Year) && (has(Part::Month) || has(Part::MonthName)) && has(Part::Day);
        day && has(Part::Hour) && has(Part::Minute) && has(Part::Second)
    }

    /// Reads a time, in milliseconds since the start of 1970; without a zone it is UTC. `None` also for a pattern that is not
    /// readable.
    pub(super) fn read(&self, text: &[u8]) -> Option<i64> {
        self.is_readable().then_some(())?;
        let mut moment = Moment { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0, millis: 0 };
        let (mut shift, mut rest) = (0, text);
        for part in &*self.parts {
            let number;
            (number, rest) = match part {
                Part::Text(byte) => (0, rest.strip_prefix(&[*byte])?),
                Part::Year => fixed(rest, 4)?,
                Part::MonthName => month(rest)?,
                Part::Fraction => fraction(rest)?,
                Part::Zone => zone(rest, false)?,
                Part::Month | Part::Day | Part::Hour | Part::Minute | Part::Second => fixed(rest, 2)?,
            };
            match part {
                Part::Text(_) => {}
                Part::Year => moment.year = number,
                Part::Month | Part::MonthName => moment.month = number,
                Part::Day => moment.day = number,
                Part::Hour => moment.hour = number,
                Part::Minute => moment.minute = number,
                Part::Second => moment.second = number,
                Part::Fraction => moment.millis = number,
                Part::Zone => shift = number,
            }
        }
        rest.is_empty().then_some(())?;
        Some(moment.millis()? - shift)
    }

    /// Writes a time. `%f` has six digits, as Python writes it.
    pub(super) fn write(&self, moment: Moment) -> String {
        let two = |number: i64| format!("{number:02}");
        let part = |part: &Part| match part {
            Part::Text(byte) => char::from(*byte).to_string(),
            Part::Year => format!("{:04}", moment.year),
            Part::Month => two(moment.month),
            Part::MonthName => moment.month_name().to_owned(),
            Part::Day => two(moment.day),
            Part::Hour => two(moment.hour),
            Part::Minute => two(moment.minute),
            Part::Second => two(moment.second),
            Part::Fraction => format!("{:03}000", moment.millis),
            Part::Zone => "+0000".to_owned(),
        };
        self.parts.iter().map(part).collect()
    }
}

fn conversion(letter: u8) -> Result<Part, String> {
    Ok(match letter {
        b'Y' => Part::Year,
        b'm' => Part::Month,
        b'b' => Part::MonthName,
        b'd' => Part::Day,
        b'H' => Part::Hour,
        b'M' => Part::Minute,
        b'S' => Part::Second,
        b'f' => Part::Fraction,
        b'z' => Part::Zone,
        b'%' => Part::Text(b'%'),
        _ => return Err(format!("%{} is not one of %Y %m %d %H %M %S %f %b %z %%", char::from(letter).escape_debug())),
    })
}
