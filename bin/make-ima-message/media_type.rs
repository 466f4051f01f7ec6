//! Media types by the suffix of a file's name, and never by what is in it.

use ima_message::{MediaType, PartError};

/// Suffixes in lower case.
const BY_SUFFIX: [(&str, &str); 30] = [
    ("csv", "text/csv"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("eml", "message/rfc822"),
    ("epub", "application/epub+zip"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ics", "text/calendar"),
    ("ima", "application/x-ima-message"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("md", "text/markdown"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ogg", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("txt", "text/plain"),
    ("wav", "audio/vnd.wave"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("xml", "application/xml"),
    ("xz", "application/x-xz"),
    ("zip", "application/zip"),
];

/// The type of a file of this name; `application/octet-stream` where its suffix
/// says nothing.
///
/// # Errors
/// None that a type of the table gives.
pub(crate) fn of(name: &str) -> Result<MediaType, PartError> {
    let suffix = match name.rsplit_once('.') {
        Some((stem, suffix)) if !stem.is_empty() => suffix.to_ascii_lowercase(),
        _ => String::new(),
    };
    let known = BY_SUFFIX.iter().find(|(known, _)| *known == suffix);
    MediaType::parse(known.map_or("application/octet-stream", |(_, media_type)| media_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suffix_has_its_type_in_either_case() {
        for (suffix, media_type) in BY_SUFFIX {
            assert_eq!(suffix, suffix.to_ascii_lowercase());
            for name in [
                format!("a.b.{suffix}"),
                format!("a.{}", suffix.to_uppercase()),
            ] {
                assert_eq!(of(&name), MediaType::parse(media_type), "{name}");
            }
        }
        assert_eq!(
            of("unknown.zzz"),
            MediaType::parse("application/octet-stream")
        );
    }
}
