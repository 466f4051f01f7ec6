//! server-post-office(8): gives users their mail, by IMRP.

mod args;
mod config;
mod confine;
mod counted;
mod descriptors;
mod mailbox;
mod office;
mod stored;
mod stores;
mod watch;

use std::error::Error;
use std::process::ExitCode;

use ima_program::Exit;
use ima_program::config::{Loaded, load};
use ima_program::server::{self as process, Manner, stop_signal};
use ima_proto::listen::{Gate, Incoming, Server};

use args::Args;
use config::Config;
use office::PostOffice;

const PROGRAM: &str = "server-post-office";

fn main() -> ExitCode {
    process::main(
        PROGRAM,
        ima_program::options::parse::<Args>,
        |args| Manner {
            inetd: args.inetd,
            log: args.log,
        },
        run,
    )
}

fn run(args: &Args) -> Result<Exit, Box<dyn Error>> {
    let stop = stop_signal()?;
    let loaded: Loaded<Config> = load(PROGRAM, args.config.as_deref())?;
    let config = &loaded.value;
    let office = PostOffice::new(
        config.tls(&loaded.dir)?,
        config.users(&loaded.dir)?,
        config.limits(),
    );
    let (max, per_address) = (config.max_connections, config.max_connections_per_address);
    let gate = Gate::new(max.get(), per_address.get());
    let incoming = Incoming::by_options(args.inetd, &args.listen, &config.listen)?;
    confine::announce();
    ima_program::descriptors::raise_limit();
    Ok(Server::new(office, gate).run(incoming, stop))
}
