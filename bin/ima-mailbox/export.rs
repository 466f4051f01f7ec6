//! `ima-mailbox export`.

mod copying;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ima_mailbox::{Folder, MailboxError, Message, VerifiedMessage, can_sync_whole};
use ima_message::MessageDigest;
use ima_mime::maildir::{self, Maildir, MaildirError, Place};
use ima_mime::mbox;
use ima_program::{exit::Exit, report};

use self::copying::CopyFault;
use crate::PROGRAM;
use crate::failure::Failure;
use crate::folders::{self, Found};
use crate::progress::Progress;

/// Mails of a Maildir that get their names together.
const TOGETHER: usize = 1000;

/// A folder that is exported.
struct Source {
    found: Found,
    folder: Folder,
}

/// Exports a folder, or all folders of a mailbox.
pub(crate) fn export(
    dir: &Path,
    maildir: Option<&Path>,
    mbox: Option<&Path>,
) -> Result<Exit, Failure> {
    let mut work = Work {
        progress: Progress::new("messages exported"),
        exit: Exit::Done,
    };
    let sources = work.sources(dir)?;
    match (maildir, mbox) {
        (Some(out), _) => work.write_maildir(out, &sources)?,
        (None, Some(file)) if file == Path::new("-") => {
            work.write_mbox(&sources, &mut stdout(), &Failure::Stdout)?;
        }
        (None, Some(file)) => work.write_mbox_file(file, &sources)?,
        (None, None) => work.write_stream(&sources, &mut stdout())?,
    }
    Ok(work.exit)
}

fn stdout() -> BufWriter<io::StdoutLock<'static>> {
    BufWriter::with_capacity(64 << 10, io::stdout().lock())
}

/// What is under way.
struct Work {
    progress: Progress,
    exit: Exit,
}

impl Work {
    /// The folders that can be opened.
    fn sources(&mut self, dir: &Path) -> Result<Vec<Source>, Failure> {
        let mut sources = Vec::new();
        for found in folders::find(dir)? {
            match Folder::open(&found.path) {
                Ok(folder) => sources.push(Source { found, folder }),
                Err(error) => self.undone(&found, error)?,
            }
        }
        Ok(sources)
    }

    /// The messages of a folder, oldest first. One that cannot be read is named, `None`,
    /// and the others go on.
    fn messages(
        &mut self,
        source: &Source,
    ) -> Result<Option<Vec<(MessageDigest, Message)>>, Failure> {
        let live = match source.folder.live(None) {
            Ok(live) => live.unwrap_or_default(),
            Err(error) => return self.undone(&source.found, error).map(|()| None),
        };
        let mut live: Vec<_> = live.into_iter().collect();
        live.sort_by_key(|(_, message)| message.time.unix_seconds());
        Ok(Some(live))
    }

    fn undone(&mut self, found: &Found, error: MailboxError) -> Result<(), Failure> {
        if let Some(failure) = found.undone(error)? {
            self.progress.clear();
            report::report(PROGRAM, &failure);
            self.exit = Exit::Unfinished;
        }
        Ok(())
    }

