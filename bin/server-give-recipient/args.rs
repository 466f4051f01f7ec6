//! The options.

use std::path::{Path, PathBuf};

use ima_message::Address;

/// Stores a message in a mailbox.
#[derive(Debug, clap::Parser)]
#[command(name = crate::PROGRAM, version)]
pub(crate) struct Args {
    /// The folder that takes the message
    #[arg(value_name = "INBOX")]
    pub(crate) inbox: PathBuf,

    /// The message; standard input where it is - or missing
    #[arg(value_name = "FILE", value_parser = no_address)]
    file: Option<PathBuf>,

    /// The recipient, as the routing table appends it; it changes nothing
    #[arg(value_name = "ADDRESS", value_parser = address)]
    _address: Option<Address>,
}

impl Args {
    /// The file that holds the message, or None for stdin.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref().filter(|file| *file != Path::new("-"))
    }
}

/// An address where the file belongs shows that a route forgot the `-`.
fn no_address(file: &str) -> Result<PathBuf, String> {
    match Address::parse(file) {
        Ok(_) => Err(format!(
            "this is an address: write a - before it for standard input (a file of that name is ./{file})"
        )),
        Err(_) => Ok(file.into()),
    }
}

fn address(address: &str) -> Result<Address, ima_message::AddressError> {
    Address::parse(address)
}
