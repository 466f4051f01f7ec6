//! Connections of other servers, after the handshake.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ima_program::{Exit, log};
use ima_proto::handlers::{Handlers, Stream};
use ima_proto::imdp::{self, End, Receiver};
use ima_proto::listen::{Connection, Protocol};
use ima_proto::tls::{self, PeerInfo, Secure, ServerSide, TlsError};

use crate::counts::Counts;
use crate::limits::Limits;
use crate::service::Session;
use crate::strangers::Strangers;

/// Who is given the messages.
pub enum Behind {
    /// A process for each header block, and one for each message.
    EachOnce(Handlers),
    /// Processes that stay.
    Staying(Arc<Stream>),
}

/// What all connections share.
pub struct Receiving {
    pub tls: ServerSide,
    pub behind: Behind,
    pub limits: imdp::Limits,
    pub strangers: Strangers,
    pub counts: Counts,
}

impl Receiving {
    pub fn new(tls: ServerSide, behind: Behind, limits: &Limits, counts: Counts) -> Self {
        Self {
            tls,
            behind,
            limits: limits.imdp(),
            strangers: Strangers::new(limits.unknown_recipients),
            counts,
        }
    }
}

impl Protocol for Receiving {
    type Peer = PeerInfo;

    fn domain(peer: &PeerInfo) -> Option<&str> {
        Some(peer.names.domain())
    }

    fn shake_hands(&self, socket: Arc<TcpStream>) -> Result<(Secure, PeerInfo), TlsError> {
        tls::accept(socket, &self.tls)
    }

    fn converse(&self, secure: Secure, peer: PeerInfo, connection: &Connection) -> Exit {
        log::info("connected")
            .field("address", peer.address)
            .field("host", &peer.sni)
            .field("names", &peer.names)
            .emit();
        let mut session = Session::new(self, &peer, connection);
        let end = Receiver::new(secure, &peer.names, &self.limits, &mut session).run();
        // What it has to say stands before the end.
        drop(session);
        self.counts.ended(&end);
        let event = log::info("closed").field("address", peer.address);
        let (event, exit) = match end {
            End::Done => (event, Exit::Done),
            End::Stopped => (event.field("reason", "stopping"), Exit::Done),
            End::Dropped => (event.field("reason", "dropped"), Exit::Drop),
            End::Error(error) => (event.field("reason", error), Exit::Drop),
            End::Broken(error) => (event.field("reason", error), Exit::Unfinished),
        };
        event.emit();
        exit
    }

    /// Kills the commands that still run.
    fn abandon(&self) {
        match &self.behind {
            Behind::EachOnce(handlers) => handlers.abandoned.store(true, Ordering::Relaxed),
            Behind::Staying(stream) => stream.abandon(),
        }
    }
}
