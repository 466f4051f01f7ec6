//! What a hostile peer does on a connection, step by step, as a client or as a
//! server.

use std::io::{self, ErrorKind, Write as _};
use std::thread;
use std::time::Duration;

use rustls::ServerConfig;

use super::{Identity, Peer, Receiver, server_config};

/// One of the things that it does.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// Hears a command with the octets that it announces.
    Command,
    /// Says these.
    Say(&'a [u8]),
    /// Says these, an octet each so often.
    Drip(&'a [u8], Duration),
    /// Says these again and again, and hears nothing, until the other has gone.
    Flood(&'a [u8]),
    /// Half of the record that would say these.
    HalfRecord(&'a [u8]),
    /// Octets between two records.
    Plain(&'a [u8]),
    /// Takes new keys, and wants the other to, again and again until the other has
    /// gone.
    NewKeys,
}

impl Peer {
    /// Plays a script. Where the other has gone, it ends.
    pub fn play(&mut self, steps: &[Step<'_>]) -> &mut Peer {
        for step in steps {
            if !self.does(*step) {
                break;
            }
        }
        self
    }

    /// Whether the other is still there, as far as can be known.
    fn does(&mut self, step: Step<'_>) -> bool {
        match step {
            Step::Command => self.command().is_ok(),
            Step::Say(octets) => is_there(self.try_send(octets)),
            Step::Drip(octets, pause) => octets.iter().all(|octet| {
                let is_there = is_there(self.try_send(&[*octet]));
                // The slowness is the peer's, and what is tested.
                thread::sleep(pause);
                is_there
            }),
            Step::Flood(octets) => {
                while is_there(self.try_send(octets)) {}
                false
            }
            Step::HalfRecord(octets) => {
                self.connection.writer().write_all(octets).unwrap();
                let mut record = Vec::new();
                self.connection.write_tls(&mut record).unwrap();
                is_there(self.socket.write_all(&record[..record.len() / 2]))
            }
            Step::Plain(octets) => is_there(self.socket.write_all(octets)),
            Step::NewKeys => {
                while self.connection.refresh_traffic_keys().is_ok() && is_there(self.push()) {}
                false
            }
        }
    }
}

/// A peer that takes nothing for so long that a write is given up goes on living
/// where it should have ended.
fn is_there(written: io::Result<()>) -> bool {
    match written {
        Ok(()) => true,
        Err(error) => {
            let waited = [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind());
            assert!(!waited, "the other neither reads nor ends: {error}");
            false
        }
    }
}

impl Receiver {
    /// A server that plays this on each connection, and hears the rest.
    pub fn playing(identity: &Identity, steps: &'static [Step<'static>]) -> Receiver {
        Receiver::playing_with(server_config(identity), steps)
    }

    /// The same with a TLS configuration of the test's own.
    pub fn playing_with(config: ServerConfig, steps: &'static [Step<'static>]) -> Receiver {
        Receiver::start_with(config, move |_, mut peer| {
            peer.play(steps);
            // Until the other has gone.
            while peer.command().is_ok() {}
        })
    }
}
