//! A users file:
//!
//! ```toml
//! ["ADDRESS"]                       # without a tag
//! mailbox = "DIRECTORY"             # relative to the folder of this file
//! password = "HASH"                 # or ["HASH", "HASH"]
//! certificates = ["sha256:DIGEST"]  # of the public key
//! senders = ["ADDRESS"]             # else the address itself
//! ```

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use ima_message::Address;
use ima_program::config::{self, ConfigError, ConfigPath};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::password::PasswordHash;
use crate::tls::KeyDigest;

/// Somebody who may log in.
#[derive(Debug, Clone)]
pub struct User {
    address: Address,
    mailbox: PathBuf,
    passwords: Vec<PasswordHash>,
    certificates: Vec<KeyDigest>,
    senders: Vec<Address>,
}

/// A user, and where it is said.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The user.
    pub user: Arc<User>,
    /// The users file.
    pub file: Arc<Path>,
    /// Where its table begins there, from 1.
    pub line: usize,
}

impl User {
    /// Who it is: an address without a tag.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The mailbox that the user reaches, and nothing else. Absolute where the
    /// path of the users file is.
    #[must_use]
    pub fn mailbox(&self) -> &Path {
        &self.mailbox
    }

    /// Hashes of passwords, each of which will do.
    #[must_use]
    pub fn passwords(&self) -> &[PasswordHash] {
        &self.passwords
    }

    /// Public keys of the user's certificates, each of which will do.
    #[must_use]
    pub fn certificates(&self) -> &[KeyDigest] {
        &self.certificates
    }

    /// The addresses that the user may write as: those that the entry names, or
    /// else the user's own.
    #[must_use]
    pub fn senders(&self) -> &[Address] {
        &self.senders
    }
}

impl Entry {
    /// File and line, for a person.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}, line {}", self.file.display(), self.line)
    }
}

/// The entries of a users file that holds these octets, in its order; `file` is
/// named in them and in errors, and its folder is where relative paths begin.
///
/// # Errors
/// The first that is wrong, with its place.
pub fn parse(octets: &[u8], file: &Path) -> Result<Vec<Entry>, ConfigError> {
    let tables: Tables = config::parse(octets, file)?;
    let dir = file.parent().unwrap_or(Path::new("."));
    let file: Arc<Path> = file.into();
    let mut lines = Lines {
        octets,
        at: 0,
        line: 1,
    };
    let mut tables = tables.0;
    tables.sort_by_key(|(key, _)| key.span().start);
    let entries = tables.into_iter().map(|(key, table)| {
        let line = lines.of(key.span().start);
        let address = key.into_inner().0;
        let own = || vec![address.clone()];
        let senders = table
            .senders
            .map_or_else(own, |list| list.into_iter().map(|text| text.0).collect());
        let user = User {
            mailbox: table.mailbox.0.under(dir),
            passwords: table.password.0,
            certificates: table.certificates.into_iter().map(|text| text.0).collect(),
            senders,
            address,
        };
        Entry {
            user: Arc::new(user),
            file: Arc::clone(&file),
            line,
        }
    });
    Ok(entries.collect())
}

/// Lines of a text by offsets that grow.
struct Lines<'a> {
    octets: &'a [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    fn of(&mut self, offset: usize) -> usize {
        let between = self.octets.get(self.at..offset).unwrap_or_default();
        self.line += between.iter().filter(|octet| **octet == b'\n').count();
        self.at = self.at.max(offset);
        self.line
    }
}

/// A file as it is written.
struct Tables(Vec<(Spanned<Written<Untagged>>, UserToml)>);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct UserToml {
    mailbox: Written<MailboxPath>,
    #[serde(default)]
    password: Passwords,
    #[serde(default)]
    certificates: Vec<Written<KeyDigest>>,
    senders: Option<Vec<Written<Address>>>,
}

/// One text or a list of texts.
#[derive(Default)]
struct Passwords(Vec<PasswordHash>);

/// What is read from a text.
struct Written<T: Readable>(T::Value);

/// How a text is read; errors say what would be right.
trait Readable {
    type Value;
    fn read(text: &str) -> Result<Self::Value, String>;
}

impl Readable for Address {
    type Value = Self;
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| format!("{text:?} is no address: {error}"))
    }
}

/// An address that can be a user's.
struct Untagged;

impl Readable for Untagged {
    type Value = Address;
    fn read(text: &str) -> Result<Address, String> {
        let address = Address::parse(text).map_err(|error| {
            format!("{text:?} is no address: {error}; a table of this file is [\"ADDRESS\"]")
        })?;
        match address.without_tag() {
            None => Ok(address),
            Some(user) => Err(format!(
                "{text:?} has a tag, and a user has none: write {:?}",
                user.canonical()
            )),
        }
    }
}

/// The folder of a mailbox: not empty.
struct MailboxPath;

impl Readable for MailboxPath {
    type Value = ConfigPath;
    fn read(text: &str) -> Result<ConfigPath, String> {
        if text.is_empty() || text.contains('\0') {
            let like = "the folder of a mailbox is wanted, like \"/var/lib/ememo/mail/b.test/bob\"";
            return Err(like.to_owned());
        }
        Ok(ConfigPath::new(text))
    }
}

impl Readable for KeyDigest {
    type Value = Self;
    fn read(text: &str) -> Result<Self, String> {
        Self::from_str(text)
            .map_err(|error| format!("{error}; `server-user certificate` enrols one"))
    }
}

