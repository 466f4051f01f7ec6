//! What the folder holds, done to the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ima_mailbox::{Changes, Folder, Mailbox, Message, can_sync_whole};
use ima_message::{Address, Entry, Flag, FolderName, MessageDigest};
use ima_mime::maildir::{self, Mail, Maildir, Place, flag_of, flags_of, letters, suffix};

use super::fault::Fault;
use super::files::{self, Files, Times};
use super::mail;
use super::mark::Mark;
use super::{Given, Live, Seen, is_trashed, kept, kept_letters};

/// Mails that get their names together.
const TOGETHER: usize = 1000;

/// What is to be brought where.
#[derive(Clone, Copy)]
pub(super) struct To<'a> {
    /// The Maildir.
    pub(super) path: &'a Path,
    /// Whose it is.
    pub(super) account: &'a Address,
    pub(super) mailbox: &'a Mailbox,
    pub(super) name: &'a FolderName,
    pub(super) folder: &'a Folder,
    /// What was seen of it.
    pub(super) seen: &'a Seen,
}

/// Brings one Maildir to what its folder holds, and marks it.
pub(super) fn give(to: &To<'_>, given: &mut Given) -> Result<(), Fault> {
    let To {
        path, folder, seen, ..
    } = *to;
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
    let (files, others) = files::list(&maildir, seen.mark.as_ref())?;
    // Where the journal is written anew meanwhile, once more.
    let (token, live) = loop {
        let token = folder.token()?;
        if let Some(live) = folder.live(Some(&token))? {
            break (token, live);
        }
    };
    let mut work = Work {
        maildir,
        to: *to,
        left: BTreeMap::new(),
        strange: BTreeSet::new(),
        is_changed: false,
    };
    work.remove_others(&files, &others, &live)?;
    for (digest, message) in &live {
        match files.get(digest) {
            Some(file) => work.name(file, *digest, message)?,
            None => work.write(*digest, message, given)?,
        }
    }
    for (digest, file) in &files {
        if !live.contains_key(digest) {
            work.remove(*digest, file, given)?;
        }
    }
    work.maildir.commit(can_sync_whole)?;
    let mark = Mark {
        token,
        account: to.account.clone(),
        times: Some(times).filter(|times| !work.is_changed && times.are_settled()),
        files: work.left,
        strange: work.strange,
    };
    if seen.mark.as_ref() != Some(&mark) {
        mark.write(path)?;
    }
    Ok(())
}

struct Work<'a> {
    maildir: Maildir,
    to: To<'a>,
    /// What will be in the Maildir.
    left: BTreeMap<MessageDigest, String>,
    /// Files that are no message's of the folder, and stay.
    strange: BTreeSet<MessageDigest>,
    is_changed: bool,
}

impl Work<'_> {
    /// Gives a file the name that says its flags. What a mail program has changed
    /// since the files were looked at stays, and the next run takes it over.
    fn name(&mut self, file: &Mail, digest: MessageDigest, message: &Message) -> Result<(), Fault> {
        let wanted = kept_letters(&message.flags);
        // Said since the files were looked at.
        if is_trashed(file) && self.to.seen.mark.is_some() && !self.is_trashed(digest) {
            self.left.insert(digest, wanted);
            return Ok(());
        }
        let found = kept_letters(&flags_of(&file.name));
        let looked = self
            .to
            .seen
            .files
            .as_ref()
            .and_then(|files| files.get(&digest));
        let known = match looked {
            Some(file) => Some(kept_letters(&flags_of(&file.name))),
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
            _ => kept(&message.flags),
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
        if is_ours && !is_trashed(file) && found == letters(&flags) {
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

    /// Writes the file of a message that has none. Where it had one when the files were
    /// looked at, it may be on its way to another Maildir: the next run sees to it.
    fn write(
        &mut self,
        digest: MessageDigest,
        message: &Message,
        given: &mut Given,
    ) -> Result<(), Fault> {
        let had_one = match &self.to.seen.files {
            Some(files) => files.contains_key(&digest),
            None => self.marked(digest).is_some(),
        };
        if had_one {
            self.is_changed = true;
            self.left.insert(digest, kept_letters(&message.flags));
            return Ok(());
        }
        let stored = match self.to.folder.stored(digest) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(()),
            Err(error) => {
                given.faults.push(Fault::Damaged {
                    digest,
                    maildir: self.maildir.path().to_owned(),
                    source: std::io::Error::other(error),
                });
                return Ok(());
            }
        };
        let stem = maildir::stem(&message.time, digest);
        let flags = kept(&message.flags);
        let (place, name) = match flags.is_empty() {
            true => (Place::New, stem.clone()),
            false => {
                let suffix = suffix(&flags, "");
                (Place::Cur, format!("{stem}{suffix}"))
            }
        };
        self.is_changed = true;
        self.left.insert(digest, letters(&flags));
        self.maildir
            .stage(&stem, place, name, &message.time, &mut |out| {
                mail::write(&stored, out)
            })?;
        given.stored += 1;
        if self.maildir.staged() >= TOGETHER {
            self.maildir.commit(can_sync_whole)?;
        }
        Ok(())
    }

    /// Removes what is there of messages beside the files that count, if those are
    /// there still.
    fn remove_others(&mut self, files: &Files, others: &[Mail], live: &Live) -> Result<(), Fault> {
        for other in others {
            let digest = maildir::digest_of(&other.name).filter(|d| live.contains_key(d));
            if let Some(file) = digest.and_then(|digest| files.get(&digest))
                && fs::symlink_metadata(self.maildir.path_of(file)).is_ok()
            {
                self.is_changed = true;
                self.maildir.remove(other)?;
            }
        }
        Ok(())
    }

    /// Removes the file of a message that the folder held and holds no more, where
    /// it was deleted or moved. Where nothing says so, it is there again.
    fn remove(
        &mut self,
        digest: MessageDigest,
        file: &Mail,
        given: &mut Given,
    ) -> Result<(), Fault> {
        let Some(mark) = &self.to.seen.mark else {
            self.strange.insert(digest);
            return Ok(());
        };
        if !mark.files.contains_key(&digest) && !self.is_trashed(digest) {
            if mark.strange.contains(&digest) {
                self.strange.insert(digest);
            }
            return Ok(());
        }
        self.is_changed = true;
        if self.is_done_with(digest)? {
            self.maildir.remove(file)?;
        } else if mail::restore(self.to.folder, digest, &self.maildir, file)? {
            let letters = kept_letters(&flags_of(&file.name));
            self.left.insert(digest, letters);
        } else {
            self.strange.insert(digest);
            let path = self.maildir.path_of(file);
            if fs::symlink_metadata(&path).is_ok() {
                given.faults.push(Fault::Changed(path));
            }
        }
        Ok(())
    }

    /// Whether a message was deleted from the folder, or is in another.
    fn is_done_with(&self, digest: MessageDigest) -> Result<bool, Fault> {
        if self.to.folder.was_removed(digest)? {
            return Ok(true);
        }
        for name in self.to.mailbox.names()? {
            if name != *self.to.name
                && let Some(folder) = self.to.mailbox.folder(&name)?
                && folder.message(digest)?.is_some()
            {
                return Ok(true);
            }
        }
        let Changes::Since(changes, _) = self.to.folder.changes(None)? else {
            return Ok(false);
        };
        for change in changes {
            if change?.entry == (Entry::Del { digest }) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_trashed(&self, digest: MessageDigest) -> bool {
        self.to.seen.trashed.contains(&digest)
    }

    fn marked(&self, digest: MessageDigest) -> Option<&String> {
        self.to.seen.mark.as_ref()?.files.get(&digest)
    }
}
