//! The options.

use std::path::{Path, PathBuf};

/// Gives a message to those of its recipients who live here.
#[derive(Debug, clap::Parser)]
#[command(name = crate::PROGRAM, version)]
pub(crate) struct Args {
    /// Read the header block only, say whether the message could be delivered,
    /// and deliver nothing
    #[arg(long)]
    pub(crate) check: bool,

    /// Read the configuration from FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Stay, and serve one message after the other from standard input, as
    /// ima-handler(7) describes
    #[arg(long, conflicts_with_all = ["check", "file"])]
    pub(crate) stream: bool,

    /// The message; standard input where it is - or missing
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Args {
    /// The file that holds the message, or None for stdin.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref().filter(|file| *file != Path::new("-"))
    }
}
