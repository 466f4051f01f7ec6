//! The options of server-check(8).

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use ima_message::Hostpart;

/// Look at a mail domain's servers as another server would, and say what is
/// wrong and what to do.
///
/// Exit status: 0 nothing is wrong, 1 the owner of HOST must mend something, 2 it
/// could not be found out.
#[derive(Debug, Parser)]
#[command(name = "server-check", version)]
pub struct Args {
    /// Configuration file [default: server-send-mail.toml in $EMEMO_CONFIG_DIR or /etc/ememo, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to look at; several are possible [default: imdp, and imrp where it has an SRV record]
    #[arg(long = "service", value_name = "SERVICE", value_enum)]
    pub services: Vec<Service>,
    /// The host of ours whose certificate is shown [default: the first of the first [[identity]]]
    #[arg(long, value_name = "HOST", value_parser = Hostpart::parse)]
    pub from: Option<Hostpart>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The mail domain
    #[arg(value_name = "HOST", value_parser = Hostpart::parse)]
    pub host: Hostpart,
}

/// What a host offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Service {
    /// Mail from server to server
    Imdp,
    /// Mail from a mailbox to a user
    Imrp,
}
