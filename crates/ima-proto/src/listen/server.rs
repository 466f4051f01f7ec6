//! Serving connections, from the handshake to the end.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ima_program::metrics::Present;
use ima_program::report::chain;
use ima_program::{Exit, log};
use rustix::event::{PollFd, PollFlags, poll};

use super::connections::{Connection, Connections};
use super::counts::Counts;
use super::entrance::Entrance;
use super::gate::Gate;
use super::handshakes::{Handshake, Handshakes};
use super::limits::{FINISH, Limits, STACK};
use super::{Accepted, Incoming, Listeners};
use crate::framing::Wire;
use crate::tls::{Secure, TlsError};

/// How long what is left then has to end by itself, and once more when cut off.
const CUT_OFF: Duration = Duration::from_secs(3);

/// What a server speaks, and with whom.
pub trait Protocol: Send + Sync + 'static {
    /// Who dialled, as the handshake has proved it.
    type Peer: Send + 'static;

    /// Whether the handshake proves who the client is. Where not, a connection is
    /// one of those that give way to others, and takes nobody's place, until
    /// [`Connection::enter`].
    const HANDSHAKE_PROVES: bool = true;

    /// Which domain a client has proved to be, as whom it is counted.
    fn domain(_peer: &Self::Peer) -> Option<&str> {
        None
    }

    /// The handshake with a client.
    ///
    /// # Errors
    /// A [`TlsError`]; it is logged.
    fn shake_hands(&self, socket: Arc<TcpStream>) -> Result<(Secure, Self::Peer), TlsError>;

    /// Everything after the handshake, up to the end of the connection, with a
    /// line in the log for its beginning and one for its end.
    fn converse(&self, secure: Secure, peer: Self::Peer, connection: &Connection) -> Exit;

    /// The time to finish what is in hand is over: what can be ended is ended.
    fn abandon(&self) {}
}

/// A connection whose handshake is over.
struct Shaken<P> {
    secure: Secure,
    peer: P,
    open: Present,
}

/// A server for one protocol.
#[derive(Debug)]
pub struct Server<P> {
    protocol: P,
    gate: Gate,
    handshakes: Handshakes,
    connections: Connections,
    counts: Arc<Counts>,
}

impl<P: Protocol> Server<P> {
    /// A server that lets in so many, and counts all of them.
    pub fn new(protocol: P, limits: Limits, counts: Counts) -> Server<P> {
        Server {
            protocol,
            gate: Gate::new(limits),
            handshakes: Handshakes::new(limits.handshakes),
            connections: Connections::default(),
            counts: Arc::new(counts),
        }
    }

    /// Serves what there is to serve, until its end or until `stop` becomes
    /// readable; then finishes what is in hand, for 30 s at most.
    pub fn run(self, incoming: Incoming, stop: UnixStream) -> Exit {
        match incoming {
            Incoming::One(socket, address) => self.serve_one(socket, address, stop),
            Incoming::Listening(listeners) => {
                for address in listeners.addresses() {
                    log::info("listening").field("address", address).emit();
                }
                self.listen(listeners, &stop)
            }
        }
    }

    /// Serves connections, a thread for each. It begins anew after the handshake:
    /// the stack that cryptography needs is as large as all else that a client
    /// takes who is idle for hours.
    fn listen(self, listeners: Listeners, stop: &UnixStream) -> Exit {
        let server = Arc::new(self);
        while let Accepted::Connection(socket, address) = listeners.accept(stop.as_fd()) {
            let open = server.counts.accepted();
            let socket = Arc::new(socket);
            // Counted from here on, so that silent peers cannot pile up threads.
            let handshake = server.handshakes.enter(&socket, address.ip());
            server.counts.gave_way(handshake.drove_out());
            let this = Arc::clone(&server);
            spawn_for(&server.counts, address, move || {
                let Some(shaken) = this.shake_hands(&socket, address, Some(&handshake), open)
                else {
                    return;
                };
                let counts = Arc::clone(&this.counts);
                spawn_for(&counts, address, move || {
                    this.serve(socket, address, Some(handshake), shaken);
                });
            });
        }
        // Whoever connects from here on is not kept waiting by a server that will not
        // answer: others take it, or nobody.
        drop(listeners);
        server.finish();
        Exit::Done
    }

