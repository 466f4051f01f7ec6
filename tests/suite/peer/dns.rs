//! A DNS server (RFC 1035) that says what a test wants, true or not, by UDP and
//! by TCP.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Types of records.
pub const A: u16 = 1;
pub const CNAME: u16 = 5;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;

/// Response codes.
pub const SERVFAIL: u8 = 2;
pub const NXDOMAIN: u8 = 3;
pub const REFUSED: u8 = 5;

/// Longest answer by UDP.
const DATAGRAM: usize = 1232;

/// What is asked: a name in lower case, without a dot at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub name: String,
    pub kind: u16,
    pub over_tcp: bool,
}

/// What is answered.
pub enum Reply {
    /// These records, and where there are none, that there are none.
    Records(Vec<Record>),
    /// An error.
    Code(u8),
    /// Nothing.
    Silence,
    /// The records, to another question.
    WrongId(Vec<Record>),
    /// These octets behind the id.
    Octets(Vec<u8>),
}

/// A record with its data.
#[derive(Debug, Clone)]
pub struct Record {
    name: Vec<u8>,
    kind: u16,
    data: Vec<u8>,
}

impl Record {
    pub fn address(name: &str, address: &str) -> Record {
        let (kind, data) = match address.parse().unwrap() {
            IpAddr::V4(v4) => (A, v4.octets().to_vec()),
            IpAddr::V6(v6) => (AAAA, v6.octets().to_vec()),
        };
        Record {
            name: wire(name.as_bytes()),
            kind,
            data,
        }
    }

    pub fn cname(name: &str, to: &str) -> Record {
        Record {
            name: wire(name.as_bytes()),
            kind: CNAME,
            data: wire(to.as_bytes()),
        }
    }

    /// The target may hold any octets but dots; `.` is the root.
    pub fn srv(name: &str, priority: u16, weight: u16, port: u16, target: &[u8]) -> Record {
        let numbers = [priority, weight, port].map(u16::to_be_bytes).concat();
        Record {
            name: wire(name.as_bytes()),
            kind: SRV,
            data: [numbers, wire(target)].concat(),
        }
    }
}

/// The server; gone when dropped.
pub struct Dns {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Question>>>,
    over: Arc<AtomicBool>,
}

type Answer = Arc<dyn Fn(&Question) -> Reply + Send + Sync>;

impl Dns {
    pub fn start(answer: impl Fn(&Question) -> Reply + Send + Sync + 'static) -> Dns {
        let (tcp, udp) = one_port();
        let dns = Dns {
            address: tcp.local_addr().unwrap(),
            asked: Arc::default(),
            over: Arc::default(),
        };
        let answer: Answer = Arc::new(answer);
        let (asked, over, said) = (dns.asked.clone(), dns.over.clone(), answer.clone());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((count, from)) = udp.recv_from(&mut buffer) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Some(message) = reply(&buffer[..count], false, &said, &asked) else {
                    continue;
                };
                udp.send_to(&message, from).unwrap();
            }
        });
        let (asked, over) = (dns.asked.clone(), dns.over.clone());
        thread::spawn(move || {
            for socket in tcp.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, asked) = (answer.clone(), asked.clone());
                thread::spawn(move || converse(socket.unwrap(), &answer, &asked));
            }
        });
        dns
    }

    /// With these records, and NXDOMAIN for every other name.
    pub fn zone(records: Vec<Record>) -> Dns {
        Dns::start(move |question| from_zone(&records, question))
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }

    /// The value of the key `dns`.
    pub fn key(&self) -> String {
        format!("[\"{}\"]", self.address)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Both threads are woken to see it.
        let _ = TcpStream::connect(self.address);
        let _ = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.send_to(b"", self.address));
    }
}

/// Whatever these records say; a name in none of them does not exist.
pub fn from_zone(records: &[Record], question: &Question) -> Reply {
    let name = wire(question.name.as_bytes());
    let here: Vec<_> = records.iter().filter(|one| one.name == name).collect();
    if here.is_empty() {
        return Reply::Code(NXDOMAIN);
    }
    let answers = |one: &&&Record| one.kind == question.kind || one.kind == CNAME;
    let answers = here.iter().filter(answers);
    Reply::Records(answers.map(|one| (*one).clone()).collect())
}

fn one_port() -> (TcpListener, UdpSocket) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        // Another test may have the same port for UDP.
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (tcp, udp);
        }
    }
}

fn converse(mut socket: TcpStream, answer: &Answer, asked: &Mutex<Vec<Question>>) {
    let mut length = [0; 2];
    while socket.read_exact(&mut length).is_ok() {
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        if socket.read_exact(&mut query).is_err() {
            return;
        }
        let Some(message) = reply(&query, true, answer, asked) else {
            continue;
        };
        let length = u16::try_from(message.len()).unwrap().to_be_bytes();
        if socket.write_all(&[&length[..], &message].concat()).is_err() {
            return;
        }
    }
}

fn reply(
    query: &[u8],
    over_tcp: bool,
    answer: &Answer,
    asked: &Mutex<Vec<Question>>,
) -> Option<Vec<u8>> {
    let id = query.get(..2)?;
    let (name, end) = read_name(query, 12)?;
    let kind = u16::from_be_bytes(query.get(end..end + 2)?.try_into().ok()?);
    let section = query.get(12..end + 4)?;
    let question = Question {
        name,
        kind,
        over_tcp,
    };
    asked.lock().unwrap().push(question.clone());
    let whole = |id: &[u8], records: &[Record]| {
        let message = message(id, section, 0, false, records);
        match !over_tcp && message.len() > DATAGRAM {
            true => self::message(id, section, 0, true, &[]),
            false => message,
        }
    };
    match answer(&question) {
        Reply::Records(records) => Some(whole(id, &records)),
        Reply::Code(code) => Some(message(id, section, code, false, &[])),
        Reply::Silence => None,
        Reply::WrongId(records) => Some(whole(&[id[0] ^ 0x55, id[1]], &records)),
        Reply::Octets(octets) => Some([id, &octets].concat()),
    }
}

fn message(id: &[u8], section: &[u8], code: u8, is_truncated: bool, records: &[Record]) -> Vec<u8> {
    let count = u16::try_from(records.len()).unwrap().to_be_bytes();
    let flags = [0x81 | if is_truncated { 2 } else { 0 }, 0x80 | code];
    let mut message = [id, &flags, &[0, 1], &count, &[0; 4], section].concat();
    for record in records {
        // A pointer to the question, where the names are the same.
        match section.starts_with(&record.name) {
            true => message.extend([0xC0, 12]),
            false => message.extend(&record.name),
        }
        message.extend(record.kind.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60]);
        message.extend(u16::try_from(record.data.len()).unwrap().to_be_bytes());
        message.extend(&record.data);
    }
    message
}

fn wire(name: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.split(|octet| *octet == b'.') {
        if !label.is_empty() {
            octets.push(u8::try_from(label.len()).unwrap());
            octets.extend(label);
        }
    }
    octets.push(0);
    octets
}

/// A name without pointers, and where it ends.
fn read_name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        let label = message.get(at + 1..at + 1 + length)?;
        at += 1 + length;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8(label.to_ascii_lowercase()).ok()?);
    }
}
