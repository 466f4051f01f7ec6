//! Who may log in: what passwords and certificates prove, and the log of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ima_message::Address;
use ima_program::log;
use ima_proto::imrp::Busy;
use ima_proto::tls::{KeyProof, KeyProofs};
use ima_proto::users::{Guesses, NoLogin, User, Users};

use super::places::Places;
use super::stores::Stores;
use super::watch::Watchers;
use crate::limits::Limits;

/// How users prove who they are, as the log says it.
const PASSWORD: &str = "password";
const CERTIFICATE: &str = "certificate";

/// What all sessions share.
pub struct Office {
    users: Users,
    guesses: Guesses,
    proofs: KeyProofs,
    /// Failed logins that end a connection.
    pub failed_logins: usize,
    /// Octets of a message that is stored.
    pub max_message: u64,
    /// Mailboxes that may be open.
    pub sessions: Places,
    pub watchers: Watchers,
    pub stores: Stores,
}

/// What a proof came to.
pub enum Verdict {
    /// It is this user; nobody is to hear of it sooner than so long after the question.
    Proved(Proved, Duration),
    /// It is not, which nobody is to hear sooner than that either.
    Refused(Duration),
    /// As in `ima_proto::imrp::Login`.
    Later(Busy, Duration),
}

/// A user who has proved who it is.
pub struct Proved {
    pub user: Arc<User>,
    source: IpAddr,
    by: &'static str,
}

impl Proved {
    /// Adds who it is, from where, and by what, to a line of the log.
    pub fn told(&self, event: log::Entry) -> log::Entry {
        event
            .field("address", self.source)
            .field("user", self.user.address().canonical())
            .field("by", self.by)
    }
}

impl Office {
    /// For these users, with what is allowed.
    pub fn new(users: Users, limits: &Limits) -> Self {
        Self {
            users,
            guesses: Guesses::default(),
            proofs: KeyProofs::default(),
            failed_logins: limits.failed_logins,
            max_message: limits.message,
            sessions: Places::new(limits.connections),
            watchers: Watchers::default(),
            stores: Stores::default(),
        }
    }

    /// A password, from somewhere.
    pub fn by_password(&self, source: IpAddr, address: &Address, password: &[u8]) -> Verdict {
        let failure = |reason| failure(source, address, PASSWORD, reason);
        let permit = self.guesses.begin(source, address, Instant::now());
        if !permit.check {
            failure("too many failed logins").emit();
            return Verdict::Later(Busy::Failed, permit.delay);
        }
        match self.users.by_password(address, password) {
            Ok(user) => {
                self.guesses.succeeded(source, address, Instant::now());
                let by = PASSWORD;
                Verdict::Proved(Proved { user, source, by }, permit.delay)
            }
            Err(NoLogin::Wrong) => {
                failure("no such user, or not their password").emit();
                Verdict::Refused(permit.delay)
            }
            Err(NoLogin::TooMany) => {
                failure("too many logins wait").emit();
                Verdict::Later(Busy::Waiting, permit.delay)
            }
        }
    }

    /// What a client has signed in its handshake, if it showed a certificate. The word
    /// of the network process proves nothing.
    pub fn by_certificate(
        &self,
        source: IpAddr,
        address: &Address,
        proof: Option<&KeyProof>,
    ) -> Verdict {
        let failure = |reason| failure(source, address, CERTIFICATE, reason);
        let Some(proof) = proof else {
            failure("no certificate was shown").emit();
            return Verdict::Refused(Duration::ZERO);
        };
        let key = self.proofs.check(proof);
        let user = key.and_then(|key| self.users.by_certificate(address, &key));
        match user {
            Some(user) if self.proofs.use_up(proof) => {
                let by = CERTIFICATE;
                Verdict::Proved(Proved { user, source, by }, Duration::ZERO)
            }
            _ => {
                failure("no such user, or not their certificate")
                    .field("certificate", proof.claimed())
                    .emit();
                Verdict::Refused(Duration::ZERO)
            }
        }
    }
}

/// The line for a failure, of which each has one. The address stands before all that
/// the client has chosen.
fn failure(source: IpAddr, user: &Address, by: &'static str, reason: &'static str) -> log::Entry {
    log::warn("login-failed")
        .field("address", source)
        .field("by", by)
        .field("user", user.canonical())
        .field("reason", reason)
}
