//! The check of one folder.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ima_message::PartDigest;
use rustix::fs::{FileType, OFlags, Stat};

use super::finding::{Finding, Rule};
use super::octets::Digested;
use super::snapshot::Snapshot;
use crate::directory::{DIRECTORY_MODE, Directory, FILE_MODE};
use crate::error::{Kind, MailboxError, Step};
use crate::name;

/// Checks one folder.
///
/// # Errors
/// [`MailboxError::NoFolder`] where nothing is there; a fault where it cannot be
/// opened or listed.
pub fn folder(path: &Path, report: &mut dyn FnMut(Finding)) -> Result<(), MailboxError> {
    let root = Directory::open(path)?;
    let (_, owner) = root.device_and_owner()?;
    Inspection {
        root,
        owner,
        report,
        digested: Digested::default(),
        held: BTreeSet::new(),
    }
    .run()
}

/// What the check of a folder knows so far.
pub(super) struct Inspection<'a> {
    pub(super) root: Directory,
    owner: u32,
    report: &'a mut dyn FnMut(Finding),
    digested: Digested,
    /// Attachments that some live message announces.
    pub(super) held: BTreeSet<PartDigest>,
}

impl Inspection<'_> {
    fn run(&mut self) -> Result<(), MailboxError> {
        let metadata = self.root.metadata("", self.root.as_file())?;
        self.permissions(
            self.root.path().to_owned().as_path(),
            metadata.mode(),
            self.owner,
            DIRECTORY_MODE,
        );
        self.unexpected_entries()?;
        let messages = self.open_directory(name::MESSAGES)?;
        let attachments = self.open_directory(name::ATTACHMENTS)?;
        let gone = self.open_directory(name::GONE)?;
        let tmp = self.open_directory(name::TMP)?;
        self.entry_or_missing(name::JOURNAL)?;
        if self
            .entry_or_missing(name::LOCK)?
            .is_some_and(|status| status.st_size > 0)
        {
            self.found(self.root.path().join(name::LOCK), Rule::NotEmpty);
        }
        self.entry_of_root(name::SUMMARY, Kind::File)?;
        if let Entry::Right(_) = self.entry_of_root(name::DAMAGED, Kind::Directory)? {
            self.found(self.root.path().join(name::DAMAGED), Rule::SetAside);
        }
        let snapshot = Snapshot::take(
            &self.root,
            messages.as_ref(),
            attachments.as_ref(),
            self.report,
        )?;
        if let Some(messages) = messages {
            self.messages(&messages, &snapshot)?;
        }
        if let Some(attachments) = attachments {
            self.attachments(&attachments, &snapshot)?;
        }
        if let Some(gone) = gone {
            self.gone(&gone)?;
        }
        if let Some(tmp) = tmp {
            self.leftovers(&tmp)?;
        }
        Ok(())
    }

    fn unexpected_entries(&mut self) -> Result<(), MailboxError> {
        let mut names = self.root.names()?;
        names.sort();
        for entry in names {
            let known = matches!(
                entry.to_str(),
                Some(
                    name::JOURNAL
                        | name::LOCK
                        | name::MESSAGES
                        | name::ATTACHMENTS
                        | name::GONE
                        | name::TMP
                        | name::SUMMARY
                        | name::DAMAGED
                )
            );
            if !known {
                self.found(self.root.path().join(entry), Rule::Unexpected);
            }
        }
        Ok(())
    }

    fn open_directory(&mut self, name: &str) -> Result<Option<Directory>, MailboxError> {
        match self.entry_of_root(name, Kind::Directory)? {
            Entry::Right(_) => match self.root.directory(name) {
                Ok(directory) => return Ok(Some(directory)),
                Err(error) => self.found(self.root.path().join(name), Rule::Unreadable(error)),
            },
            Entry::Absent => self.found(self.root.path().join(name), Rule::NotThere),
            Entry::Wrong => {}
        }
        Ok(None)
    }

    fn entry_or_missing(&mut self, name: &str) -> Result<Option<Stat>, MailboxError> {
        match self.entry_of_root(name, Kind::File)? {
            Entry::Right(status) => return Ok(Some(status)),
            Entry::Absent => self.found(self.root.path().join(name), Rule::NotThere),
            Entry::Wrong => {}
        }
        Ok(None)
    }

    fn entry_of_root(&mut self, name: &str, expected: Kind) -> Result<Entry, MailboxError> {
        let status = self.root.status(name)?;
        Ok(self.look_at(&self.root.path().join(name), status, expected))
    }

    /// Looks at what a name in a directory of the folder stands for.
    pub(super) fn entry(
        &mut self,
        directory: &Directory,
        name: &OsStr,
        expected: Kind,
    ) -> Result<Entry, MailboxError> {
        let status = directory.status(name)?;
        Ok(self.look_at(&directory.path().join(name), status, expected))
    }

    fn look_at(&mut self, path: &Path, status: Option<Stat>, expected: Kind) -> Entry {
        let Some(status) = status else {
            return Entry::Absent;
        };
        let found = Kind::from(FileType::from_raw_mode(status.st_mode));
        if found != expected {
            self.found(path.to_owned(), Rule::Kind { expected, found });
            return Entry::Wrong;
        }
        let mode = if expected == Kind::Directory {
            DIRECTORY_MODE
        } else {
            FILE_MODE
        };
        self.permissions(path, status.st_mode, status.st_uid, mode);
        Entry::Right(status)
    }

    fn permissions(&mut self, path: &Path, mode: u32, owner: u32, expected: u32) {
        let found = mode & 0o777;
        if found != expected {
            self.found(path.to_owned(), Rule::Mode { expected, found });
        }
        if owner != self.owner {
            self.found(
                path.to_owned(),
                Rule::Owner {
                    expected: self.owner,
                    found: owner,
                },
            );
        }
    }

    /// The digest of a file; a file that cannot be read is a finding.
    pub(super) fn digest(&mut self, path: &Path, file: File) -> Result<PartDigest, Finding> {
        self.digested.digest(file).map_err(|e| unreadable(path, e))
    }

    pub(super) fn found(&mut self, path: std::path::PathBuf, rule: Rule) {
        self.tell(Finding::new(path, rule));
    }

    pub(super) fn tell(&mut self, finding: Finding) {
        (self.report)(finding);
    }
}

/// What a name stands for.
pub(super) enum Entry {
    /// What was expected; its permissions were looked at.
    Right(Stat),
    /// Something else, which was reported.
    Wrong,
    /// Nothing.
    Absent,
}

/// The finding that a file cannot be read.
pub(super) fn unreadable(path: &Path, error: io::Error) -> Finding {
    let error = MailboxError::io(Step::Read, path, error);
    Finding::new(path.to_owned(), Rule::Unreadable(error))
}

/// Opens a file for reading. What is no file was reported when its directory
/// was looked through, and counts here as neither there nor missing.
pub(super) fn open(directory: &Directory, name: &str) -> Result<Option<File>, Finding> {
    let finding = |rule| Finding::new(directory.path().join(name), rule);
    match directory.find_file(name, OFlags::RDONLY) {
        Ok(Some(file)) => Ok(Some(file)),
        Ok(None) => Err(finding(Rule::Missing)),
        Err(MailboxError::Kind { .. }) => Ok(None),
        Err(error) => Err(finding(Rule::Unreadable(error))),
    }
}
