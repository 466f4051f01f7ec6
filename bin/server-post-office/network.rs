//! The network process: it speaks with clients, and can do little else.

mod counted;
mod counts;
mod journal;
mod line;
mod mailbox;
mod office;
mod stored;
mod watcher;

use std::error::Error;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use ima_program::Exit;
use ima_program::metrics::{Metrics, Publishing};
use ima_program::monitor::{NetworkError, Questions, Setup, confine};
use ima_program::server::stop_signal;
use ima_proto::imrp::ALPN;
use ima_proto::listen::{self, Incoming, Server};
use ima_proto::tls::{RemoteIdentities, ServerSide};

use crate::monitor::advice;
use crate::packets::Task;

use counts::Counts;
use office::PostOffice;

/// Serves what the monitor passes on, to its end.
pub fn run() -> Result<Exit, Box<dyn Error>> {
    let Setup { value, descriptors } = Setup::<Task>::receive()?;
    let task: Task = value;
    // systemd tells every process of a service: it is the monitor who tells us.
    let _not_for_us = stop_signal()?;
    let mut descriptors = descriptors.into_iter();
    let stop = descriptors
        .next()
        .ok_or(NetworkError::NotStartedByMonitor)?;
    let mut next = |count| -> Vec<OwnedFd> { descriptors.by_ref().take(count).collect() };
    let (keys, desks) = (next(task.key_sockets), next(task.desk_sockets));
    let texts = next(task.text_sockets);
    let incoming = Incoming::from_sockets(descriptors.collect())?;
    let advice = advice();
    confine()?;
    #[cfg(debug_assertions)]
    let (incoming, desks) = crate::taken_over::play(incoming, &stop, desks);
    let identities = RemoteIdentities::new(Questions::new(keys))?;
    let tls = ServerSide::for_users(identities, ALPN)?;
    let metrics = Metrics::new(counts::PREFIX, env!("CARGO_PKG_VERSION"))?;
    let counts = Counts::new(&metrics)?;
    let office = PostOffice::new(
        tls,
        Questions::new(desks),
        task.limits.imrp(),
        advice,
        counts,
    );
    let server = Server::new(office, task.limits.listen(), listen::Counts::new(&metrics)?);
    // What was counted last is written when this is dropped.
    let _publishing = Publishing::remote(metrics, texts)?;
    Ok(server.run(incoming, UnixStream::from(stop)))
}
