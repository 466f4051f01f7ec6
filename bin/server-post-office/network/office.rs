//! Connections of users, after the handshake, and the log of them.

use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ima_message::Address;
use ima_program::monitor::Questions;
use ima_program::{Exit, log};
use ima_proto::imrp::{Busy, End, Fault, Limits, Login, Office, Session};
use ima_proto::listen::{Connection, Protocol};
use ima_proto::tls::{self, Secure, ServerSide, TlsError, UserPeer};

use super::counted::{Counted, Tally};
use super::counts::Counts;
use super::line::Line;
use super::mailbox::Mailbox;
use crate::monitor::Desks;
use crate::packets::{DeskReply, DeskRequest, LoginReply, LoginRequest};

/// What all connections share.
pub struct PostOffice {
    tls: ServerSide<tls::Users>,
    desks: Questions<Desks>,
    limits: Limits,
    advice: Arc<str>,
    counts: Counts,
}

impl PostOffice {
    /// `advice` is what an administrator does where no descriptor is left.
    pub fn new(
        tls: ServerSide<tls::Users>,
        desks: Questions<Desks>,
        limits: Limits,
        advice: String,
        counts: Counts,
    ) -> Self {
        Self {
            tls,
            desks,
            limits,
            advice: advice.into(),
            counts,
        }
    }
}

impl Protocol for PostOffice {
    type Peer = UserPeer;

    /// Anybody may show a certificate, or none.
    const HANDSHAKE_PROVES: bool = false;

    fn shake_hands(&self, socket: Arc<TcpStream>) -> Result<(Secure, UserPeer), TlsError> {
        tls::accept_user(socket, &self.tls)
    }

    fn converse(&self, secure: Secure, peer: UserPeer, connection: &Connection) -> Exit {
        log::info("connected")
            .field("address", peer.address)
            .field("host", &peer.sni)
            .emit();
        let tally = Rc::new(Tally::new(&self.counts));
        let counter = Counter {
            office: self,
            peer: &peer,
            connection,
            tally: Rc::clone(&tally),
            line: None,
        };
        let channel = Counted::new(secure, Rc::clone(&tally));
        let end = Session::new(channel, counter, self.limits).run();
        self.counts.ended(&end);
        let mut event = log::info("closed").field("address", peer.address);
        if let Some(user) = &*tally.user.borrow() {
            event = event.field("user", user.canonical());
        }
        let event = event
            .field("messages", tally.messages.get())
            .field("octets", tally.octets.get())
            .field("stored", tally.stored.get())
            .field("moved", tally.moved.get())
            .field("deleted", tally.deleted.get())
            .field("flagged", tally.flagged.get());
        let (event, exit) = match end {
            End::Done => (event, Exit::Done),
            End::Stopped => (event.field("reason", "stopping"), Exit::Done),
            End::NoLogin => (event.field("reason", "no login"), Exit::Drop),
            End::Full => (
                event.field("reason", "too many connections"),
                Exit::Unfinished,
            ),
            End::Error(error) => (event.field("reason", error), Exit::Drop),
            End::Fault => (event.field("reason", "a fault here"), Exit::Unfinished),
            End::Broken(error) => (event.field("reason", error), Exit::Unfinished),
        };
        event.emit();
        exit
    }
}

/// Where one client stands.
struct Counter<'a> {
    office: &'a PostOffice,
    peer: &'a UserPeer,
    connection: &'a Connection,
    tally: Rc<Tally>,
    /// Its desk, from its first login on.
    line: Option<Line>,
}

impl Counter<'_> {
    /// A desk for this connection; none where there are too many.
    fn desk(&self) -> Result<Option<Line>, Fault> {
        let socket = self.connection.socket();
        let answer = self.office.desks.ask(&DeskRequest::Desk, &[socket]);
        let (reply, sockets) = answer.map_err(|_| Fault)?;
        match (reply, sockets.into_iter().next()) {
            (DeskReply::Busy, _) => Ok(None),
            (DeskReply::Open, Some(socket)) => {
                Ok(Some(Line::new(socket, Arc::clone(&self.office.advice))))
            }
            // The client is gone; or there is no descriptor left, which others log.
            _ => Err(Fault),
        }
    }

    fn log_in(
        &mut self,
        address: &Address,
        request: &LoginRequest,
    ) -> Result<Login<Mailbox>, Fault> {
        let mut line = match self.line.take() {
            Some(line) => line,
            None => match self.desk()? {
                Some(line) => line,
                None => return Ok(Login::Later(Busy::Waiting, Duration::ZERO)),
            },
        };
        let (reply, _) = line.say(request)?;
        Ok(match reply {
            LoginReply::Proved => self.enter(line, address)?,
            LoginReply::Refused => {
                self.line = Some(line);
                Login::Refused
            }
            LoginReply::Later(busy, delay) => Login::Later(busy, delay),
            LoginReply::In | LoginReply::Fault => Login::Fault,
        })
    }

    /// A user who has proved who it is.
    fn enter(&self, mut line: Line, address: &Address) -> Result<Login<Mailbox>, Fault> {
        if !self.connection.enter() {
            return Ok(Login::Later(Busy::Connections, Duration::ZERO));
        }
        *self.tally.user.borrow_mut() = Some(address.clone());
        let (reply, _) = line.say(&LoginRequest::Enter)?;
        Ok(match reply {
            LoginReply::In => {
                let tally = Rc::clone(&self.tally);
                Login::Granted(Mailbox::new(line, address.canonical(), tally))
            }
            LoginReply::Later(busy, delay) => Login::Later(busy, delay),
            _ => Login::Fault,
        })
    }
}

impl Office for Counter<'_> {
    type Mailbox = Mailbox;

    fn by_password(&mut self, address: &Address, password: &[u8]) -> Login<Mailbox> {
        let request = LoginRequest::Password(address.clone(), password.to_vec());
        let begin = Instant::now();
        let login = self.log_in(address, &request).unwrap_or(Login::Fault);
        let counts = &self.office.counts.by_password;
        counts.add(&login, begin.elapsed());
        login
    }

    fn by_certificate(&mut self, address: &Address) -> Login<Mailbox> {
        let request = LoginRequest::Certificate(address.clone(), self.peer.key.clone());
        let begin = Instant::now();
        let login = self.log_in(address, &request).unwrap_or(Login::Fault);
        let counts = &self.office.counts.by_certificate;
        counts.add(&login, begin.elapsed());
        login
    }

    fn begins(&mut self) {
        self.connection.begin();
    }

    fn goes_on(&mut self) -> bool {
        self.connection.goes_on()
    }
}
