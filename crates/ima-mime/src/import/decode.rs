//! Octets as text.

use std::borrow::Cow;

use mail_parser::decoders::charsets::map::charset_decoder;

/// Text that says to be UTF-8, or nothing: where an octet is none of UTF-8 it is
/// read as Windows-1252, which is what most such mail was written in, and
/// nothing is lost.
pub(super) fn utf8(octets: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(octets) {
        return Cow::Borrowed(text);
    }
    let latin = charset_decoder(b"windows-1252");
    let mut out = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        out.push_str(chunk.valid());
        match latin {
            Some(latin) => out.push_str(&latin(chunk.invalid())),
            None => out.extend(chunk.invalid().iter().copied().map(char::from)),
        }
    }
    Cow::Owned(out)
}

/// Text in a charset by its name; in one that is not known as [`utf8`].
pub(super) fn text<'a>(octets: &'a [u8], charset: Option<&str>) -> Cow<'a, str> {
    let decoder = charset
        .filter(|name| !is_utf8(name))
        .and_then(|name| charset_decoder(name.trim().as_bytes()));
    match decoder {
        Some(decoder) if !octets.is_ascii() || !is_ascii_like(charset.unwrap_or_default()) => {
            Cow::Owned(decoder(octets))
        }
        _ => utf8(octets),
    }
}

fn is_utf8(name: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii"]
        .iter()
        .any(|known| name.trim().eq_ignore_ascii_case(known))
}

/// Charsets in which ASCII stands for itself, so that nothing need be decoded.
fn is_ascii_like(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("iso-8859") || name.starts_with("windows-") || name.starts_with("koi8")
}
