//! The options.

use std::path::{Path, PathBuf};

/// Shows a message to a person or a script, verifies it, or takes its attachments out.
#[derive(Debug, clap::Parser)]
#[command(name = crate::PROGRAM, version)]
pub(crate) struct Args {
    /// Print a line for each part and each signature: whether it is right
    #[arg(long)]
    pub(crate) verify: bool,

    /// Take the keys in FILE, lines as make-ima-key prints them, for published
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,

    /// Write the attachments into DIR, never over anything, and print where
    #[arg(long, value_name = "DIR", conflicts_with_all = ["verify", "keys", "json"])]
    pub(crate) extract: Option<PathBuf>,

    /// Print the header block as one JSON object
    #[arg(long)]
    pub(crate) json: bool,

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
