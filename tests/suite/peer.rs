//! Peers of the tests' own, plain and hostile, all of them: clients and servers of IMDP
//! and IMRP that say any octets in any pieces and end a connection in any way; what
//! stands between two programs; and name servers.
//!
//! A hostile one is a [`Peer`] that plays [`Step`]s, as a client with [`Peer::dial`] or
//! [`Caller::dial`], as a server with [`Receiver::playing`]; a post office that is
//! honest but for one answer is [`office::Office`], and many at once that get nowhere
//! are in [`crowd`]. Certificates of any kind are [`Identity`]'s, and those that no
//! library makes any more stand beside the table of certificates.

mod caller;
pub mod crowd;
pub mod dns;
mod identity;
pub mod office;
pub mod old_tls;
mod receiver;
mod relay;
mod script;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustls::{AlertDescription, ClientConfig, ClientConnection, Connection};
use rustls_pki_types::{CertificateDer, ServerName};

pub use caller::{Caller, login};
pub use identity::{Identity, provider};
pub use receiver::{Receiver, follow, server_config};
pub use relay::{Relay, nowhere};
pub use script::Step;

use super::site::PATIENCE;
use identity::Everybody;
use receiver::Heard;

/// One end of a TLS connection.
pub struct Peer {
    connection: Connection,
    socket: TcpStream,
    /// Read, and not taken yet.
    pending: Vec<u8>,
    /// Octets of a TLS record's content, and of a TCP segment, at the most.
    pieces: (usize, usize),
    /// Where commands that are read are noted down.
    heard: Option<Arc<Heard>>,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// With close_notify.
    Proper,
    /// Without.
    Truncated,
    /// By a reset.
    Reset,
    /// By an alert.
    Alert(AlertDescription),
}

/// How to end one.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    CloseNotify,
    Fin,
    Reset,
}

/// A command, with the octets that it announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub line: String,
    pub octets: Vec<u8>,
}

impl Said {
    pub fn word(&self) -> &str {
        self.line.split(' ').next().unwrap()
    }
}

/// A header block with its empty line, and the data behind it.
pub fn split(letter: &[u8]) -> (&[u8], &[u8]) {
    let end = letter.windows(2).position(|two| two == b"\n\n").unwrap();
    letter.split_at(end + 2)
}

/// The command that offers a letter.
pub fn headers(letter: &[u8]) -> Vec<u8> {
    let (block, _) = split(letter);
    [format!("HEADERS {}\n", block.len()).as_bytes(), block].concat()
}

/// A client's configuration: it believes every server, and shows this.
pub fn client_config(identity: Option<&Identity>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Everybody));
    let mut config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(identity.chain(), identity.key())
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"imdp/1".to_vec()];
    config
}

impl Peer {
    /// An IMDP client at the server of b.test.
    pub fn dial(address: SocketAddr, identity: &Identity) -> Peer {
        Peer::over(
            TcpStream::connect(address).unwrap(),
            client_config(Some(identity)),
        )
        .unwrap()
    }

    /// A client that wants another host.
    pub fn dial_for(
        name: &'static str,
        address: SocketAddr,
        identity: &Identity,
    ) -> Result<Peer, Ending> {
        let name = ServerName::try_from(name).unwrap();
        let config = client_config(Some(identity));
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        Peer::shake_hands(client.into(), socket, None)
    }

    /// The same, from another address of this machine.
    pub fn dial_from(source: IpAddr, address: SocketAddr, identity: &Identity) -> Peer {
        let socket = connect_from(source, address);
        Peer::over(socket, client_config(Some(identity))).unwrap()
    }

    /// A client on a connection that is there. The server's judgement of its
    /// certificate is not known yet when this returns.
    pub fn over(socket: TcpStream, config: ClientConfig) -> Result<Peer, Ending> {
        let name = ServerName::try_from("b.test").unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        Peer::shake_hands(client.into(), socket, None)
    }

    fn shake_hands(
        mut connection: Connection,
        socket: TcpStream,
        heard: Option<Arc<Heard>>,
    ) -> Result<Peer, Ending> {
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        connection.set_buffer_limit(None);
        let mut peer = Peer {
            connection,
            socket,
            pending: Vec::new(),
            pieces: (16 << 10, usize::MAX),
            heard,
        };
        loop {
            peer.push().map_err(|error| ending(&error))?;
            if !peer.connection.is_handshaking() {
                return Ok(peer);
            }
            if !peer.pull()? {
                return Err(Ending::Truncated);
            }
        }
    }

