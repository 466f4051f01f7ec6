//! TCP between two programs, counted; and servers that speak no TLS.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Passes connections on to a server.
pub struct Relay {
    pub address: SocketAddr,
    counts: Arc<Counts>,
}

struct Counts {
    to_server: AtomicU64,
    back: AtomicU64,
    /// Octets that a connection may bring back before it is cut.
    cut: AtomicU64,
    /// And take there.
    cut_sent: AtomicU64,
}

impl Relay {
    pub fn to(server: SocketAddr) -> Relay {
        let counts = Arc::new(Counts {
            to_server: AtomicU64::new(0),
            back: AtomicU64::new(0),
            cut: AtomicU64::new(u64::MAX),
            cut_sent: AtomicU64::new(u64::MAX),
        });
        let shared = Arc::clone(&counts);
        let address = each_connection(move |client| {
            let Ok(server) = TcpStream::connect(server) else {
                return;
            };
            let (other_client, other_server) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            let counts = Arc::clone(&shared);
            let most = counts.cut.load(Ordering::SeqCst);
            thread::spawn(move || {
                pass(other_server, other_client, &counts.back, most);
            });
            let most = shared.cut_sent.load(Ordering::SeqCst);
            pass(client, server, &shared.to_server, most);
        });
        Relay { address, counts }
    }

    /// Octets that went to the server.
    pub fn octets(&self) -> u64 {
        self.counts.to_server.load(Ordering::SeqCst)
    }

    /// Octets that came from the server.
    pub fn octets_back(&self) -> u64 {
        self.counts.back.load(Ordering::SeqCst)
    }

    /// Connections from now on end in both directions after so many octets from
    /// the server.
    pub fn cut_after(&self, octets: u64) {
        self.counts.cut.store(octets, Ordering::SeqCst);
    }

    /// The same, after so many octets to the server.
    pub fn cut_sent_after(&self, octets: u64) {
        self.counts.cut_sent.store(octets, Ordering::SeqCst);
    }

    /// A server that says this in plain, and then waits for the other's end.
    pub fn saying(octets: &'static [u8]) -> SocketAddr {
        each_connection(move |mut client| {
            // Whoever does not listen is told nothing.
            let _ = client.write_all(octets);
            while matches!(client.read(&mut [0; 4096]), Ok(1..)) {}
        })
    }

    /// A server that closes at once.
    pub fn closing() -> SocketAddr {
        each_connection(drop)
    }
}

/// An address of this machine at which nobody listens.
pub fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

fn each_connection(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(socket));
        }
    });
    address
}

fn pass(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64, most: u64) {
    let mut buffer = vec![0; 64 << 10];
    let mut left = most;
    while let Ok(octets @ 1..) = from.read(&mut buffer) {
        let passed = usize::try_from(left).map_or(octets, |left| octets.min(left));
        count.fetch_add(passed as u64, Ordering::SeqCst);
        left -= passed as u64;
        if to.write_all(&buffer[..passed]).is_err() {
            break;
        }
        if left == 0 {
            let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
