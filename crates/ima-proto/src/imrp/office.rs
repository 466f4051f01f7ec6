//! What stands behind a session: who may log in, and what they have.

use std::fmt;
use std::io::{Read, Seek};
use std::time::Duration;

use ima_message::{Address, FolderName, MessageDigest, PartDigest, Token};

use super::answer::{Change, FolderStatus};
use crate::tls::KeyDigest;

/// Something of ours does not work: a disk, a damaged mailbox. Whoever returns
/// it has logged it; the client learns only that it is to come back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// What came of a login.
pub enum Login<M> {
    /// The user's mailbox.
    Granted(M),
    /// No, whatever the reason; to be said no earlier than so long after the
    /// question.
    Refused(Duration),
    /// Not now, and nothing was said of the proof: whoever comes later may be
    /// right. To be said no earlier than so long after the question.
    Later(Busy, Duration),
    /// The user is right, but the mailbox cannot be opened.
    Fault,
}

/// Why nobody is let in now who may be let in later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// The proof is the key of the handshake's certificate; `None`: there was none.
    fn by_certificate(
        &mut self,
        address: &Address,
        key: Option<&KeyDigest>,
    ) -> Login<Self::Mailbox>;

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
