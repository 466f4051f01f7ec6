//! Why mail was not fetched.

use std::fmt;
use std::io;
use std::path::PathBuf;

use ima_mailbox::MailboxError;
use ima_message::{Address, FolderName, Hostpart};
use ima_program::Exit;
use ima_program::child::ChildError;
use ima_program::config::ConfigError;
use ima_program::confinement::ConfinementError;
use ima_proto::dial::DialError;
use ima_proto::framing::WireError;
use ima_proto::imrp::ClientError;
use ima_proto::tls::{IdentityError, SetupError, TlsError, TrustError};
use ima_proto::users::MAX_PASSWORD;

/// What ends the program before all is done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration file that was named is not there.
    #[error(
        "{}: there is no such file: fetch-mail.toml(5) says how to write it, and --config FILE or EMEMO_CONFIG_DIR=DIRECTORY choose another", .0.display()
    )]
    NoConfig(PathBuf),
    /// No address is given.
    #[error(
        "whose mail? Name the address: --address bob@b.test, or address = \"bob@b.test\" in fetch-mail.toml"
    )]
    NoAddress,
    /// A server that is no address with a port.
    #[error("--server {0:?} is not ADDRESS:PORT, like 127.0.0.1:4110 or [::1]:4110")]
    Server(String),
    /// More than one way to log in.
    #[error("{0} and {1} are both given: name one way to log in")]
    TwoWays(&'static str, &'static str),
    /// Two keys of the configuration that contradict each other.
    #[error("`{0}` and `{1}` are both given in the configuration: choose one of them")]
    TwoAims(&'static str, &'static str),
    /// A certificate or a key alone.
    #[error("`{0}` is given without `{1}` in the configuration: they go together")]
    HalfPair(&'static str, &'static str),
    /// The user's certificate.
    #[error(transparent)]
    Certificate(#[from] IdentityError),
    /// Roots or revocation lists.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The cryptography.
    #[error(transparent)]
    Setup(#[from] SetupError),

    /// A password's file that cannot be read.
    #[error("{}: this password cannot be read", .path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A password's file that is no file.
    #[error(
        "{}: this is no regular file, and only in one a password is looked for; what a program prints can be had by password-command in fetch-mail.toml", .0.display()
    )]
    NoRegularFile(PathBuf),
    /// A password's file, or a key's, that others can read.
    #[error("{}: others than its owner may read this {what}: `chmod 600` mends that", .path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// What it holds.
        what: &'static str,
    },
    /// The command that prints the password does not run.
    #[error("password-command: {0}")]
    Command(#[from] ChildError),
    /// The command that prints the password cannot be run at all.
    #[error("password-command: {0}")]
    CommandInput(io::Error),
    /// The command that prints the password failed.
    #[error("password-command failed (exit status {0}): run it by hand to see why")]
    CommandFailed(u8),
    /// There is no password, or none that can be one.
    #[error("{0} gives no password: its first line has to be one, of 1 to {MAX_PASSWORD} octets")]
    NoPassword(String),
    /// A password that cannot be one.
    #[error(
        "{0}: a password is text in UTF-8 without control characters: is there a carriage return at the end of the line?"
    )]
    NotText(String),
    /// The user was asked, and typed nothing.
    #[error("no password was typed, and so nothing was fetched")]
    NothingTyped,
    /// Nobody can be asked.
    #[error(
        "there is no password, and no terminal to ask at: name --password-file, or in fetch-mail.toml password-command, password-file, or certificate and key"
    )]
    NoTerminal(#[source] io::Error),

    /// The directory holds something else than a mailbox.
    #[error(
        "{}: this is no mailbox ({:?} is in it): name a directory that is empty or not there yet", .dir.display(), .holds
    )]
    NoMailbox {
        /// The directory.
        dir: PathBuf,
        /// What is in it.
        holds: String,
    },
    /// The directory is another account's.
    #[error("{} holds the mail of {of}: name another directory for {wanted}", .dir.display())]
    OtherAccount {
        /// The directory.
        dir: PathBuf,
        /// Whose it is.
        of: String,
        /// For whom mail was to be fetched.
        wanted: Address,
    },
    /// What is kept of the last run is not as it was written.
    #[error("{}, line {line}: not as fetch-mail writes it: remove the file, and nothing is lost", .path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// There is too much to be kept in mind.
    #[error(
        "{}: there is more to be written into this file than the {most} octets that are read again: fetch folder by folder, with --folder", .0.display(),
        most = crate::desk::MAX_STATE
    )]
    LongState(PathBuf),
    /// A file of ours.
    #[error("cannot {step} {}", .path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another run goes on.
    #[error("{}: mail is being fetched into it already", .0.display())]
    Busy(PathBuf),
    /// The mailbox here.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),

    /// The server was not reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The server is not who it should be, or the connection failed.
    #[error(transparent)]
    Tls(TlsError),
    /// The server's certificate is of an authority that is not believed.
    #[error(
        "{0} (roots is a key in fetch-mail.toml; without it, it is the operating system's store, or what SSL_CERT_FILE names)"
    )]
    Stray(TlsError),
    /// The server says no to a password.
    #[error(
        "{host} refuses the login of {0}: the password is wrong, there is no such user, or too many logins failed lately: then wait some minutes",
        host = .0.hostpart()
    )]
    PasswordRefused(Address),
    /// The server says no to a certificate.
    #[error(
        "{host} refuses the login of {0}: it does not know this certificate as that user's; server-user(8) tells it",
        host = .0.hostpart()
    )]
    CertificateRefused(Address),
    /// The exchange with the server ended, on its way to [`Failure::Ended`].
    #[error(transparent)]
    Exchange(#[from] ClientError),
    /// The exchange with this server ended.
    #[error("{host}: {}{}", Said(.error), GoesOn(.error, *.is_in))]
    Ended {
        /// The mail domain.
        host: Hostpart,
        /// How.
        error: ClientError,
        /// Whether the user was logged in.
        is_in: bool,
    },
    /// The server does not say when something changes.
    #[error(
        "{host} does not watch the mailbox (\"{reason}\"): until it does, mail is fetched every 5 minutes"
    )]
    NotWatched {
        /// The mail domain.
        host: Hostpart,
        /// What the server says.
        reason: Box<str>,
    },
    /// What changes here is not seen.
    #[error(
        "changes in the mailbox here cannot be watched, and go to the server whenever mail is fetched: {0}; where there is no space left or there are too many files, raise the sysctl fs.inotify.max_user_watches or max_user_instances"
    )]
    Unseen(io::Error),
    /// More folders than are taken.
    #[error("the server names {0} folders, and at most {most} are taken", most = crate::pairs::MAX_FOLDERS)]
    TooManyFolders(usize),
    /// A list of changes that cannot be one.
    #[error("the server broke the protocol: the tokens in its list of folder {0} do not grow")]
    List(FolderName),
    /// More flags of a message than it can have.
    #[error(
        "the server broke the rules: its list of folder {0} names more than {most} flags of one message",
        most = crate::there::MAX_FLAGS
    )]
    TooManyFlags(FolderName),
    /// More messages than can be compared with those here.
    #[error(
        "the server lists more messages of folder {0} than can be compared with those here, {most}",
        most = crate::there::MAX_COMPARED
    )]
    TooManyMessages(FolderName),
    /// The Maildirs.
    #[error(transparent)]
    Maildir(#[from] crate::maildir::Fault),
    /// Too much of what came was wrong.
    #[error("the server sends wrong octets again and again: no more is asked of it")]
    TooMuchDamage,
    /// This program cannot be confined.
    #[error("cannot be confined to the mailbox; look for Landlock in the kernel's log")]
    Confinement(#[source] ConfinementError),
    /// The signals cannot be waited for.
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    /// A signal came.
    #[error("ended by a signal; what had come whole is kept, and the next run goes on")]
    Stopped,
}

impl Failure {
    /// What the program exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::PasswordRefused(_) | Self::CertificateRefused(_) => Exit::Refused,
            Self::TooManyFolders(_)
            | Self::List(_)
            | Self::TooManyFlags(_)
            | Self::TooMuchDamage => Exit::Drop,
            Self::Exchange(error) | Self::Ended { error, .. } if error.is_breach() => Exit::Drop,
            _ => Exit::Unfinished,
        }
    }

    /// A failed system call.
    pub fn io(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { step, path, source }
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Stray { .. } => Self::Stray(error),
            error => Self::Tls(error),
        }
    }
}

/// How an exchange ended, to somebody to whom the other side is the server.
struct Said<'a>(&'a ClientError);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ClientError::Wire(WireError::Closed) => f.write_str("the server closed the connection"),
            ClientError::Wire(WireError::TimedOut) => f.write_str("the server took too long"),
            ClientError::Ended(words) => write!(f, "the server ended the session: \"{words}\""),
            error => error.fmt(f),
        }
    }
}

/// What is true where it began to fetch, and was broken off by no rule: for a run,
/// and for one that stays and connects anew.
struct GoesOn<'a>(&'a ClientError, bool);

impl fmt::Display for GoesOn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 && !self.0.is_breach() {
            true => f.write_str("; the next connection goes on where this one stopped"),
            false => Ok(()),
        }
    }
}
