//! `--attach FILE[:TYPE]`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ima_message::{FileName, MediaType};

use crate::failure::Wrong;
use crate::media_type;

/// A file to attach.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) path: PathBuf,
    pub(crate) name: FileName,
    pub(crate) media_type: MediaType,
}

impl Attachment {
    /// Reads the option's value. The type is what follows the last `:`, where
    /// that holds a `/`; else it is found by the suffix of the name.
    ///
    /// # Errors
    /// What is no file's name, or cannot be an attachment's; a type that is none.
    pub(crate) fn parse(given: &OsStr) -> Result<Self, Wrong> {
        let (path, media_type) = split(given);
        if path.as_os_str().is_empty() {
            return Err(Wrong::NoFile);
        }
        if path == Path::new("-") {
            return Err(Wrong::Stdin);
        }
        let name = path
            .file_name()
            .ok_or(Wrong::NoName)?
            .to_str()
            .ok_or(Wrong::NameUtf8)?;
        let media_type = match media_type {
            Some(given) => MediaType::parse(&given.to_string_lossy())?,
            None => media_type::of(name)?,
        };
        Ok(Self {
            path: path.to_owned(),
            name: FileName::parse(name).map_err(Wrong::Name)?,
            media_type,
        })
    }
}

fn split(given: &OsStr) -> (&Path, Option<&OsStr>) {
    let octets = given.as_bytes();
    let colon = octets.iter().rposition(|&b| b == b':');
    match colon.and_then(|i| octets.split_at_checked(i)) {
        Some((path, [_, media_type @ ..])) if media_type.contains(&b'/') => (
            Path::new(OsStr::from_bytes(path)),
            Some(OsStr::from_bytes(media_type)),
        ),
        _ => (Path::new(given), None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_type_follows_the_last_colon_where_it_holds_a_slash() {
        for (given, path, name, media_type) in [
            ("a/b.pdf", "a/b.pdf", "b.pdf", "application/pdf"),
            ("a/b.pdf:text/plain", "a/b.pdf", "b.pdf", "text/plain"),
            ("12:30.txt", "12:30.txt", "12:30.txt", "text/plain"),
            ("12:30:a/b", "12:30", "12:30", "a/b"),
            ("b.", "b.", "b.", "application/octet-stream"),
            ("./-", "./-", "-", "application/octet-stream"),
            (".pdf", ".pdf", ".pdf", "application/octet-stream"),
        ] {
            let read = Attachment::parse(OsStr::new(given)).unwrap();
            assert_eq!(read.path, Path::new(path), "{given}");
            assert_eq!(read.name.as_str(), name, "{given}");
            assert_eq!(read.media_type.as_str(), media_type, "{given}");
        }
    }
}
