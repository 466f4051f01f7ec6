//! TLS handshakes, as many as there can be.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustls::NamedGroup;

use crate::Fault;
use crate::args::{Group, HandshakeOptions};
use crate::report::{Report, processor_time};
use crate::tls;

/// Failures that are said, and after which a thread ends.
const PATIENCE: usize = 5;

/// Each thread dials, shakes hands, and closes properly, until the time is over.
///
/// # Errors
/// What is wrong with the options.
pub fn run(options: &HandshakeOptions) -> Result<Report, Fault> {
    let config = tls::config(&options.peer, options.group, &[&options.alpn])?;
    let wanted = match options.group {
        Group::X25519 => NamedGroup::X25519,
        Group::X25519MlKem768 => NamedGroup::X25519MLKEM768,
    };
    let one = |turn: usize| -> Result<(), Fault> {
        let tcp = tls::dial(&options.peer, turn)?;
        let stream = tls::shake_hands(tcp, &config, &options.host)?;
        let group = stream.conn.negotiated_key_exchange_group();
        match group.map(|group| group.name()) {
            Some(name) if name == wanted => tls::close(stream),
            name => Err(format!("the key exchange was {name:?}").into()),
        }
    };
    let (begin, wall, used) = (Instant::now(), SystemTime::now(), processor_time());
    let end = begin + Duration::try_from_secs_f64(options.seconds)?;
    let (all, failed) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for turn in 0..options.connections.max(1) {
            let (all, failed, one) = (&all, &failed, &one);
            scope.spawn(move || {
                let mut times = Vec::new();
                while failed.load(Ordering::Relaxed) < PATIENCE && Instant::now() < end {
                    let since = Instant::now();
                    match one(turn) {
                        Ok(()) => times.push(since.elapsed()),
                        Err(error) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            eprintln!("load: {error}");
                        }
                    }
                }
                if let Ok(mut all) = all.lock() {
                    all.extend(times);
                }
            });
        }
    });
    let time = begin.elapsed();
    let mut times = all.into_inner().unwrap_or_default();
    times.sort_unstable();
    let failed = failed.into_inner();
    Ok(Report {
        begin: wall,
        time,
        connections: times.len() + failed,
        times,
        failed,
        processor: processor_time().saturating_sub(used),
        octets: (0, 0),
    })
}
