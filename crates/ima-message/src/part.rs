//! The `part` field: what a message holds.
//!
//! ```text
//! part = type SP length SP "sha256:" 64HEXLOWER *(SP attribute) [SP "name=" filename]
//! type = restricted-name "/" restricted-name      ; RFC 6838, 4.2
//! attribute = key "=" value                       ; each key once
//! key = 1*32(LOWER / DIGIT / "-")
//! value = 1*text, without SP
//! ```
//!
//! A part with a name is an attachment; one without is inline.

use std::collections::HashSet;
use std::fmt;

use crate::digest::{DigestError, PartDigest};
use crate::limits::MAX_FILE_NAME;
use crate::text;

/// One part, as its field announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    media_type: MediaType,
    length: u64,
    digest: PartDigest,
    /// As they were written, one space between two of them.
    attributes: Box<str>,
    name: Option<FileName>,
}

/// Why a value is not that of a `part` field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// Fewer than three words.
    #[error("a part is written as: type length sha256:digest")]
    Incomplete,
    /// Not `type/subtype`.
    #[error("{0:?} is not a media type like text/plain (RFC 6838), which has no parameters here")]
    MediaType(Box<str>),
    /// Not a canonical decimal below 2^63.
    #[error("{0:?} is not a length: decimal, without sign or leading zero, below 2^63")]
    Length(Box<str>),
    /// Not announced as SHA-256.
    #[error("a part's digest begins with sha256:")]
    Algorithm,
    /// The digest is badly written.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// A word that is no `key=value`.
    #[error(
        "{0:?} is not an attribute: key=value, the key of at most 32 letters in lower case, digits and hyphens"
    )]
    Attribute(Box<str>),
    /// A key that stands twice.
    #[error("the attribute {0} stands twice")]
    AttributeTwice(Box<str>),
    /// `alternative-of` names no earlier part.
    #[error("alternative-of={0} does not name an earlier part")]
    AlternativeOf(Box<str>),
    /// `language` is no language tag.
    #[error("language={0} is not a language tag (BCP 47)")]
    Language(Box<str>),
    /// The file name breaks a rule.
    #[error(transparent)]
    FileName(#[from] FileNameError),
}

impl Part {
    /// A part of its type, length in octets, digest, and for an attachment its name.
    #[must_use]
    pub fn new(
        media_type: MediaType,
        length: u64,
        digest: PartDigest,
        name: Option<FileName>,
    ) -> Self {
        Self {
            media_type,
            length,
            digest,
            attributes: Box::default(),
            name,
        }
    }

    /// Marks the part as another form of an earlier one, by that one's number.
    #[must_use]
    pub fn alternative_of(mut self, number: usize) -> Self {
        let before = match &*self.attributes {
            "" => String::new(),
            before => format!("{before} "),
        };
        self.attributes = format!("{before}alternative-of={number}").into();
        self
    }

