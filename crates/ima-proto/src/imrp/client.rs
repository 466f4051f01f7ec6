//! The user agent's side: one connection, as a state machine over a [`Channel`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ima_message::{Address, FolderName, MessageDigest, PartDigest, Token};

use super::answer::{Change, Final, FolderStatus, Information};
use super::command::{Command, SyncMode};
use super::{INFORMATION, MAX_PASSWORD};
use crate::framing::{BlockError, Channel, Wire, WireError};
use crate::imdp::message_time;

/// Folders that one answer may tell of.
const MAX_FOLDERS: usize = 10_000;
/// Information lines of no use here that one answer may have.
const MAX_UNKNOWN: usize = 10_000;
/// Octets of the lines of one answer: some 25 million changes of a folder.
const MAX_LINES: u64 = 4 << 30;

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For the next line or the next octets, counted from the last.
    pub idle: Duration,
    /// For one answer to begin; and for a message, an attachment or a list to
    /// come, and as long again as it takes at 16 KiB/s.
    pub message: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60),
            message: Duration::from_secs(600),
        }
    }
}

/// Why an exchange did not come to its end. The connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed or the server took too long.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The server has a fault, or says that we broke a rule.
    #[error("the server ended the session: {0}")]
    Ended(Box<str>),
    /// A line that does not belong there.
    #[error("the server broke the protocol: it said {0:?}")]
    Unexpected(Box<str>),
    /// Other octets than those that were asked for.
    #[error("the server broke the protocol: it sent an attachment that was not asked for")]
    Other,
    /// More octets than belong to what was asked for.
    #[error(
        "the server broke the protocol: it announced {announced} octets where at most {most} belong"
    )]
    Length {
        /// What it announced.
        announced: u64,
        /// What can be right.
        most: u64,
    },
    /// More lines than anybody needs.
    #[error("the server broke the protocol: its answer has more lines than are taken here")]
    Flood,
    /// No password is as long as this, or empty.
    #[error("a password has 1 to 1024 octets, and this one has {0}")]
    Password(usize),
}

impl ClientError {
    /// Whether the server broke a rule, rather than the connection, or the
    /// server's own machine.
    #[must_use]
    pub fn is_breach(&self) -> bool {
        match self {
            Self::Wire(error) => matches!(error, WireError::TooLong { .. } | WireError::NotText),
            Self::Ended(_) | Self::Password(_) => false,
            Self::Unexpected(_) | Self::Other | Self::Length { .. } | Self::Flood => true,
        }
    }
}

/// Why a block did not come whole.
#[derive(Debug, thiserror::Error)]
pub enum SinkError<E> {
    /// The exchange.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Whoever takes the octets; the rest of them is unread, and the connection
    /// of no further use.
    #[error("{0}")]
    Sink(E),
}

/// What came of a SYNC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Synced {
    /// All changes up to this token were told.
    Upto(Token),
    /// The token that was named means nothing any more: begin from the start.
    Reset(Token),
    /// There is no such folder, or the server will not; its reason.
    Refused(Box<str>),
}

/// What came of a question for octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All of them came.
    Whole,
    /// The server does not have it (any more); its reason.
    Refused(Box<str>),
}

/// A question whose answer is still to come.
#[derive(Debug)]
enum Asked {
    Message { most: u64 },
    Part { digest: PartDigest, most: u64 },
}

/// One connection to a post office.
#[derive(Debug)]
pub struct Client<C: Channel> {
    wire: Wire<C>,
    times: Times,
    asked: VecDeque<Asked>,
}

impl<C: Channel> Client<C> {
    /// A client on a channel whose handshake is over.
    pub fn new(channel: C, times: Times) -> Self {
        Self {
            wire: Wire::new(channel, times.idle),
            times,
            asked: VecDeque::new(),
        }
    }

