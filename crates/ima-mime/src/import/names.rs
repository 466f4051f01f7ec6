//! Names of attachments, made such that ima-message(5) allows them.

use ima_message::limits::MAX_FILE_NAME;
use ima_message::{FileName, text};

/// The name that a mail gives, without what a name cannot have; `None` where
/// nothing of it stays. A long one loses of its middle, so that its suffix stays.
pub(super) fn file_name(given: &str) -> Option<FileName> {
    let kept: String = given
        .chars()
        .map(|c| match c {
            '/' | '\\' => '_',
            '\t' | '\n' | '\r' => ' ',
            c => c,
        })
        .filter(|&c| text::is_text(c) && !text::is_bidi_control(c))
        .collect();
    let kept = kept.trim_matches(' ');
    let (stem, suffix) = match kept.rsplit_once('.') {
        Some((stem, suffix)) if suffix.len() < 32 => (stem, format!(".{suffix}")),
        _ => (kept, String::new()),
    };
    let room = stem.floor_char_boundary(MAX_FILE_NAME.saturating_sub(suffix.len()));
    let name = format!("{}{suffix}", stem.get(..room).unwrap_or_default());
    FileName::parse(name.trim_matches(' ')).ok()
}

/// A name for an attachment that has none, by its type and number.
pub(super) fn stand_in(media_type: &str, number: usize) -> String {
    match media_type {
        "message/rfc822" | "message/global" => format!("message-{number}.eml"),
        "application/pgp-signature" => "signature.asc".to_owned(),
        "text/calendar" => format!("part-{number}.ics"),
        "text/html" => format!("part-{number}.html"),
        "text/plain" | "message/delivery-status" => format!("part-{number}.txt"),
        "image/jpeg" => format!("part-{number}.jpg"),
        "image/png" => format!("part-{number}.png"),
        "image/gif" => format!("part-{number}.gif"),
        "application/pdf" => format!("part-{number}.pdf"),
        _ => format!("part-{number}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (given, name) in [
            ("plan.pdf", "plan.pdf"),
            ("../../etc/passwd", ".._.._etc_passwd"),
            (" a\tb\r\nc\u{202e}d.txt ", "a b  cd.txt"),
            ("C:\\x\0y", "C:_xy"),
            (".profile", ".profile"),
        ] {
            assert_eq!(file_name(given).unwrap().as_str(), name);
        }
        for nothing in ["", ".", "..", " \u{7}\u{2066} "] {
            assert!(file_name(nothing).is_none(), "{nothing:?}");
        }
        let long = file_name(&format!("{}.pdf", "é".repeat(200))).unwrap();
        assert!(long.as_str().ends_with("é.pdf") && long.as_str().len() > 250);
    }
}
