//! Sizes, as people write them in configuration files.
//!
//! ```text
//! size = 1*DIGIT [ "KiB" / "MiB" / "GiB" / "TiB" ]   ; no needless zero in front, below 2^63 octets
//! ```

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

use crate::text;

/// The units, the largest first.
const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

/// The largest size: all counts are below 2^63.
const MAX: u64 = (1 << 63) - 1;

/// So many octets; in a configuration file `"64MiB"`, or the number of octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// This is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a size: write a whole number of octets, 65536, or one with KiB, MiB, GiB or TiB right behind it, \"64MiB\", of at most {max} octets",
    max = MAX
)]
pub struct SizeError(pub String);

/// `digits [ "KiB" / "MiB" / "GiB" / "TiB" ]`, without a needless zero in front.
impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(size: &str) -> Result<Self, SizeError> {
        let unit = UNITS
            .iter()
            .find_map(|(name, shift)| Some((size.strip_suffix(name)?, *shift)));
        let (digits, shift) = unit.unwrap_or((size, 0));
        text::parse_decimal(digits)
            .and_then(|number| number.checked_mul(1 << shift))
            .filter(|&octets| octets <= MAX)
            .map(Self)
            .ok_or_else(|| SizeError(size.to_owned()))
    }
}

/// In the largest unit that makes it a whole number; parses back.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |&&(_, shift): &&(&str, u32)| self.0.trailing_zeros() >= shift;
        match UNITS.iter().find(whole) {
            Some((name, shift)) if self.0 != 0 => write!(f, "{}{name}", self.0 >> shift),
            _ => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl de::Visitor<'_> for SizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"64MiB\" or 65536")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, octets: u64) -> Result<ByteSize, E> {
        octets.to_string().parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, octets: i64) -> Result<ByteSize, E> {
        octets.to_string().parse().map_err(E::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::ByteSize;

    #[test]
    fn sizes() {
        for (text, octets) in [
            ("0", 0),
            ("65536", 65536),
            ("1KiB", 1024),
            ("64MiB", 64 << 20),
            ("3GiB", 3 << 30),
            ("8388607TiB", 8_388_607 << 40),
            ("9223372036854775807", (1 << 63) - 1),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(octets)), "{text}");
        }
    }

    #[test]
    fn not_sizes() {
        for text in [
            "",
            " ",
            "64 MB",
            "64MB",
            "64M",
            "64 MiB",
            "64MiB ",
            " 64",
            "-1",
            "+5",
            "007",
            "1e3",
            "1.5GiB",
            "MiB",
            "64mib",
            "0x10",
            "1_000",
            "8388608TiB",
            "9223372036854775808",
            "18446744073709551616",
            "٣",
            "64KiBKiB",
        ] {
            let error = text.parse::<ByteSize>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{text}` is not a size: write ")),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_shown_parses_back() {
        let mut sizes = vec![0, 1, 1023, 1024, 1025, 1536, (1 << 63) - 1, (1 << 63) - 2];
        sizes.extend((0..63).map(|bit| 1_u64 << bit));
        sizes.extend((0..59).map(|bit| 13_u64 << bit));
        for size in sizes.into_iter().map(ByteSize) {
            assert_eq!(size.to_string().parse(), Ok(size), "{size}");
        }
        assert_eq!(ByteSize(64 << 20).to_string(), "64MiB");
        assert_eq!(ByteSize((64 << 20) + 1).to_string(), "67108865");
    }
}
