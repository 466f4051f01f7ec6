//! What stands behind a session: who may log in, and what they have.

use std::fmt;
use std::io::{Read, Seek};
use std::time::Duration;

use ima_message::{Address, FlagChange, FolderName, HeaderBlock, MessageDigest, PartDigest, Token};
use serde::{Deserialize, Serialize};

use super::answer::{Change, FolderStatus};
use super::session::Watching;

/// Something of ours does not work: a disk, a damaged mailbox. Whoever returns
/// it has logged it; the client learns only that it is to come back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// What came of a login.
pub enum Login<M> {
    /// The user's mailbox.
    Granted(M),
    /// No, whatever the reason. It is said at once: the office has waited for the
    /// [`moment_of_failure`](crate::users::moment_of_failure).
    Refused,
    /// Not now, and nothing was said of the proof: whoever comes later may be
    /// right. To be said no earlier than so long after the question.
    Later(Busy, Duration),
    /// The user is right, but the mailbox cannot be opened.
    Fault,
}

/// Why nobody is let in now who may be let in later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Busy {
    /// Too many logins have failed, of this user or from this address.
    Failed,
    /// Too many passwords wait to be checked.
    Waiting,
    /// Too many connections are open, in all or from this address.
    Connections,
}

/// What the client is told.
impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Failed => "too many failed logins",
            Self::Waiting => "too many logins",
            Self::Connections => "too many connections",
        };
        write!(f, "{what}; try again later")
    }
}

/// Who may log in. What comes from the network goes in as plain values, so that
/// a process boundary fits in between.
pub trait Office {
    /// A user's mailbox.
    type Mailbox: Mailbox;

    /// The proof is a password.
    fn by_password(&mut self, address: &Address, password: &[u8]) -> Login<Self::Mailbox>;

    /// The proof is the certificate of the handshake, which the office knows, if
    /// there was one.
    fn by_certificate(&mut self, address: &Address) -> Login<Self::Mailbox>;

    /// A command has come and is dealt with from here on.
    fn begins(&mut self) {}

    /// No command is in hand; false where none may follow. Asked before a command
    /// is read, and again where reading one failed.
    fn goes_on(&mut self) -> bool {
        true
    }
}

/// The mailbox of the user who has logged in.
pub trait Mailbox {
    /// All folders.
    ///
    /// # Errors
    /// [`Fault`].
    fn folders(&mut self) -> Result<Vec<FolderStatus>, Fault>;

    /// What changed in a folder since a token, in order.
    ///
    /// # Errors
    /// [`Fault`].
    fn changes(&mut self, folder: &FolderName, since: Option<&Token>) -> Result<Changes, Fault>;

    /// A message's header block and inline parts; `None` where it is not there.
    ///
    /// # Errors
    /// [`Fault`].
    fn message(
        &mut self,
        folder: &FolderName,
        digest: MessageDigest,
    ) -> Result<Option<Octets>, Fault>;

    /// An attachment; `None` where no message of the folder holds it.
    ///
    /// # Errors
    /// [`Fault`].
    fn attachment(
        &mut self,
        folder: &FolderName,
        digest: PartDigest,
    ) -> Result<Option<Octets>, Fault>;

    /// The file of a message or of an attachment, which has this digest, is shorter
    /// than what it should hold: to be logged. The client does without.
    fn damaged(&mut self, folder: &FolderName, digest: &dyn fmt::Display);

    /// Changes flags of messages of a folder, and deletes messages: all acts, in
    /// their order; no message is acted on again behind its deletion. On return
    /// they are durable. Gives what came of each act, in the same order.
    ///
    /// # Errors
    /// [`Fault`].
    fn apply(&mut self, folder: &FolderName, acts: &[Act]) -> Result<Vec<Outcome<()>>, Fault>;

    /// Moves messages to another folder, durably; each is named once. Gives what
    /// came of each, in the same order.
    ///
    /// # Errors
    /// [`Fault`].
    fn relocate(
        &mut self,
        from: &FolderName,
        digests: &[MessageDigest],
        to: &FolderName,
    ) -> Result<Vec<Outcome<()>>, Fault>;

    /// Stores a message, durably, and gives its digest. `data` ends where the
    /// message should; the octets are to be verified, and held nowhere but on the
    /// disk. Where they are not read to their end, whoever calls reads the rest.
    ///
    /// # Errors
    /// [`Fault`]; also where reading `data` fails, which needs no log line.
    fn store(
        &mut self,
        folder: &FolderName,
        header: &HeaderBlock,
        data: &mut dyn Read,
    ) -> Result<Outcome<MessageDigest>, Fault>;

    /// Makes an empty folder, durably.
    ///
    /// # Errors
    /// [`Fault`].
    fn create(&mut self, folder: &FolderName) -> Result<Outcome<()>, Fault>;

    /// Removes a folder that holds no message, durably.
    ///
    /// # Errors
    /// [`Fault`].
    fn remove(&mut self, folder: &FolderName) -> Result<Outcome<()>, Fault>;

    /// Watches folders, each from its token on: first they are watched, and then
    /// compared with their tokens. Until that ends no file is held open.
    ///
    /// # Errors
    /// [`Fault`].
    fn watch(&mut self, folders: &[(FolderName, Token)]) -> Result<Watching, Fault>;

    /// The connection is closed: what is to be tidied up can be.
    fn ends(&mut self) {}
}

/// What is done to a message of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Its flags are set and removed, in this order.
    Flag {
        /// The message.
        digest: MessageDigest,
        /// The changes, at least one.
        changes: Vec<FlagChange>,
    },
    /// It is deleted.
    Delete {
        /// The message.
        digest: MessageDigest,
    },
}

impl Act {
    /// The message.
    #[must_use]
    pub fn digest(&self) -> MessageDigest {
        match self {
            Self::Flag { digest, .. } | Self::Delete { digest } => *digest,
        }
    }
}

/// What came of a change that a user asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome<T> {
    /// It is done.
    Done(T),
    /// Nothing was changed; the reason, for the user.
    Refused(Box<str>),
}

/// What is behind a token.
pub enum Changes {
    /// There is no such folder.
    NoFolder,
    /// The token means nothing here; this is that of now.
    Reset(Token),
    /// The changes, and the token behind the last.
    Since(Box<dyn Iterator<Item = Result<Change, Fault>>>, Token),
}

/// What can be read from any place on.
pub trait Source: Read + Seek {}
impl<S: Read + Seek> Source for S {}

/// Octets on the disk.
pub struct Octets {
    /// How many.
    pub length: u64,
    /// From their beginning.
    pub source: Box<dyn Source>,
}
