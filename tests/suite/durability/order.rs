//! Whether everything was on the disk before it was acknowledged, by the order
//! of system calls. It demands
//!
//! - of each directory in which a name was made, changed or removed a sync after
//!   the last change, and of each file that has a name one after the last write,
//!   before the acknowledgement (a sync of the file system will do);
//! - the same of a folder's messages and attachments before an `add` is written,
//!   which could survive a power cut alone;
//! - a synced journal before the files of a message are removed;
//! - that no sync is believed to have succeeded later once it has failed.
//!
//! A journalling file system hides most of what is missing here from a power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::synced::{Change, needs_none};
use super::trace::{Call, path_in, string};

/// What counts as an acknowledgement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Acknowledgements {
    /// Octets on a socket, whatever they are: TLS shows no more.
    pub on_sockets: bool,
}

/// Something that is not on the disk yet.
#[derive(Clone, Debug)]
struct Pending {
    what: String,
    since: usize,
    /// A sync of it has failed.
    is_lost: bool,
}

#[derive(Debug)]
struct Order<'a> {
    root: &'a Path,
    /// What descriptors are open on.
    open: BTreeMap<i32, PathBuf>,
    /// The file that a name leads to, by the first name that was seen of it.
    files: BTreeMap<PathBuf, PathBuf>,
    /// Changes of names by directory.
    names: BTreeMap<PathBuf, Vec<Pending>>,
    /// Writes by file.
    writes: BTreeMap<PathBuf, Pending>,
    problems: BTreeSet<String>,
}

/// What is wrong with the order of these calls, as far as they are about what is
/// beneath this path.
pub fn problems(calls: &[Call], root: &Path, acknowledgements: Acknowledgements) -> Vec<String> {
    let mut order = Order {
        root,
        open: BTreeMap::new(),
        files: BTreeMap::new(),
        names: BTreeMap::new(),
        writes: BTreeMap::new(),
        problems: BTreeSet::new(),
    };
    let mut calls: Vec<&Call> = calls.iter().collect();
    // What is said counts from when it begins, what is done from when it is done.
    calls.sort_by_key(
        |call| match is_write(&call.name) || call.name == "exit_group" {
            true => call.lines.0,
            false => call.lines.1,
        },
    );
    for call in calls {
        order.take(call, acknowledgements);
    }
    order.problems.into_iter().collect()
}

fn is_write(name: &str) -> bool {
    const WRITES: [&str; 9] = [
        "write",
        "writev",
        "pwrite64",
        "pwritev",
        "pwritev2",
        "sendto",
        "sendmsg",
        "copy_file_range",
        "ftruncate",
    ];
    WRITES.contains(&name)
}

