//! Addresses and mailboxes.
//!
//! ```text
//! address = localpart "@" hostpart          ; at most 320 octets in all
//! mailbox = address [SP display-name]
//! ```
//!
//! A localpart is at most 64 code points and equal to its own PRECIS
//! UsernameCasePreserved output (RFC 8265), so nothing changes under mapping;
//! it holds none of `@ / \ < > " ,` and begins with neither `.` nor `-`, in the
//! raw and in the mapped form, which is at most 255 octets. Compared by
//! UsernameCaseMapped. So an address is harmless as a command's argument and,
//! the hostpart apart, as a file name.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use precis_core::profile::PrecisFastInvocation;
use precis_profiles::{UsernameCaseMapped, UsernameCasePreserved};

use crate::host::{Hostpart, HostpartError};
use crate::limits::MAX_ADDRESS;
use crate::text;

/// What stands before the `@`.
#[derive(Clone, Debug)]
pub struct Localpart {
    written: Arc<str>,
    /// None where `written` is in mapped form already.
    mapped: Option<Arc<str>>,
}

/// An address, equal to another where the mapped localpart and the A-labels of
/// the hostpart are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: Hostpart,
    local: Localpart,
}

/// An address and the name that a person reads beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    address: Address,
    display_name: Option<Box<str>>,
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@`.
    #[error("an address has an @: localpart@hostpart")]
    NoAt,
    /// There are two.
    #[error("an address has only one @")]
    TwoAt,
    /// More than 320 octets.
    #[error("an address has at most {MAX_ADDRESS} octets")]
    TooLong,
    /// Nothing before the `@`.
    #[error("the localpart is empty")]
    EmptyLocalpart,
    /// More than 64 code points, or 255 octets when mapped.
    #[error("a localpart has at most 64 characters, and 255 octets in its mapped form")]
    LongLocalpart,
    /// A character that a localpart may not have.
    #[error("{0:?} cannot stand in a localpart")]
    Character(char),
    /// `.` or `-` at the beginning.
    #[error("a localpart does not begin with {0:?}")]
    Leading(char),
    /// The PRECIS profile refuses the localpart or would change it.
    #[error("the localpart is not in its normal form (PRECIS UsernameCasePreserved, RFC 8265)")]
    NotPrecis,
    /// The hostpart breaks a rule.
    #[error(transparent)]
    Hostpart(#[from] HostpartError),
}

/// Why a text is not a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    /// What stands before the first space is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The display name begins or ends with a space or is empty.
    #[error("one space stands between an address and its display name, and none behind it")]
    Space,
    /// The display name holds what is not `text`.
    #[error("{0:?} cannot stand in a display name")]
    Character(char),
}

impl Localpart {
    fn parse(s: &str) -> Result<Self, AddressError> {
        check_raw(s)?;
        if s.chars().take(65).count() > 64 {
            return Err(AddressError::LongLocalpart);
        }
        if s.is_ascii() {
            // All printable ASCII is in the PRECIS IdentifierClass and maps to itself but for case.
            if let Some(c) = s.chars().find(|c| !c.is_ascii_graphic()) {
                return Err(AddressError::Character(c));
            }
            let mapped = s
                .bytes()
                .any(|b| b.is_ascii_uppercase())
                .then(|| s.to_ascii_lowercase().into());
            return Ok(Self {
                written: s.into(),
                mapped,
            });
        }
        let preserved = UsernameCasePreserved::enforce(s).map_err(|_| AddressError::NotPrecis)?;
        if preserved != s {
            return Err(AddressError::NotPrecis);
        }
        let mapped = UsernameCaseMapped::enforce(s).map_err(|_| AddressError::NotPrecis)?;
        check_raw(&mapped)?;
        if mapped.len() > 255 {
            return Err(AddressError::LongLocalpart);
        }
        let mapped = (mapped != s).then(|| mapped.into());
        Ok(Self {
            written: s.into(),
            mapped,
        })
    }

    /// As it stood in the address.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// By UsernameCaseMapped (RFC 8265): what is compared and looked up. At
    /// most 255 octets, and safe as a file name.
    #[must_use]
    pub fn mapped(&self) -> &str {
        self.mapped.as_deref().unwrap_or(&self.written)
    }

    /// The mapped form up to a tag: `bob` for `Bob+receipts`. A `+` at the
    /// beginning starts no tag.
    #[must_use]
    pub fn mapped_without_tag(&self) -> &str {
        strip_tag(self.mapped()).unwrap_or_else(|| self.mapped())
    }
}

fn strip_tag(s: &str) -> Option<&str> {
    s.split_once('+')
        .map(|(name, _)| name)
        .filter(|name| !name.is_empty())
}

fn check_raw(s: &str) -> Result<(), AddressError> {
    let forbidden = |c: &char| matches!(c, '@' | '/' | '\\' | '<' | '>' | '"' | ',');
    if s.starts_with('-') {
        return Err(AddressError::Leading('-'));
    }
    match s.chars().find(forbidden) {
        Some(c) => Err(AddressError::Character(c)),
        None if s.is_empty() => Err(AddressError::EmptyLocalpart),
        None if s.starts_with('.') => Err(AddressError::Leading('.')),
        None => Ok(()),
    }
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(s: &str) -> Result<Self, AddressError> {
        if s.len() > MAX_ADDRESS {
            return Err(AddressError::TooLong);
        }
        let (local, host) = s.split_once('@').ok_or(AddressError::NoAt)?;
        if host.contains('@') {
            return Err(AddressError::TwoAt);
        }
        let local = Localpart::parse(local)?;
        let host = Hostpart::parse(host)?;
        Ok(Self { host, local })
    }

    /// What stands before the `@`.
    #[must_use]
    pub fn localpart(&self) -> &Localpart {
        &self.local
    }

    /// The mail domain.
    #[must_use]
    pub fn hostpart(&self) -> &Hostpart {
        &self.host
    }

    /// The form that is compared: mapped localpart, `@`, lower-case A-labels.
    #[must_use]
    pub fn canonical(&self) -> String {
        format!("{}@{}", self.local.mapped(), self.host.ascii())
    }

    /// The address without the tag of its localpart, or None where it has none.
    #[must_use]
    pub fn without_tag(&self) -> Option<Self> {
        let written = strip_tag(self.local.as_written())?;
        let local = Localpart {
            written: written.into(),
            mapped: Some(self.local.mapped_without_tag().into()),
        };
        Some(Self {
            host: self.host.clone(),
            local,
        })
    }
}

impl Mailbox {
    /// Reads an address and, behind one space, a display name.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(s: &str) -> Result<Self, MailboxError> {
        let (address, name) = match s.split_once(' ') {
            Some((address, name)) => (address, Some(name)),
            None => (s, None),
        };
        Self::new(Address::parse(address)?, name)
    }

    /// A mailbox of an address and a display name.
    ///
    /// # Errors
    /// The rule that the display name breaks.
    pub fn new(address: Address, display_name: Option<&str>) -> Result<Self, MailboxError> {
        if let Some(name) = display_name {
            if name.is_empty() || name.starts_with(' ') || name.ends_with(' ') {
                return Err(MailboxError::Space);
            }
            if let Some((_, c)) = text::first_forbidden(name) {
                return Err(MailboxError::Character(c));
            }
        }
        Ok(Self {
            address,
            display_name: display_name.map(Into::into),
        })
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The display name, as written.
    #[must_use]
    pub fn display_name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }
}

impl PartialEq for Localpart {
    fn eq(&self, other: &Self) -> bool {
        self.mapped() == other.mapped()
    }
}
impl Eq for Localpart {}
impl PartialOrd for Localpart {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Localpart {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.mapped().cmp(other.mapped())
    }
}
impl Hash for Localpart {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.mapped().hash(state);
    }
}
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local.as_written(), self.host)
    }
}
impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.display_name {
            Some(name) => write!(f, "{} {name}", self.address),
            None => self.address.fmt(f),
        }
    }
}
impl std::str::FromStr for Address {
    type Err = AddressError;
    fn from_str(s: &str) -> Result<Self, AddressError> {
        Self::parse(s)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn compared_mapped_and_shown_as_written() {
        let bob = Address::parse("Bob@B.test").unwrap();
        assert_eq!(bob, Address::parse("bob@b.test").unwrap());
        assert_eq!(bob.to_string(), "Bob@B.test");
        assert_eq!(bob.canonical(), "bob@b.test");
        let peter = Address::parse("Пётр@пример.test").unwrap();
        assert_eq!(peter, Address::parse("пётр@xn--e1afmkfd.test").unwrap());
    }

    #[test]
    fn tags() {
        let tagged = Address::parse("Bob+receipts+2@b.test").unwrap();
        assert_eq!(
            tagged.without_tag().unwrap(),
            Address::parse("bob@b.test").unwrap()
        );
        assert_eq!(tagged.localpart().mapped_without_tag(), "bob");
        for none in ["bob@b.test", "+x@b.test"] {
            assert_eq!(Address::parse(none).unwrap().without_tag(), None);
        }
    }

    #[test]
    fn each_rule_is_named() {
        use AddressError as E;
        let long = format!("{}@b.test", "a".repeat(65));
        let very_long = format!("{}@b.test", "a".repeat(320));
        for (bad, why) in [
            ("bob", E::NoAt),
            ("bob@c@b.test", E::TwoAt),
            ("@b.test", E::EmptyLocalpart),
            (&long, E::LongLocalpart),
            (&very_long, E::TooLong),
            ("-rf@b.test", E::Leading('-')),
            (".bob@b.test", E::Leading('.')),
            ("a/b@b.test", E::Character('/')),
            ("a\\b@b.test", E::Character('\\')),
            ("<bob@b.test", E::Character('<')),
            ("a\"b@b.test", E::Character('"')),
            ("a,b@b.test", E::Character(',')),
            ("a b@b.test", E::Character(' ')),
            (";touch x@b.test", E::Character(' ')),
            ("a\x1bb@b.test", E::Character('\x1b')),
            ("a／b@b.test", E::NotPrecis),
            ("ｂob@b.test", E::NotPrecis),
            ("bo\u{308}b@b.test", E::NotPrecis),
            ("b\u{202E}ob@b.test", E::NotPrecis),
            ("bob@b", E::Hostpart(HostpartError::OneLabel)),
        ] {
            assert_eq!(Address::parse(bad), Err(why), "{bad}");
        }
        let longest = format!("{}@b.test", "ы".repeat(64));
        assert!(Address::parse(&longest).is_ok());
    }

    #[test]
    fn mailboxes() {
        let bob = Mailbox::parse("bob@b.test Bob Ng, the plumber").unwrap();
        assert_eq!(bob.display_name(), Some("Bob Ng, the plumber"));
        assert_eq!(bob.to_string(), "bob@b.test Bob Ng, the plumber");
        assert_eq!(Mailbox::parse("bob@b.test").unwrap().display_name(), None);
        assert_eq!(Mailbox::parse("bob@b.test  Bob"), Err(MailboxError::Space));
        assert_eq!(Mailbox::parse("bob@b.test "), Err(MailboxError::Space));
        assert_eq!(
            Mailbox::parse("bob@b.test a\nb"),
            Err(MailboxError::Character('\n'))
        );
    }
}
