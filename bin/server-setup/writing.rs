//! What is written, and never over anything.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ima_mailbox::Mailbox;

use crate::certificate::Made;
use crate::configuration::{self, Configuration};
use crate::failure::Failure;
use crate::plan::{self, Origin, Plan};

/// The permissions of a file or folder, for which the umask holds too.
#[derive(Clone, Copy)]
pub(crate) struct Mode {
    file: u32,
    folder: u32,
}

/// For whoever made it alone.
pub(crate) const SECRET: Mode = Mode {
    file: 0o600,
    folder: 0o700,
};
/// For everybody to read, as far as the umask lets them.
pub(crate) const PUBLIC: Mode = Mode {
    file: 0o644,
    folder: 0o755,
};

/// Looks whether anything is where a file or an inbox is to be.
///
/// # Errors
/// [`Failure::Exists`] with all of them, or [`Failure::Unfinished`].
pub(crate) fn refuse_what_exists(plan: &Plan) -> Result<(), Failure> {
    let configuration = Configuration::NAMES.map(str::to_owned);
    let made = match plan.origin {
        Origin::Given { .. } => &[][..],
        Origin::Shared { .. } | Origin::Own { .. } => &plan.hosts,
    };
    let tls = made
        .iter()
        .flat_map(|host| [plan::certificate_of(host), plan::key_of(host)]);
    let users = plan.users.iter();
    let theirs = users.flat_map(|user| [user.entry(), user.inbox()]);
    let mut paths = Vec::new();
    for name in configuration.into_iter().chain(tls).chain(theirs) {
        let path = plan.dir.join(name);
        match fs::symlink_metadata(&path) {
            Ok(_) => paths.push(path),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(Failure::Look { path, source }),
        }
    }
    if paths.is_empty() {
        return Ok(());
    }
    let dir = plan.dir.clone();
    let is_whole = Configuration::NAMES
        .iter()
        .all(|name| paths.contains(&dir.join(name)));
    if !is_whole {
        return Err(Failure::Unfinished { paths });
    }
    Err(Failure::Exists {
        paths,
        routes: dir.join(Configuration::ROUTES),
        dir,
    })
}

/// The files and inboxes that this run has written.
pub(crate) struct Writing {
    written: Vec<PathBuf>,
}

impl Writing {
    pub(crate) fn new() -> Self {
        Self {
            written: Vec::new(),
        }
    }

    /// Writes all that belongs to a set-up; on return it would survive a power
    /// cut. The inboxes come last: until one is there, its mail is deferred.
    ///
    /// # Errors
    /// A fault; [`Writing::left_behind`] adds to it what is there by then.
    pub(crate) fn write(
        &mut self,
        plan: &Plan,
        made: &[Made],
        configuration: &Configuration,
    ) -> Result<(), Failure> {
        self.folder(&plan.dir, PUBLIC)?;
        if !made.is_empty() {
            self.folder(&plan.dir.join("tls"), SECRET)?;
        }
        for Made {
            pair,
            certificate,
            key,
        } in made
        {
            self.file(key, pair.key.as_bytes(), SECRET)?;
            self.file(certificate, pair.certificate.as_bytes(), PUBLIC)?;
        }
        for (name, text) in Configuration::NAMES.iter().zip(&configuration.texts) {
            self.file(&plan.dir.join(name), text.as_bytes(), PUBLIC)?;
        }
        self.folder(&plan.dir.join(plan::USERS), SECRET)?;
        for user in &plan.users {
            let entry = configuration::entry(user);
            self.file(&plan.dir.join(user.entry()), entry.as_bytes(), SECRET)?;
        }
        let mail = plan.dir.join("mail");
        self.folder(&mail, SECRET)?;
        for host in &plan.hosts {
            self.folder(&mail.join(host.ascii()), SECRET)?;
        }
        for user in &plan.users {
            let mailbox = plan.dir.join(user.mailbox());
            let made = Mailbox::make_personal(&mailbox);
            if mailbox.is_dir() {
                self.written.push(mailbox);
            }
            made?;
        }
        Ok(())
    }

    /// Makes a folder, and those above it, where they are missing.
    ///
    /// # Errors
    /// A fault, also where it is something else than a folder.
    pub(crate) fn folder(&self, path: &Path, mode: Mode) -> Result<(), Failure> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(above) = path.parent() {
            self.folder(above, PUBLIC)?;
        }
        match DirBuilder::new().mode(mode.folder).create(path) {
            Ok(()) => sync_above(path),
            // Another set-up was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(source) => Err(Failure::Folder {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Writes a file under a name that nothing has, whole or not at all.
    ///
    /// # Errors
    /// A fault.
    pub(crate) fn file(&mut self, path: &Path, octets: &[u8], mode: Mode) -> Result<(), Failure> {
        put(path, octets, mode).map_err(|source| Failure::Write {
            path: path.to_owned(),
            source,
        })?;
        self.written.push(path.to_owned());
        sync_above(path)
    }

    /// The failure, and what was written before it, if anything was.
    pub(crate) fn left_behind(self, failure: Failure) -> Failure {
        if self.written.is_empty() {
            return failure;
        }
        Failure::LeftBehind {
            written: self.written,
            source: Box::new(failure),
        }
    }
}

fn put(path: &Path, octets: &[u8], mode: Mode) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let permissions = Permissions::from_mode(mode.file);
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(permissions)
        .tempfile_in(folder)?;
    file.write_all(octets)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}

fn sync_above(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| Failure::Sync {
        path: folder.to_owned(),
        source,
    })
}
