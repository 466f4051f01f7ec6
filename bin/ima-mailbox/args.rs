//! The commands and their options.

use std::path::PathBuf;

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
}
