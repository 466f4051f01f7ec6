//! The options.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgGroup;

/// Makes a message of a text, files and header fields, and writes it to standard output.
#[derive(Debug, clap::Parser)]
#[command(
    name = crate::PROGRAM,
    version,
    group = ArgGroup::new("recipients").args(["to", "cc", "bcc"]).required(true).multiple(true),
)]
pub(crate) struct Args {
    /// The author
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) from: String,

    /// A recipient, repeatable
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) to: Vec<String>,

    /// A recipient of a copy, repeatable
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) cc: Vec<String>,

    /// A recipient whom the others are not shown, repeatable
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) bcc: Vec<String>,

    /// What the message is about
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) subject: Option<String>,

    /// Where answers go, if not to the author, repeatable
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) reply_to: Vec<String>,

    /// The id of the message that this one answers
    #[arg(long, value_name = "ID")]
    pub(crate) in_reply_to: Option<String>,

    /// The id of a message that came before, oldest first, repeatable
    #[arg(long, value_name = "ID")]
    pub(crate) references: Vec<String>,

    /// Take the text from FILE; - is standard input, and the default
    #[arg(long, value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,

    /// Take another form of the text, in HTML, from FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Attach FILE, of a media type like image/png, repeatable
    #[arg(long, value_name = "FILE[:TYPE]")]
    pub(crate) attach: Vec<OsString>,

    /// Add a field that has no option of its own, repeatable
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    pub(crate) header: Vec<String>,

    /// When it was written, as 2026-11-22T10:30:00+01:00; by default now
    #[arg(long, value_name = "DATE")]
    pub(crate) date: Option<String>,

    /// The message's id; by default a new one
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,

    /// Sign with the key in KEYFILE, which make-ima-key made, repeatable
    #[arg(long, value_name = "KEYFILE")]
    pub(crate) sign: Vec<PathBuf>,
}