    /// Logs in by password. False: the server says no, without a reason.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn log_in_by_password(
        &mut self,
        address: &Address,
        password: &[u8],
    ) -> Result<bool, ClientError> {
        let octets = password.len() as u64;
        if !(1..=MAX_PASSWORD).contains(&octets) {
            return Err(ClientError::Password(password.len()));
        }
        let address = address.clone();
        self.write(&Command::LoginByPassword { address, octets })?;
        self.wire.write_octets(password)?;
        self.logged_in()
    }

    /// Logs in by the certificate that was shown in the handshake.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn log_in_by_certificate(&mut self, address: &Address) -> Result<bool, ClientError> {
        let address = address.clone();
        self.write(&Command::LoginByCertificate { address })?;
        self.logged_in()
    }

    fn logged_in(&mut self) -> Result<bool, ClientError> {
        self.wire.flush(self.times.idle)?;
        let mut nothing = |_: &str| Ok(());
        match self.answer_line(&mut nothing)? {
            (_, Some(Final::Ok)) => Ok(true),
            (_, Some(Final::Fail(_))) => Ok(false),
            (line, _) => Err(ClientError::Unexpected(line.into())),
        }
    }

    /// The folders of the mailbox.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn folders(&mut self) -> Result<Vec<FolderStatus>, ClientError> {
        self.write(&Command::Folders)?;
        self.wire.flush(self.times.idle)?;
        let mut folders: Vec<FolderStatus> = Vec::new();
        let mut take = |line: &str| {
            if let Some(Information::Folder(status)) = Information::parse(line) {
                if folders.len() >= MAX_FOLDERS {
                    return Err(ClientError::Flood);
                }
                if folders.iter().any(|known| known.name == status.name) {
                    return Err(ClientError::Unexpected(line.into()));
                }
                folders.push(status);
            }
            Ok(())
        };
        match self.answer_line(&mut take)? {
            (_, Some(Final::Ok)) => Ok(folders),
            (line, _) => Err(ClientError::Unexpected(line.into())),
        }
    }

    /// What changed in a folder since a token, or all of it; each change is
    /// handed on as it comes.
    ///
    /// # Errors
    /// [`ClientError`]. What was handed on is true all the same, and the token
    /// of the last change is a place to go on from.
    pub fn sync(
        &mut self,
        folder: &FolderName,
        since: Option<Token>,
        changed: &mut dyn FnMut(Change),
    ) -> Result<Synced, ClientError> {
        self.write(&Command::Sync {
            folder: Some(folder.clone()),
            since,
            mode: SyncMode::List,
        })?;
        self.wire.flush(self.times.idle)?;
        let mut take = |line: &str| {
            if let Some(Information::Change(change)) = Information::parse(line) {
                changed(change);
                return Ok(());
            }
            match line {
                "alive" => Ok(()),
                line => Err(ClientError::Unexpected(line.into())),
            }
        };
        match self.answer_line(&mut take)? {
            (_, Some(Final::Upto(token))) => Ok(Synced::Upto(token)),
            (_, Some(Final::Reset(token))) => Ok(Synced::Reset(token)),
            (_, Some(Final::Fail(text))) => Ok(Synced::Refused(text)),
            (line, _) => Err(ClientError::Unexpected(line.into())),
        }
    }

    /// Asks for a message's header block and inline parts, of which there may be
    /// `most` octets. The answer is to be taken by [`Client::answer`], in the
    /// order of the questions. Nothing is sent before that, or before 16 KiB.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask_message(
        &mut self,
        folder: &FolderName,
        digest: MessageDigest,
        most: u64,
    ) -> Result<(), ClientError> {
        let folder = Some(folder.clone());
        self.write(&Command::Fetch { folder, digest })?;
        self.asked.push_back(Asked::Message { most });
        Ok(())
    }

    /// Asks for an attachment from an octet on, of which `rest` should follow, and
    /// no more may; otherwise as [`Client::ask_message`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask_part(
        &mut self,
        folder: &FolderName,
        digest: PartDigest,
        from: u64,
        rest: u64,
    ) -> Result<(), ClientError> {
        self.write(&Command::Part {
            folder: Some(folder.clone()),
            digest,
            from,
        })?;
        self.asked.push_back(Asked::Part { digest, most: rest });
        Ok(())
    }

    /// How many questions wait for [`Client::answer`].
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.asked.len()
    }

    /// Takes the answer to the oldest question. `sink` is given the octets as
    /// they come, at most 16 KiB at once.
    ///
    /// # Errors
    /// [`SinkError`]. Octets that were handed on before are those that the server
    /// sent; whether they are right, their digest says.
    pub fn answer<E>(
        &mut self,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Answer, SinkError<E>> {
        let Some(asked) = self.asked.pop_front() else {
            return Ok(Answer::Refused("nothing was asked for".into()));
        };
        self.wait(0);
        self.wire
            .flush(self.times.idle)
            .map_err(ClientError::from)?;
        let (line, last) = self.next_line()?;
        let octets = match (last, &asked) {
            (Some(Final::Fail(text)), _) => return Ok(Answer::Refused(text)),
            (None, asked) => announced(&line, asked)?,
            (Some(_), _) => return Err(ClientError::Unexpected(line.into()).into()),
        };
        self.wait(octets);
        let read = self.wire.read_exact_into(octets, self.times.idle, sink);
        read.map_err(|error| match error {
            BlockError::Wire(error) => SinkError::Client(error.into()),
            BlockError::Sink(error) => SinkError::Sink(error),
        })?;
        match self.next_line()? {
            (_, Some(Final::Ok)) => Ok(Answer::Whole),
            (line, _) => Err(ClientError::Unexpected(line.into()).into()),
        }
    }

    /// Says the end and closes.
    ///
    /// # Errors
    /// What closing says; all that was asked for has come already.
    pub fn done(mut self) -> Result<(), ClientError> {
        self.write(&Command::Done)?;
        Ok(self.wire.close()?)
    }

    /// From now on so many octets may take their time, and nothing more, however
    /// they are spread over it.
    fn wait(&mut self, octets: u64) {
        let time = message_time(self.times.message, octets);
        self.wire
            .set_message_deadline(Instant::now().checked_add(time));
    }

    fn write(&mut self, command: &Command) -> Result<(), WireError> {
        // The time of the answer before is over.
        self.wire.set_message_deadline(None);
        self.wire.write_line(&command.to_string())
    }

    /// The next line but for `+ alive`: an information line without its `+ `, or
    /// a final one.
    fn next_line(&mut self) -> Result<(String, Option<Final>), ClientError> {
        let mut silent = 0;
        loop {
            let line = self.wire.read_line(self.times.idle)?;
            let Some(information) = line.strip_prefix(INFORMATION) else {
                return match Final::parse(&line) {
                    Some(Final::Error(text)) => Err(ClientError::Ended(text)),
                    Some(last) => Ok((line, Some(last))),
                    None => Err(ClientError::Unexpected(line.into())),
                };
            };
            if information != "alive" {
                return Ok((information.to_owned(), None));
            }
            silent += 1;
            if silent > MAX_UNKNOWN {
                return Err(ClientError::Flood);
            }
        }
    }

    /// Hands on information lines until a final one comes.
    fn answer_line(
        &mut self,
        take: &mut dyn FnMut(&str) -> Result<(), ClientError>,
    ) -> Result<(String, Option<Final>), ClientError> {
        let begin = Instant::now();
        let mut octets: u64 = 0;
        let mut unknown = 0;
        loop {
            let time = message_time(self.times.message, octets);
            self.wire.set_message_deadline(begin.checked_add(time));
            let (line, last) = self.next_line()?;
            if last.is_some() {
                return Ok((line, last));
            }
            octets = octets.saturating_add(line.len() as u64);
            if octets > MAX_LINES {
                return Err(ClientError::Flood);
            }
            if Information::parse(&line).is_none() {
                if is_malformed(&line) {
                    return Err(ClientError::Unexpected(line.into()));
                }
                // From a server that knows more than we do.
                unknown += 1;
                if unknown > MAX_UNKNOWN {
                    return Err(ClientError::Flood);
                }
                continue;
            }
            take(&line)?;
        }
    }
}

/// Whether a line that cannot be read is one of those that are known: it begins
/// as they do, or ends in a token as a folder's does.
fn is_malformed(line: &str) -> bool {
    let word = line.split(' ').next().unwrap_or_default();
    let last = line.rsplit(' ').next().unwrap_or_default();
    let words = [
        "add",
        "flag",
        "del",
        "header",
        "message",
        "attachment",
        "alive",
    ];
    words.contains(&word) || last.parse::<Token>().is_ok()
}

/// How many octets follow the line that begins an answer.
fn announced(line: &str, asked: &Asked) -> Result<u64, ClientError> {
    let (octets, most) = match (Information::parse(line), asked) {
        (Some(Information::Message { octets }), Asked::Message { most }) => (octets, *most),
        (
            Some(Information::Attachment { digest, octets }),
            Asked::Part {
                digest: wanted,
                most,
            },
        ) => {
            if digest != *wanted {
                return Err(ClientError::Other);
            }
            (octets, *most)
        }
        _ => return Err(ClientError::Unexpected(line.into())),
    };
    match octets <= most {
        true => Ok(octets),
        false => Err(ClientError::Length {
            announced: octets,
            most,
        }),
    }
}
