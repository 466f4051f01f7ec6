//! The process that speaks with other servers: it has shut itself in, and asks the
//! monitor for all that it cannot do.

use std::error::Error;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use ima_program::Exit;
use ima_program::metrics::{Metrics, Publishing};
use ima_program::monitor::{NetworkError, Questions, Setup, confine};
use ima_program::server::stop_signal;
use ima_proto::handlers::{Commands, Handlers, Places, RemoteCommands, Stream};
use ima_proto::imdp::ALPN;
use ima_proto::listen::{self, Incoming, Server};
use ima_proto::tls::{PeerVerifier, RemoteIdentities, ServerSide};
use serde::{Deserialize, Serialize};

use crate::counts::{self, Counts};
use crate::limits::Limits;
use crate::server::{Behind, Receiving};

/// What the monitor says that is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    pub limits: Limits,
    /// Whether commands stay for many messages.
    pub is_staying: bool,
    pub sockets: Sockets,
}

/// How many descriptors of each kind come along, behind the one that tells of the stop;
/// in this order.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sockets {
    pub listening: usize,
    pub keys: usize,
    pub commands: usize,
    pub texts: usize,
}

/// Serves until the end.
pub fn run() -> Result<Exit, Box<dyn Error>> {
    let setup = Setup::<Plan>::receive()?;
    // The monitor hears them, and tells us: who signals a whole control group means it.
    let _signals = stop_signal()?;
    confine()?;
    let Plan {
        limits,
        is_staying,
        sockets,
    } = setup.value;
    let mut descriptors = setup.descriptors.into_iter();
    let mut take = |count: usize| -> Vec<OwnedFd> { descriptors.by_ref().take(count).collect() };
    let stop = take(1).pop().ok_or(NetworkError::NotStartedByMonitor)?;
    let incoming = Incoming::from_sockets(take(sockets.listening))?;
    let (keys, commands) = (take(sockets.keys), take(sockets.commands));
    let texts = take(sockets.texts);
    #[cfg(debug_assertions)]
    let (keys, commands) = crate::taken_over::play(keys, commands);
    let commands = RemoteCommands::new(Questions::new(commands));
    let commands: Arc<dyn Commands> = Arc::new(commands);
    let identities = RemoteIdentities::new(Questions::new(keys))?;
    let verifier = PeerVerifier::remote(Arc::clone(&identities));
    let tls = ServerSide::new(identities, verifier, ALPN)?;
    let places = Places::new(limits.handlers);
    let (behind, stream) = match is_staying {
        true => {
            let stream = Arc::new(Stream::new(commands, places));
            (Behind::Staying(Arc::clone(&stream)), Some(stream))
        }
        false => {
            let handlers = Handlers {
                commands,
                abandoned: Arc::default(),
                places,
            };
            (Behind::EachOnce(handlers), None)
        }
    };
    let metrics = Metrics::new(counts::PREFIX, env!("CARGO_PKG_VERSION"))?;
    let receiving = Receiving::new(tls, behind, &limits, Counts::new(&metrics)?);
    let server = Server::new(receiving, limits.listen(), listen::Counts::new(&metrics)?);
    let publishing = Publishing::remote(metrics, texts)?;
    let exit = server.run(incoming, UnixStream::from(stop));
    if let Some(stream) = stream {
        stream.end();
    }
    // What was counted last is written.
    drop(publishing);
    Ok(exit)
}
