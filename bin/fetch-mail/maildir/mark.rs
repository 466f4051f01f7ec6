//! The mark of a Maildir, `.fetch-mail` in it: what a run left there.
//!
//! ```text
//! mark    = "fetch-mail-maildir 2 " token LF account *(times / file / strange)
//! account = "account " address LF            ; whose mail it is
//! times   = "times " new SP cur LF           ; when the directories changed last, in ns
//! file    = "file " digest SP "-" *letter LF ; a file, and its flags
//! strange = "strange " digest LF             ; a file that is no message's of the folder
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use ima_message::{Address, MessageDigest, Token, text};

use super::fault::Fault;
use super::files::Times;

const NAME: &str = ".fetch-mail";
const NEW_NAME: &str = ".fetch-mail.new";
const BEGINS: &str = "fetch-mail-maildir 2 ";
/// Octets in which the account stands.
const MAX_BEGINNING: u64 = 4096;

/// What a run left in a Maildir.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// How far the folder's journal was read.
    pub(super) token: Token,
    /// Whose mail it is.
    pub(super) account: Address,
    /// When the directories had changed last, where that is certain.
    pub(super) times: Option<Times>,
    /// Messages that have a file, and the letters of its flags.
    pub(super) files: BTreeMap<MessageDigest, String>,
    /// Files that were there before and are no message's of the folder.
    pub(super) strange: BTreeSet<MessageDigest>,
}

impl Mark {
    /// The mark of a Maildir; what is none counts as missing.
    pub(super) fn read(maildir: &Path) -> Result<Option<Self>, Fault> {
        let path = maildir.join(NAME);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(Fault::io("read", path)(error)),
        }
    }

    /// Whether a Maildir has a mark, of whatever format.
    pub(super) fn is_there(maildir: &Path) -> bool {
        fs::symlink_metadata(maildir.join(NAME)).is_ok()
    }

    /// Whose mail a Maildir holds; `None` where it has no mark.
    pub(super) fn account_of(maildir: &Path) -> Result<Option<Address>, Fault> {
        let path = maildir.join(NAME);
        let mut lines = match File::open(&path) {
            Ok(file) => BufReader::new(file.take(MAX_BEGINNING)).lines(),
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
                    _ => Err(Fault::io("read", path)(error)),
                };
            }
        };
        let mut line = || lines.next().and_then(Result::ok);
        let begins = line().is_some_and(|line| line.starts_with(BEGINS));
        let account = line().filter(|_| begins);
        let account = account.as_deref().and_then(account_in);
        Ok(account)
    }

    /// Puts it in the place of the old one, durably.
    pub(super) fn write(&self, maildir: &Path) -> Result<(), Fault> {
        let (path, new) = (maildir.join(NAME), maildir.join(NEW_NAME));
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(self.to_text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(maildir)?.sync_all()
        });
        written.map_err(Fault::io("write", path))
    }

    fn to_text(&self) -> String {
        let mut text = format!(
            "{BEGINS}{}\naccount {}\n",
            self.token,
            self.account.canonical()
        );
        if let Some(times) = self.times {
            text += &format!("times {} {}\n", times.new, times.cur);
        }
        for (digest, letters) in &self.files {
            text += &format!("file {digest} -{letters}\n");
        }
        for digest in &self.strange {
            text += &format!("strange {digest}\n");
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        // A line without its end was not written whole.
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let token = lines.next()?.strip_prefix(BEGINS)?.parse().ok()?;
        let account = account_in(lines.next()?)?;
        let mut mark = Self {
            token,
            account,
            times: None,
            files: BTreeMap::new(),
            strange: BTreeSet::new(),
        };
        for line in lines {
            match line.split_once(' ')? {
                ("times", times) => {
                    let (new, cur) = times.split_once(' ')?;
                    mark.times = Some(Times {
                        new: text::parse_decimal(new)?,
                        cur: text::parse_decimal(cur)?,
                    });
                }
                ("file", file) => {
                    let (digest, letters) = file.split_once(" -")?;
                    mark.files.insert(digest.parse().ok()?, letters.to_owned());
                }
                ("strange", digest) => {
                    mark.strange.insert(digest.parse().ok()?);
                }
                _ => return None,
            }
        }
        Some(mark)
    }
}

fn account_in(line: &str) -> Option<Address> {
    Address::parse(line.strip_prefix("account ")?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_they_were_written() {
        let digest = |hex: &str| hex.repeat(32).parse().unwrap();
        let mark = Mark {
            token: "6f0c9a1b2d3e4f50.256".parse().unwrap(),
            account: Address::parse("bob@b.test").unwrap(),
            times: Some(Times { new: 1, cur: 2 }),
            files: [
                (digest("ab"), String::new()),
                (digest("cd"), "FS".to_owned()),
            ]
            .into(),
            strange: [digest("ef")].into(),
        };
        let text = mark.to_text();
        assert_eq!(Mark::parse(&text), Some(mark));
        for end in 0..text.len() {
            let cut = text.get(..end).unwrap();
            assert!(Mark::parse(cut).is_none() || cut.ends_with('\n'), "{cut:?}");
        }
        assert_eq!(Mark::parse(&format!("{text}x\n")), None);
    }
}
