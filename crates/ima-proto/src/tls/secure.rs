//! A TLS connection whose handshake is over, as a [`Channel`].

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ima_message::Hostpart;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustls::{AlertDescription, Connection};

use super::fault::{TlsError, is_about_certificate};
use super::timed::{Patience, Timed};
use crate::framing::{Channel, Woken};

/// How long [`Secure::close`] waits for the peer to close too.
const CLOSE_TIME: Duration = Duration::from_secs(3);
/// How many octets it reads and forgets meanwhile.
const CLOSE_OCTETS: usize = 1 << 20;
/// How long a last alert may take to get out, and the peer's to come in.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a connection that somebody waits on may be silent before its peer is
/// asked by TCP whether it is there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// How long it has to answer before it is asked again.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How often it is asked before the connection is given up.
const KEEPALIVE_COUNT: u32 = 6;
/// How long it may leave unacknowledged what was sent, in milliseconds: the sum.
const UNACKNOWLEDGED: u32 = 120_000;

/// Whom we dialled, and as whom.
#[derive(Debug)]
pub(super) struct Asked {
    /// The mail domain.
    pub(super) by: Hostpart,
    /// The certificate that we showed.
    pub(super) shown: Shown,
}

/// Which certificate of ours a server saw.
#[derive(Debug)]
pub(super) enum Shown {
    /// That of a host, as a server.
    Host(Hostpart),
    /// A user's.
    User,
    /// None.
    Nothing,
}

impl Asked {
    /// What an alert about our certificate means.
    fn refused(&self, alert: AlertDescription) -> TlsError {
        let by = self.by.clone();
        let for_ = match &self.shown {
            Shown::Host(host) => Some(host.clone()),
            Shown::User => None,
            Shown::Nothing => return TlsError::CertificateWanted { by },
        };
        TlsError::Refused { by, for_, alert }
    }
}

/// A TLS connection whose handshake is over. It does not say who the peer is:
/// what a peer has proved, [`accept`](super::accept) and
/// [`accept_user`](super::accept_user) give beside it, each in a type of its own,
/// and [`connect`](super::connect) has compared with what was wanted.
///
/// A [`TlsError`] met here travels inside the [`io::Error`] of `read`, `write`
/// and `flush`; the framing takes it out again.
#[derive(Debug)]
pub struct Secure {
    connection: Connection,
    socket: Arc<TcpStream>,
    /// How long a call on it may block.
    patience: Patience,
    deadline: Instant,
    peer: String,
    /// Where we dialled.
    asked: Option<Asked>,
    /// Whether TCP asks after a silent peer.
    keeps_alive: bool,
}

impl Secure {
    pub(super) fn new(
        connection: Connection,
        socket: Arc<TcpStream>,
        peer: String,
        asked: Option<Asked>,
    ) -> Secure {
        Secure {
            connection,
            socket,
            patience: Patience::default(),
            deadline: Instant::now() + super::HANDSHAKE_TIME,
            peer,
            asked,
            keeps_alive: false,
        }
    }

    /// Takes in what the socket has; waits for it until the deadline. False at
    /// the socket's end.
    fn receive(&mut self) -> io::Result<bool> {
        let mut timed = Timed::new(&self.socket, self.deadline, &mut self.patience);
        let count = self.connection.read_tls(&mut timed)?;
        match self.connection.process_new_packets() {
            Ok(_) => Ok(count > 0),
            Err(error) => {
                say_last_words(&mut self.connection, &self.socket);
                Err(io::Error::other(self.explain(error)))
            }
        }
    }

    /// Whether a read would give something, be it the end, without the socket.
    fn is_readable(&mut self) -> io::Result<bool> {
        let state = self.connection.process_new_packets();
        let state = state.map_err(|error| io::Error::other(self.explain(error)))?;
        Ok(state.plaintext_bytes_to_read() > 0 || state.peer_has_closed())
    }

    /// From now on TCP finds out when the peer has vanished: within two minutes,
    /// whether or not something is on its way to it.
    fn keep_alive(&mut self) -> io::Result<()> {
        if !self.keeps_alive {
            let socket = &*self.socket;
            sockopt::set_socket_keepalive(socket, true)?;
            sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
            sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
            sockopt::set_tcp_keepcnt(socket, KEEPALIVE_COUNT)?;
            sockopt::set_tcp_user_timeout(socket, UNACKNOWLEDGED)?;
            self.keeps_alive = true;
        }
        Ok(())
    }

    fn explain(&self, error: rustls::Error) -> TlsError {
        match (error, &self.asked) {
            (rustls::Error::AlertReceived(alert), Some(asked)) if is_about_certificate(alert) => {
                asked.refused(alert)
            }
            (error, _) => TlsError::from_rustls(&self.peer, error),
        }
    }

    /// Gives the socket all that rustls holds.
    fn send(&mut self) -> io::Result<()> {
        let mut timed = Timed::new(&self.socket, self.deadline, &mut self.patience);
        while self.connection.wants_write() {
            if let Err(error) = self.connection.write_tls(&mut timed) {
                return Err(self.reason(error));
            }
        }
        Ok(())
    }

