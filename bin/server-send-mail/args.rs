//! The options of server-send-mail(8).

use std::path::PathBuf;

use clap::Parser;
use ima_program::log::Form;

/// Send messages to the hosts of their recipients: to all of them, or to none.
///
/// Prints a line for each recipient, OK, FAIL or DEFER, message by message. Exit status: 0 all OK,
/// 1 refused, 2 anything else.
#[derive(Debug, Parser)]
#[command(name = "server-send-mail", version)]
pub struct Args {
    /// Configuration file [default: server-send-mail.toml in $EMEMO_CONFIG_DIR or /etc/ememo]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Send to the hosts that are willing, also where others are not
    #[arg(long)]
    pub partial: bool,
    /// Begin each line with the number of its message, from 1
    #[arg(long)]
    pub number: bool,
    /// Write an event for each recipient to standard error too, as text or as json
    /// [default: $EMEMO_LOG, or none]
    #[arg(long, value_name = "FORM")]
    pub log: Option<Form>,
    /// Messages, any number in each; - or none is standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}