    /// Gives messages of a folder to `write`, each verified before anything of it is
    /// written. One that is damaged is named, and the others go on; one that was deleted
    /// meanwhile is passed over.
    fn each(
        &mut self,
        source: &Source,
        messages: Vec<(MessageDigest, Message)>,
        write: &mut dyn FnMut(&VerifiedMessage<'_>, &Message) -> Result<(), Unwritten>,
    ) -> Result<(), Failure> {
        let mut absent = Vec::new();
        for (digest, message) in messages {
            match source.folder.verified(digest) {
                Ok(verified) => self.give(source, &verified, &message, write)?,
                Err(error) if is_absence(&error) => absent.push(digest),
                Err(error) => self.damaged(source, digest, io::Error::other(error)),
            }
        }
        if absent.is_empty() {
            return Ok(());
        }
        // Deleted, or damaged: the journal of now says which. It is read once for all.
        let live = match source.folder.live(None) {
            Ok(live) => live.unwrap_or_default(),
            // Only a folder without messages is removed.
            Err(MailboxError::NoFolder(_)) => return Ok(()),
            Err(error) => return self.undone(&source.found, error),
        };
        for digest in absent {
            let Some(message) = live.get(&digest) else {
                continue;
            };
            match source.folder.verified(digest) {
                // It was away, and is back.
                Ok(verified) => self.give(source, &verified, message, write)?,
                Err(error) => self.damaged(source, digest, io::Error::other(error)),
            }
        }
        Ok(())
    }

    fn give(
        &mut self,
        source: &Source,
        verified: &VerifiedMessage<'_>,
        message: &Message,
        write: &mut dyn FnMut(&VerifiedMessage<'_>, &Message) -> Result<(), Unwritten>,
    ) -> Result<(), Failure> {
        match write(verified, message) {
            Ok(()) => self.progress.step(),
            Err(Unwritten::TakenBack(error)) => {
                self.damaged(source, verified.header().digest(), error);
            }
            Err(Unwritten::End(failure)) => return Err(*failure),
        }
        Ok(())
    }

    fn damaged(&mut self, of: &Source, digest: MessageDigest, source: io::Error) {
        self.progress.clear();
        let folder = of.found.path.clone();
        let failure = Failure::Damaged {
            digest,
            folder,
            source,
        };
        report::report(PROGRAM, &failure);
        self.exit = Exit::Unfinished;
    }

    /// Messages one behind the other, each as it is.
    fn write_stream(&mut self, sources: &[Source], out: &mut impl Write) -> Result<(), Failure> {
        for source in sources {
            let messages = self.messages(source)?.unwrap_or_default();
            self.each(source, messages, &mut |verified, _| {
                let written = copying::as_it_is(verified, out);
                written.map_err(|fault| half_written(source, verified, fault, &Failure::Stdout))
            })?;
        }
        out.flush().map_err(Failure::Stdout)
    }

    fn write_mbox_file(&mut self, file: &Path, sources: &[Source]) -> Result<(), Failure> {
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
            .map_err(Failure::io("make", file))?;
        let wrong = |error| Failure::io("write", file)(error);
        let mut out = BufWriter::with_capacity(64 << 10, made);
        let written = self.write_mbox(sources, &mut out, &wrong).and_then(|()| {
            let made = out.into_inner().map_err(io::IntoInnerError::into_error);
            made.and_then(|made| made.sync_all())
                .and_then(|()| sync_above(file))
                .map_err(wrong)
        });
        written.inspect_err(|_| {
            // Half of a mailbox would be taken for all of it.
            let _ = fs::remove_file(file);
        })
    }

    fn write_mbox(
        &mut self,
        sources: &[Source],
        out: &mut impl Write,
        wrong: &impl Fn(io::Error) -> Failure,
    ) -> Result<(), Failure> {
        for source in sources {
            let messages = self.messages(source)?.unwrap_or_default();
            self.each(source, messages, &mut |verified, message| {
                let sender = verified.header().from().address();
                let begin = mbox::begin(sender, &message.time, &message.flags);
                let written = copying::into_mbox(verified, &begin, out);
                written.map_err(|fault| half_written(source, verified, fault, wrong))
            })?;
        }
        out.flush().map_err(wrong)
    }

    fn write_maildir(&mut self, out: &Path, sources: &[Source]) -> Result<(), Failure> {
        if sources.iter().any(|source| source.found.name.is_some()) {
            make(out)?;
        }
        for source in sources {
            let Some(mut messages) = self.messages(source)? else {
                continue;
            };
            let path = match &source.found.name {
                Some(name) => out.join(name),
                None => out.to_owned(),
            };
            let mut maildir = Maildir::create(&path)?;
            let there: BTreeSet<MessageDigest> = maildir
                .mails()?
                .iter()
                .filter_map(|mail| maildir::digest_of(&mail.name))
                .collect();
            messages.retain(|(digest, _)| !there.contains(digest));
            self.each(source, messages, &mut |verified, message| {
                stage(&mut maildir, verified, message)
            })?;
            maildir.commit(can_sync_whole)?;
        }
        Ok(())
    }
}

/// Why a message was not written.
enum Unwritten {
    /// It cannot be read, and nothing of it stays: the others go on.
    TakenBack(io::Error),
    /// Nothing more can be written.
    End(Box<Failure>),
}

/// What was written of a message cannot be taken back, so nothing may follow.
fn half_written(
    source: &Source,
    verified: &VerifiedMessage<'_>,
    fault: CopyFault,
    wrong: &impl Fn(io::Error) -> Failure,
) -> Unwritten {
    Unwritten::End(Box::new(match fault {
        CopyFault::Write(error) => wrong(error),
        CopyFault::Read(error) => Failure::HalfWritten {
            digest: verified.header().digest(),
            folder: source.found.path.clone(),
            source: error,
        },
    }))
}

/// Whether a message is not here, or not with all of its files.
fn is_absence(error: &MailboxError) -> bool {
    matches!(error, MailboxError::Unsound { source, .. } if source.is_absence())
}

fn stage(
    maildir: &mut Maildir,
    verified: &VerifiedMessage<'_>,
    message: &Message,
) -> Result<(), Unwritten> {
    let stem = maildir::stem(&message.time, verified.header().digest());
    let (place, name) = match message.flags.is_empty() {
        true => (Place::New, stem.clone()),
        false => {
            let suffix = maildir::suffix(&message.flags, "");
            (Place::Cur, format!("{stem}{suffix}"))
        }
    };
    let mut unread = None;
    let staged = maildir.stage(&stem, place, name, &message.time, &mut |out| {
        copying::as_mail(verified, out).map_err(|fault| match fault {
            CopyFault::Write(error) => error,
            CopyFault::Read(error) => {
                let kind = error.kind();
                unread = Some(error);
                kind.into()
            }
        })
    });
    let end = |error: MaildirError| Unwritten::End(Box::new(error.into()));
    match (staged, unread) {
        (Err(_), Some(error)) => Err(Unwritten::TakenBack(error)),
        (Err(error), None) => Err(end(error)),
        (Ok(()), _) if maildir.staged() >= TOGETHER => maildir.commit(can_sync_whole).map_err(end),
        (Ok(()), _) => Ok(()),
    }
}

/// Makes a directory where nothing is.
fn make(path: &Path) -> Result<(), Failure> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(Failure::io("make", path)),
    }
}

fn sync_above(file: &Path) -> io::Result<()> {
    let above = match file.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    File::open(above)?.sync_all()
}
