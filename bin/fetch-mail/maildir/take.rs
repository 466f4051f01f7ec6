//! What a mail program did to the files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ima_mailbox::{Act, Folder, Mailbox};
use ima_message::{DateTime, FlagChange, FolderName, MessageDigest};
use ima_mime::maildir::{Mail, Maildir, flag_of, flags_of, letters};

use super::fault::Fault;
use super::files::{self, Files, Times};
use super::mark::Mark;
use super::{Live, Taken, mail};

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

pub(super) fn take(root: &Path, mailbox: &Mailbox) -> Result<Taken, Fault> {
    let mut taken = Taken {
        root: root.to_owned(),
        seen: BTreeMap::new(),
        faults: Vec::new(),
    };
    let changed = look(root, mailbox, &mut taken)?;
    // What is gone may be in a folder that could not be read: then nothing is
    // taken over this time.
    if !taken.faults.is_empty() {
        return Ok(taken);
    }
    // Something may have gone from one Maildir only where one with a mark changed.
    if changed.iter().any(|one| one.mark.is_some()) {
        move_and_copy(root, mailbox, &changed)?;
    }
    for one in changed {
        let seen = taken.seen.entry(one.name).or_default();
        seen.files = Some(one.files);
    }
    Ok(taken)
}

/// Lists the Maildirs that have changed since their marks were made, and those
/// without one.
fn look(root: &Path, mailbox: &Mailbox, taken: &mut Taken) -> Result<Vec<Changed>, Fault> {
    let mut changed = Vec::new();
    for name in mailbox.names()? {
        let path = root.join(name.as_str());
        let (Some(maildir), Some(folder)) = (Maildir::open(&path), mailbox.folder(&name)?) else {
            continue;
        };
        let mark = Mark::read(&path)?;
        let times = Times::of(&path)?;
        let seen = taken.seen.entry(name.clone()).or_default();
        seen.mark.clone_from(&mark);
        if mark.as_ref().is_some_and(|mark| mark.times == Some(times)) {
            continue;
        }
        let files = files::list(&maildir)?;
        let now = match folder.live(None) {
            Ok(now) => now.unwrap_or_default(),
            Err(fault) => {
                taken.faults.push(fault.into());
                continue;
            }
        };
        changed.push(Changed {
            name,
            folder,
            maildir,
            files,
            mark,
            now,
        });
    }
    Ok(changed)
}

/// Messages whose files are gone.
fn gone(one: &Changed) -> impl Iterator<Item = MessageDigest> {
    let marked = one.mark.iter().flat_map(|mark| mark.files.keys());
    marked
        .filter(|digest| !one.files.contains_key(digest))
        .copied()
}

fn move_and_copy(root: &Path, mailbox: &Mailbox, changed: &[Changed]) -> Result<(), Fault> {
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
            let was_there = one.mark.as_ref().is_none_or(|mark| {
                mark.files.contains_key(digest) || mark.strange.contains(digest)
            });
            let is_news = !was_there || gone_from.contains_key(digest);
            if is_news && !one.now.contains_key(digest) {
                let place = (one.name.clone(), file.clone());
                arrived.entry(*digest).or_default().push(place);
            }
        }
    }
    if !gone_from.is_empty() {
        for (name, files) in beside(root, mailbox)? {
            for (digest, file) in files {
                if gone_from.contains_key(&digest) {
                    let places = arrived.entry(digest).or_default();
                    places.push((name.clone(), file));
                }
            }
        }
    }
    let mut moves = Moves::new();
    let mut moved: BTreeSet<(FolderName, MessageDigest)> = BTreeSet::new();
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
                Some(from) => {
                    moved.insert((from.clone(), digest));
                    moves.entry((from, to.clone())).or_default().push(digest);
                }
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
    for one in changed {
        flag_and_delete(one, |digest| moved.contains(&(one.name.clone(), digest)))?;
    }
    Ok(())
}

/// Copies a message from any folder that has it; one that none has is left alone.
fn copy(mailbox: &Mailbox, digest: MessageDigest, to: &FolderName) -> Result<(), Fault> {
    for from in mailbox.names()? {
        let is_there = match mailbox.folder(&from)? {
            Some(folder) if from != *to => folder.message(digest)?.is_some(),
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
/// for what is saved there.
fn beside(root: &Path, mailbox: &Mailbox) -> Result<Vec<(FolderName, Files)>, Fault> {
    let known: BTreeSet<FolderName> = mailbox.names()?.into_iter().collect();
    let mut found = Vec::new();
    let entries = fs::read_dir(root).map_err(Fault::io("read", root))?;
    let names: Result<Vec<OsString>, _> =
        entries.map(|entry| entry.map(|e| e.file_name())).collect();
    for name in names.map_err(Fault::io("read", root))? {
        let folder = name
            .to_str()
            .and_then(|name| name.parse::<FolderName>().ok());
        let Some(folder) = folder.filter(|folder| !known.contains(folder)) else {
            continue;
        };
        if let Some(maildir) = Maildir::open(&root.join(&name)) {
            found.push((folder, files::list(&maildir)?));
        }
    }
    Ok(found)
}

/// Flags that were changed are changed in the folder; messages whose files are
/// gone are deleted there, unless something was changed about them there since.
fn flag_and_delete(one: &Changed, is_moved: impl Fn(MessageDigest) -> bool) -> Result<(), Fault> {
    let Some(mark) = &one.mark else {
        return Ok(());
    };
    let mut acts = Vec::new();
    for (&digest, before) in &mark.files {
        match (one.files.get(&digest), one.now.get(&digest)) {
            (Some(file), now) => {
                let changes = changes(file, before);
                match now {
                    _ if changes.is_empty() => {}
                    Some(_) => acts.push(Act::Flag { digest, changes }),
                    // Deleted there, and changed here: it is kept.
                    None => restore(one, digest, file)?,
                }
            }
            (None, Some(_)) if is_moved(digest) => {}
            // Changed there: it is kept, and gets its file again.
            (None, Some(now)) if letters(&now.flags) != *before => {}
            (None, Some(_)) => acts.push(Act::Delete { digest }),
            (None, None) => {}
        }
    }
    one.folder.apply(&acts)?;
    Ok(())
}

/// What was changed of the flags that have letters.
fn changes(file: &Mail, before: &str) -> Vec<FlagChange> {
    let now = letters(&flags_of(&file.name));
    let set = now.chars().filter(|letter| !before.contains(*letter));
    let removed = before.chars().filter(|letter| !now.contains(*letter));
    let change = |letter, set| flag_of(letter).map(|flag| FlagChange { flag, set });
    set.filter_map(|letter| change(letter, true))
        .chain(removed.filter_map(|letter| change(letter, false)))
        .collect()
}

/// Puts a message into the folder again, from its file.
fn restore(one: &Changed, digest: MessageDigest, file: &Mail) -> Result<(), Fault> {
    let path = one.maildir.path_of(file);
    let Some(imported) = mail::read(&path, digest) else {
        return Ok(());
    };
    let arrived = fs::metadata(&path).map_or(0, |data| data.mtime().max(0));
    if let Some(arrived) = DateTime::utc(arrived) {
        let mut batch = one.folder.batch_of_user()?;
        let data = &mut imported.data();
        batch.stage_flagged(imported.header(), data, arrived, flags_of(&file.name))?;
        batch.commit()?;
    }
    Ok(())
}
