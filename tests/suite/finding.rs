//! Servers found by DNS that tells the truth, and by DNS that does not.

mod dialling;
mod sending;

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType};

/// An address of this machine at which nothing answers.
struct Dead {
    address: SocketAddr,
    _socket: OwnedFd,
    _waiting: Vec<TcpStream>,
}

impl Dead {
    /// Nobody takes the connections that wait there, and there is room for no
    /// more.
    fn new() -> Dead {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        rustix::net::bind(&socket, &any).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let bound = rustix::net::getsockname(&socket).unwrap();
        let address = SocketAddr::try_from(bound).unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            waiting.push(stream);
        }
        Dead {
            address,
            _socket: socket,
            _waiting: waiting,
        }
    }
}
