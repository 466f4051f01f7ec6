//! Crowds of connections that get nowhere, in front of a server that has others to
//! serve.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use rustls_pki_types::ServerName;

use super::{client_config, connect_from};
use crate::process::raise_descriptors;
use crate::site::PATIENCE;

/// How long one of the others may wait on whatever machine the tests run.
const MOST: Duration = Duration::from_secs(10);

/// What a good client says first.
pub fn client_hello() -> Vec<u8> {
    let name = ServerName::try_from("b.test").unwrap();
    let mut client = ClientConnection::new(Arc::new(client_config(None)), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// Clients that begin a handshake, an octet each so often, until this is dropped.
/// Whoever is thrown out comes again.
pub struct Dribblers {
    end: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Dribblers {
    pub fn at(server: SocketAddr, count: usize, pause: Duration) -> Dribblers {
        let (end, ends) = sync_channel(0);
        let mut sockets: Vec<_> = (0..count).map(|_| (connect(server), 0)).collect();
        let thread = thread::spawn(move || {
            let hello = client_hello();
            while !has_ended(&ends, pause) {
                for (socket, said) in &mut sockets {
                    if socket.write_all(&hello[*said..=*said]).is_err() {
                        (*socket, *said) = (connect(server), 0);
                    } else {
                        *said = (*said + 1) % hello.len();
                    }
                }
            }
        });
        Dribblers {
            end: Some(end),
            thread: Some(thread),
        }
    }
}

impl Drop for Dribblers {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let outcome = thread.join();
            assert!(outcome.is_ok() || thread::panicking());
        }
    }
}

fn connect(server: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(server).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

fn has_ended(ends: &Receiver<()>, pause: Duration) -> bool {
    ends.recv_timeout(pause) != Err(RecvTimeoutError::Timeout)
}

/// Opens 2,000 connections, where this machine has the descriptors, that never
/// speak; `is_served` is a good client from an address, and must succeed.
#[allow(
    clippy::print_stdout,
    reason = "how long it took is worth knowing, on machines of all kinds"
)]
pub fn among_silent_peers(server: SocketAddr, is_served: impl Fn(IpAddr)) {
    let most = usize::try_from(raise_descriptors().saturating_sub(1500).min(2000)).unwrap();
    let silent: Vec<TcpStream> = (0..most)
        .map(|_| TcpStream::connect(server).unwrap())
        .collect();
    for source in [[127, 0, 0, 2], [127, 0, 0, 1]].map(IpAddr::from) {
        let begin = Instant::now();
        is_served(source);
        let took = begin.elapsed();
        println!("{most} silent connections: {source} was served within {took:?}");
        assert!(took < MOST, "{took:?}");
    }
    // The oldest gave way.
    let mut oldest = &silent[0];
    oldest.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(oldest.read(&mut [0; 1]).unwrap(), 0);
}

/// The same among those that speak, an octet now and then: more of them than
/// handshakes may be in progress. `EMEMO_CROWD` says how many, or else they are 400.
#[allow(
    clippy::print_stdout,
    reason = "how long it took is worth knowing, on machines of all kinds"
)]
pub fn among_dribblers(server: SocketAddr, is_served: impl Fn(IpAddr)) {
    let room = usize::try_from(raise_descriptors().saturating_sub(1500)).unwrap();
    let crowd = std::env::var("EMEMO_CROWD").map_or(400, |text| text.parse().unwrap());
    let dribblers = Dribblers::at(server, crowd.min(room), Duration::from_millis(500));
    let mut times: Vec<Duration> = (0..30)
        .map(|_| {
            let begin = Instant::now();
            is_served([127, 0, 0, 2].into());
            begin.elapsed()
        })
        .collect();
    drop(dribblers);
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{crowd} slow connections: served within {median:?}, {worst:?} at the most");
    assert!(worst < MOST, "{worst:?}");
}

/// Serves a good client again and again, each time on a connection of its own, beside
/// clients that begin a handshake, an octet every 10 s, and twice as many that never
/// speak and come from many addresses. `EMEMO_CROWD` says how many the former are, or
/// else they are 150; with it, it is a measurement, on a machine that does nothing
/// else: for half a minute, and 99 of 100 within a second. `is_served` has the number
/// of the delivery, and the client's address.
#[allow(
    clippy::print_stdout,
    reason = "how long it took is worth knowing, on machines of all kinds"
)]
pub fn among_slow_and_silent_peers(server: SocketAddr, is_served: impl Fn(usize, IpAddr)) {
    let room = usize::try_from(raise_descriptors().saturating_sub(1500)).unwrap();
    let asked = std::env::var("EMEMO_CROWD").ok();
    let slow = asked.as_ref().map_or(150, |text| text.parse().unwrap());
    let slow = slow.min(room / 3);
    let (deliveries, time, most) = match asked {
        Some(_) => (500, Duration::from_secs(30), Duration::from_secs(1)),
        None => (50, Duration::ZERO, MOST),
    };
    let dribblers = Dribblers::at(server, slow, Duration::from_secs(10));
    let silent: Vec<TcpStream> = (0..2 * slow)
        .map(|number| {
            connect_from(
                [127, 0, 3, u8::try_from(number % 250).unwrap()].into(),
                server,
            )
        })
        .collect();
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < deliveries || begin.elapsed() < time {
        let begin = Instant::now();
        is_served(times.len(), [127, 0, 0, 2].into());
        times.push(begin.elapsed());
    }
    drop((dribblers, silent));
    times.sort();
    let at = |hundredths: usize| times[(times.len() - 1) * hundredths / 100];
    println!(
        "{slow} slow and {} silent connections, {} deliveries: p50 {:?}, p90 {:?}, p99 {:?}, at most {:?}",
        2 * slow,
        times.len(),
        at(50),
        at(90),
        at(99),
        at(100),
    );
    assert!(at(99) < most, "{:?}", at(99));
}

/// Who says nothing, stops in the middle, or says an octet now and then has ten
/// seconds for the handshake.
pub fn handshakes_have_ten_seconds(server: SocketAddr) {
    let begin = Instant::now();
    let hello = client_hello();
    let half = hello.len() / 2;
    let ended = thread::scope(|scope| {
        let peers = [(0, false), (half, false), (half, true)].map(|(said, drips)| {
            let hello = &hello;
            scope.spawn(move || {
                let mut socket = connect(server);
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                socket.write_all(&hello[..said]).unwrap();
                if drips {
                    let mut rest = hello[half..].iter();
                    while rest.next().is_some_and(|o| socket.write_all(&[*o]).is_ok()) {
                        // The slowness is the peer's, and what is tested.
                        thread::sleep(Duration::from_millis(100));
                    }
                }
                // At the most an alert.
                let mut answer = Vec::new();
                let _ = socket.read_to_end(&mut answer);
                let _ = socket.shutdown(Shutdown::Both);
                assert!(answer.len() <= 7, "{answer:?}");
                begin.elapsed().as_secs_f32()
            })
        });
        peers.map(|peer| peer.join().unwrap())
    });
    for seconds in ended {
        assert!((9.5..30.0).contains(&seconds), "{ended:?}");
    }
}
