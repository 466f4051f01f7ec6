//! The process that speaks with other servers: it has shut itself in, and asks the
//! monitor for all that it cannot do.

use std::error::Error;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ima_program::metrics::{Metrics, Publishing};
use ima_program::monitor::{NetworkError, Questions, Setup, confine};
use ima_program::{Exit, descriptors};
use ima_proto::handlers::{Commands, Handlers, RemoteCommands, Stream};
use ima_proto::imdp::{ALPN, Limits};
use ima_proto::listen::{self, Gate, Incoming, Server};
use ima_proto::tls::{PeerVerifier, RemoteIdentities, ServerSide};
use serde::{Deserialize, Serialize};

use crate::counts::{self, Counts};
use crate::server::{Behind, Receiving};

/// What the monitor says that is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    pub limits: Limits,
    pub max_connections: NonZero<usize>,
    pub max_connections_per_address: NonZero<usize>,
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
    descriptors::raise_limit();
    confine()?;
    let plan = setup.value;
    let mut descriptors = setup.descriptors.into_iter();
    let mut take = |count: usize| -> Vec<OwnedFd> { descriptors.by_ref().take(count).collect() };
    let stop = take(1).pop().ok_or(NetworkError::NotStartedByMonitor)?;
    let incoming = Incoming::from_sockets(take(plan.sockets.listening))?;
    let (keys, commands) = (take(plan.sockets.keys), take(plan.sockets.commands));
    let texts = take(plan.sockets.texts);
    #[cfg(debug_assertions)]
    let (keys, commands) = crate::taken_over::play(keys, commands);
    let commands = RemoteCommands::new(Questions::new(commands));
    let commands: Arc<dyn Commands> = Arc::new(commands);
    let identities = RemoteIdentities::new(Questions::new(keys))?;
    let verifier = PeerVerifier::remote(Arc::clone(&identities));
    let tls = ServerSide::new(identities, verifier, ALPN)?;
    let stream = plan
        .is_staying
        .then(|| Arc::new(Stream::new(Arc::clone(&commands))));
    let behind = match &stream {
        Some(stream) => Behind::Staying(Arc::clone(stream)),
        None => Behind::EachOnce(Handlers {
            commands,
            abandoned: Arc::<AtomicBool>::default(),
        }),
    };
    let metrics = Metrics::new(counts::PREFIX, env!("CARGO_PKG_VERSION"))?;
    let receiving = Receiving::new(tls, behind, plan.limits, Counts::new(&metrics)?);
    let gate = Gate::new(
        plan.max_connections.get(),
        plan.max_connections_per_address.get(),
    );
    let server = Server::new(receiving, gate, listen::Counts::new(&metrics)?);
    let publishing = Publishing::remote(metrics, texts)?;
    let exit = server.run(incoming, UnixStream::from(stop));
    if let Some(stream) = stream {
        stream.end();
    }
    // What was counted last is written.
    drop(publishing);
    Ok(exit)
}