    /// The certificate that the other showed.
    pub fn certificate(&self) -> CertificateDer<'static> {
        let chain = self.connection.peer_certificates().unwrap();
        chain[0].clone().into_owned()
    }

    /// From here on records of so many octets at most, in segments of so many.
    pub fn set_pieces(&mut self, record: usize, segment: usize) {
        self.pieces = (record, segment);
    }

    pub fn send(&mut self, octets: &[u8]) {
        self.try_send(octets).unwrap();
    }

    pub fn try_send(&mut self, octets: &[u8]) -> io::Result<()> {
        for record in octets.chunks(self.pieces.0) {
            self.connection.writer().write_all(record)?;
            self.push()?;
        }
        Ok(())
    }

    /// From here on what the other does not take for so long is an error.
    pub fn give_up_after(&mut self, time: Duration) {
        self.socket.set_write_timeout(Some(time)).unwrap();
    }

    /// Sends a line.
    pub fn say(&mut self, line: &str) {
        self.send(format!("{line}\n").as_bytes());
    }

    /// The next line, or how the connection ended.
    pub fn try_line(&mut self) -> Result<String, Ending> {
        loop {
            if let Some(end) = self.pending.iter().position(|octet| *octet == b'\n') {
                let line = self.pending.drain(..=end).take(end).collect();
                return Ok(String::from_utf8(line).unwrap());
            }
            self.more()?;
        }
    }

    pub fn line(&mut self) -> String {
        self.try_line().unwrap()
    }

    /// Lines up to a final one, which comes last; or what came before the end.
    pub fn try_answer(&mut self) -> Result<Vec<String>, (Vec<String>, Ending)> {
        let mut lines = Vec::new();
        loop {
            match self.try_line() {
                Ok(line) => lines.push(line),
                Err(ending) => return Err((lines, ending)),
            }
            if !lines.last().unwrap().starts_with("+ ") {
                return Ok(lines);
            }
        }
    }

    pub fn answer(&mut self) -> Vec<String> {
        self.try_answer().unwrap()
    }

    /// Puts a letter's header block; gives the answer.
    pub fn headers(&mut self, letter: &[u8]) -> Vec<String> {
        self.send_headers(letter);
        self.answer()
    }

    pub fn send_headers(&mut self, letter: &[u8]) {
        self.send(&headers(letter));
    }

    /// Sends a letter's data; gives the answer.
    pub fn data(&mut self, letter: &[u8]) -> Vec<String> {
        self.send_data(letter);
        self.answer()
    }

    pub fn send_data(&mut self, letter: &[u8]) {
        let (_, data) = split(letter);
        self.send(&[format!("DATA {}\n", data.len()).as_bytes(), data].concat());
    }

    /// A whole letter; gives the final line.
    pub fn deliver(&mut self, letter: &[u8]) -> String {
        let answer = self.headers(letter);
        if answer != ["ACCEPT"] {
            return answer.last().unwrap().clone();
        }
        self.data(letter).pop().unwrap()
    }

    /// Reads to the end, and ends it from here too; gives what came before, and
    /// how it ended.
    pub fn rest(&mut self) -> (String, Ending) {
        loop {
            if let Err(ending) = self.more() {
                // The other may be gone altogether.
                let _ = self.socket.shutdown(Shutdown::Write);
                let rest = String::from_utf8(std::mem::take(&mut self.pending)).unwrap();
                return (rest, ending);
            }
        }
    }

    /// The next command with its octets.
    pub fn command(&mut self) -> Result<Said, Ending> {
        let line = self.try_line()?;
        let mut words = line.split(' ');
        let count: usize = match words.next() {
            Some("HEADERS" | "DATA") => words.next().unwrap().parse().unwrap(),
            Some("STORE") => words.nth(1).unwrap().parse().unwrap(),
            _ => 0,
        };
        // Noted before its octets are there: a cut takes nothing back.
        if let Some(heard) = &self.heard {
            heard.begins(&line);
        }
        while self.pending.len() < count {
            self.more()?;
        }
        let said = Said {
            line,
            octets: self.pending.drain(..count).collect(),
        };
        if let Some(heard) = &self.heard {
            heard.ends(&said);
        }
        Ok(said)
    }

    pub fn cut(mut self, how: Cut) {
        match how {
            Cut::CloseNotify => {
                self.connection.send_close_notify();
                self.push().unwrap();
                self.socket.shutdown(Shutdown::Write).unwrap();
            }
            Cut::Fin => self.socket.shutdown(Shutdown::Write).unwrap(),
            Cut::Reset => set_socket_linger(&self.socket, Some(Duration::ZERO)).unwrap(),
        }
    }

    /// Sends close_notify and the end, and reads to the other's.
    pub fn close(&mut self) -> (String, Ending) {
        self.connection.send_close_notify();
        // The other may be gone.
        let _ = self.push();
        let _ = self.socket.shutdown(Shutdown::Write);
        self.rest()
    }

    fn push(&mut self) -> io::Result<()> {
        let mut octets = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut octets)?;
        }
        for segment in octets.chunks(self.pieces.1) {
            self.socket.write_all(segment)?;
        }
        Ok(())
    }

    /// Takes in what the socket has; false at its end.
    fn pull(&mut self) -> Result<bool, Ending> {
        let count = loop {
            match self.connection.read_tls(&mut self.socket) {
                // A socket that has a time limit does not try again by itself.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => break outcome.map_err(|error| ending(&error))?,
            }
        };
        let processed = self.connection.process_new_packets();
        let _ = self.push();
        match processed {
            Ok(_) => Ok(count > 0),
            Err(rustls::Error::AlertReceived(alert)) => Err(Ending::Alert(alert)),
            Err(error) => panic!("TLS: {error}"),
        }
    }

    fn more(&mut self) -> Result<(), Ending> {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.connection.reader().read(&mut buffer) {
                Ok(0) => return Err(Ending::Proper),
                Ok(count) => {
                    self.pending.extend_from_slice(&buffer[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.pull()?;
                }
                Err(error) => return Err(ending(&error)),
            }
        }
    }
}

fn ending(error: &io::Error) -> Ending {
    match error.kind() {
        ErrorKind::UnexpectedEof => Ending::Truncated,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ending::Reset,
        _ => panic!("waited in vain for a peer: {error}"),
    }
}

/// A connection from this address of ours.
pub fn connect_from(source: IpAddr, address: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    bind(&socket, &SocketAddr::new(source, 0)).unwrap();
    connect(&socket, &address).unwrap();
    socket.into()
}
