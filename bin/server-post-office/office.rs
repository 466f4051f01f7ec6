//! Connections of users, after the handshake: who may log in, and the log.

use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ima_message::Address;
use ima_program::report::chain;
use ima_program::{Exit, log};
use ima_proto::imrp::{Busy, End, Limits, Login, Office, Session};
use ima_proto::listen::{Connection, Protocol};
use ima_proto::tls::{self, KeyDigest, KeyProof, Secure, ServerSide, TlsError, UserPeer};
use ima_proto::users::{Guesses, NoLogin, User, Users};

use crate::counted::{Counted, Tally};
use crate::counts::Counts;
use crate::mailbox::Mailbox;
use crate::stores::Stores;
use crate::watch::Watchers;

/// How users prove who they are, as the log says it.
const PASSWORD: &str = "password";
const CERTIFICATE: &str = "certificate";

/// What all connections share.
pub struct PostOffice {
    tls: ServerSide<tls::Users>,
    users: Users,
    guesses: Guesses,
    limits: Limits,
    watchers: Watchers,
    stores: Stores,
    counts: Counts,
}

impl PostOffice {
    pub fn new(tls: ServerSide<tls::Users>, users: Users, limits: Limits, counts: Counts) -> Self {
        Self {
            tls,
            users,
            guesses: Guesses::default(),
            limits,
            watchers: Watchers::default(),
            stores: Stores::default(),
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
        };
        let channel = Counted::new(secure, Rc::clone(&tally));
        let key = peer.key.as_ref().map(KeyProof::claimed);
        let end = Session::new(channel, counter, key, self.limits).run();
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
}

impl Counter<'_> {
    /// A user who has proved who it is.
    fn admit(&self, user: &User, by: &'static str) -> Login<Mailbox> {
        let about = |event: log::Entry| {
            event
                .field("address", self.peer.address)
                .field("user", user.address().canonical())
                .field("by", by)
        };
        if !self.connection.enter() {
            return Login::Later(Busy::Connections, Duration::ZERO);
        }
        about(log::info("login")).emit();
        *self.tally.user.borrow_mut() = Some(user.address().clone());
        let (watchers, stores) = (self.office.watchers.clone(), self.office.stores.clone());
        match Mailbox::open(user, Rc::clone(&self.tally), watchers, stores) {
            Ok(mailbox) => Login::Granted(mailbox),
            Err(error) => {
                about(log::error("cannot-open-mailbox"))
                    .field("error", chain(&error))
                    .field("advice", error.advice())
                    .emit();
                Login::Fault
            }
        }
    }

    fn check_password(&self, address: &Address, password: &[u8]) -> Login<Mailbox> {
        let asked = Instant::now();
        let source = self.peer.address;
        let permit = self.office.guesses.begin(source, address, asked);
        if !permit.check {
            self.failure(address, PASSWORD, "too many failed logins")
                .emit();
            return Login::Later(Busy::Failed, permit.delay);
        }
        let user = match self.office.users.by_password(address, password) {
            Ok(user) => user,
            Err(NoLogin::Wrong) => {
                self.failure(address, PASSWORD, "no such user, or not their password")
                    .emit();
                return Login::Refused(permit.delay);
            }
            Err(NoLogin::TooMany) => {
                self.failure(address, PASSWORD, "too many logins wait")
                    .emit();
                return Login::Later(Busy::Waiting, permit.delay);
            }
        };
        self.office
            .guesses
            .succeeded(source, address, Instant::now());
        thread::sleep(permit.delay.saturating_sub(asked.elapsed()));
        self.admit(&user, PASSWORD)
    }

    fn check_certificate(&self, address: &Address, key: Option<&KeyDigest>) -> Login<Mailbox> {
        let Some(key) = key else {
            self.failure(address, CERTIFICATE, "no certificate was shown")
                .emit();
            return Login::Refused(Duration::ZERO);
        };
        match self.office.users.by_certificate(address, key) {
            Some(user) => self.admit(&user, CERTIFICATE),
            None => {
                let reason = "no such user, or not their certificate";
                self.failure(address, CERTIFICATE, reason)
                    .field("certificate", key)
                    .emit();
                Login::Refused(Duration::ZERO)
            }
        }
    }

    /// The line for a failure, of which each has one. The address stands before
    /// all that the client has chosen.
    fn failure(&self, user: &Address, by: &'static str, reason: &'static str) -> log::Entry {
        log::warn("login-failed")
            .field("address", self.peer.address)
            .field("by", by)
            .field("user", user.canonical())
            .field("reason", reason)
    }
}

impl Office for Counter<'_> {
    type Mailbox = Mailbox;

    fn by_password(&mut self, address: &Address, password: &[u8]) -> Login<Mailbox> {
        let begin = Instant::now();
        let login = self.check_password(address, password);
        self.office.counts.by_password.add(&login, begin.elapsed());
        login
    }

    fn by_certificate(&mut self, address: &Address, key: Option<&KeyDigest>) -> Login<Mailbox> {
        let begin = Instant::now();
        let login = self.check_certificate(address, key);
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
