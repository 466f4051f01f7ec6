//! What a mail program did to the files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use ima_mailbox::{Act, Folder, Mailbox};
use ima_message::{Address, FlagChange, FolderName, MessageDigest};
use ima_mime::maildir::{Mail, Maildir, flag_of, flags_of};

use super::fault::Fault;
use super::files::{self, Files, Times};
use super::mark::Mark;
use super::{Live, Seen, Taken, is_trashed, kept_letters, mail};

/// A folder whose files have changed.
struct Changed {
    name: FolderName,
    folder: Folder,
    maildir: Maildir,
    files: Files,
    /// What a run left here; `None` where that is not known.
    mark: Option<Mark>,
    /// What the folder holds.
    now: Live,
}

/// Messages whose files went from one Maildir to another.
type Moves = BTreeMap<(FolderName, FolderName), Vec<MessageDigest>>;

pub(super) fn take(root: &Path, mailbox: &Mailbox, account: &Address) -> Result<Taken, Fault> {
    refuse_others(root, account)?;
    let names = mailbox.names()?;
    let mut taken = Taken {
        root: root.to_owned(),
        account: account.clone(),
        is_new: names.is_empty(),
        seen: BTreeMap::new(),
        faults: Vec::new(),
    };
    let mut changed = Vec::new();
    for name in names {
        let seen = taken.seen.entry(name.clone()).or_default();
        match look(root, mailbox, name, seen) {
            Ok(one) => changed.extend(one),
            Err(fault) => {
                seen.is_unread = true;
                taken.faults.push(fault);
            }
        }
    }
    move_and_copy(root, mailbox, &changed, &mut taken.faults)?;
    for one in changed {
        let seen = taken.seen.entry(one.name.clone()).or_default();
        seen.trashed = flag_and_delete(&one)?;
        seen.files = Some(one.files);
    }
    Ok(taken)
}

/// Refuses a directory in which a Maildir holds another's mail.
fn refuse_others(root: &Path, account: &Address) -> Result<(), Fault> {
    for name in entries(root)? {
        let maildir = root.join(name);
        if let Some(of) = Mark::account_of(&maildir)?
            && of != *account
        {
            let (of, wanted) = (Box::new(of), Box::new(account.clone()));
            return Err(Fault::Others {
                maildir,
                of,
                wanted,
            });
        }
    }
    Ok(())
}

/// Lists a Maildir that has changed since its mark was made, or has none.
fn look(
    root: &Path,
    mailbox: &Mailbox,
    name: FolderName,
    seen: &mut Seen,
) -> Result<Option<Changed>, Fault> {
    let path = root.join(name.as_str());
    let (Some(maildir), Some(folder)) = (Maildir::open(&path), mailbox.folder(&name)?) else {
        return Ok(None);
    };
    let mark = Mark::read(&path)?;
    let times = Times::of(&path)?;
    seen.mark.clone_from(&mark);
    if mark.as_ref().is_some_and(|mark| mark.times == Some(times)) {
        return Ok(None);
    }
    let (files, _) = files::list(&maildir, mark.as_ref())?;
    let now = folder.live(None)?.unwrap_or_default();
    Ok(Some(Changed {
        name,
        folder,
        maildir,
        files,
        mark,
        now,
    }))
}

/// Messages whose files are gone.
fn gone(one: &Changed) -> impl Iterator<Item = MessageDigest> {
    let marked = one.mark.iter().flat_map(|mark| mark.files.keys());
    marked
        .filter(|digest| !one.files.contains_key(digest))
        .copied()
}

fn move_and_copy(
    root: &Path,
    mailbox: &Mailbox,
    changed: &[Changed],
    faults: &mut Vec<Fault>,
) -> Result<(), Fault> {
    // Where files are whose messages are not in the folder.
    let mut arrived: BTreeMap<MessageDigest, Vec<(FolderName, Mail)>> = BTreeMap::new();
    let mut gone_from: BTreeMap<MessageDigest, Vec<FolderName>> = BTreeMap::new();
    for one in changed {
        for digest in gone(one) {
            gone_from.entry(digest).or_default().push(one.name.clone());
        }
    }
    for one in changed {
        for (digest, file) in &one.files {
            // Without a mark a file may have been there all the time.
            let is_news = match &one.mark {
                Some(mark) if mark.files.contains_key(digest) => false,
                Some(mark) if !mark.strange.contains(digest) => true,
                _ => gone_from.contains_key(digest),
            };
            if is_news && !one.now.contains_key(digest) {
                let place = (one.name.clone(), file.clone());
                arrived.entry(*digest).or_default().push(place);
            }
        }
    }
    for (name, is_new, files) in beside(root, mailbox, !gone_from.is_empty(), faults)? {
        for (digest, file) in files {
            if is_new || gone_from.contains_key(&digest) {
                let places = arrived.entry(digest).or_default();
                places.push((name.clone(), file));
            }
        }
    }
    let mut moves = Moves::new();
    let mut flags: BTreeMap<FolderName, Vec<Act>> = BTreeMap::new();
    for (&digest, places) in &arrived {
        let mut froms = gone_from
            .get(&digest)
            .cloned()
            .unwrap_or_default()
            .into_iter();
        for (to, file) in places {
            let from = froms.next();
            // What was set or removed as well, on the way.
            let before = from.as_ref().and_then(|from| {
                let one = changed.iter().find(|one| one.name == *from)?;
                one.mark.as_ref()?.files.get(&digest)
            });
            let changes = changes(file, before.map_or("", String::as_str));
            flags
                .entry(to.clone())
                .or_default()
                .push(Act::Flag { digest, changes });
            match from {
                Some(from) => moves.entry((from, to.clone())).or_default().push(digest),
                None => copy(mailbox, digest, to)?,
            }
        }
    }
    for ((from, to), digests) in moves {
        if mailbox.folder(&to)?.is_none() {
            mailbox.create_folder(&to)?;
        }
        if let Some(transfer) = mailbox.move_messages(&from, &digests, &to)? {
            // Moved by somebody else meanwhile.
            for digest in transfer.missing {
                copy(mailbox, digest, &to)?;
            }
        }
    }
    for (to, acts) in flags {
        if let Some(folder) = mailbox.folder(&to)? {
            folder.apply(&acts)?;
        }
    }
    Ok(())
}

