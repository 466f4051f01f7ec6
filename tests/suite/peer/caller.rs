//! A client of a post office that says any lines.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};

use super::{Ending, Identity, Peer, Said, client_config, connect_from};

/// One connection to the post office of b.test.
pub struct Caller(Peer);

impl Deref for Caller {
    type Target = Peer;
    fn deref(&self) -> &Peer {
        &self.0
    }
}

impl DerefMut for Caller {
    fn deref_mut(&mut self) -> &mut Peer {
        &mut self.0
    }
}

impl Caller {
    pub fn dial(address: SocketAddr, identity: Option<&Identity>) -> Caller {
        Caller::over(TcpStream::connect(address).unwrap(), identity).unwrap()
    }

    /// The same, from another address of this machine.
    pub fn dial_from(source: IpAddr, address: SocketAddr) -> Caller {
        Caller::over(connect_from(source, address), None).unwrap()
    }

    pub fn over(socket: TcpStream, identity: Option<&Identity>) -> Result<Caller, Ending> {
        let mut config = client_config(identity);
        config.alpn_protocols = vec![b"imrp/1".to_vec()];
        Peer::over(socket, config).map(Caller)
    }

    pub fn into_peer(self) -> Peer {
        self.0
    }

    /// Gives the answer.
    pub fn log_in(&mut self, user: &str, password: &str) -> String {
        self.send_login(user, password);
        self.line()
    }

    pub fn send_login(&mut self, user: &str, password: &str) {
        self.send(&login(user, password));
    }

    /// Gives the answer.
    pub fn log_in_by_certificate(&mut self, user: &str) -> String {
        self.say(&format!("LOGIN {user} CERTIFICATE"));
        self.line()
    }

    /// Says a command; gives the lines of its answer, each with the octets that it
    /// announces, and the final one last.
    pub fn ask(&mut self, command: &str) -> Vec<Said> {
        self.say(command);
        self.told()
    }

    /// The answer to a command that was sent before.
    pub fn told(&mut self) -> Vec<Said> {
        let mut answer = Vec::new();
        loop {
            let line = self.line();
            let octets = self.octets(announced(&line));
            let is_last = !line.starts_with("+ ");
            answer.push(Said { line, octets });
            if is_last {
                return answer;
            }
        }
    }

    /// The lines of an answer that announces no octets.
    pub fn lines(&mut self, command: &str) -> Vec<String> {
        self.ask(command)
            .into_iter()
            .map(|said| said.line)
            .collect()
    }

    /// The certificate that the server has shown.
    pub fn server_certificate(&self) -> Vec<u8> {
        self.0.connection.peer_certificates().unwrap()[0].to_vec()
    }

    /// So many octets.
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        while self.0.pending.len() < count {
            self.0.more().unwrap();
        }
        self.0.pending.drain(..count).collect()
    }
}

/// A login by password as a client sends it.
pub fn login(user: &str, password: &str) -> Vec<u8> {
    format!("LOGIN {user} PASSWORD {}\n{password}", password.len()).into_bytes()
}

/// How many octets follow a line. A folder may have the name of a block, but its
/// line has more words.
fn announced(line: &str) -> usize {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["+", "header" | "message", octets] | ["+", "attachment", _, octets] => {
            octets.parse().unwrap()
        }
        _ => 0,
    }
}
