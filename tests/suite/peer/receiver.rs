//! An IMDP server that does what a test says.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection};

use super::identity::{Everybody, Identity, provider};
use super::{Peer, Said};

/// A server on a port of its own. It goes on until the test program ends.
pub struct Receiver {
    pub address: SocketAddr,
    heard: Arc<Heard>,
}

/// What a server has heard on all its connections.
#[derive(Default)]
pub struct Heard {
    connections: AtomicUsize,
    /// Command lines as they came, and whole commands.
    commands: Mutex<(Vec<String>, Vec<Said>)>,
}

impl Heard {
    pub fn begins(&self, line: &str) {
        self.commands.lock().unwrap().0.push(line.to_owned());
    }

    pub fn ends(&self, said: &Said) {
        self.commands.lock().unwrap().1.push(said.clone());
    }
}

impl Receiver {
    /// Each connection is given to `script`, with its number from 0.
    pub fn start(
        identity: &Identity,
        script: impl Fn(usize, Peer) + Send + Sync + 'static,
    ) -> Receiver {
        Receiver::start_with(server_config(identity), script)
    }

    /// The same with a TLS configuration of the test's own.
    pub fn start_with(
        config: ServerConfig,
        script: impl Fn(usize, Peer) + Send + Sync + 'static,
    ) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Heard::default());
        let (config, script, noted) = (Arc::new(config), Arc::new(script), Arc::clone(&heard));
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (config, script, noted) =
                    (Arc::clone(&config), Arc::clone(&script), Arc::clone(&noted));
                thread::spawn(move || {
                    let number = noted.connections.fetch_add(1, Ordering::SeqCst);
                    let server = ServerConnection::new(config).unwrap();
                    // A client that ends the handshake is the program's affair.
                    if let Ok(peer) = Peer::shake_hands(server.into(), socket, Some(noted)) {
                        script(number, peer);
                    }
                });
            }
        });
        Receiver { address, heard }
    }

    /// Says these to every HEADERS and DATA.
    pub fn answering(identity: &Identity, headers: &'static str, data: &'static str) -> Receiver {
        Receiver::start(identity, move |_, peer| {
            follow(peer, |said, peer| match said.word() {
                "HEADERS" => peer.say(headers),
                "DATA" => peer.say(data),
                _ => peer.say("OK"),
            });
        })
    }

    /// Takes everything.
    pub fn taking(identity: &Identity) -> Receiver {
        Receiver::answering(identity, "ACCEPT", "OK")
    }

    pub fn connections(&self) -> usize {
        self.heard.connections.load(Ordering::SeqCst)
    }

    /// The command lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.heard.commands.lock().unwrap().0.clone()
    }

    /// The first words of them.
    pub fn words(&self) -> Vec<String> {
        self.lines()
            .iter()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    }

    /// The octets of each whole command of this word.
    pub fn octets(&self, word: &str) -> Vec<Vec<u8>> {
        let commands = self.heard.commands.lock().unwrap();
        let of_word = commands.1.iter().filter(|said| said.word() == word);
        of_word.map(|said| said.octets.clone()).collect()
    }
}

/// A server's configuration: it believes every client, and shows this.
pub fn server_config(identity: &Identity) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(Everybody))
        .with_single_cert(identity.chain(), identity.key())
        .unwrap();
    config.alpn_protocols = vec![b"imdp/1".to_vec()];
    config.send_tls13_tickets = 0;
    config
}

/// Serves a connection to its end, with an answer to every command but DONE.
pub fn follow(mut peer: Peer, mut answer: impl FnMut(&Said, &mut Peer)) {
    while let Ok(said) = peer.command() {
        if said.line == "DONE" {
            break;
        }
        answer(&said, &mut peer);
    }
    peer.close();
}