    /// Why a write failed: a peer that refused our certificate has said so in an
    /// alert, and closed, before we wrote.
    fn reason(&mut self, error: io::Error) -> io::Error {
        let closed = matches!(
            error.kind(),
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
        );
        if !closed {
            return error;
        }
        let deadline = self.deadline;
        self.deadline = deadline.min(Instant::now() + LAST_WORDS);
        let said = loop {
            // Nothing is wanted once there are octets to read, or the end.
            match self.connection.wants_read().then(|| self.receive()) {
                Some(Ok(true)) => {}
                Some(Ok(false)) | None => break None,
                Some(Err(found)) => break Some(found),
            }
        };
        self.deadline = deadline;
        said.filter(|found| tls_error(found).is_some())
            .unwrap_or(error)
    }
}

impl Read for Secure {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match self.connection.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.receive()?;
                }
                outcome => return outcome,
            }
        }
    }
}

impl Write for Secure {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.send()?;
        let taken = self.connection.writer().write(octets)?;
        self.send()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Channel for Secure {
    fn set_deadline(&mut self, at: Instant) {
        self.deadline = at;
    }

    fn has_buffered(&mut self) -> bool {
        self.connection
            .process_new_packets()
            .is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
    }

    fn wait(&mut self, wake: Option<BorrowedFd<'_>>, at: Instant) -> io::Result<Woken> {
        self.keep_alive()?;
        loop {
            if self.is_readable()? {
                return Ok(Woken::Readable);
            }
            let left = at.saturating_duration_since(Instant::now());
            // Where a wait is longer than the system counts, it is asked again.
            let left = Timespec::try_from(left).ok();
            let socket = PollFd::new(&*self.socket, PollFlags::IN);
            let (ready, woken) = match wake {
                Some(wake) => {
                    let wake = PollFd::from_borrowed_fd(wake, PollFlags::IN);
                    let mut waiting = [socket, wake];
                    let polled = poll(&mut waiting, left.as_ref());
                    let [socket, wake] = waiting.map(|fd| !fd.revents().is_empty());
                    (polled.map(|_| socket), wake)
                }
                None => {
                    let mut waiting = [socket];
                    let polled = poll(&mut waiting, left.as_ref());
                    (polled.map(|count| count > 0), false)
                }
            };
            match ready {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
                // It may be less than a record, or nothing to be read.
                Ok(true) => {
                    self.deadline = Instant::now() + LAST_WORDS;
                    if !self.receive()? {
                        return Ok(Woken::Readable);
                    }
                    self.send()?;
                }
                Ok(false) if woken => return Ok(Woken::Wake),
                Ok(false) if Instant::now() >= at => return Ok(Woken::TimedOut),
                Ok(false) => {}
            }
        }
    }

    fn close(&mut self) -> io::Result<()> {
        self.deadline = Instant::now() + CLOSE_TIME;
        self.connection.send_close_notify();
        self.send()?;
        self.socket.shutdown(Shutdown::Write)?;
        let mut forgotten = 0;
        let mut sink = [0; 4096];
        while forgotten < CLOSE_OCTETS {
            match self.read(&mut sink)? {
                0 => return Ok(()),
                count => forgotten += count,
            }
        }
        Err(io::Error::new(
            ErrorKind::TimedOut,
            "the peer goes on sending after the end",
        ))
    }
}

/// The [`TlsError`] within an error of a [`Secure`].
pub(crate) fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// The handshake, until `deadline`.
pub(super) fn shake_hands(
    connection: &mut Connection,
    socket: &TcpStream,
    deadline: Instant,
) -> Result<(), Interrupted> {
    let mut patience = Patience::default();
    let mut timed = Timed::new(socket, deadline, &mut patience);
    loop {
        while connection.wants_write() {
            connection.write_tls(&mut timed).map_err(Interrupted::Io)?;
        }
        if !connection.is_handshaking() {
            return Ok(());
        }
        if connection.read_tls(&mut timed).map_err(Interrupted::Io)? == 0 {
            return Err(Interrupted::Io(ErrorKind::UnexpectedEof.into()));
        }
        if let Err(error) = connection.process_new_packets() {
            say_last_words(connection, socket);
            return Err(Interrupted::Tls(error));
        }
    }
}

/// What ended a handshake.
pub(super) enum Interrupted {
    /// The socket.
    Io(io::Error),
    /// One of the two ends, by the rules of TLS.
    Tls(rustls::Error),
}

/// Sends the alert that rustls has prepared, and lets the peer read it: a socket
/// that is closed with input unread is reset, and the alert lost.
pub(super) fn say_last_words(connection: &mut Connection, socket: &TcpStream) {
    let mut patience = Patience::default();
    let mut timed = Timed::new(socket, Instant::now() + LAST_WORDS, &mut patience);
    while connection.wants_write() {
        if connection.write_tls(&mut timed).is_err() {
            return;
        }
    }
    if socket.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let mut sink = [0; 4096];
    for _ in 0..64 {
        if !matches!(timed.read(&mut sink), Ok(count) if count > 0) {
            return;
        }
    }
}
