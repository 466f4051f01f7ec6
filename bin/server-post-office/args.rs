//! The options of server-post-office(8).

use std::path::PathBuf;

use clap::Parser;
use ima_program::log::Form;

/// Give users their mail, by IMRP, from their mailboxes.
///
/// Sockets come from systemd (LISTEN_FDS, with Accept=yes or no), from inetd
/// (--inetd), or are bound here. Exit status: 0 ended in order, 2 a fault or a
/// connection that broke, 3 the client broke the rules or did not log in.
#[derive(Debug, Parser)]
#[command(name = "server-post-office", version)]
pub struct Args {
    /// Configuration file [default: server-post-office.toml in $EMEMO_CONFIG_DIR or /etc/ememo]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Serve the one connection on stdin, as inetd passes it on; log to syslog
    #[arg(long, conflicts_with = "listen")]
    pub inetd: bool,
    /// Write the log as text or as json, a line an event [default: $EMEMO_LOG, or text]
    #[arg(long, value_name = "FORM")]
    pub log: Option<Form>,
    /// Listen here, in place of the configuration's `listen`; port 0 is any free port
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<String>,
    /// Be the network process of the server that started this one
    #[arg(long, hide = true)]
    pub network: bool,
}
