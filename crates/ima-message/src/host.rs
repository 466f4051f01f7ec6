//! The hostpart of an address: a mail domain.
//!
//! ```text
//! hostpart = label 1*("." label)     ; at most 253 octets as A-labels
//! ```
//!
//! Each label is letters, digits and hyphens (STD 3), or exactly a U-label or
//! an A-label (RFC 5890, by UTS 46 non-transitional processing); the last is
//! not all digits. No address literal, trailing dot, port or underscore.
//! Compared as lower-case A-labels.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

/// A mail domain, as written and as lower-case A-labels. Equal where the
/// A-labels are.
#[derive(Clone, Debug)]
pub struct Hostpart {
    written: Arc<str>,
    /// None where `written` is lower-case A-labels already.
    ascii: Option<Arc<str>>,
}

/// Why a text is not a hostpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostpartError {
    /// Fewer than two labels.
    #[error("a domain name has at least two labels, like b.test")]
    OneLabel,
    /// Two dots together, or a dot at the beginning.
    #[error("a label of the domain name is empty")]
    EmptyLabel,
    /// A dot at the end.
    #[error("a domain name here has no dot at its end")]
    TrailingDot,
    /// An address literal or a port.
    #[error("a domain name is wanted, not an IP address, a literal in brackets or a port")]
    Literal,
    /// The last label is all digits.
    #[error("the last label of a domain name is not all digits")]
    LastLabelDigits,
    /// More than 63 octets in a label or 253 in the whole name.
    #[error("a label has at most 63 octets and a domain name at most 253")]
    TooLong,
    /// A hyphen at the beginning or end of a label, or as third and fourth character.
    #[error(
        "a label neither begins nor ends with a hyphen, nor has two of them in third and fourth place"
    )]
    Hyphen,
    /// A character that a host name cannot have.
    #[error("{0:?} cannot stand in a domain name")]
    Character(char),
    /// Not the one way to write it: neither a U-label nor an A-label.
    #[error(
        "a label is neither a U-label nor an A-label (UTS 46): write it in lower case and normal form"
    )]
    NotALabel,
}

impl Hostpart {
    /// Reads a domain name by the rules above.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(s: &str) -> Result<Self, HostpartError> {
        if s.is_ascii() && !contains_a_label(s) {
            check_ascii(s)?;
            let ascii = s
                .bytes()
                .any(|b| b.is_ascii_uppercase())
                .then(|| s.to_ascii_lowercase().into());
            return Ok(Self {
                written: s.into(),
                ascii,
            });
        }
        let ascii = Self::parse_international(s)?;
        let ascii = (ascii != s).then(|| ascii.into());
        Ok(Self {
            written: s.into(),
            ascii,
        })
    }

    fn parse_international(s: &str) -> Result<String, HostpartError> {
        for label in s.split('.') {
            if label.is_ascii() && !contains_a_label(label) {
                check_label(label)?;
            }
        }
        let ascii = Uts46::new()
            .to_ascii(
                s.as_bytes(),
                AsciiDenyList::STD3,
                Hyphens::Check,
                DnsLength::Verify,
            )
            .map_err(|_| HostpartError::NotALabel)?;
        check_ascii_shape(&ascii)?;
        let (unicode, valid) =
            Uts46::new().to_unicode(ascii.as_bytes(), AsciiDenyList::STD3, Hyphens::Check);
        valid.map_err(|_| HostpartError::NotALabel)?;
        if s.split('.').count() != ascii.split('.').count() {
            return Err(HostpartError::NotALabel);
        }
        for ((label, a), u) in s.split('.').zip(ascii.split('.')).zip(unicode.split('.')) {
            if label != u && !label.eq_ignore_ascii_case(a) {
                return Err(HostpartError::NotALabel);
            }
        }
        Ok(ascii.into_owned())
    }

    /// As it stood in the address.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// As lower-case A-labels: what is compared, looked up and asked for.
    #[must_use]
    pub fn ascii(&self) -> &str {
        self.ascii.as_deref().unwrap_or(&self.written)
    }
}

fn contains_a_label(s: &str) -> bool {
    s.split('.').any(|label| {
        label
            .get(..4)
            .is_some_and(|p| p.eq_ignore_ascii_case("xn--"))
    })
}