/// Copies a message from any folder that has it; one that none has is left alone.
fn copy(mailbox: &Mailbox, digest: MessageDigest, to: &FolderName) -> Result<(), Fault> {
    for from in mailbox.names()? {
        let is_there = match mailbox.folder(&from) {
            Ok(Some(folder)) if from != *to => folder.message(digest)?.is_some(),
            _ => false,
        };
        if is_there {
            if mailbox.folder(to)?.is_none() {
                mailbox.create_folder(to)?;
            }
            mailbox.copy_message(&from, digest, to)?;
            return Ok(());
        }
    }
    Ok(())
}

/// Maildirs beneath the directory that are no folder's: a mail program makes them
/// for what is saved there. Those with a mark, which had a folder, are listed where
/// files are gone. Says of each whether it is without a mark.
fn beside(
    root: &Path,
    mailbox: &Mailbox,
    is_gone: bool,
    faults: &mut Vec<Fault>,
) -> Result<Vec<(FolderName, bool, Files)>, Fault> {
    let known: BTreeSet<FolderName> = mailbox.names()?.into_iter().collect();
    let mut found = Vec::new();
    for name in entries(root)? {
        let folder = name
            .to_str()
            .and_then(|name| name.parse::<FolderName>().ok());
        let Some(folder) = folder.filter(|folder| !known.contains(folder)) else {
            continue;
        };
        let path = root.join(&name);
        let is_new = !Mark::is_there(&path);
        if let Some(maildir) = Maildir::open(&path).filter(|_| is_new || is_gone) {
            match files::list(&maildir, None) {
                Ok((files, _)) => found.push((folder, is_new, files)),
                Err(fault) => faults.push(fault),
            }
        }
    }
    Ok(found)
}

/// The names in a directory.
fn entries(directory: &Path) -> Result<Vec<OsString>, Fault> {
    let names = fs::read_dir(directory).and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect()
    });
    names.map_err(Fault::io("read", directory))
}

/// Flags that were changed are changed in the folder; messages whose files are
/// trashed are deleted there, unless something was changed about them there since.
/// Gives those of which the letter is done with. A Maildir without its mark says
/// nothing.
fn flag_and_delete(one: &Changed) -> Result<BTreeSet<MessageDigest>, Fault> {
    let mut trashed = BTreeSet::new();
    let Some(mark) = &one.mark else {
        return Ok(trashed);
    };
    let mut acts = Vec::new();
    for (&digest, file) in &one.files {
        let before = mark.files.get(&digest);
        match (one.now.get(&digest), before) {
            (Some(now), _) if is_trashed(file) => {
                let is_changed = before.is_some_and(|before| kept_letters(&now.flags) != *before);
                // A name that is there no more says nothing: it was renamed.
                if fs::symlink_metadata(one.maildir.path_of(file)).is_ok() {
                    trashed.insert(digest);
                    // Changed there: it is kept.
                    acts.extend((!is_changed).then_some(Act::Delete { digest }));
                }
            }
            (None, Some(_)) if is_trashed(file) => {
                trashed.insert(digest);
            }
            (now, Some(before)) => {
                let changes = changes(file, before);
                match now {
                    _ if changes.is_empty() => {}
                    Some(_) => acts.push(Act::Flag { digest, changes }),
                    // Deleted there, and changed here: it is kept.
                    None => {
                        mail::restore(&one.folder, digest, &one.maildir, file)?;
                    }
                }
            }
            (_, None) => {}
        }
    }
    one.folder.apply(&acts)?;
    Ok(trashed)
}

/// What was changed of the flags that have letters.
fn changes(file: &Mail, before: &str) -> Vec<FlagChange> {
    let now = kept_letters(&flags_of(&file.name));
    let set = now.chars().filter(|letter| !before.contains(*letter));
    let removed = before.chars().filter(|letter| !now.contains(*letter));
    let change = |letter, set| flag_of(letter).map(|flag| FlagChange { flag, set });
    set.filter_map(|letter| change(letter, true))
        .chain(removed.filter_map(|letter| change(letter, false)))
        .collect()
}
