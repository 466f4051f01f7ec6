//! What the folder holds, done to the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ima_mailbox::{Folder, Message};
use ima_message::{Flag, MessageDigest};
use ima_mime::maildir::{self, Mail, Maildir, Place, flag_of, flags_of, letters, suffix};

use super::fault::Fault;
use super::files::{self, Files, Times};
use super::mail::Stored;
use super::mark::Mark;
use super::{Given, Live, Seen};

/// Mails that get their names together.
const TOGETHER: usize = 1000;

/// Brings one Maildir to what its folder holds, and marks it.
pub(super) fn give(
    path: &Path,
    folder: &Folder,
    seen: &Seen,
    given: &mut Given,
) -> Result<(), Fault> {
    if path.join("journal").exists() {
        return Err(Fault::Folder(path.to_owned()));
    }
    if let Some(mark) = &seen.mark
        && mark.times.is_some()
        && mark.times == Times::of(path).ok()
        && mark.token == folder.token()?
    {
        return Ok(());
    }
    let maildir = match Maildir::open(path) {
        Some(maildir) => maildir,
        None => Maildir::create(path)?,
    };
    let times = Times::of(path)?;
    let files = files::list(&maildir)?;
    // Where the journal is written anew meanwhile, once more.
    let (token, live) = loop {
        let token = folder.token()?;
        if let Some(live) = folder.live(Some(&token))? {
            break (token, live);
        }
    };
    let mut work = Work {
        maildir,
        folder,
        seen,
        left: BTreeMap::new(),
        is_changed: false,
    };
    for (digest, message) in &live {
        match files.get(digest) {
            Some(file) => work.name(file, *digest, message)?,
            None => work.write(*digest, message, given)?,
        }
    }
    let strange = work.remove(&files, &live)?;
    work.maildir.commit()?;
    let mark = Mark {
        token,
        times: Some(times).filter(|times| !work.is_changed && times.are_settled()),
        files: work.left,
        strange,
    };
    if seen.mark.as_ref() != Some(&mark) {
        mark.write(path)?;
    }
    Ok(())
}

struct Work<'a> {
    maildir: Maildir,
    folder: &'a Folder,
    seen: &'a Seen,
    /// What will be in the Maildir.
    left: BTreeMap<MessageDigest, String>,
    is_changed: bool,
}

impl Work<'_> {
    /// Gives a file the name that says its flags. What a mail program has changed
    /// since the files were looked at stays, and the next run takes it over.
    fn name(&mut self, file: &Mail, digest: MessageDigest, message: &Message) -> Result<(), Fault> {
        let found = letters(&flags_of(&file.name));
        let wanted = letters(&message.flags);
        let looked = self
            .seen
            .files
            .as_ref()
            .and_then(|files| files.get(&digest));
        let known = match looked {
            Some(file) => Some(letters(&flags_of(&file.name))),
            None => self.marked(digest).cloned(),
        };
        let flags: BTreeSet<Flag> = match known {
            // Changed on both sides: each keeps what it did.
            Some(known) if known != found => {
                let set = wanted.chars().filter(|letter| !known.contains(*letter));
                let kept = found
                    .chars()
                    .filter(|letter| wanted.contains(*letter) || !known.contains(*letter));
                kept.chain(set).filter_map(flag_of).collect()
            }
            _ => message.flags.clone(),
        };
        // What the folder does not know yet is news to the next run.
        self.left.insert(digest, wanted);
        let stem = maildir::stem(&message.time, digest);
        let is_ours = maildir::digest_of(&file.name).is_some();
        let stem = if is_ours {
            maildir::stem_of(&file.name)
        } else {
            &stem
        };
        if is_ours && found == letters(&flags) {
            return Ok(());
        }
        let (place, name) = match flags.is_empty() && file.place == Place::New {
            true => (Place::New, stem.to_owned()),
            false => (Place::Cur, format!("{stem}{}", suffix(&flags, &file.name))),
        };
        self.is_changed = true;
        match self.maildir.rename(file, place, name) {
            // A mail program was quicker: what it did is news to the next run.
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
                self.left.insert(digest, found);
                Ok(())
            }
            renamed => renamed.map_err(Fault::from),
        }
    }

    /// Writes the file of a message that has none. Where it had one, the user has
    /// removed it since the files were looked at, and the next run takes that over.
    fn write(
        &mut self,
        digest: MessageDigest,
        message: &Message,
        given: &mut Given,
    ) -> Result<(), Fault> {
        // What was not there then is not deleted, or came back.
        let had_one = match &self.seen.files {
            Some(files) => files.contains_key(&digest),
            None => self.marked(digest).is_some(),
        };
        if had_one {
            self.left.insert(digest, letters(&message.flags));
            return Ok(());
        }
        let mut stored = match Stored::open(self.folder, digest) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(()),
            Err(source) => {
                given.faults.push(Fault::Damaged {
                    digest,
                    maildir: self.maildir.path().to_owned(),
                    source,
                });
                return Ok(());
            }
        };
        let stem = maildir::stem(&message.time, digest);
        let (place, name) = match message.flags.is_empty() {
            true => (Place::New, stem.clone()),
            false => {
                let suffix = suffix(&message.flags, "");
                (Place::Cur, format!("{stem}{suffix}"))
            }
        };
        self.is_changed = true;
        self.left.insert(digest, letters(&message.flags));
        self.maildir
            .stage(&stem, place, name, &message.time, &mut |out| {
                stored.write(out)
            })?;
        given.stored += 1;
        if self.maildir.staged() >= TOGETHER {
            self.maildir.commit()?;
        }
        Ok(())
    }

    /// Removes the files of messages that the folder held and holds no more. Gives
    /// those that were there before there was a mark and are no message's of it.
    fn remove(&mut self, files: &Files, live: &Live) -> Result<BTreeSet<MessageDigest>, Fault> {
        let mut strange = BTreeSet::new();
        for (digest, file) in files
            .iter()
            .filter(|(digest, _)| !live.contains_key(digest))
        {
            let Some(mark) = &self.seen.mark else {
                strange.insert(*digest);
                continue;
            };
            if mark.files.contains_key(digest) {
                self.is_changed = true;
                self.maildir.remove(file)?;
            } else if mark.strange.contains(digest) {
                strange.insert(*digest);
            }
        }
        Ok(strange)
    }

    fn marked(&self, digest: MessageDigest) -> Option<&String> {
        self.seen.mark.as_ref()?.files.get(&digest)
    }
}