    /// Reads the value of a `part` field, the `number`-th (from 1) of its message.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(value: &str, number: usize) -> Result<Self, PartError> {
        let mut words = value.splitn(4, ' ');
        let (Some(media_type), Some(length), Some(digest)) =
            (words.next(), words.next(), words.next())
        else {
            return Err(PartError::Incomplete);
        };
        let media_type = MediaType::parse(media_type)?;
        let length = text::parse_decimal(length).ok_or_else(|| PartError::Length(length.into()))?;
        let digest = digest
            .strip_prefix("sha256:")
            .ok_or(PartError::Algorithm)?
            .parse()?;
        let tail = words.next();
        let mut rest = tail;
        let mut name = None;
        let mut keys = HashSet::new();
        while let Some(tail) = rest {
            if let Some(written) = tail.strip_prefix("name=") {
                name = Some(FileName::parse(written)?);
                break;
            }
            let (word, after) = match tail.split_once(' ') {
                Some((word, after)) => (word, Some(after)),
                None => (tail, None),
            };
            let key = check_attribute(word, number)?;
            if !keys.insert(key) {
                return Err(PartError::AttributeTwice(key.into()));
            }
            rest = after;
        }
        let tail = tail.unwrap_or_default();
        let named = rest.map_or(0, str::len);
        let attributes = tail.get(..tail.len().saturating_sub(named));
        let attributes = attributes.unwrap_or_default();
        Ok(Self {
            media_type,
            length,
            digest,
            attributes: attributes.strip_suffix(' ').unwrap_or(attributes).into(),
            name,
        })
    }

    /// The media type.
    #[must_use]
    pub fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// Length in octets, below 2^63.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The SHA-256 of the part's octets.
    #[must_use]
    pub fn digest(&self) -> PartDigest {
        self.digest
    }

    /// The file name; a part that has one is an attachment.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_ref().map(FileName::as_str)
    }

    /// Whether the part is an attachment, and not inline.
    #[must_use]
    pub fn is_attachment(&self) -> bool {
        self.name.is_some()
    }

    /// Attributes in the order written, unknown ones included.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let words = self.attributes.split(' ');
        words.filter_map(|word| word.split_once('='))
    }

    /// The value of one attribute.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes()
            .find(|(k, _)| *k == key)
            .map(|(_, value)| value)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} sha256:{}",
            self.media_type, self.length, self.digest
        )?;
        if !self.attributes.is_empty() {
            write!(f, " {}", self.attributes)?;
        }
        match self.name() {
            Some(name) => write!(f, " name={name}"),
            None => Ok(()),
        }
    }
}

/// The key of an attribute that keeps the rules which concern it alone.
fn check_attribute(word: &str, number: usize) -> Result<&str, PartError> {
    let is_key = |key: &str| {
        (1..=32).contains(&key.len())
            && key
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    let Some((key, value)) = word
        .split_once('=')
        .filter(|(key, value)| is_key(key) && !value.is_empty())
    else {
        return Err(PartError::Attribute(word.into()));
    };
    match key {
        "alternative-of" => {
            let earlier = 1..u64::try_from(number).unwrap_or(u64::MAX);
            if !text::parse_decimal(value).is_some_and(|n| earlier.contains(&n)) {
                return Err(PartError::AlternativeOf(value.into()));
            }
        }
        "language" => {
            let is_subtag = |s: &str| {
                (1..=8).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric())
            };
            if !value.split('-').all(is_subtag) {
                return Err(PartError::Language(value.into()));
            }
        }
        _ => {}
    }
    Ok(key)
}

/// A media type without parameters, compared without case.
#[derive(Clone, Debug)]
pub struct MediaType(Box<str>);

