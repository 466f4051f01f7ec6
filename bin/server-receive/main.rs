//! server-receive(8): receives mail from other servers by IMDP.

mod args;
mod config;
mod connections;
mod server;
mod service;
mod strangers;

use std::error::Error;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use clap::Parser as _;
use ima_program::config::{Loaded, load};
use ima_program::report::{chain, report};
use ima_program::{Exit, descriptors, log};
use ima_proto::listen::{Gate, Incoming};

use args::Args;
use config::Config;
use server::Server;

const PROGRAM: &str = "server-receive";

fn main() -> ExitCode {
    log::init(PROGRAM);
    // Under inetd stderr is the peer's socket, and nothing may be said there, not
    // even that an option is wrong.
    let is_socket = log::stderr_is_stdin_socket();
    if is_socket && log::to_syslog().is_err() {
        return Exit::Unfinished.into();
    }
    let args = Args::parse();
    if args.inetd && !is_socket && log::to_syslog().is_err() {
        return Exit::Unfinished.into();
    }
    let exit = run(&args).unwrap_or_else(|error| {
        if args.inetd {
            log::error("cannot-start")
                .field("error", chain(&*error))
                .emit();
        } else {
            report(PROGRAM, &*error);
        }
        Exit::Unfinished
    });
    exit.into()
}

fn run(args: &Args) -> Result<Exit, Box<dyn Error>> {
    let stop = stop_signal()?;
    let loaded: Loaded<Config> = load(PROGRAM, args.config.as_deref())?;
    let config = &loaded.value;
    let server = Server::new(
        config.tls(&loaded.dir)?,
        Config::handlers(&loaded),
        config.limits(),
        Gate::new(config.max_connections, config.max_connections_per_address),
    );
    let incoming = match (args.inetd, args.listen.is_empty()) {
        (true, _) => Incoming::from_inetd()?,
        (false, true) => Incoming::open(&config.listen)?,
        (false, false) => Incoming::open(&args.listen)?,
    };
    descriptors::raise_limit();
    Ok(match incoming {
        Incoming::One(socket, address) => server.serve_one(socket, address, stop),
        Incoming::Listening(listeners) => {
            for address in listeners.addresses() {
                log::info("listening").field("address", address).emit();
            }
            server.listen(&listeners, &stop)
        }
    })
}

/// Becomes readable at SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<UnixStream> {
    let (stop, signalled) = UnixStream::pair()?;
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::low_level::pipe::register(signal, signalled.try_clone()?)?;
    }
    Ok(stop)
}
