//! A date as RFC 5322, 3.3 writes it, in the author's own offset.

use ima_message::DateTime;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const SECONDS_OF_DAY: i64 = 86_400;

/// `Sun, 22 Nov 2026 10:30:00 +0100`. A fraction of a second is left out.
pub(super) fn rfc5322(date: &DateTime) -> String {
    // The grammar fixes where each number stands.
    let written = date.as_str();
    let text = |range: std::ops::Range<usize>| written.get(range).unwrap_or_default();
    let month = text(5..7)
        .parse::<usize>()
        .ok()
        .and_then(|month| MONTHS.get(month.checked_sub(1)?))
        .unwrap_or(&"Jan");
    let offset = written
        .get(19..)
        .and_then(|rest| rest.find(['+', '-']).and_then(|at| rest.get(at..)))
        .map_or_else(|| "+0000".to_owned(), |offset| offset.replace(':', ""));
    // The day of the week is that where the author was.
    let minutes = |range: std::ops::Range<usize>| {
        offset
            .get(range)
            .and_then(|digits| digits.parse::<i64>().ok())
            .unwrap_or(0)
    };
    let east = (minutes(1..3) * 60 + minutes(3..5)) * 60;
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let day = (date.unix_seconds() + sign * east).div_euclid(SECONDS_OF_DAY);
    let weekday = usize::try_from(day.rem_euclid(7))
        .ok()
        .and_then(|day| DAYS.get(day))
        .unwrap_or(&"Thu");
    format!(
        "{weekday}, {} {month} {} {} {offset}",
        text(8..10),
        text(0..4),
        text(11..19)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (date, written) in [
            ("2026-11-22T09:30:00Z", "Sun, 22 Nov 2026 09:30:00 +0000"),
            (
                "2026-11-22T10:30:00.25+01:00",
                "Sun, 22 Nov 2026 10:30:00 +0100",
            ),
            (
                "2026-11-22t00:10:00-00:30",
                "Sun, 22 Nov 2026 00:10:00 -0030",
            ),
            (
                "1970-01-01T00:00:00+12:00",
                "Thu, 01 Jan 1970 00:00:00 +1200",
            ),
            ("1969-12-31T23:59:59z", "Wed, 31 Dec 1969 23:59:59 +0000"),
        ] {
            assert_eq!(rfc5322(&DateTime::parse(date).unwrap()), written);
        }
    }
}
