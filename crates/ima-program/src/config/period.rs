//! Lengths of time in configuration files.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The units in milliseconds, the largest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("ms", 1),
    ("s", 1000),
];

/// The longest period: a hundred years, which any clock here can add.
pub const LONGEST: Duration = Duration::from_hours(876_000);

/// So much time, in whole milliseconds; in a configuration file `"250ms"`,
/// `"60s"`, `"10m"`, `"4h"` or `"5d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(pub Duration);

/// This is not a period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a length of time: write a whole number with ms, s, m, h or d right behind it, such as \"60s\" or \"10m\", of at most {longest}",
    longest = Period(LONGEST)
)]
pub struct PeriodError(pub String);

/// A length of time in which something can be done: a [`Period`] that is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Period")]
pub struct Timeout(pub Duration);

/// A timeout of 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody can keep a time of 0: write a longer one, such as \"30s\"")]
pub struct ZeroTimeout;

impl TryFrom<Period> for Timeout {
    type Error = ZeroTimeout;

    fn try_from(Period(time): Period) -> Result<Self, ZeroTimeout> {
        match time.is_zero() {
            true => Err(ZeroTimeout),
            false => Ok(Self(time)),
        }
    }
}

/// `digits ( "ms" / "s" / "m" / "h" / "d" )`, without a needless zero in front.
impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let parse = || {
            let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
            let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
            let digits = text.strip_suffix(unit)?;
            if digits.is_empty() {
                return None;
            }
            let time = Duration::from_millis(number(digits)?.checked_mul(*factor)?);
            (time <= LONGEST).then_some(Self(time))
        };
        parse().ok_or_else(|| PeriodError(text.to_owned()))
    }
}

/// In the largest unit that makes it a whole number; parses back. What is less
/// than a millisecond is left out.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0.as_millis();
        if time == 0 {
            return f.write_str("0s");
        }
        let [days, hours, minutes, milliseconds, seconds] = UNITS;
        for (name, factor) in [days, hours, minutes, seconds, milliseconds] {
            if time.is_multiple_of(factor.into()) {
                return write!(f, "{}{name}", time / u128::from(factor));
            }
        }
        Ok(())
    }
}

/// Decimal digits and nothing else, without a needless zero in front.
fn number(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    if !plain || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    digits.parse().ok()
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PeriodVisitor)
    }
}

struct PeriodVisitor;

impl de::Visitor<'_> for PeriodVisitor {
    type Value = Period;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a length of time such as \"60s\" or \"10m\", in quotes and with its unit")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Period, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::{LONGEST, Period};
    use std::time::Duration;

    #[test]
    fn periods() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("250ms", 250),
            ("60s", 60_000),
            ("10m", 600_000),
            ("4h", 14_400_000),
            ("5d", 432_000_000),
            ("36500d", 3_153_600_000_000),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Period(Duration::from_millis(milliseconds))),
                "{text}"
            );
        }
    }

    #[test]
    fn not_periods() {
        for text in [
            "",
            "60",
            "s",
            "ms",
            "-1s",
            "+1s",
            "1.5h",
            "1e3s",
            "10 m",
            "10min",
            "1h30m",
            "10M",
            "007s",
            " 5d",
            "5d ",
            "36501d",
            "18446744073709551615d",
            "18446744073709551616ms",
            "٣s",
            "1us",
        ] {
            let error = text.parse::<Period>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{text}` is not a length of time: write ")),
                "{error}"
            );
            assert!(error.ends_with("of at most 36500d"), "{error}");
        }
    }

    #[test]
    fn what_is_shown_parses_back() {
        for factor in [1, 10, 250, 999, 1000, 60_000, 90_000, 3_600_000, 86_400_000] {
            for number in [0, 1, 2, 7, 59, 60, 61, 1000, 36_499] {
                let period = Period(Duration::from_millis(number * factor));
                assert_eq!(period.to_string().parse(), Ok(period), "{period}");
            }
        }
        assert_eq!(Period(LONGEST).to_string().parse(), Ok(Period(LONGEST)));
        assert_eq!(Period(Duration::from_secs(600)).to_string(), "10m");
        assert_eq!(Period(Duration::from_millis(1500)).to_string(), "1500ms");
        assert_eq!(Period(Duration::from_micros(1500)).to_string(), "1ms");
    }
}
