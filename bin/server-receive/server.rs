//! Connections, from the handshake to the end.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use ima_program::{Exit, log};
use ima_proto::handlers::Handlers;
use ima_proto::imdp::{End, Limits, Receiver};
use ima_proto::listen::{Accepted, Gate, Handshakes, Listeners};
use ima_proto::tls::{self, ServerSide};

use crate::connections::Connections;
use crate::service::Session;
use crate::strangers::Strangers;

/// Handshakes in progress at once; one more, and the oldest gives way.
const HANDSHAKES: usize = 256;
/// A connection's thread: enough for debug builds too.
const STACK: usize = 512 << 10;
/// How long messages in hand may take after SIGTERM.
const FINISH: Duration = Duration::from_secs(30);
/// How long what is left then has to end by itself, and once more when cut off.
const CUT_OFF: Duration = Duration::from_secs(3);

/// What all connections share.
pub struct Server {
    pub tls: ServerSide,
    pub handlers: Handlers,
    pub limits: Limits,
    pub gate: Gate,
    pub handshakes: Handshakes,
    pub strangers: Strangers,
    pub connections: Connections,
}

impl Server {
    pub fn new(tls: ServerSide, handlers: Handlers, limits: Limits, gate: Gate) -> Self {
        let handshakes = Handshakes::new(HANDSHAKES);
        let (strangers, connections) = (Strangers::default(), Connections::default());
        Self {
            tls,
            handlers,
            limits,
            gate,
            handshakes,
            strangers,
            connections,
        }
    }

    /// Serves connections, a thread for each, until `stop` becomes readable;
    /// then finishes the messages in hand.
    pub fn listen(self, listeners: &Listeners, stop: &UnixStream) -> Exit {
        let server = Arc::new(self);
        while let Accepted::Connection(socket, address) = listeners.accept(stop.as_fd()) {
            let socket = Arc::new(socket);
            // Counted from here on, so that silent peers cannot pile up threads.
            let handshake = server.handshakes.enter(&socket, address.ip());
            let this = Arc::clone(&server);
            let thread = thread::Builder::new().stack_size(STACK).spawn(move || {
                this.serve(socket, address, Some(handshake));
            });
            if let Err(error) = thread {
                log::error("no-thread")
                    .field("address", address.ip())
                    .field("error", error)
                    .emit();
            }
        }
        log::info("stopping").emit();
        server.finish();
        Exit::Done
    }

    /// Serves one connection that is there already, until its end or SIGTERM.
    pub fn serve_one(self, socket: TcpStream, address: SocketAddr, stop: UnixStream) -> Exit {
        let server = Arc::new(self);
        let this = Arc::clone(&server);
        // Waits for the signal only, and ends with the process.
        let watcher = thread::Builder::new().stack_size(STACK).spawn(move || {
            let mut waiting = [rustix::event::PollFd::new(
                &stop,
                rustix::event::PollFlags::IN,
            )];
            while rustix::event::poll(&mut waiting, None) == Err(rustix::io::Errno::INTR) {}
            log::info("stopping").emit();
            this.finish();
        });
        if let Err(error) = watcher {
            log::warn("no-thread").field("error", error).emit();
        }
        server.serve(Arc::new(socket), address, None)
    }

    /// Lets messages in hand come to their end, for a while; then kills the
    /// commands that still run, and cuts the connections off.
    fn finish(&self) {
        self.connections.stop();
        let left = self.connections.wait(FINISH);
        if left > 0 {
            self.handlers.abandoned.store(true, Ordering::Relaxed);
            self.connections.wait(CUT_OFF);
            self.connections.cut_off();
            self.connections.wait(CUT_OFF);
        }
        log::info("stopped").field("cut-off", left).emit();
    }

    fn serve(
        &self,
        socket: Arc<TcpStream>,
        address: SocketAddr,
        handshake: Option<ima_proto::listen::Handshake>,
    ) -> Exit {
        let address = address.ip();
        let (secure, peer) = match tls::accept(Arc::clone(&socket), &self.tls) {
            Ok(accepted) => accepted,
            Err(error) => {
                let error = ima_program::report::chain(&error);
                log::warn("handshake-failed")
                    .field("address", address)
                    .field("error", error)
                    .emit();
                return Exit::Drop;
            }
        };
        drop(handshake);
        let Some(_pass) = self.gate.enter(address) else {
            log::warn("too-many-connections")
                .field("address", address)
                .emit();
            // Nothing is said before the sender speaks: it sees a proper end.
            let _ = ima_proto::framing::Wire::new(secure, self.limits.idle).close();
            return Exit::Unfinished;
        };
        let connection = self.connections.enter(socket);
        log::info("connected")
            .field("address", address)
            .field("host", &peer.sni)
            .emit();
        let mut session = Session::new(self, &peer, &connection);
        let end = Receiver::new(secure, &peer.names, &self.limits, &mut session).run();
        let event = log::info("closed").field("address", address);
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
}
