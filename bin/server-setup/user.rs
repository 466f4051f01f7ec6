//! Who gets an inbox.

use ima_message::{Address, AddressError, Hostpart};

/// Somebody with an inbox at one of our hosts.
#[derive(Clone, Debug)]
pub(crate) struct User(Address);

/// Why a value of `--user` is nobody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    /// It is no localpart and no address.
    #[error("--user {user}: {source}")]
    Address {
        /// As given.
        user: String,
        /// The rule that it breaks.
        source: AddressError,
    },
    /// An address whose host is not set up here.
    #[error("--user {user}: {host} is none of the mail domains here; give --host {host} too")]
    Elsewhere {
        /// As given.
        user: String,
        /// Its hostpart.
        host: Hostpart,
    },
    /// A localpart with a tag.
    #[error(
        "--user {user}: what follows + is a tag, and mail for it goes to {without} without more: give --user {without}"
    )]
    Tag {
        /// As given.
        user: String,
        /// The same without it.
        without: String,
    },
    /// A localpart that a route's path would not be taken at its word for.
    #[error(
        "--user {user}: the braces would be a placeholder in the path of the inbox; make this one by hand, with `ima-mailbox create` and a route"
    )]
    Braces {
        /// As given.
        user: String,
    },
    /// The same person twice.
    #[error("{user} is given twice, perhaps in two spellings: give each --user once")]
    Twice {
        /// In the form that is compared.
        user: String,
    },
}

impl User {
    /// In the form that is compared: mapped localpart, `@`, lower-case A-labels.
    pub(crate) fn address(&self) -> String {
        self.0.canonical()
    }

    /// The mailbox, from the configuration's folder. The grammar of addresses
    /// makes both names in it harmless.
    pub(crate) fn mailbox(&self) -> String {
        format!(
            "mail/{}/{}",
            self.0.hostpart().ascii(),
            self.0.localpart().mapped()
        )
    }

    /// The folder of the inbox in it.
    pub(crate) fn inbox(&self) -> String {
        format!("{}/inbox", self.mailbox())
    }

    /// The file of the entry, from the configuration's folder.
    pub(crate) fn entry(&self) -> String {
        format!("{}/{}.toml", crate::plan::USERS, self.address())
    }
}

/// The inboxes that `given` asks for: of one localpart at every host, or of an
/// address.
///
/// # Errors
/// The first that is no user of these hosts, or stands twice.
pub(crate) fn users(given: &[String], hosts: &[Hostpart]) -> Result<Vec<User>, UserError> {
    let mut users: Vec<User> = Vec::new();
    for user in given {
        for address in addresses(user, hosts)? {
            check(user, &address)?;
            if users.iter().any(|User(other)| *other == address) {
                return Err(UserError::Twice {
                    user: address.canonical(),
                });
            }
            users.push(User(address));
        }
    }
    Ok(users)
}

fn addresses(user: &str, hosts: &[Hostpart]) -> Result<Vec<Address>, UserError> {
    let wrong = |source| UserError::Address {
        user: user.to_owned(),
        source,
    };
    if !user.contains('@') {
        let at = |host: &Hostpart| Address::parse(&format!("{user}@{}", host.ascii()));
        return hosts
            .iter()
            .map(at)
            .collect::<Result<_, _>>()
            .map_err(wrong);
    }
    let address = Address::parse(user).map_err(wrong)?;
    if !hosts.contains(address.hostpart()) {
        let host = address.hostpart().clone();
        return Err(UserError::Elsewhere {
            user: user.to_owned(),
            host,
        });
    }
    Ok(vec![address])
}

fn check(user: &str, address: &Address) -> Result<(), UserError> {
    let localpart = address.localpart();
    if address.without_tag().is_some() {
        let without = localpart.mapped_without_tag().to_owned();
        return Err(UserError::Tag {
            user: user.to_owned(),
            without,
        });
    }
    if localpart.mapped().contains(['{', '}']) {
        return Err(UserError::Braces {
            user: user.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn inboxes(given: &[&str]) -> Result<Vec<String>, String> {
        let hosts = ["b.test", "bücher.test"].map(|host| Hostpart::parse(host).unwrap());
        let given: Vec<_> = given.iter().map(ToString::to_string).collect();
        match users(&given, &hosts) {
            Ok(users) => Ok(users.iter().map(User::inbox).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_localpart_is_a_user_of_every_host_and_an_address_of_one() {
        assert_eq!(inboxes(&[]).unwrap(), [""; 0]);
        assert_eq!(
            inboxes(&["Bob", "dave@XN--bcher-kva.test"]).unwrap(),
            [
                "mail/b.test/bob/inbox",
                "mail/xn--bcher-kva.test/bob/inbox",
                "mail/xn--bcher-kva.test/dave/inbox"
            ]
        );
    }

    #[test]
    fn who_cannot_be_a_user_is_told_why() {
        for (given, says) in [
            (&[""][..], "the localpart is empty"),
            (&["-rf"], "does not begin with '-'"),
            (&["../dave"], "'/' cannot stand"),
            (&["bob@c.test"], "give --host c.test too"),
            (&["bob+x"], "give --user bob"),
            (&["{localpart}"], "by hand"),
            (&["bob", "BOB@b.test"], "bob@b.test is given twice"),
        ] {
            let error = inboxes(given).unwrap_err();
            assert!(error.contains(says), "{given:?}: {error}");
        }
    }
}
