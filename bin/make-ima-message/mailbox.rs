//! The ways to write a mailbox on the command line.
//!
//! ```text
//! bob@b.test
//! bob@b.test Bob Ng           as it stands in a message
//! Bob Ng <bob@b.test>         as other mail programs show it
//! "Ng, Bob" <bob@b.test>      the quotes are taken away
//! ```

use ima_message::{Address, Mailbox};

use crate::failure::Wrong;

/// Reads a mailbox in one of the ways above.
///
/// # Errors
/// The rule that it breaks; a text that names one address in angle brackets and
/// another before them.
pub(crate) fn parse(s: &str) -> Result<Mailbox, Wrong> {
    let as_in_a_message = Mailbox::parse(s);
    let Some((name, address)) = s.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) else {
        return as_in_a_message.map_err(|error| match is_list(s) {
            true => Wrong::Several,
            false => error.into(),
        });
    };
    match (Address::parse(address), as_in_a_message) {
        (Ok(address), Ok(mailbox)) if *mailbox.address() != address => Err(Wrong::TwoAddresses),
        (Ok(address), _) => {
            let name = unquoted(name.trim_matches(' '));
            let name = Some(&*name).filter(|name| !name.is_empty());
            Ok(Mailbox::new(address, name)?)
        }
        (Err(_), Ok(mailbox)) => Ok(mailbox),
        (Err(_), Err(_)) if is_list(s) => Err(Wrong::Several),
        (Err(error), Err(_)) => Err(Wrong::Mailbox(error.into())),
    }
}

/// Several addresses with commas between them, as other mail programs take them.
fn is_list(s: &str) -> bool {
    let parts = s.split(',').filter(|part| part.contains('@'));
    parts.count() > 1
}

/// A display name without the quotes around it (RFC 5322, quoted-string).
fn unquoted(name: &str) -> String {
    let inside = name
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(inside) = inside else {
        return name.to_owned();
    };
    let mut out = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' {
            chars.next().unwrap_or(c)
        } else {
            c
        });
    }
    out.trim_matches(' ').to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use ima_message::{AddressError, MailboxError};

    #[test]
    fn every_way_is_one_mailbox() {
        for (given, meant) in [
            ("bob@b.test", "bob@b.test"),
            ("bob@b.test Bob Ng", "bob@b.test Bob Ng"),
            ("Bob Ng <bob@b.test>", "bob@b.test Bob Ng"),
            ("Bob Ng<bob@b.test>", "bob@b.test Bob Ng"),
            ("<bob@b.test>", "bob@b.test"),
            ("\"\" <bob@b.test>", "bob@b.test"),
            (
                "\"Ng, \\\"B\\\" Bob\" <bob@b.test>",
                "bob@b.test Ng, \"B\" Bob",
            ),
            ("bob@b.test <bob@b.test>", "bob@b.test bob@b.test"),
            ("bob@b.test Bob <3>", "bob@b.test Bob <3>"),
            (
                "Bob <the plumber> <bob@b.test>",
                "bob@b.test Bob <the plumber>",
            ),
        ] {
            assert_eq!(parse(given).unwrap().to_string(), meant, "{given}");
        }
    }

    #[test]
    fn two_addresses_are_not_guessed_at() {
        assert!(matches!(
            parse("alice@a.test <bob@b.test>"),
            Err(Wrong::TwoAddresses)
        ));
        for several in [
            "alice@a.test,bob@b.test",
            "alice@a.test, bob@b.test",
            "Alice <alice@a.test>, <bob@b.test",
        ] {
            assert!(matches!(parse(several), Err(Wrong::Several)), "{several}");
        }
        assert!(matches!(
            parse("bob"),
            Err(Wrong::Mailbox(MailboxError::Address(AddressError::NoAt)))
        ));
        assert!(matches!(
            parse("Bob <bob>"),
            Err(Wrong::Mailbox(MailboxError::Address(AddressError::NoAt)))
        ));
        assert!(matches!(
            parse("Bob\nbcc: eve@e.test <bob@b.test>"),
            Err(Wrong::Mailbox(MailboxError::Character('\n')))
        ));
    }
}
