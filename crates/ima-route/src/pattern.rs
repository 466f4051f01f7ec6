//! Texts with placeholders, filled in once.
//!
//! ```text
//! pattern     = *( placeholder / any character )
//! placeholder = "{localpart}" / "{hostpart}" / "{address}"
//! ```
//!
//! A brace that does not enclose a word of letters, digits, `-` and `_` is an
//! ordinary character.

use ima_message::Address;

use crate::error::EntryError;

/// A text whose placeholders are found before any address is known, so what an
/// address brings is never looked at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Filled(Placeholder),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    /// Mapped to lower case, without its tag.
    Localpart,
    /// Lower-case A-labels.
    Hostpart,
    /// Both, mapped, with the tag.
    Address,
}

impl Pattern {
    /// Finds the placeholders.
    ///
    /// # Errors
    /// A `{word}` that is none of them.
    pub(crate) fn parse(text: &str) -> Result<Self, EntryError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, word, after)) = next_word(rest) {
            let Some(placeholder) = Placeholder::named(word) else {
                return Err(EntryError::UnknownPlaceholder {
                    word: word.to_owned(),
                });
            };
            push_text(&mut pieces, before);
            pieces.push(Piece::Filled(placeholder));
            rest = after;
        }
        push_text(&mut pieces, rest);
        Ok(Self { pieces })
    }

    /// The text for an address.
    pub(crate) fn fill(&self, address: &Address) -> String {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Filled(Placeholder::Localpart) => {
                    filled.push_str(address.localpart().mapped_without_tag())
                }
                Piece::Filled(Placeholder::Hostpart) => filled.push_str(address.hostpart().ascii()),
                Piece::Filled(Placeholder::Address) => filled.push_str(&address.canonical()),
            }
        }
        filled
    }

    /// The name of the first placeholder, or None where there is none.
    pub(crate) fn first_placeholder(&self) -> Option<&'static str> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Filled(placeholder) => Some(placeholder.name()),
        })
    }

    /// What stands before the first placeholder; the whole where there is none.
    pub(crate) fn fixed_beginning(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Text(text)) => text,
            Some(Piece::Filled(_)) | None => "",
        }
    }
}

impl Placeholder {
    const ALL: [Self; 3] = [Self::Localpart, Self::Hostpart, Self::Address];

    fn name(self) -> &'static str {
        match self {
            Self::Localpart => "localpart",
            Self::Hostpart => "hostpart",
            Self::Address => "address",
        }
    }

    fn named(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|placeholder| placeholder.name() == word)
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// The first `{word}` of a text: what stands before it, the word, and the rest.
fn next_word(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices('{').find_map(|(at, _)| {
        let (before, braced) = text.split_at_checked(at)?;
        let (word, after) = braced.strip_prefix('{')?.split_once('}')?;
        let is_word = !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        is_word.then_some((before, word, after))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill(pattern: &str, address: &str) -> String {
        Pattern::parse(pattern)
            .unwrap()
            .fill(&Address::parse(address).unwrap())
    }

    #[test]
    fn placeholders_are_filled_in_mapped() {
        assert_eq!(
            fill("/srv/{hostpart}/{localpart}/inbox", "Bob+Receipts@B.Test"),
            "/srv/b.test/bob/inbox"
        );
        assert_eq!(
            fill("--to={address}", "Bob+Receipts@B.Test"),
            "--to=bob+receipts@b.test"
        );
        assert_eq!(fill("{localpart}{localpart}", "bob@b.test"), "bobbob");
        assert_eq!(fill("{hostpart}", "Пётр@пример.test"), "xn--e1afmkfd.test");
        assert_eq!(fill("{localpart}", "Пётр@пример.test"), "пётр");
        assert_eq!(fill("", "bob@b.test"), "");
    }

    #[test]
    fn what_an_address_brings_is_not_looked_at_again() {
        assert_eq!(fill("<{localpart}>", "{address}@b.test"), "<{address}>");
        assert_eq!(fill("{{localpart}}", "address@b.test"), "{address}");
        assert_eq!(
            fill("{address}", "{localpart}+%s@b.test"),
            "{localpart}+%s@b.test"
        );
    }

    #[test]
    fn braces_around_anything_else_are_ordinary() {
        for text in [
            "{}",
            "{ print }",
            "${HOME",
            "}{",
            "{\"a\":1}",
            "{a b}",
            "{",
            "{localpart",
        ] {
            assert_eq!(fill(text, "bob@b.test"), text);
        }
        for (text, word) in [
            ("{user}", "user"),
            ("${HOME}", "HOME"),
            ("{Localpart}", "Localpart"),
            ("x{local-part}", "local-part"),
        ] {
            assert_eq!(
                Pattern::parse(text),
                Err(EntryError::UnknownPlaceholder {
                    word: word.to_owned()
                })
            );
        }
    }

    #[test]
    fn the_fixed_beginning_ends_at_the_first_placeholder() {
        let pattern = Pattern::parse("/srv/m-{hostpart}/{localpart}").unwrap();
        assert_eq!(pattern.fixed_beginning(), "/srv/m-");
        assert_eq!(pattern.first_placeholder(), Some("hostpart"));
        let fixed = Pattern::parse("/srv/bob").unwrap();
        assert_eq!(fixed.fixed_beginning(), "/srv/bob");
        assert_eq!(fixed.first_placeholder(), None);
        assert_eq!(
            Pattern::parse("{localpart}/inbox")
                .unwrap()
                .fixed_beginning(),
            ""
        );
    }

    proptest! {
        /// Whatever a sender writes, it stays within its place.
        #[test]
        fn an_address_fills_exactly_its_place(localpart in "[!-~]{1,30}") {
            if let Ok(address) = Address::parse(&format!("{localpart}@b.test")) {
                let filled = Pattern::parse("/a/{localpart}/b").unwrap().fill(&address);
                let middle = filled.strip_prefix("/a/").and_then(|rest| rest.strip_suffix("/b")).unwrap();
                prop_assert_eq!(middle, address.localpart().mapped_without_tag());
                prop_assert!(!middle.is_empty() && !middle.contains('/') && !middle.starts_with(['.', '-']));
            }
        }
    }
}
