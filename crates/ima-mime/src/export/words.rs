//! Encoded words (RFC 2047) for text that looks as if it held some: a reader
//! would decode what the author meant as it stands.

use crate::base64;

/// Octets of text in a word, so that a word has at most 75 characters.
const WORD: usize = 45;

/// Whether a text must be encoded lest a reader take it for encoded.
pub(super) fn looks_encoded(text: &str) -> bool {
    text.contains("=?")
}

/// The text as encoded words, each on a line of its own but the first.
pub(super) fn encode(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.floor_char_boundary(WORD);
        let Some((word, tail)) = rest.split_at_checked(end) else {
            break;
        };
        if !out.is_empty() {
            out.extend_from_slice(b"\n ");
        }
        out.extend_from_slice(b"=?utf-8?B?");
        base64::encode(word.as_bytes(), &mut out);
        out.extend_from_slice(b"?=");
        rest = tail;
    }
    out
}
