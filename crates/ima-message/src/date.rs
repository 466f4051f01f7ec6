//! Date and time with offset, RFC 3339.
//!
//! ```text
//! date-time = YYYY-MM-DD "T" hh:mm:ss ["." 1*DIGIT] ("Z" / ("+" / "-") hh:mm)
//! ```
//!
//! `T` and `Z` may be in lower case. Second 60 is a leap second.

use std::fmt;

/// A moment, as written and in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateTime {
    written: Box<str>,
    unix_seconds: i64,
}

/// A text is no date-time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a date is written as RFC 3339 has it, with an offset: 2026-11-22T09:30:00Z or 2026-11-22T10:30:00+01:00"
)]
pub struct DateError;

impl DateTime {
    /// Reads a date-time.
    ///
    /// # Errors
    /// Where it is none, or not a day of the calendar.
    pub fn parse(s: &str) -> Result<Self, DateError> {
        let mut rest = s.as_bytes();
        let year = digits(&mut rest, 4)?;
        literal(&mut rest, b"-")?;
        let month = digits(&mut rest, 2)?;
        literal(&mut rest, b"-")?;
        let day = digits(&mut rest, 2)?;
        literal(&mut rest, b"Tt")?;
        let hour = digits(&mut rest, 2)?;
        literal(&mut rest, b":")?;
        let minute = digits(&mut rest, 2)?;
        literal(&mut rest, b":")?;
        let second = digits(&mut rest, 2)?;
        if rest.first() == Some(&b'.') {
            literal(&mut rest, b".")?;
            digits(&mut rest, 1)?;
            while let Some((b'0'..=b'9', tail)) = rest.split_first() {
                rest = tail;
            }
        }
        let offset = offset_minutes(&mut rest)?;
        let in_range = (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        if !rest.is_empty() || !in_range {
            return Err(DateError);
        }
        let minutes = (days_from_epoch(year, month, day) * 24 + hour) * 60 + minute - offset;
        Ok(Self {
            written: s.into(),
            unix_seconds: minutes * 60 + second,
        })
    }

    /// A moment in whole seconds since 1970-01-01T00:00:00Z, written in UTC.
    /// None outside the years 0 to 9999.
    #[must_use]
    pub fn utc(unix_seconds: i64) -> Option<Self> {
        let (year, month, day) = day_of_calendar(unix_seconds.div_euclid(86_400));
        if !(0..=9999).contains(&year) {
            return None;
        }
        let second = unix_seconds.rem_euclid(86_400);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let mut written = String::with_capacity("YYYY-MM-DDThh:mm:ssZ".len());
        for (number, end) in [
            (year / 100, ""),
            (year % 100, "-"),
            (month, "-"),
            (day, "T"),
            (hour, ":"),
            (minute, ":"),
            (second, "Z"),
        ] {
            written.extend([number / 10, number % 10].map(digit));
            written.push_str(end);
        }
        Some(Self {
            written: written.into(),
            unix_seconds,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    #[must_use]
    pub fn unix_seconds(&self) -> i64 {
        self.unix_seconds
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// The digit of a number from 0 to 9.
fn digit(number: i64) -> char {
    let number = u32::try_from(number).ok();
    number
        .and_then(|number| char::from_digit(number, 10))
        .unwrap_or('0')
}

fn digits(rest: &mut &[u8], count: usize) -> Result<i64, DateError> {
    let (head, tail) = rest.split_at_checked(count).ok_or(DateError)?;
    *rest = tail;
    head.iter().try_fold(0, |n, b| match b {
        b'0'..=b'9' => Ok(n * 10 + i64::from(b - b'0')),
        _ => Err(DateError),
    })
}

fn literal(rest: &mut &[u8], any_of: &[u8]) -> Result<u8, DateError> {
    let (&first, tail) = rest.split_first().ok_or(DateError)?;
    *rest = tail;
    if any_of.contains(&first) {
        Ok(first)
    } else {
        Err(DateError)
    }
}

fn offset_minutes(rest: &mut &[u8]) -> Result<i64, DateError> {
    let sign = match literal(rest, b"Zz+-")? {
        b'+' => 1,
        b'-' => -1,
        _ => return Ok(0),
    };
    let hours = digits(rest, 2)?;
    literal(rest, b":")?;
    let minutes = digits(rest, 2)?;
    if hours > 23 || minutes > 59 {
        return Err(DateError);
    }
    Ok(sign * (hours * 60 + minutes))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, counting years
/// from March so that the leap day comes last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

/// The reverse: year, month and day of a day counted from 1970-01-01.
fn day_of_calendar(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (s, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59Z", -1),
            ("2026-11-22T09:30:00Z", 1_795_339_800),
            ("2026-11-22T10:30:00.123+01:00", 1_795_339_800),
            ("2000-02-29t12:00:00-00:00", 951_825_600),
            ("2016-12-31T23:59:60Z", 1_483_228_800),
            ("0000-03-01T00:00:00Z", -62_162_035_200),
        ] {
            assert_eq!(DateTime::parse(s).unwrap().unix_seconds(), seconds, "{s}");
        }
    }

    #[test]
    fn days_are_written_as_they_are_read() {
        // Days from 0000-01-01 to 9999-12-31, at an hour that goes round.
        for day in (-719_528_i64..=2_932_896).step_by(11) {
            let seconds = day * 86_400 + day.rem_euclid(86_400);
            let written = DateTime::utc(seconds).unwrap();
            assert_eq!(DateTime::parse(written.as_str()).unwrap(), written);
        }
        assert_eq!(DateTime::utc(-719_529 * 86_400), None);
        assert_eq!(DateTime::utc(2_932_897 * 86_400), None);
    }

    #[test]
    fn refused() {
        for s in [
            "",
            "2026-11-22",
            "2026-11-22T09:30:00",
            "2026-11-22 09:30:00Z",
            "2026-11-22T09:30Z",
            "2026-13-22T09:30:00Z",
            "2026-02-29T09:30:00Z",
            "1900-02-29T00:00:00Z",
            "2026-11-00T09:30:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T09:60:00Z",
            "2026-11-22T09:30:61Z",
            "2026-11-22T09:30:00.Z",
            "2026-11-22T09:30:00+1:00",
            "2026-11-22T09:30:00+24:00",
            "2026-11-22T09:30:00Z ",
            "Sun, 22 Nov 2026 09:30:00 +0000",
            "+026-11-22T09:30:00Z",
            "2026-11-22T09:30:00Z[UTC]",
        ] {
            assert_eq!(DateTime::parse(s), Err(DateError), "{s}");
        }
    }
}
