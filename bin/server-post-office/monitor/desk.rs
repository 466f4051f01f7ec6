//! Desks: where clients log in, a thread for each.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use ima_program::log;
use ima_program::monitor::{PacketError, Packets, Service};
use ima_program::report::chain;
use ima_proto::imrp::Busy;
use ima_proto::users::moment_of_failure;
use rustix::net::getpeername;

use super::logins::{Office, Proved, Verdict};
use super::mailbox::Mailbox;
use super::places::{Place, Places};
use super::session::Session;
use crate::packets::{DeskReply, DeskRequest, LoginReply, LoginRequest};

/// Desks where nobody is in, beside one for each that can be connected without a login:
/// for as many as can wait for their passwords to be checked (`ima_proto::users`).
const WAITING: usize = 1024;
/// A desk's thread: enough for debug builds too.
const STACK: usize = 512 << 10;

/// Opens desks.
pub struct Desks {
    office: Arc<Office>,
    places: Places,
    /// Who ends the network process.
    warden: Sender<()>,
}

impl Desks {
    /// Desks of this office, for so many that are connected without a login. `kill` is called where what is said there makes no sense:
    /// by a thread of its own, since a session is confined, and sends no signal.
    pub fn new(
        office: Office,
        handshakes: usize,
        kill: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let (warden, told) = channel();
        let name = "warden".to_owned();
        let thread = thread::Builder::new().name(name).stack_size(STACK);
        thread.spawn(move || {
            if told.recv().is_ok() {
                kill();
            }
        })?;
        Ok(Self {
            office: Arc::new(office),
            places: Places::new(WAITING.saturating_add(handshakes)),
            warden,
        })
    }

    fn open(&self, source: IpAddr, place: Place) -> io::Result<OwnedFd> {
        let (ours, theirs) = Packets::pair()?;
        let desk = Desk {
            office: Arc::clone(&self.office),
            source,
            packets: ours,
        };
        let warden = self.warden.clone();
        thread::Builder::new().stack_size(STACK).spawn(move || {
            match desk.serve(place) {
                Ok(()) | Err(PacketError::Closed) => {}
                // The system's fault: this session ends, and no other.
                Err(error @ PacketError::Io(_)) => {
                    log::error("mailbox-fault").field("error", &error).emit();
                }
                Err(error) => {
                    log::error("network-process-broke-the-rules")
                        .field("error", &error)
                        .emit();
                    // It has been told before.
                    let _ = warden.send(());
                }
            }
        })?;
        Ok(theirs.socket())
    }
}

impl Service for Desks {
    type Request = DeskRequest;
    type Reply = DeskReply;

    fn answer(&self, request: DeskRequest, with: Vec<OwnedFd>) -> (DeskReply, Vec<OwnedFd>) {
        let DeskRequest::Desk = request;
        let Some(source) = with.first().and_then(source) else {
            return (DeskReply::Gone, Vec::new());
        };
        drop(with);
        let opened = match self.places.take() {
            Some(place) => self.open(source, place),
            None => Err(io::ErrorKind::QuotaExceeded.into()),
        };
        match opened {
            Ok(socket) => (DeskReply::Open, vec![socket]),
            Err(error) => {
                log::warn("too-many-logins")
                    .field("address", source)
                    .field("error", error)
                    .field("consequence", "the client was told to come later")
                    .emit();
                (DeskReply::Busy, Vec::new())
            }
        }
    }
}

/// Where a connection comes from: the system knows it. None where that is over.
fn source(connection: &OwnedFd) -> Option<IpAddr> {
    let peer = getpeername(connection).ok()??;
    let peer = SocketAddr::try_from(peer).ok()?;
    Some(peer.ip().to_canonical())
}

/// One of them.
struct Desk {
    office: Arc<Office>,
    source: IpAddr,
    packets: Packets,
}

impl Desk {
    /// Lets somebody in, and serves the session to its end. `place` is held until then.
    fn serve(mut self, place: Place) -> Result<(), PacketError> {
        let Some(proved) = self.log_in()? else {
            return Ok(());
        };
        let Some(inside) = self.office.sessions.take() else {
            proved.told(log::warn("too-many-connections")).emit();
            let later = LoginReply::Later(Busy::Connections, Duration::ZERO);
            return self.packets.send(&later, &[]);
        };
        proved.told(log::info("login")).emit();
        match Mailbox::open(&proved.user, &self.office) {
            Ok(mailbox) => {
                self.packets.send(&LoginReply::In, &[])?;
                drop(place);
                Session::new(self.packets, mailbox, inside).serve()
            }
            Err(error) => {
                proved
                    .told(log::error("cannot-open-mailbox"))
                    .field("error", chain(&error))
                    .field("advice", error.advice())
                    .emit();
                self.packets.send(&LoginReply::Fault, &[])
            }
        }
    }

    /// Somebody who has proved who it is, and wants to go in; none where this desk is
    /// closed.
    ///
    /// What a look at a proof came to is not said before its time, whatever the other side
    /// would do with it. That this thread waits holds nobody up who has another.
    fn log_in(&mut self) -> Result<Option<Proved>, PacketError> {
        let mut proved = None;
        let mut failed = 0;
        loop {
            let (request, _) = self.packets.receive()?;
            let asked = Instant::now();
            let verdict = match request {
                LoginRequest::Enter => match proved {
                    Some(proved) => return Ok(Some(proved)),
                    None => {
                        self.packets.send(&LoginReply::Fault, &[])?;
                        continue;
                    }
                },
                LoginRequest::Password(address, password) => {
                    let office = &self.office;
                    office.by_password(self.source, &address, &password)
                }
                LoginRequest::Certificate(address, proof) => {
                    let office = &self.office;
                    office.by_certificate(self.source, &address, proof.as_ref())
                }
            };
            // Whoever tries again is nobody until that is right too.
            proved = None;
            match verdict {
                Verdict::Proved(user, delay) => {
                    proved = Some(user);
                    thread::sleep(delay.saturating_sub(asked.elapsed()));
                    self.packets.send(&LoginReply::Proved, &[])?;
                }
                Verdict::Refused(delay) => {
                    let now = Instant::now();
                    let moment = moment_of_failure(asked, now, delay);
                    thread::sleep(moment.saturating_duration_since(now));
                    self.packets.send(&LoginReply::Refused, &[])?;
                    failed += 1;
                    if failed >= self.office.failed_logins {
                        return Ok(None);
                    }
                }
                Verdict::Later(busy, delay) => {
                    self.packets.send(&LoginReply::Later(busy, delay), &[])?;
                    return Ok(None);
                }
            }
        }
    }
}
