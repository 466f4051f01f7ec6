//! The system's log, RFC 3164, for programs whose stderr is not theirs.

use super::Level;
use jiff::Timestamp;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process;

/// RFC 3164 section 4.1.1, Table 1: the mail system.
const FACILITY_MAIL: u8 = 2;

/// A way to the system's log. Where nobody reads it, or not fast enough, a
/// line is lost: no delivery waits for a log.
#[derive(Debug)]
pub(super) struct Syslog {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Syslog {
    pub(super) fn new(path: impl AsRef<Path>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let path = path.as_ref().to_path_buf();
        Ok(Self { socket, path })
    }

    /// One datagram. The socket is named each time, so that a log that was
    /// started again is found again.
    pub(super) fn send(&self, level: Level, program: &str, line: &str) {
        let datagram = packet(Timestamp::now(), level, program, process::id(), line);
        self.socket.send_to(datagram.as_bytes(), &self.path).ok();
    }
}

/// RFC 3164 section 4.1: PRI, TIMESTAMP (in UTC), TAG with the process id.
fn packet(time: Timestamp, level: Level, program: &str, pid: u32, line: &str) -> String {
    let severity = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
    };
    let priority = FACILITY_MAIL * 8 + severity;
    let time = time.strftime("%b %e %H:%M:%S");
    format!("<{priority}>{time} {program}[{pid}]: {line}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::{Syslog, packet};
    use crate::log::Level;
    use std::os::unix::net::UnixDatagram;
    use tempfile::TempDir;

    #[test]
    fn a_packet() {
        let time = "2026-11-02T09:30:02.123Z".parse().unwrap();
        assert_eq!(
            packet(time, Level::Info, "server-receive", 17, "event=accepted"),
            "<22>Nov  2 09:30:02 server-receive[17]: event=accepted"
        );
        assert!(packet(time, Level::Error, "p", 1, "").starts_with("<19>"));
        assert!(packet(time, Level::Warn, "p", 1, "").starts_with("<20>"));
    }

    #[test]
    fn a_line_arrives_and_nobody_there_is_no_fault() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("log");
        let syslog = Syslog::new(&path).unwrap();
        syslog.send(Level::Info, "p", "lost");
        let log = UnixDatagram::bind(&path).unwrap();
        syslog.send(Level::Info, "p", "event=found");
        let mut packet = [0; 256];
        let length = log.recv(&mut packet).unwrap();
        let packet = String::from_utf8_lossy(packet.get(..length).unwrap());
        assert!(packet.ends_with(": event=found"), "{packet}");
    }

    #[test]
    fn a_log_that_does_not_read_holds_nobody_up() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("log");
        let log = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::new(&path).unwrap();
        for _ in 0..10_000 {
            syslog.send(Level::Info, "p", "event=much");
        }
        drop(log);
    }
}
