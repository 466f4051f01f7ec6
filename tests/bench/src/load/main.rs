//! Load for a server: messages by IMDP or SMTP, or handshakes, from many
//! connections at once; and, to hold them against, files made durable.
//!
//!     load imdp --address 127.0.0.1:4025 --roots ca.pem --certificate a.pem --key a.key \
//!         --from alice@a.test --host b.test --connections 10 --messages 2000
//!     load smtp        the same, for a server with STARTTLS that wants a certificate
//!     load handshakes  whole ones with client certificates, as many as there can be
//!     load disk        files of 4 KiB, each synced with its folder
//!
//! `--help` of each names its options. It is built with `--features net`.
//!
//! Connections are TLS 1.3 with a client certificate; those of IMDP are made by the
//! suite's own client side. Recipients are PREFIX0@HOST and so on, taken in turn.
//! Each message is new, and each answer is looked at.
//!
//! Standard output has a line `NAME VALUE` for each figure:
//!
//!     begin        when the clock began, in seconds since 1970
//!     seconds      until the last answer
//!     messages     answered with OK (or handshakes, or files)
//!     failed       everything else; the first of them are on standard error
//!     connections  that were made
//!     rate         messages a second
//!     p50-ms, p90-ms, p99-ms, worst-ms
//!                  from a message's first octet to its last answer; the first of a
//!                  connection has waited for the handshake too
//!     cpu-ms       processor time that this program used, for each message
//!     sent, received
//!                  octets inside TLS
//!
//! The exit status is 0 where all were answered with OK, 1 where something was not,
//! and 2 where it could not begin.

mod args;
mod crowd;
mod disk;
mod handshakes;
mod imdp;
mod letter;
mod report;
mod smtp;
mod tls;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser as _;

use args::{Arguments, What};
use report::Report;

/// Whatever went wrong: a benchmark only says it.
type Fault = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    match run(Arguments::parse().what) {
        Ok(report) => {
            print!("{report}");
            match report.is_whole() {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(1),
            }
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(what: What) -> Result<Report, Fault> {
    match what {
        What::Imdp(options) => {
            let protocol = imdp::Imdp::new(&options)?;
            crowd::run(&options.load, &protocol)
        }
        What::Smtp(options) => {
            let protocol = smtp::Smtp::new(&options)?;
            crowd::run(&options.load, &protocol)
        }
        What::Handshakes(options) => handshakes::run(&options),
        What::Disk(options) => disk::run(&options),
    }
}