fn check_ascii(s: &str) -> Result<(), HostpartError> {
    s.split('.').try_for_each(|label| {
        if label.is_empty()
            && !s.is_empty()
            && s.ends_with('.')
            && !s.ends_with("..")
            && !s.starts_with('.')
            && !s.contains("..")
        {
            return Err(HostpartError::TrailingDot);
        }
        check_label(label)
    })?;
    check_ascii_shape(s)
}

/// What holds for the name as a whole.
fn check_ascii_shape(s: &str) -> Result<(), HostpartError> {
    let Some((_, last)) = s.rsplit_once('.') else {
        return Err(HostpartError::OneLabel);
    };
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(if s.split('.').count() == 4 {
            HostpartError::Literal
        } else {
            HostpartError::LastLabelDigits
        });
    }
    if s.len() > 253 {
        return Err(HostpartError::TooLong);
    }
    Ok(())
}

fn check_label(label: &str) -> Result<(), HostpartError> {
    if label.is_empty() {
        return Err(HostpartError::EmptyLabel);
    }
    if label.contains(['[', ']', ':']) {
        return Err(HostpartError::Literal);
    }
    if let Some(c) = label
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && *c != '-')
    {
        return Err(HostpartError::Character(c));
    }
    if label.len() > 63 {
        return Err(HostpartError::TooLong);
    }
    if label.starts_with('-') || label.ends_with('-') || label.get(2..4) == Some("--") {
        return Err(HostpartError::Hyphen);
    }
    Ok(())
}

impl PartialEq for Hostpart {
    fn eq(&self, other: &Self) -> bool {
        self.ascii() == other.ascii()
    }
}
impl Eq for Hostpart {}
impl PartialOrd for Hostpart {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Hostpart {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.ascii().cmp(other.ascii())
    }
}
impl Hash for Hostpart {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ascii().hash(state);
    }
}
impl fmt::Display for Hostpart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}
impl std::str::FromStr for Hostpart {
    type Err = HostpartError;
    fn from_str(s: &str) -> Result<Self, HostpartError> {
        Self::parse(s)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_equal() {
        let u = Hostpart::parse("bücher.test").unwrap();
        assert_eq!(u.ascii(), "xn--bcher-kva.test");
        assert_eq!(u.as_written(), "bücher.test");
        for same in [
            "xn--bcher-kva.test",
            "XN--BCHER-KVA.TEST",
            "bücher.TEST",
            "xn--bcher-kva.Test",
        ] {
            assert_eq!(Hostpart::parse(same).unwrap(), u, "{same}");
        }
        assert_eq!(Hostpart::parse("B.Test").unwrap().ascii(), "b.test");
    }

    #[test]
    fn each_rule_is_named() {
        use HostpartError as E;
        let long = format!("{}.test", "a".repeat(64));
        let whole = vec!["a".repeat(60); 5].join(".");
        for (bad, why) in [
            ("", E::EmptyLabel),
            ("localhost", E::OneLabel),
            ("b..test", E::EmptyLabel),
            (".b.test", E::EmptyLabel),
            ("b.test.", E::TrailingDot),
            ("192.0.2.7", E::Literal),
            ("[192.0.2.7]", E::Literal),
            ("b.test:25", E::Literal),
            ("b.7", E::LastLabelDigits),
            ("-b.test", E::Hyphen),
            ("b-.test", E::Hyphen),
            ("ab--c.test", E::Hyphen),
            ("a_b.test", E::Character('_')),
            (&long, E::TooLong),
            (&whole, E::TooLong),
            ("BÜCHER.test", E::NotALabel),
            ("bu\u{308}cher.test", E::NotALabel),
            ("ｂ.test", E::NotALabel),
            ("b。test", E::NotALabel),
            ("faß\u{ad}.test", E::NotALabel),
            ("xn--a.test", E::NotALabel),
            ("xn--.test", E::NotALabel),
            ("xn--b-.test", E::NotALabel),
        ] {
            assert_eq!(Hostpart::parse(bad), Err(why), "{bad}");
        }
        // Non-transitional: ß stays itself.
        assert_eq!(
            Hostpart::parse("faß.test").unwrap().ascii(),
            "xn--fa-hia.test"
        );
    }
}
