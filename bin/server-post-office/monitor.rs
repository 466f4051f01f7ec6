//! The monitor: it was started, holds what is secret, and never reads an octet that a
//! client sent but as a value that is checked.

mod confine;
mod descriptors;
mod desk;
mod incoming;
mod journals;
mod logins;
mod mailbox;
mod places;
mod session;
mod stores;
mod watch;

use std::error::Error;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use ima_program::config::{Loaded, load};
use ima_program::descriptors::raise_limit_to;
use ima_program::metrics::{TextFile, Texts};
use ima_program::monitor::{Network, serve};
use ima_program::server::{stop_signal, warn_of_root};
use ima_program::{Exit, log};
use ima_proto::listen::{Incoming, STOP};
use ima_proto::tls::{Identities, Keys};

use crate::PROGRAM;
use crate::args::Args;
use crate::config::Config;
use crate::packets::Task;

pub use descriptors::advice;
pub use desk::Desks;
use logins::Office;

/// Handshakes that are signed side by side.
const KEY_SOCKETS: usize = 4;
/// Desks that are opened side by side, which is soon done.
const DESK_SOCKETS: usize = 2;

/// Serves by a network process, to its end.
pub fn run(args: &Args) -> Result<Exit, Box<dyn Error>> {
    let stop = stop_signal()?;
    let loaded: Loaded<Config> = load(PROGRAM, args.config.as_deref())?;
    let config = &loaded.value;
    let identities = config.identities(&loaded.dir)?;
    let users = config.users(&loaded.dir)?;
    let incoming = Incoming::by_options(args.inetd, &args.listen, &config.listen, &loaded.file)?;
    confine::announce();
    let limits = config.limits();
    let is_lasting = incoming.is_lasting();
    if is_lasting {
        warn_of_root(&loaded.dir);
        // The network process inherits it.
        raise_limit_to(limits.descriptors(), "max-connections");
    }
    warn(&identities, &incoming);

    let network = Network::start()?;
    let killer = network.killer();
    let keys = Arc::new(Keys::new(identities, None));
    let keys = serve(&keys, KEY_SOCKETS, killer.clone())?;
    let office = Office::new(users, &limits);
    let desks = Arc::new(Desks::new(office, limits.handshakes, killer.clone())?);
    let desks = serve(&desks, DESK_SOCKETS, killer)?;
    let texts = match &config.metrics {
        Some(file) if is_lasting => {
            let file = TextFile::new(file.under(&loaded.dir));
            serve(&Arc::new(Texts::new(file)), 1, network.killer())?
        }
        _ => Vec::new(),
    };
    let task = Task {
        limits,
        key_sockets: keys.len(),
        desk_sockets: desks.len(),
        text_sockets: texts.len(),
    };
    let mut descriptors: Vec<BorrowedFd<'_>> = vec![stop.as_fd()];
    let ours = keys.iter().chain(&desks).chain(&texts);
    descriptors.extend(ours.map(|socket| socket.as_fd()));
    descriptors.extend(incoming.sockets());
    network.set_up(&task, &descriptors)?;
    // Theirs alone from here on.
    drop((keys, desks, texts, incoming));
    Ok(network.wait(&stop, is_lasting, STOP))
}

/// Warns of certificates that expire.
fn warn(identities: &Arc<Identities>, incoming: &Incoming) {
    match incoming {
        Incoming::One(..) => identities.warn_now(false),
        Incoming::Listening(_) => {
            if let Err(error) = identities.warn_daily() {
                log::error("no-thread").field("error", error).emit();
            }
        }
    }
}
