//! The process that was started: it holds the private keys, starts commands, and hears
//! nothing from the network.

use std::error::Error;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use ima_program::config::{Loaded, load};
use ima_program::descriptors::raise_limit_to;
use ima_program::metrics::{TextFile, Texts};
use ima_program::monitor::{Network, serve};
use ima_program::server::{stop_signal, warn_of_root};
use ima_program::{Exit, log};
use ima_proto::handlers::CommandService;
use ima_proto::listen::{Incoming, STOP};
use ima_proto::tls::Keys;

use crate::PROGRAM;
use crate::args::Args;
use crate::config::Config;
use crate::network::{Plan, Sockets};

/// Handshakes that are signed at once.
const KEY_SOCKETS: usize = 4;
/// Commands that are started, or ended, at once.
const COMMAND_SOCKETS: usize = 4;

/// Starts the network process, and does for it what it cannot do, until its end.
pub fn run(args: &Args) -> Result<Exit, Box<dyn Error>> {
    let stop = stop_signal()?;
    let loaded: Loaded<Config> = load(PROGRAM, args.config.as_deref())?;
    let config = &loaded.value;
    let (commands, is_staying) = Config::commands(&loaded)?;
    let (identities, verifier) = config.tls(&loaded.dir, &loaded.file)?;
    let incoming = Incoming::by_options(args.inetd, &args.listen, &config.listen, &loaded.file)?;
    let limits = config.limits();
    let is_lasting = incoming.is_lasting();
    if is_lasting {
        warn_of_root(&loaded.dir);
        Config::warn_of_commands(&loaded.file, &commands);
        // The network process inherits it.
        raise_limit_to(limits.descriptors(), "max-connections and max-handlers");
    }
    // Before a thread begins: it is this one that the network process ends with.
    let network = Network::start()?;
    match &incoming {
        Incoming::Listening(_) => {
            if let Err(error) = identities.warn_daily() {
                log::error("no-thread").field("error", error).emit();
            }
        }
        Incoming::One(..) => identities.warn_now(false),
    }
    let keys = Arc::new(Keys::new(identities, Some(verifier)));
    let commands = Arc::new(CommandService::new(commands, limits.children()));
    let key_sockets = serve(&keys, KEY_SOCKETS, network.killer())?;
    let command_sockets = serve(&commands, COMMAND_SOCKETS, network.killer())?;
    let text_sockets = match &config.metrics {
        Some(file) if is_lasting => {
            let file = TextFile::new(file.under(&loaded.dir));
            serve(&Arc::new(Texts::new(file)), 1, network.killer())?
        }
        _ => Vec::new(),
    };
    let listening = incoming.sockets();
    let plan = Plan {
        limits,
        is_staying,
        sockets: Sockets {
            listening: listening.len(),
            keys: key_sockets.len(),
            commands: command_sockets.len(),
            texts: text_sockets.len(),
        },
    };
    let mut descriptors = vec![stop.as_fd()];
    descriptors.extend(listening);
    descriptors.extend(key_sockets.iter().map(OwnedFd::as_fd));
    descriptors.extend(command_sockets.iter().map(OwnedFd::as_fd));
    descriptors.extend(text_sockets.iter().map(OwnedFd::as_fd));
    network.set_up(&plan, &descriptors)?;
    // They are the network process's alone from here on.
    drop((incoming, key_sockets, command_sockets, text_sockets));
    let exit = network.wait(&stop, is_lasting, STOP);
    commands.end();
    Ok(exit)
}