impl Readable for PasswordHash {
    type Value = Self;
    fn read(text: &str) -> Result<Self, String> {
        Self::from_str(text).map_err(|error| error.to_string())
    }
}

/// By a visitor, so that an error is at the text's own place, also in a list.
impl<'de, T: Readable> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);
        impl<T: Readable> Visitor<'_> for Text<T> {
            type Value = Written<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Written<T>, E> {
                T::read(text).map(Written).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Passwords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Passwords;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the hash of a password, in quotes, or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Passwords, E> {
                let hash = PasswordHash::from_str(text).map_err(E::custom)?;
                Ok(Passwords(vec![hash]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Passwords, A::Error> {
                let mut hashes = Vec::new();
                while let Some(Written::<PasswordHash>(hash)) = list.next_element()? {
                    hashes.push(hash);
                }
                Ok(Passwords(hashes))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

impl<'de> Deserialize<'de> for Tables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Tables;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tables of users")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tables, A::Error> {
                let mut tables = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    tables.push(entry);
                }
                Ok(Tables(tables))
            }
        }
        deserializer.deserialize_map(All)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn read(text: &str) -> Result<Vec<Entry>, String> {
        parse(text.as_bytes(), Path::new("/etc/u/users.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_says_what_its_users_may() {
        let key = format!("sha256:{}", "0a".repeat(32));
        let entries = read(&format!(
            "# Staff\n\n[\"Dave@bücher.test\"]\nmailbox = \"../mail/dave\"\n\n\
             [\"bob@b.test\"]\nmailbox = \"/m/bob\"\npassword = [\"{HASH}\", \"{HASH}\"]\n\
             certificates = [\"{key}\"]\nsenders = [\"Info@b.test\"]\n\n\
             [\"carol@b.test\"]\nmailbox = \"/m/carol\"\npassword = \"{HASH}\"\nsenders = []\n"
        ))
        .unwrap();
        let users: Vec<_> = entries
            .iter()
            .map(|entry| (&*entry.user, entry.line))
            .collect();
        let [(dave, 3), (bob, 6), (carol, 12)] = users[..] else {
            unreachable!("{users:?}")
        };
        assert_eq!(dave.address().canonical(), "dave@xn--bcher-kva.test");
        assert_eq!(dave.mailbox(), Path::new("/etc/u/../mail/dave"));
        assert_eq!(dave.senders(), [dave.address().clone()]);
        assert_eq!((dave.passwords().len(), dave.certificates().len()), (0, 0));
        assert_eq!(bob.mailbox(), Path::new("/m/bob"));
        assert_eq!(bob.passwords().len(), 2);
        assert_eq!(bob.certificates(), [key.parse().unwrap()]);
        assert_eq!(bob.senders(), [Address::parse("info@b.test").unwrap()]);
        assert_eq!((carol.passwords().len(), carol.senders().len()), (1, 0));
        assert_eq!(
            entries.last().unwrap().place(),
            "/etc/u/users.toml, line 12"
        );
        assert_eq!(read("").unwrap().len(), 0);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_what_would_be_right() {
        let bob = "[\"bob@b.test\"]\nmailbox = \"m\"\n";
        for (text, place, says) in [
            (
                "[\"bob@b.test\"]\n",
                "line 1, column 1",
                "missing field `mailbox`",
            ),
            (
                "[bob]\nmailbox = \"m\"\n",
                "line 1, column 2",
                "\"bob\" is no address: an address has an @",
            ),
            (
                "\n[\"bob@b\"]\nmailbox = \"m\"\n",
                "line 2, column 2",
                "at least two labels",
            ),
            (
                "[\"bob+x@b.test\"]\nmailbox = \"m\"\n",
                "line 1, column 2",
                "write \"bob@b.test\"",
            ),
            ("bob = 1\n", "line 1, column 1", "\"bob\" is no address"),
            (
                "[\"bob@b.test\"]\nmailbox = \"\"\n",
                "line 2, column 11",
                "the folder of a mailbox",
            ),
            (
                &format!("{bob}mail = 1\n"),
                "line 3, column 1",
                "expected one of `mailbox`, `password`",
            ),
            (
                &format!("{bob}password = 1\n"),
                "line 3, column 12",
                "expected the hash of a password, in quotes",
            ),
            (
                &format!("{bob}password = \"hunter2\"\n"),
                "line 3, column 12",
                "`server-user password` makes one",
            ),
            (
                &format!("{bob}password = [\"{HASH}\",\n \"hunter2\"]\n"),
                "line 4, column 2",
                "this is no hash",
            ),
            (
                &format!(
                    "{bob}password = \"{}\"\n",
                    HASH.replace("19456", "99999999")
                ),
                "line 3, column 12",
                "99999999 KiB",
            ),
            (
                &format!("{bob}certificates = [\"sha256:00\"]\n"),
                "line 3, column 17",
                "64 hexadecimal digits",
            ),
            (
                &format!("{bob}senders = [\"b.test\"]\n"),
                "line 3, column 12",
                "\"b.test\" is no address",
            ),
            (&format!("{bob}{bob}"), "line 3, column 2", "duplicate key"),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                error.starts_with(&format!("/etc/u/users.toml, {place}: ")),
                "{text}: {error}"
            );
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
