//! server-post-office(8): gives users their mail, by IMRP.

mod args;
mod config;
mod confine;
mod counted;
mod counts;
mod descriptors;
mod limits;
mod mailbox;
mod office;
mod stored;
mod stores;
mod watch;

use std::error::Error;
use std::process::ExitCode;

use ima_program::Exit;
use ima_program::config::{Loaded, load};
use ima_program::descriptors::raise_limit_to;
use ima_program::metrics::{Metrics, Publishing, TextFile};
use ima_program::server::{self as process, Manner, stop_signal};
use ima_proto::listen::{self, Incoming, Server};

use args::Args;
use config::Config;
use counts::Counts;
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
    let metrics = Metrics::new(counts::PREFIX, env!("CARGO_PKG_VERSION"))?;
    let limits = config.limits();
    let office = PostOffice::new(
        config.tls(&loaded.dir)?,
        config.users(&loaded.dir)?,
        limits.imrp(),
        Counts::new(&metrics)?,
    );
    let incoming = Incoming::by_options(args.inetd, &args.listen, &config.listen)?;
    if let Incoming::Listening(_) = incoming {
        raise_limit_to(limits.descriptors(), "max-connections");
    }
    confine::announce();
    let server = Server::new(office, limits.listen(), listen::Counts::new(&metrics)?);
    let file = config.metrics.as_ref().map(|file| file.under(&loaded.dir));
    let file = file.filter(|_| incoming.is_lasting()).map(TextFile::new);
    let _publishing = match file {
        Some(mut file) => Some(Publishing::begin(metrics, move |text| file.write(text))?),
        None => None,
    };
    Ok(server.run(incoming, stop))
}
