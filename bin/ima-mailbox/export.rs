//! `ima-mailbox export`.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ima_mailbox::{Folder, MailboxError, Message, StoredMessage, can_sync_whole};
use ima_message::{MessageDigest, Part};
use ima_mime::maildir::{self, Maildir, Place};
use ima_mime::mbox;
use ima_program::{exit::Exit, report};

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

    /// Opens a message. One that is damaged is named, and the others go on.
    fn open<'a>(&mut self, source: &'a Source, digest: MessageDigest) -> Option<StoredMessage<'a>> {
        match source.folder.stored(digest) {
            Ok(stored) => stored,
            Err(error) => {
                self.damaged(source, digest, io::Error::other(error));
                None
            }
        }
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
            for (digest, _) in self.messages(source)?.unwrap_or_default() {
                if let Some(stored) = self.open(source, digest) {
                    io::copy(&mut stored.whole(), out).map_err(Failure::Stdout)?;
                    self.progress.step();
                }
            }
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
            for (digest, message) in self.messages(source)?.unwrap_or_default() {
                let Some(stored) = self.open(source, digest) else {
                    continue;
                };
                let sender = stored.header().from().address();
                let begin = mbox::begin(sender, &message.time, &message.flags);
                out.write_all(begin.as_bytes())
                    .and_then(|()| {
                        let mut quoting = mbox::Quoting::new(&mut *out);
                        write_rfc5322(&stored, &mut quoting)?;
                        quoting.finish()
                    })
                    .map_err(wrong)?;
                self.progress.step();
            }
        }
        out.flush().map_err(wrong)
    }

    fn write_maildir(&mut self, out: &Path, sources: &[Source]) -> Result<(), Failure> {
        if sources.iter().any(|source| source.found.name.is_some()) {
            make(out)?;
        }
        for source in sources {
            let Some(messages) = self.messages(source)? else {
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
            for (digest, message) in messages {
                if there.contains(&digest) {
                    continue;
                }
                let Some(stored) = self.open(source, digest) else {
                    continue;
                };
                let stem = maildir::stem(&message.time, digest);
                let (place, name) = match message.flags.is_empty() {
                    true => (Place::New, stem.clone()),
                    false => {
                        let suffix = maildir::suffix(&message.flags, "");
                        (Place::Cur, format!("{stem}{suffix}"))
                    }
                };
                maildir.stage(&stem, place, name, &message.time, &mut |out| {
                    write_rfc5322(&stored, out)
                })?;
                self.progress.step();
                if maildir.staged() >= TOGETHER {
                    maildir.commit(can_sync_whole)?;
                }
            }
            maildir.commit(can_sync_whole)?;
        }
        Ok(())
    }
}

/// Writes a message as RFC 5322.
fn write_rfc5322(stored: &StoredMessage<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut open =
        |part: &Part| -> io::Result<Box<dyn Read>> { Ok(Box::new(stored.attachment(part)?)) };
    ima_mime::write_rfc5322(stored.header(), &mut stored.body(), &mut open, out)
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
