//! The options of fetch-mail(1).

use std::path::PathBuf;

use clap::Parser;
use ima_message::Address;

/// Fetch the mail of a mailbox on a server into a directory.
///
/// What is there already is not fetched again; what was cut off goes on where it
/// stopped. Exit status: 0 all is here and durable, 1 the server refuses the
/// login, 2 not finished, 3 the server broke the rules.
#[derive(Debug, Parser)]
#[command(name = "fetch-mail", version)]
pub struct Args {
    /// Configuration file [default: fetch-mail.toml in $EMEMO_CONFIG_DIR, or
    /// else in ~/.config/ememo or /etc/ememo]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Whose mail
    #[arg(long, value_name = "ADDRESS", value_parser = |text: &str| Address::parse(text))]
    pub address: Option<Address>,
    /// Where the server is, in place of looking it up
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub server: Option<String>,
    /// File whose first line is the password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Certificate to log in with, in place of a password
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The certificate's key
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// The mailbox to fetch into; made where it is not there
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
}
