//! The commands and their options.

use std::path::PathBuf;

use ima_message::Address;

/// Looks after mailboxes.
#[derive(Debug, clap::Parser)]
#[command(name = crate::PROGRAM, version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Verify every digest and the journal, and say what is wrong
    Check {
        /// Print damage only, and no notes on what is merely left over
        #[arg(long)]
        quiet: bool,

        /// A folder, or a mailbox with all folders in it
        #[arg(value_name = "DIR", required = true)]
        dirs: Vec<PathBuf>,
    },
    /// Make an empty folder, and the mailbox that it lies in where that is missing
    Create {
        /// The folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Write journals anew, and remove what belongs to no message
    Compact {
        /// A folder, or a mailbox with all folders in it
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Mend what check finds, and say what was done
    Repair {
        /// Make every client read all of it again: the mailbox comes from a backup
        #[arg(long)]
        new_generation: bool,

        /// A folder, or a mailbox with all folders in it
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Print a line for each message: digest, time of arrival, octets, flags
    List {
        /// The folder
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// Set and remove flags of messages
    Flag {
        /// The folder
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,

        /// +FLAG sets a flag and -FLAG removes it; a DIGEST names a message, and
        /// - those that stand on standard input, one a line
        #[arg(
            value_name = "+FLAG|-FLAG|DIGEST|-",
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true
        )]
        words: Vec<String>,
    },
    /// Delete messages
    Delete {
        /// The folder
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,

        /// Messages; - is those that stand on standard input, one a line
        #[arg(value_name = "DIGEST", required = true)]
        digests: Vec<String>,
    },
    /// Move messages to another folder of the same mailbox
    Move {
        /// The folder in which they are
        #[arg(value_name = "FOLDER")]
        from: PathBuf,

        /// The folder in which they are to be
        #[arg(value_name = "FOLDER")]
        to: PathBuf,

        /// Messages; - is those that stand on standard input, one a line
        #[arg(value_name = "DIGEST", required = true)]
        digests: Vec<String>,
    },
    /// Write messages to standard output, to a Maildir or to an mbox
    Export {
        /// Write RFC 5322 mail into this Maildir, what is not there yet
        #[arg(long, value_name = "OUT", conflicts_with = "mbox")]
        maildir: Option<PathBuf>,

        /// Write RFC 5322 mail into this new file; - is standard output
        #[arg(long, value_name = "FILE")]
        mbox: Option<PathBuf>,

        /// A folder, or a mailbox with all folders in it
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Store messages from standard input, from a Maildir or from an mbox
    Import {
        /// Read RFC 5322 mail from this Maildir and those in it
        #[arg(long, value_name = "IN", conflicts_with = "mbox")]
        maildir: Option<PathBuf>,

        /// Read RFC 5322 mail from this file; - is standard input
        #[arg(long, value_name = "FILE")]
        mbox: Option<PathBuf>,

        /// Whose mail it is, where mailbox.toml does not say it
        #[arg(long, value_name = "ADDRESS", value_parser = |text: &str| Address::parse(text))]
        owner: Option<Address>,

        /// The folder
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
}