    /// Serves one connection that is there already.
    fn serve_one(self, socket: TcpStream, address: SocketAddr, stop: UnixStream) -> Exit {
        let server = Arc::new(self);
        let open = server.counts.accepted();
        let this = Arc::clone(&server);
        // Waits for the signal only, and ends with the process.
        let watcher = spawn(move || {
            let mut waiting = [PollFd::new(&stop, PollFlags::IN)];
            while poll(&mut waiting, None) == Err(rustix::io::Errno::INTR) {}
            this.finish();
        });
        if let Err(error) = watcher {
            log::warn("no-thread").field("error", error).emit();
        }
        let socket = Arc::new(socket);
        match server.shake_hands(&socket, address, None, open) {
            Some(shaken) => server.serve(socket, address, None, shaken),
            None => Exit::Drop,
        }
    }

    /// Lets what is in hand come to its end, for a while; then ends what it can,
    /// and cuts the connections off.
    fn finish(&self) {
        log::info("stopping").emit();
        self.connections.stop();
        let left = self.connections.wait(FINISH);
        if left > 0 {
            self.protocol.abandon();
            self.connections.wait(CUT_OFF);
            self.connections.cut_off();
            self.connections.wait(CUT_OFF);
        }
        log::info("stopped").field("cut-off", left).emit();
    }

    fn shake_hands(
        &self,
        socket: &Arc<TcpStream>,
        address: SocketAddr,
        handshake: Option<&Handshake>,
        open: Present,
    ) -> Option<Shaken<P::Peer>> {
        let begin = Instant::now();
        let shaken = self.protocol.shake_hands(Arc::clone(socket));
        self.counts.shaken(&shaken, begin.elapsed());
        match shaken {
            Ok((secure, peer)) => Some(Shaken { secure, peer, open }),
            Err(error) => {
                // Before anybody hears of it.
                drop(open);
                let event = log::warn("handshake-failed").field("address", address.ip());
                let event = match handshake.is_some_and(Handshake::gave_way) {
                    // What the socket says of that is our doing, not the peer's.
                    true => event
                        .field("error", "it gave way to a newer one: there were too many")
                        .field("limit", "max-handshakes"),
                    false => event.field("error", chain(&error)),
                };
                event.emit();
                None
            }
        }
    }

    fn serve(
        &self,
        socket: Arc<TcpStream>,
        address: SocketAddr,
        handshake: Option<Handshake>,
        Shaken { secure, peer, open }: Shaken<P::Peer>,
    ) -> Exit {
        let counts = Arc::clone(&self.counts);
        let entrance = Entrance::new(self.gate.clone(), address.ip(), handshake, counts);
        if P::HANDSHAKE_PROVES && !entrance.pass(P::domain(&peer)) {
            // Nothing is said before the client speaks: it sees a proper end.
            let _ = Wire::new(secure, CUT_OFF).close();
            return Exit::Unfinished;
        }
        let connection = self.connections.enter(socket, entrance);
        let exit = self.protocol.converse(secure, peer, &connection);
        // Before anybody hears that it is closed.
        drop(open);
        exit
    }
}

/// Works for a connection, in a thread; where there is none, that is logged.
fn spawn_for(counts: &Counts, address: SocketAddr, work: impl FnOnce() + Send + 'static) {
    if let Err(error) = spawn(work) {
        counts.no_thread();
        log::error("no-thread")
            .field("address", address.ip())
            .field("error", error)
            .emit();
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().stack_size(STACK).spawn(work);
    thread.map(drop)
}
