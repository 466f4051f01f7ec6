//! Where connections come from: systemd, inetd, or sockets of our own; how many
//! are let in; and how they are served to their end.

mod connections;
mod counts;
mod entrance;
mod gate;
mod handshakes;
mod limits;
mod server;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ima_program::log;
use listenfd::ListenFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_acceptconn;

pub use connections::Connection;
pub use counts::Counts;
pub(crate) use gate::block;
pub use gate::{Full, Gate, Pass};
pub use handshakes::{Handshake, Handshakes};
pub use limits::{FINISH, Limits, STACK, STOP};
pub use server::{Protocol, Server};

/// How long nothing is accepted after the system had nothing left to do it with.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections that the system keeps until they are accepted. With the 128 of
/// the standard library, peers that come in a crowd are passed over, and a good
/// one among them tries again only after a second.
const BACKLOG: i32 = 4096;

/// What a server was given to serve.
#[derive(Debug)]
pub enum Incoming {
    /// Listening sockets: serve until told to stop.
    Listening(Listeners),
    /// One connection, with the peer's address: serve it, and exit.
    One(TcpStream, SocketAddr),
}

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// `listen` holds something that is no address.
    #[error(
        "{written:?} in listen is not an IP address with a port, like \"[::]:4025\" or \"127.0.0.1:4025\""
    )]
    NoAddress {
        /// What was written.
        written: String,
    },
    /// The configuration is wrong.
    #[error("{}: {source}", file.display())]
    Configured {
        /// Its file.
        file: PathBuf,
        /// What is wrong.
        source: Box<ListenError>,
    },
    /// `listen` is empty, and no sockets were inherited.
    #[error("listen names no address, and no socket was passed on by systemd or inetd")]
    Nothing,
    /// An address cannot be listened at.
    #[error("cannot listen at {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// A descriptor that systemd or inetd passed on is not what it should be.
    #[error("the socket passed on as {place} cannot be used: {source}")]
    Inherited {
        /// Where it was: `LISTEN_FDS 0`, `stdin`.
        place: String,
        /// The reason.
        source: io::Error,
    },
    /// A connection among several sockets.
    #[error("systemd passed on several sockets, and one is a connection: Accept=yes passes on one")]
    Mixed,
}

impl Incoming {
    /// As a server's options say: what inetd passed on, or [`Incoming::open`]
    /// with the addresses of `--listen`, or without any with those of the
    /// configuration in `file`.
    ///
    /// # Errors
    /// A [`ListenError`].
    pub fn by_options(
        inetd: bool,
        options: &[String],
        configured: &[String],
        file: &Path,
    ) -> Result<Incoming, ListenError> {
        match (inetd, options) {
            (true, _) => Incoming::from_inetd(),
            (false, []) => Incoming::open(configured).map_err(|error| match error {
                ListenError::NoAddress { .. } | ListenError::Nothing => ListenError::Configured {
                    file: file.to_owned(),
                    source: Box::new(error),
                },
                error => error,
            }),
            (false, options) => Incoming::open(options),
        }
    }

    /// The sockets, for another process.
    pub fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Incoming::Listening(listeners) => listeners.sockets.iter().map(AsFd::as_fd).collect(),
            Incoming::One(connection, _) => vec![connection.as_fd()],
        }
    }

    /// The [`Incoming::sockets`] of another process: listening ones, or a single
    /// connection.
    ///
    /// # Errors
    /// A [`ListenError`].
    pub fn from_sockets(sockets: Vec<OwnedFd>) -> Result<Incoming, ListenError> {
        let sorted = sockets.into_iter().enumerate().map(|(index, socket)| {
            let broken = |source| ListenError::Inherited {
                place: format!("socket {index}"),
                source,
            };
            sort(socket).map_err(broken)
        });
        gather(sorted)
    }

    /// Whether more than one connection is to be served.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(self, Incoming::Listening(_))
    }

    /// The sockets that systemd passed on (`LISTEN_FDS`, sd_listen_fds(3); with
    /// Accept=no listening ones, with Accept=yes one connection); otherwise binds
    /// the addresses of `listen`. Port 0 takes any free port.
    ///
    /// To be called early and once: it removes `LISTEN_FDS` and `LISTEN_PID` from
    /// the environment. No socket is inherited by a child.
    ///
    /// # Errors
    /// A [`ListenError`] that names the address or the descriptor.
    pub fn open(listen: &[String]) -> Result<Incoming, ListenError> {
        let mut inherited = ListenFd::from_env();
        if inherited.len() == 0 {
            return bind(listen);
        }
        let count = inherited.len();
        gather((0..count).map(|index| {
            let broken = |source| ListenError::Inherited {
                place: format!("LISTEN_FDS {index}"),
                source,
            };
            // This checks that it is a TCP socket, of either kind, and sets
            // FD_CLOEXEC.
            let socket = inherited.take_tcp_listener(index).map_err(broken)?;
            let socket = socket.ok_or_else(|| broken(ErrorKind::NotFound.into()))?;
            sort(socket.into()).map_err(broken)
        }))
    }

    /// The socket that inetd passed on as stdin: a connection (`nowait`) or a
    /// listening socket (`wait`). `/dev/null` takes its place as stdin and
    /// stdout, so that the peer's end of it closes when ours does.
    ///
    /// stderr is the same socket under inetd: [`log::to_syslog`] is to be called
    /// before anything is logged.
    ///
    /// # Errors
    /// [`ListenError::Inherited`] where stdin is not a TCP socket.
    pub fn from_inetd() -> Result<Incoming, ListenError> {
        let broken = |source| ListenError::Inherited {
            place: "stdin".to_owned(),
            source,
        };
        let socket = io::stdin().as_fd().try_clone_to_owned().map_err(broken)?;
        let incoming = sort(socket).map_err(broken)?;
        let null = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map_err(broken)?;
        rustix::stdio::dup2_stdin(&null).map_err(|errno| broken(errno.into()))?;
        rustix::stdio::dup2_stdout(&null).map_err(|errno| broken(errno.into()))?;
        Ok(incoming)
    }
}

