//! server-receive(8): receives mail from other servers by IMDP.

mod args;
mod config;
mod server;
mod service;
mod strangers;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use ima_program::Exit;
use ima_program::config::{Loaded, load};
use ima_program::server::{self as process, Manner, stop_signal};
use ima_proto::listen::{Gate, Incoming, Server};

use args::Args;
use config::{Behind, Config};
use server::Receiving;

const PROGRAM: &str = "server-receive";

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
    let behind = Config::behind(&loaded)?;
    let staying = match &behind {
        Behind::Staying(stream) => Some(Arc::clone(stream)),
        Behind::EachOnce(_) => None,
    };
    let receiving = Receiving::new(config.tls(&loaded.dir)?, behind, config.limits());
    let (max, per_address) = (config.max_connections, config.max_connections_per_address);
    let gate = Gate::new(max.get(), per_address.get());
    let incoming = Incoming::by_options(args.inetd, &args.listen, &config.listen)?;
    let exit = Server::new(receiving, gate).run(incoming, stop);
    if let Some(stream) = staying {
        stream.end();
    }
    Ok(exit)
}
