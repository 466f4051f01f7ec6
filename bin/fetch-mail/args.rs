//! The options of fetch-mail(1).

use std::path::PathBuf;

use clap::Parser;
use ima_message::{Address, FolderName};
use ima_program::log::Form;

use crate::scope::parse_since;

/// Keep a mailbox in a directory the same as one on a server.
///
/// New mail, flags and deletions travel both ways. What is there already is not
/// fetched again; what was cut off goes on where it stopped. Exit status: 0 both sides
/// hold the same, durably, 1 the server refuses the login, 2 not finished, 3 the server
/// broke the rules.
#[derive(Debug, Parser)]
#[command(name = "fetch-mail", version)]
pub struct Args {
    /// Write an event for each message that was fetched to standard error, as text or
    /// as json [default: $EMEMO_LOG, or none]
    #[arg(long, value_name = "FORM")]
    pub log: Option<Form>,
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
    /// Only this folder; may be given again for others [default: all]
    #[arg(long, value_name = "FOLDER", value_parser = |text: &str| text.parse::<FolderName>())]
    pub folder: Vec<FolderName>,
    /// Only messages that came to the server on this day or later
    #[arg(long, value_name = "DATE", value_parser = parse_since)]
    pub since: Option<i64>,
    /// Change nothing on the server
    #[arg(long)]
    pub download_only: bool,
    /// Delete on the server what is here, durably; send no other change
    #[arg(long, conflicts_with = "download_only")]
    pub delete_after_fetch: bool,
    /// Only list what a fetch would bring, by the header blocks
    #[arg(long, conflicts_with_all = ["delete_after_fetch", "watch"])]
    pub headers_only: bool,
    /// Stay, and fetch as mail arrives
    #[arg(long)]
    pub watch: bool,
    /// Keep the folders as Maildirs in this directory as well, both ways
    #[arg(long, value_name = "DIR", conflicts_with = "headers_only")]
    pub maildir: Option<PathBuf>,
    /// The mailbox to fetch into; made where it is not there
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
}
