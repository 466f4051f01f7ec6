//! The files of a Maildir, by the messages that they hold.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ima_message::MessageDigest;
use ima_mime::exported_digest;
use ima_mime::maildir::{Mail, Maildir, Place, digest_of};

use super::fault::Fault;
use super::is_trashed;
use super::mark::Mark;

/// How much of a file that is not called by us is looked at.
const LOOKED_AT: u64 = 64 << 10;
/// What changed less than this before now may change once more at the same time,
/// as a file system counts it; in nanoseconds.
const SETTLED: u64 = 2_000_000_000;

/// How often a Maildir is listed at most where files are missed.
const LISTINGS: usize = 3;

/// Files by messages; where there are several of one, that which is to be taken for it.
pub(super) type Files = BTreeMap<MessageDigest, Mail>;

/// When directories changed last, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) new: u64,
    pub(super) cur: u64,
}

impl Times {
    /// Of a Maildir.
    pub(super) fn of(maildir: &Path) -> Result<Self, Fault> {
        let of = |place: Place| -> Result<u64, Fault> {
            let path = maildir.join(place.as_str());
            let data = fs::metadata(&path).map_err(Fault::io("open", path))?;
            let nanoseconds =
                i128::from(data.mtime()) * 1_000_000_000 + i128::from(data.mtime_nsec());
            Ok(u64::try_from(nanoseconds).unwrap_or_default())
        };
        Ok(Self {
            new: of(Place::New)?,
            cur: of(Place::Cur)?,
        })
    }

    /// Whether they are so long ago that every later change shows.
    pub(super) fn are_settled(self) -> bool {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let now = since.and_then(|since| u64::try_from(since.as_nanos()).ok());
        now.is_some_and(|now| self.new.max(self.cur).saturating_add(SETTLED) < now)
    }
}

/// Lists a Maildir, and again where a file of its mark is missed: a mail program may
/// be renaming it. A file that is not called by us is looked into: a mail program
/// gives another name to what it saves in another folder. Gives other files of the
/// same messages as well, where they are called by us.
pub(super) fn list(maildir: &Maildir, mark: Option<&Mark>) -> Result<(Files, Vec<Mail>), Fault> {
    let (mut files, mut others) = list_once(maildir)?;
    for _ in 1..LISTINGS {
        let mut marked = mark.iter().flat_map(|mark| mark.files.keys());
        if marked.all(|digest| files.contains_key(digest)) {
            break;
        }
        let (again, others_again) = list_once(maildir)?;
        files.extend(again);
        others = others_again;
    }
    Ok((files, others))
}

fn list_once(maildir: &Maildir) -> Result<(Files, Vec<Mail>), Fault> {
    let mut files = Files::new();
    let mut others = Vec::new();
    for mail in maildir.mails()? {
        let digest = match digest_of(&mail.name) {
            Some(digest) => Some(digest),
            None => look_into(&maildir.path_of(&mail)),
        };
        let Some(digest) = digest else { continue };
        let rank = |mail: &Mail| (is_trashed(mail), mail.place, mail.name.len());
        let other = match files.get(&digest) {
            Some(known) if rank(known) >= rank(&mail) => Some(mail),
            _ => files.insert(digest, mail),
        };
        others.extend(other.filter(|other| digest_of(&other.name).is_some()));
    }
    Ok((files, others))
}

/// What cannot be read is not ours.
fn look_into(path: &Path) -> Option<MessageDigest> {
    let mut beginning = Vec::new();
    let file = File::open(path).ok()?;
    file.take(LOOKED_AT).read_to_end(&mut beginning).ok()?;
    exported_digest(&beginning)
}