impl Order<'_> {
    fn take(&mut self, call: &Call, acknowledgements: Acknowledgements) {
        let argument = |index: usize| call.arguments.get(index).map_or("", String::as_str);
        match &*call.name {
            "exit_group" if argument(0) == "0" => self.acknowledged(self.root, "exit status 0"),
            name if is_write(name) => {
                let onto = match name {
                    "copy_file_range" => argument(2),
                    _ => argument(0),
                };
                let text = string(argument(1)).unwrap_or_default();
                self.written(call, onto, &text, acknowledgements);
            }
            "fsync" | "fdatasync" | "syncfs" => self.synced(call, argument(0)),
            _ => {}
        }
        let Ok(number) = call.result else {
            return;
        };
        if let Some(path) = &call.opened {
            self.open
                .insert(i32::try_from(number).unwrap(), path.clone());
        }
        match &*call.name {
            "open" | "openat" | "openat2" | "creat" => {
                let Some(path) = &call.opened else {
                    return;
                };
                let flags = call.arguments.join(" ");
                if flags.contains("O_CREAT") && !flags.contains("O_TMPFILE") {
                    self.changed(call, path, Change::Made);
                }
                if flags.contains("O_TRUNC") {
                    self.unsynced(call, path);
                }
            }
            "mkdir" | "mkdirat" | "symlink" | "symlinkat" => {
                let path = self.named(call, call.arguments.len() - 2);
                self.changed(call, &path, Change::Made);
            }
            "link" | "linkat" => {
                let (old, new) = (self.named(call, 0), self.named(call, 1));
                let file = self.file(&old);
                self.files.insert(new.clone(), file);
                self.changed(call, &new, Change::Made);
            }
            "unlink" | "unlinkat" | "rmdir" => {
                let path = self.named(call, 0);
                self.removed(call, &path);
            }
            "rename" | "renameat" | "renameat2" => {
                let (old, new) = (self.named(call, 0), self.named(call, 1));
                self.renamed(call, &old, &new);
            }
            _ => {}
        }
    }

    /// The name that stands at this place among those of a call, whole. A call
    /// that ends in `at` has a directory before each.
    fn named(&self, call: &Call, place: usize) -> PathBuf {
        let is_at = call.name.ends_with("at") || call.name.ends_with("at2");
        let makes = call.name.starts_with("mkdir") || call.name.starts_with("symlink");
        let index = match (is_at, makes) {
            (true, false) => place * 2 + 1,
            _ => place,
        };
        let name = string(&call.arguments[index]).expect("a name");
        if let Some(number) = name.strip_prefix("/proc/self/fd/") {
            let number = number.parse().expect("a descriptor");
            return self.open.get(&number).expect("an open file").clone();
        }
        match is_at {
            true => path_in(&call.arguments[index - 1])
                .expect("a directory")
                .join(name),
            false => name.into(),
        }
    }

    fn file(&self, path: &Path) -> PathBuf {
        self.files
            .get(path)
            .cloned()
            .unwrap_or_else(|| path.to_owned())
    }

    /// A name was made or removed.
    fn changed(&mut self, call: &Call, path: &Path, change: Change) {
        if !path.starts_with(self.root) || needs_none(path, change) {
            return;
        }
        let directory = path.parent().expect("a directory").to_owned();
        self.names.entry(directory).or_default().push(Pending {
            what: format!("{} {}", call.name, path.display()),
            since: call.lines.1,
            is_lost: false,
        });
    }

    fn removed(&mut self, call: &Call, path: &Path) {
        let directory = path.parent().expect("a directory");
        if directory.ends_with("messages") && path.starts_with(self.root) {
            let journal = directory.with_file_name("journal");
            if let Some(pending) = self.writes.get(&journal) {
                let text = format!("{}: removed before {}", path.display(), pending.what);
                self.problems.insert(text);
            }
        }
        self.changed(call, path, Change::Removed);
        self.names.remove(path);
        self.forget(path);
    }

    /// A name leads to its file no more.
    fn forget(&mut self, path: &Path) {
        let file = self.file(path);
        self.files.remove(path);
        if file == path && !self.files.values().any(|of| *of == file) {
            self.writes.remove(&file);
        }
    }

    fn renamed(&mut self, call: &Call, old: &Path, new: &Path) {
        self.changed(call, old, Change::Removed);
        self.forget(new);
        // What is beneath a directory goes with it.
        let moved = |path: PathBuf| match path.strip_prefix(old) {
            Ok(rest) if rest.as_os_str().is_empty() => new.to_owned(),
            Ok(rest) => new.join(rest),
            Err(_) => path,
        };
        let (names, files, writes) = (
            std::mem::take(&mut self.names),
            std::mem::take(&mut self.files),
            std::mem::take(&mut self.writes),
        );
        self.names = names
            .into_iter()
            .map(|(path, what)| (moved(path), what))
            .collect();
        self.files = files
            .into_iter()
            .map(|(name, of)| (moved(name), moved(of)))
            .collect();
        self.writes = writes
            .into_iter()
            .map(|(path, what)| (moved(path), what))
            .collect();
        self.changed(call, new, Change::Made);
    }

    fn written(&mut self, call: &Call, onto: &str, text: &str, told: Acknowledgements) {
        if onto.contains("<socket:") || onto.contains("<TCP") {
            if told.on_sockets {
                self.acknowledged(self.root, "octets on a socket");
            }
            return;
        }
        let Some(path) = path_in(onto) else {
            if let ("1", Some(recipient)) = (&onto[..1], text.strip_prefix("OK ")) {
                // What was said of others may still be going on.
                let user = recipient.split('@').next().unwrap_or_default();
                self.acknowledged(&self.root.join(user), text.trim_end());
            }
            return;
        };
        if path.ends_with("journal") && text.starts_with("add ") {
            let folder = path.parent().expect("a folder");
            for place in ["messages", "attachments"] {
                self.acknowledged(&folder.join(place), "its add");
            }
        }
        self.unsynced(call, &path);
        if call.name == "ftruncate" {
            // What could not be brought onto the disk is no longer wanted there.
            self.writes
                .entry(self.file(&path))
                .and_modify(|pending| pending.is_lost = false);
        }
    }

    fn unsynced(&mut self, call: &Call, path: &Path) {
        if call.result.is_err() || !path.starts_with(self.root) {
            return;
        }
        let file = self.file(path);
        let pending = self.writes.entry(file).or_insert(Pending {
            what: String::new(),
            since: 0,
            is_lost: false,
        });
        pending.since = call.lines.1;
        pending.what = format!("{} {}", call.name, path.display());
    }

    fn synced(&mut self, call: &Call, descriptor: &str) {
        let Some(path) = path_in(descriptor).filter(|path| path.starts_with(self.root)) else {
            return;
        };
        let begun = call.lines.0;
        let file = self.file(&path);
        let is_good = call.result.is_ok();
        let is_whole = call.name == "syncfs";
        let stays = |pending: &mut Pending| {
            pending.is_lost |= !is_good;
            pending.is_lost || pending.since > begun
        };
        for (directory, pending) in &mut self.names {
            if is_whole || *directory == path {
                pending.retain_mut(stays);
            }
        }
        self.writes
            .retain(|of, pending| !(is_whole || *of == file) || stays(pending));
    }

    /// What is beneath a place was said to be on the disk.
    fn acknowledged(&mut self, place: &Path, how: &str) {
        let mut problems = Vec::new();
        for (directory, pending) in &self.names {
            if directory.starts_with(place) {
                problems.extend(pending.iter().map(|pending| ("directory", pending)));
            }
        }
        for (file, pending) in &self.writes {
            let mut names = self
                .files
                .iter()
                .filter(|(_, of)| *of == file)
                .map(|(name, _)| name);
            let is_itself = is_named(file) && !self.files.values().any(|of| of == file);
            let lasts = |name: &PathBuf| name.starts_with(place) && !needs_none(name, Change::Made);
            if names.any(lasts) || (is_itself && lasts(file)) {
                problems.push(("file", pending));
            }
        }
        for (kind, pending) in problems {
            let why = match pending.is_lost {
                true => "its sync failed",
                false => "no sync of the",
            };
            let what = &pending.what;
            self.problems.insert(match pending.is_lost {
                true => format!("{what}: {why}, and then {how}"),
                false => format!("{what}: {why} {kind} before {how}"),
            });
        }
    }
}

/// Whether a path is a name, and not that of a file that was made without one.
fn is_named(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| !name.starts_with('#'))
}

#[cfg(test)]
mod tests;
