//! The messages of files and of standard input, one behind the other.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec::IntoIter;

use ima_message::{CopyError, HeaderBlock, ReadError, copy_verified};
use ima_program::Exit;
use ima_program::spool::Spooled;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::dispatch::complain;
use crate::outgoing::Outgoing;

/// Reads and verifies one message after the other. The octets of a regular file
/// stay where they are; what comes through a pipe is spooled, unlinked, message
/// by message. Behind a message that is wrong nothing more of its file is read:
/// where the next would begin, nobody can be sure.
#[derive(Debug)]
pub struct Input {
    files: IntoIter<PathBuf>,
    stream: Option<Stream>,
}

/// Why there is no message to send.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file cannot be opened, or a message not be spooled.
    #[error("{0}: cannot be read")]
    Io(Place, #[source] io::Error),
    /// No header block.
    #[error("{0}")]
    Header(Place, #[source] ReadError),
    /// The data are at fault.
    #[error("{0}")]
    Data(Place, #[source] CopyError),
}

/// Where a message begins.
#[derive(Clone, Debug)]
pub struct Place {
    /// None is standard input.
    file: Option<PathBuf>,
    /// From 1.
    number: u64,
    /// Octets before it, from where reading began.
    octets: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(path) => write!(f, "{}", path.display())?,
            None => f.write_str("standard input")?,
        }
        match self {
            Self { number: 1, .. } => Ok(()),
            Self { number, octets, .. } => {
                write!(f, ", message {number}, which begins after {octets} octets")
            }
        }
    }
}

impl InputError {
    /// A message that is wrong is refused; what could not be read may be
    /// readable later, and where there is nothing, nobody can say what was meant.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Header(_, ReadError::Header(_)) | Self::Data(_, CopyError::Data(_)) => {
                Exit::Refused
            }
            _ => Exit::Unfinished,
        }
    }
}

impl Input {
    /// The messages of these files; `-` is standard input.
    pub fn of(files: Vec<PathBuf>) -> Self {
        Self {
            files: files.into_iter(),
            stream: None,
        }
    }

    /// Whether it is known already, without waiting, that there are no more.
    pub fn is_over(&mut self) -> bool {
        self.files.as_slice().is_empty()
            && (self.stream.as_mut()).is_none_or(|stream| stream.is_over().unwrap_or(false))
    }
}

impl Iterator for Input {
    type Item = Result<Outgoing, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None => match Stream::open(&self.files.next()?) {
                    Ok(stream) => self.stream.insert(stream),
                    Err(error) => return Some(Err(error)),
                },
            };
            let message = stream.message().transpose();
            if !matches!(message, Some(Ok(_))) {
                self.stream = None;
            }
            if message.is_some() {
                return message;
            }
        }
    }
}

/// Messages of one file.
#[derive(Debug)]
struct Stream {
    /// Of the next message.
    place: Place,
    reader: BufReader<Arc<File>>,
    /// Where in a regular file the first message begins; None for a pipe.
    start: Option<u64>,
}

impl Stream {
    fn open(path: &Path) -> Result<Self, InputError> {
        let is_stdin = path == Path::new("-");
        if is_stdin && io::stdin().is_terminal() {
            complain("reading messages from the terminal; end them with Ctrl-D");
        }
        let place = Place {
            file: (!is_stdin).then(|| path.to_owned()),
            number: 1,
            octets: 0,
        };
        let open = || {
            let mut file = if is_stdin {
                File::from(io::stdin().as_fd().try_clone_to_owned()?)
            } else {
                File::open(path)?
            };
            let start = match file.metadata()?.is_file() {
                true => Some(file.stream_position()?),
                false => None,
            };
            Ok((file, start))
        };
        let (file, start) = open().map_err(|error| InputError::Io(place.clone(), error))?;
        Ok(Self {
            place,
            reader: BufReader::with_capacity(64 << 10, Arc::new(file)),
            start,
        })
    }

    /// Whether the end is here. A pipe that may bring more is not waited for.
    fn is_over(&mut self) -> io::Result<bool> {
        if self.start.is_none() && self.reader.buffer().is_empty() {
            let mut input = [PollFd::new(self.reader.get_ref(), PollFlags::IN)];
            if poll(&mut input, Some(&Timespec::default()))? == 0 {
                return Ok(false);
            }
        }
        Ok(self.reader.fill_buf()?.is_empty())
    }

    /// The next message; None at the end behind one.
    fn message(&mut self) -> Result<Option<Outgoing>, InputError> {
        let here = || self.place.clone();
        let header = match HeaderBlock::read(&mut self.reader) {
            Ok(header) => header,
            Err(ReadError::Empty) if self.place.number > 1 => return Ok(None),
            Err(error) => return Err(InputError::Header(here(), error)),
        };
        let block = header.as_bytes().len() as u64;
        let mut data = self.reader.by_ref().take(header.size());
        let (file, start) = match self.start {
            Some(start) => {
                copy_verified(header.parts(), &mut data, &mut io::sink())
                    .map_err(|error| InputError::Data(here(), error))?;
                let start = start + self.place.octets + block;
                (Arc::clone(self.reader.get_ref()), start)
            }
            None => {
                let mut spool = Spooled::writer();
                copy_verified(header.parts(), &mut data, &mut spool)
                    .map_err(|error| InputError::Data(here(), error))?;
                let spooled = spool.finish();
                let spooled = spooled.map_err(|error| InputError::Io(here(), error))?;
                (Arc::new(spooled), 0)
            }
        };
        self.place.number += 1;
        self.place.octets += block + header.size();
        Ok(Some(Outgoing::verified(header, file, start)))
    }
}