fn bind(listen: &[String]) -> Result<Incoming, ListenError> {
    let mut listeners = Vec::new();
    for written in listen {
        let address: SocketAddr = written.parse().map_err(|_| ListenError::NoAddress {
            written: written.clone(),
        })?;
        let failed = |source| ListenError::Bind { address, source };
        let socket = TcpListener::bind(address).map_err(failed)?;
        rustix::net::listen(&socket, BACKLOG).map_err(|errno| failed(errno.into()))?;
        socket.set_nonblocking(true).map_err(failed)?;
        listeners.push(socket);
    }
    match listeners.is_empty() {
        true => Err(ListenError::Nothing),
        false => Ok(Incoming::Listening(Listeners::new(listeners))),
    }
}

/// Several sockets from elsewhere, each by what it is: all listen, or there is one
/// connection alone.
fn gather(
    sockets: impl ExactSizeIterator<Item = Result<Incoming, ListenError>>,
) -> Result<Incoming, ListenError> {
    let is_one = sockets.len() == 1;
    let mut listeners = Vec::new();
    for socket in sockets {
        match socket? {
            Incoming::Listening(more) => listeners.extend(more.sockets),
            one if is_one => return Ok(one),
            Incoming::One(..) => return Err(ListenError::Mixed),
        }
    }
    match listeners.is_empty() {
        true => Err(ListenError::Nothing),
        false => Ok(Incoming::Listening(Listeners::new(listeners))),
    }
}

/// A socket from elsewhere, by what it is.
fn sort(socket: OwnedFd) -> io::Result<Incoming> {
    if socket_acceptconn(&socket)? {
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        listener.local_addr()?;
        return Ok(Incoming::Listening(Listeners::new(vec![listener])));
    }
    let connection = TcpStream::from(socket);
    connection.set_nonblocking(false)?;
    let address = canonical(connection.peer_addr()?);
    Ok(Incoming::One(connection, address))
}

/// Listening sockets, at least one.
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<TcpListener>,
    /// Which socket is asked first: each has its turn.
    turn: AtomicUsize,
    starved: AtomicBool,
}

/// What [`Listeners::accept`] waited for.
#[derive(Debug)]
pub enum Accepted {
    /// A connection, and where it comes from: an IPv4 address as such, also on
    /// an IPv6 socket.
    Connection(TcpStream, SocketAddr),
    /// The stop descriptor became readable, or its other end closed.
    Stop,
}

impl Listeners {
    fn new(sockets: Vec<TcpListener>) -> Listeners {
        Listeners {
            sockets,
            turn: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
        }
    }

    /// Where they listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets
            .iter()
            .filter_map(|socket| socket.local_addr().ok())
            .collect()
    }

    /// Waits for a connection on any socket, or for `stop`.
    ///
    /// Where the system has no descriptor or memory left for a connection, that
    /// is logged once, and nothing is accepted for 100 ms at a time until it has.
    pub fn accept(&self, stop: BorrowedFd<'_>) -> Accepted {
        loop {
            let mut waiting = vec![PollFd::from_borrowed_fd(stop, PollFlags::IN)];
            waiting.extend(
                self.sockets
                    .iter()
                    .map(|socket| PollFd::new(socket, PollFlags::IN)),
            );
            let polled = poll(&mut waiting, None);
            let mut ready = waiting.iter().map(|fd| !fd.revents().is_empty());
            let outcome = match polled {
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => Err(errno.into()),
                Ok(_) if ready.next() == Some(true) => return Accepted::Stop,
                Ok(_) => self.accept_from(&ready.collect::<Vec<bool>>()),
            };
            match outcome {
                Ok(Some((connection, address))) => {
                    if self.starved.swap(false, Ordering::Relaxed) {
                        log::info("accepting-again").emit();
                    }
                    return Accepted::Connection(connection, canonical(address));
                }
                Ok(None) => {}
                Err(error) => {
                    if !self.starved.swap(true, Ordering::Relaxed) {
                        log::error("cannot-accept").field("error", error).emit();
                    }
                    if pause(stop) {
                        return Accepted::Stop;
                    }
                }
            }
        }
    }

    fn accept_from(&self, ready: &[bool]) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.sockets.len().max(1);
        let sockets = self.sockets.iter().zip(ready);
        for (socket, _) in sockets
            .clone()
            .skip(first)
            .chain(sockets.take(first))
            .filter(|(_, ready)| **ready)
        {
            match socket.accept() {
                Ok(connection) => return Ok(Some(connection)),
                // It was gone again, or another process was faster.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock
                            | ErrorKind::Interrupted
                            | ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Waits for [`PAUSE`], or for `stop`: then true.
fn pause(stop: BorrowedFd<'_>) -> bool {
    let mut waiting = [PollFd::from_borrowed_fd(stop, PollFlags::IN)];
    match poll(&mut waiting, Timespec::try_from(PAUSE).ok().as_ref()) {
        Ok(count) => count > 0,
        Err(_) => {
            std::thread::sleep(PAUSE);
            false
        }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
