//! TCP between two programs, counted; and servers that speak no TLS.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Passes connections on to a server.
pub struct Relay {
    pub address: SocketAddr,
    to_server: Arc<AtomicU64>,
}

impl Relay {
    pub fn to(server: SocketAddr) -> Relay {
        let to_server = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&to_server);
        let address = each_connection(move |client| {
            let Ok(server) = TcpStream::connect(server) else {
                return;
            };
            let (other_client, other_server) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            let nothing = AtomicU64::new(0);
            thread::spawn(move || pass(other_server, other_client, &nothing));
            pass(client, server, &count);
        });
        Relay { address, to_server }
    }

    /// Octets that went to the server.
    pub fn octets(&self) -> u64 {
        self.to_server.load(Ordering::SeqCst)
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

fn pass(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(octets @ 1..) = from.read(&mut buffer) {
        count.fetch_add(octets as u64, Ordering::SeqCst);
        if to.write_all(&buffer[..octets]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
