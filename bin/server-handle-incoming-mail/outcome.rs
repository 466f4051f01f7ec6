//! What became of a message at one place, and for one recipient.

use ima_message::{Address, HandlerLine};
use ima_program::exit::Exit;

/// How long a sender waits, in seconds, before it tries again.
const MIN: u64 = 60;
/// And at most.
const MAX: u64 = 86_400;

/// Octets of text that a line keeps, so that with the longest address it has
/// at most 4,093 without its LF, and 4,096 with it and the `+ ` of the protocol.
const MAX_TEXT: usize = 3500;

/// The line of a recipient that is to try again.
pub(crate) fn deferred(address: &Address, text: &str) -> HandlerLine {
    HandlerLine::Defer {
        address: address.clone(),
        cookie: None,
        min: MIN,
        max: MAX,
        text: text.into(),
    }
}

/// The line of a recipient that is refused.
pub(crate) fn failed(address: &Address, text: &str) -> HandlerLine {
    HandlerLine::Fail {
        address: address.clone(),
        text: text.into(),
    }
}

/// The line of a recipient whose route cannot be found out now.
pub(crate) fn not_looked_up(address: &Address) -> HandlerLine {
    deferred(address, "the address cannot be looked up now")
}

/// The exit code that says the same as a line.
pub(crate) fn exit_of(line: &HandlerLine) -> Exit {
    match line {
        HandlerLine::Ok(_) => Exit::Done,
        HandlerLine::Fail { .. } | HandlerLine::NoRecipient(_) => Exit::Refused,
        HandlerLine::Defer { .. } => Exit::Unfinished,
    }
}

/// The same line about somebody else, with a text that is not too long.
pub(crate) fn about(line: &HandlerLine, address: &Address) -> HandlerLine {
    let address = address.clone();
    let cut = |text: &str| {
        text.get(..text.floor_char_boundary(MAX_TEXT))
            .unwrap_or_default()
            .into()
    };
    match line {
        HandlerLine::Ok(_) => HandlerLine::Ok(address),
        HandlerLine::NoRecipient(_) => HandlerLine::NoRecipient(address),
        HandlerLine::Fail { text, .. } => HandlerLine::Fail {
            address,
            text: cut(text),
        },
        HandlerLine::Defer {
            cookie,
            min,
            max,
            text,
            ..
        } => HandlerLine::Defer {
            address,
            cookie: cookie.clone(),
            min: *min,
            max: *max,
            text: cut(text),
        },
    }
}

/// One line for an alias of several places: OK if all are, FAIL if all are,
/// else DEFER. What one place holds under a cookie is of no use to the others.
pub(crate) fn merged(one: HandlerLine, other: HandlerLine) -> HandlerLine {
    use HandlerLine::{Defer, Fail, NoRecipient, Ok};
    match (one, other) {
        (Ok(address), Ok(_)) => Ok(address),
        (NoRecipient(address), NoRecipient(_)) => NoRecipient(address),
        (Fail { address, text }, Fail { .. } | NoRecipient(_)) => Fail { address, text },
        (NoRecipient(_), fail @ Fail { .. }) => fail,
        (
            Defer {
                address,
                min,
                max,
                text,
                ..
            },
            _,
        )
        | (
            _,
            Defer {
                address,
                min,
                max,
                text,
                ..
            },
        ) => Defer {
            address,
            cookie: None,
            min,
            max,
            text,
        },
        (Fail { address, text }, Ok(_)) | (Ok(_), Fail { address, text }) => {
            deferred(&address, &text)
        }
        (NoRecipient(address), Ok(_)) | (Ok(_), NoRecipient(address)) => {
            deferred(&address, "no such mailbox")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn line(text: &str) -> HandlerLine {
        HandlerLine::parse(text).unwrap()
    }

    #[test]
    fn an_alias_is_what_all_its_places_are() {
        let (ok, fail, none, defer) = (
            "OK a@b.test",
            "FAIL a@b.test no",
            "NORECIPIENT a@b.test",
            "DEFER a@b.test held 1 2 later",
        );
        for (one, other, both) in [
            (ok, ok, ok),
            (fail, fail, fail),
            (none, none, none),
            (fail, none, fail),
            (ok, fail, "DEFER a@b.test - 60 86400 no"),
            (ok, none, "DEFER a@b.test - 60 86400 no such mailbox"),
            (ok, defer, "DEFER a@b.test - 1 2 later"),
            (fail, defer, "DEFER a@b.test - 1 2 later"),
            (defer, defer, "DEFER a@b.test - 1 2 later"),
        ] {
            assert_eq!(merged(line(one), line(other)).to_string(), both);
            assert_eq!(merged(line(other), line(one)).to_string(), both);
        }
    }

    #[test]
    fn a_line_about_somebody_else_says_the_same() {
        let dave = Address::parse("Dave@b.test").unwrap();
        for (before, after) in [
            ("OK a@b.test", "OK Dave@b.test"),
            ("FAIL a@b.test no", "FAIL Dave@b.test no"),
            ("NORECIPIENT a@b.test", "NORECIPIENT Dave@b.test"),
            ("DEFER a@b.test held 1 2 x", "DEFER Dave@b.test held 1 2 x"),
        ] {
            assert_eq!(about(&line(before), &dave).to_string(), after);
        }
        let long = line(&format!("FAIL a@b.test {}", "é".repeat(2000)));
        assert_eq!(
            about(&long, &dave).to_string().len(),
            "FAIL Dave@b.test ".len() + MAX_TEXT
        );
    }
}
