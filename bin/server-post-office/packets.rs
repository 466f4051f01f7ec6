//! What the two processes say to each other beside what concerns our keys.
//!
//! A connection whose client wants to log in is given a desk: a socket whose other end
//! is a thread of the monitor. What is said there first is logins; who has proved who it
//! is goes in, and from then on the socket is the user's mailbox, until one side closes
//! it. Whoever has no such socket has no mailbox.
//!
//! ```text
//! asked                     with                 answered
//! Desk                      the connection       Open, with a socket | Busy | Gone
//!
//! at the desk, until In:
//! Password address octets                        Proved | Refused | Later busy time
//! Certificate address proof                      Proved | Refused
//! Enter                                          In | Later busy time | Fault
//!   after Later, and after so many Refused as end a connection, the end
//!
//! at the desk, from In on; to each also Fault, or Elsewhere with a file that has the
//! answer, which is long:
//! Folders                                        Folders statuses
//! Changes folder token                           Changes number token | Reset token | NoFolder
//! More number                                    Piece changes is-last
//! Enough number                                  Done
//! Message folder digest                          Octets length, with a file | Nothing
//! Attachment folder digest                       Octets length, with a file | Nothing
//! Damaged folder digest                          Done
//! Apply folder acts                              Outcomes outcomes
//! Move folder digests folder                     Outcomes outcomes
//! Store folder                                   Write, with a pipe
//!   then a header block into the pipe            Go | Stored outcome
//!   after Go the data, and the end of the pipe   Stored outcome
//! Create folder                                  Outcome outcome
//! Remove folder                                  Outcome outcome
//! Watch folders tokens                           Watching, with a bell | Unable | NoFolder
//! Changed                                        Changed folders
//! Unwatch                                        Done
//! End                                            Done, and the end
//! ```
//!
//! A bell is a socket: an octet comes from it where Changed has something to say that it
//! has not said before. Whoever takes the octet asks then.
//!
//! Each is a packet of `ima_program::monitor`.

use std::time::Duration;

use ima_message::{Address, FolderName, MessageDigest, PartDigest, Token};
use ima_proto::imrp::{Act, Busy, Change, FolderStatus, Outcome};
use ima_proto::tls::KeyProof;
use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// What the network process is to do, said at its start. Its descriptors are the one
/// that says when to stop, the sockets where our keys are asked for, those where desks
/// are, those where what is counted goes, and those where clients come.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task {
    /// What is allowed.
    pub limits: Limits,
    /// How many sockets there are for keys.
    pub key_sockets: usize,
    /// And for desks.
    pub desk_sockets: usize,
    /// And for what is counted.
    pub text_sockets: usize,
}

/// What is asked for each connection.
#[derive(Debug, Serialize, Deserialize)]
pub enum DeskRequest {
    /// A desk, for the client of the socket that comes along.
    Desk,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub enum DeskReply {
    /// Here it is.
    Open,
    /// There are as many as there may be.
    Busy,
    /// Nobody is at the other end of that socket any more.
    Gone,
}

/// What is said at a desk until somebody is in. It has no form for people: there are
/// passwords in it.
#[derive(Serialize, Deserialize)]
pub enum LoginRequest {
    /// Who it is said to be, and a password.
    Password(Address, Vec<u8>),
    /// The same with what the client has signed, if it showed a certificate.
    Certificate(Address, Option<KeyProof>),
    /// Whoever has proved who it is goes in.
    Enter,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub enum LoginReply {
    /// It is who it says. This and the next one come when it is time to tell the client.
    Proved,
    /// It is not.
    Refused,
    /// Not now, and no proof was looked at; or the proof was right. To be said no earlier
    /// than so long after the question.
    Later(Busy, Duration),
    /// The mailbox is open.
    In,
    /// Something of ours does not work.
    Fault,
}

/// What is asked of a mailbox.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    Folders,
    Changes(FolderName, Option<Token>),
    More(u32),
    Enough(u32),
    Message(FolderName, MessageDigest),
    Attachment(FolderName, PartDigest),
    Damaged(FolderName, PartDigest),
    Apply(FolderName, Vec<Act>),
    Move(FolderName, Vec<MessageDigest>, FolderName),
    Store(FolderName),
    Create(FolderName),
    Remove(FolderName),
    Watch(Vec<(FolderName, Token)>),
    Changed,
    Unwatch,
    End,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    Done,
    Fault,
    Elsewhere,
    Folders(Vec<FolderStatus>),
    NoFolder,
    Reset(Token),
    Changes(u32, Token),
    /// Whether these are the last.
    Piece(Vec<Change>, bool),
    Octets(u64),
    Nothing,
    Outcomes(Vec<Outcome<()>>),
    Outcome(Outcome<()>),
    Write,
    Go,
    Stored(Outcome<MessageDigest>),
    Watching,
    Unable,
    Changed(Vec<FolderName>),
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use ima_program::monitor::Packets;
    use rustix::net::{SendFlags, send};

    use super::*;

    /// A name in a packet is the name of a folder, or the packet makes no sense.
    #[test]
    fn no_path_comes_across() {
        let (ours, mut theirs) = Packets::pair().unwrap();
        let asked = |name: &str| {
            let number = u8::try_from(Request::CREATE_IN_PACKETS).unwrap();
            let length = u8::try_from(name.len()).unwrap();
            [&[number, length], name.as_bytes()].concat()
        };
        send(&ours, &asked("plans"), SendFlags::empty()).unwrap();
        let (request, _) = theirs.receive::<Request>().unwrap();
        assert!(matches!(request, Request::Create(name) if name.as_str() == "plans"));
        for name in ["../carol", "/etc", ".", "", "a\0b"] {
            send(&ours, &asked(name), SendFlags::empty()).unwrap();
            assert!(theirs.receive::<Request>().is_err(), "{name:?}");
        }
    }

    impl Request {
        /// The number of its variant.
        const CREATE_IN_PACKETS: usize = 10;
    }
}
