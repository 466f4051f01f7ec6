//! The commands and their options.

use std::path::PathBuf;

use ima_message::{Address, AddressError};

/// Adds, lists and removes those who may log in, and sets what they log in with.
#[derive(Debug, clap::Parser)]
#[command(name = crate::PROGRAM, version)]
pub(crate) struct Args {
    /// The configuration that names the users [default: server-post-office.toml
    /// in $EMEMO_CONFIG_DIR or /etc/ememo]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Let somebody log in, and make their mailbox where it is missing
    Add {
        /// Who it is
        #[arg(value_name = "ADDRESS", value_parser = user)]
        address: Address,

        /// The folder of their mailbox
        #[arg(long, value_name = "DIR")]
        mailbox: PathBuf,

        /// An address that they may write as, in place of their own; several are
        /// possible
        #[arg(long = "sender", value_name = "ADDRESS", value_parser = Address::parse)]
        senders: Vec<Address>,
    },
    /// Print who may log in, and with what
    List {
        /// Print an object a line, for programs
        #[arg(long)]
        json: bool,
    },
    /// Let somebody log in no more; the mailbox stays
    Remove {
        /// Who it is
        #[arg(value_name = "ADDRESS", value_parser = user)]
        address: Address,
    },
    /// Set a password: from the terminal, or one line from stdin
    Password {
        /// Whose it is
        #[arg(value_name = "ADDRESS", value_parser = user)]
        address: Address,

        /// Keep the passwords that there are
        #[arg(long, conflicts_with = "remove")]
        add: bool,

        /// Take the passwords away, and set none
        #[arg(long)]
        remove: bool,
    },
    /// Enrol a client certificate, make one, or withdraw one
    #[command(group(clap::ArgGroup::new("what").required(true)))]
    Certificate {
        /// Whose it is
        #[arg(value_name = "ADDRESS", value_parser = user)]
        address: Address,

        /// Enrol the certificate in this PEM file, by its key
        #[arg(long, value_name = "FILE", group = "what")]
        enrol: Option<PathBuf>,

        /// Make a key and a certificate in this folder, for the user to take
        /// away, and enrol it
        #[arg(long, value_name = "DIR", group = "what")]
        make: Option<PathBuf>,

        /// Withdraw a certificate: its PEM file, or sha256:… as `list` prints it
        #[arg(long, value_name = "FILE|DIGEST", group = "what")]
        withdraw: Option<PathBuf>,
    },
}

/// Why an address is no user's.
#[derive(Debug, thiserror::Error)]
enum UserError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("what follows + is a tag, and a user has none: give {0}")]
    Tag(String),
}

fn user(text: &str) -> Result<Address, UserError> {
    let address = Address::parse(text)?;
    match address.without_tag() {
        None => Ok(address),
        Some(without) => Err(UserError::Tag(without.canonical())),
    }
}
