//! Why nothing, or not all, was set up.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ima_mailbox::MailboxError;
use ima_message::Hostpart;
use ima_proto::tls::{Disbelief, IdentityError, TrustError};

use crate::configuration::ExampleError;
use crate::shell::quoted;
use crate::user::UserError;

/// What ends the program. The exit status is 2 for all of them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The same mail domain twice.
    #[error("--host {host} is given twice, perhaps in two spellings: give each --host once")]
    HostTwice {
        /// As given the first time.
        host: Hostpart,
    },
    /// Two places for one mail domain.
    #[error("--peer {host} is given twice: a mail domain has one place")]
    PeerTwice {
        /// As given the first time.
        host: Hostpart,
    },
    /// A place for a mail domain of our own.
    #[error(
        "--peer {host}: {host} is a mail domain here, and mail for it is delivered here: leave this --peer out"
    )]
    PeerOurs {
        /// As given with --peer.
        host: Hostpart,
    },
    /// A user that cannot be.
    #[error(transparent)]
    User(#[from] UserError),
    /// A path that a configuration file cannot hold.
    #[error("{}: a path here is written in UTF-8 and has no control characters in it", .path.display())]
    UnfitPath {
        /// As given.
        path: PathBuf,
    },
    /// A path at which something may be, or not.
    #[error("{}: cannot look what is there", .path.display())]
    Look {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something that would be overwritten.
    #[error(
        "there is already {}: nothing is ever overwritten, and nothing was written; choose another DIR, or, for one more user, add a route to {} and make the mailbox with `EMEMO_CONFIG_DIR={2} server-user add USER@HOST --mailbox {2}/mail/HOST/USER`",
        list(.paths), .routes.display(), quoted(.dir)
    )]
    Exists {
        /// All that is in the way.
        paths: Vec<PathBuf>,
        /// The configuration file with the routes.
        routes: PathBuf,
        /// The configuration's folder.
        dir: PathBuf,
    },
    /// The same, and no whole configuration.
    #[error(
        "there is already {}: nothing is ever overwritten, and nothing was written; if a set-up that did not finish left that, remove it, and otherwise choose another DIR",
        list(.paths)
    )]
    Unfinished {
        /// All that is in the way.
        paths: Vec<PathBuf>,
    },
    /// No post office can listen so far above.
    #[error(
        "--listen {listen}: server-post-office listens {above} ports above, and there is none: choose {last} or a port below"
    )]
    NoPortAbove {
        /// As given.
        listen: SocketAddr,
        /// How far above.
        above: u16,
        /// The last port that is possible.
        last: u16,
    },
    /// The certificate that was given does not do.
    #[error(transparent)]
    Given(#[from] IdentityError),
    /// One of the two files of an authority is missing.
    #[error("{} is there without {}: an authority is both, so restore the other, or choose another folder with --ca", .there.display(), .missing.display())]
    HalfAuthority {
        /// The one that is there.
        there: PathBuf,
        /// The other.
        missing: PathBuf,
    },
    /// The authority's certificate or key cannot be read.
    #[error("{}: cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The authority's certificate or key is none.
    #[error("{}: not the PEM file of a certificate authority: {source}", .path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rcgen::Error,
    },
    /// The authority's certificate is for another use.
    #[error("{}: this certificate is not one that may sign others (key usage keyCertSign); choose another authority with --ca", .path.display())]
    NotAuthority {
        /// The file.
        path: PathBuf,
    },
    /// The authority's certificate is not one that others could believe.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// What the authority made would be refused by the others.
    #[error("a certificate for {host} from the authority {} would be refused by everybody: {source}; choose another authority with --ca", .authority.display())]
    Refused {
        /// For whom it was made.
        host: Hostpart,
        /// The authority's certificate.
        authority: PathBuf,
        /// What the others would find.
        source: Disbelief,
    },
    /// The cryptography failed.
    #[error("cannot make a certificate or its key: {0}")]
    Making(#[from] rcgen::Error),
    /// The system gave no random octets for a serial number.
    #[error("the system gives no random octets: {0}")]
    Random(#[from] getrandom::Error),
    /// An example file is not as this program needs it.
    #[error("the example {file} that this program was built with: {source}")]
    Example {
        /// Its name.
        file: &'static str,
        /// What is wrong.
        source: ExampleError,
    },
    /// A folder cannot be made.
    #[error("{}: cannot make this folder", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder of the authority cannot be locked.
    #[error("{}: cannot lock this folder", .path.display())]
    Lock {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{}: cannot write this file", .path.display())]
    Write {
        /// The file; there is none.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder is there, and may not survive a power cut.
    #[error("{}: cannot be brought onto the disk", .path.display())]
    Sync {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An inbox cannot be made.
    #[error(transparent)]
    Inbox(#[from] MailboxError),
    /// It ended in the middle.
    #[error("not finished; written before, and left there: {}", list(.written))]
    LeftBehind {
        /// The files and inboxes.
        written: Vec<PathBuf>,
        /// What ended it.
        source: Box<Self>,
    },
    /// All is written, but nobody reads what comes next.
    #[error("everything is written in {}, but what to do next cannot be printed", .dir.display())]
    Print {
        /// The configuration's folder.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths
        .iter()
        .map(|path| Path::display(path).to_string())
        .collect();
    names.join(", ")
}