impl MediaType {
    /// Reads `type/subtype` (RFC 6838 restricted names, each at most 127 octets).
    ///
    /// # Errors
    /// [`PartError::MediaType`].
    pub fn parse(s: &str) -> Result<Self, PartError> {
        let is_name = |name: &str| {
            (1..=127).contains(&name.len())
                && name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        match s.split_once('/') {
            Some((top, sub)) if is_name(top) && is_name(sub) => Ok(Self(s.into())),
            _ => Err(PartError::MediaType(s.into())),
        }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is text, and so UTF-8.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.0
            .get(..5)
            .is_some_and(|top| top.eq_ignore_ascii_case("text/"))
    }
}
impl PartialEq for MediaType {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for MediaType {}
impl PartialEq<str> for MediaType {
    fn eq(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}
impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file name that is only a name: no path, no control, nothing that shows as
/// another than it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName(Box<str>);

/// Why a text is not an attachment's file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// Empty, or more than 255 octets.
    #[error("a file name has 1 to {MAX_FILE_NAME} octets")]
    Length,
    /// `/` stands in it, or it is `.` or `..`.
    #[error("a file name holds no / and is neither . nor ..")]
    Path,
    /// A space at the beginning or end.
    #[error("a file name neither begins nor ends with a space")]
    Space,
    /// A control or a bidirectional control.
    #[error("{0:?} cannot stand in a file name")]
    Character(char),
}

impl FileName {
    /// Reads a file name.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(s: &str) -> Result<Self, FileNameError> {
        if s.is_empty() || s.len() > MAX_FILE_NAME {
            return Err(FileNameError::Length);
        }
        if s.starts_with(' ') || s.ends_with(' ') {
            return Err(FileNameError::Space);
        }
        if s.contains('/') || s == "." || s == ".." {
            return Err(FileNameError::Path);
        }
        match s
            .chars()
            .find(|&c| !text::is_text(c) || text::is_bidi_control(c))
        {
            Some(c) => Err(FileNameError::Character(c)),
            None => Ok(Self(s.into())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const DIGEST: &str = "b422ebe68a6532180859bca844238bfe1d1f52b1fce1fa59416b690b4c79bd83";

    #[test]
    fn what_is_read_is_written() {
        for tail in [
            "",
            " language=de-CH x-y=a=b",
            " alternative-of=1",
            " content-id=<a@b>",
            " name=a b=c.txt",
            " k=v name=name=x alternative-of=9",
            " k=v\u{a0}\u{3000}",
            " k=v\u{a0} name=x",
        ] {
            let value = format!("text/plain 25 sha256:{DIGEST}{tail}");
            assert_eq!(Part::parse(&value, 2).unwrap().to_string(), value);
        }
    }

    #[test]
    fn rules() {
        let ok = format!("sha256:{DIGEST}");
        for (bad, why) in [
            ("text/plain 25".to_owned(), PartError::Incomplete),
            (format!("text 25 {ok}"), PartError::MediaType("text".into())),
            (
                format!("text/plain; 25 {ok}"),
                PartError::MediaType("text/plain;".into()),
            ),
            (
                format!("text/plain 025 {ok}"),
                PartError::Length("025".into()),
            ),
            (
                format!("text/plain -1 {ok}"),
                PartError::Length("-1".into()),
            ),
            (
                format!("text/plain 9223372036854775808 {ok}"),
                PartError::Length("9223372036854775808".into()),
            ),
            (format!("text/plain 1 md5:{DIGEST}"), PartError::Algorithm),
            (
                format!("text/plain 1 {ok}0"),
                PartError::Digest(DigestError),
            ),
            (
                format!("text/plain 1 {ok} x"),
                PartError::Attribute("x".into()),
            ),
            (
                format!("text/plain 1 {ok} x="),
                PartError::Attribute("x=".into()),
            ),
            (
                format!("text/plain 1 {ok}  x=1"),
                PartError::Attribute("".into()),
            ),
            (
                format!("text/plain 1 {ok} X=1"),
                PartError::Attribute("X=1".into()),
            ),
            (
                format!("text/plain 1 {ok} x=1 x=2"),
                PartError::AttributeTwice("x".into()),
            ),
            (
                format!("text/plain 1 {ok} alternative-of=2"),
                PartError::AlternativeOf("2".into()),
            ),
            (
                format!("text/plain 1 {ok} alternative-of=0"),
                PartError::AlternativeOf("0".into()),
            ),
            (
                format!("text/plain 1 {ok} language=d_e"),
                PartError::Language("d_e".into()),
            ),
            (
                format!("text/plain 1 {ok} name="),
                PartError::FileName(FileNameError::Length),
            ),
            (
                format!("text/plain 1 {ok} name=.."),
                PartError::FileName(FileNameError::Path),
            ),
            (
                format!("text/plain 1 {ok} name=a/b"),
                PartError::FileName(FileNameError::Path),
            ),
            (
                format!("text/plain 1 {ok} name= a"),
                PartError::FileName(FileNameError::Space),
            ),
            (
                format!("text/plain 1 {ok} name=\u{202E}a"),
                PartError::FileName(FileNameError::Character('\u{202E}')),
            ),
        ] {
            assert_eq!(Part::parse(&bad, 2), Err(why), "{bad}");
        }
    }
}
