//! Why there is no message.

use std::io;
use std::path::PathBuf;

use ima_message::{
    DateError, FileNameError, HeaderError, IdError, KeyError, MailboxError, PartError, Rule,
};

use crate::source::Origin;

/// What ends the program. All of it is for the person who called it to put
/// right: the exit code is always 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The value of an option.
    #[error("--{option} {}", shown(.value))]
    Value {
        /// The option's name.
        option: &'static str,
        /// The value, as it was given.
        value: String,
        /// What is wrong with it.
        source: Wrong,
    },
    /// A default that does not fit the rest.
    #[error("no id can be made for this author, give one with --id")]
    NoId(#[source] IdError),
    /// The header block as a whole.
    #[error("the message cannot be made")]
    Whole(#[source] HeaderError),
    /// Text and HTML are both to be standard input.
    #[error("--html -: standard input is the text; take the text from a file with --text FILE")]
    StdinTwice,
    /// A file cannot be opened.
    #[error("{0}: cannot be opened")]
    Open(Origin, #[source] io::Error),
    /// A file cannot be read, or what came through a pipe cannot be kept.
    #[error("{0}: cannot be read or kept")]
    Read(Origin, #[source] io::Error),
    /// A text is not UTF-8.
    #[error(
        "{origin}: line {line}, octet {octet} of the file: not UTF-8, which text must be; convert it with iconv(1), or attach it as FILE:application/octet-stream"
    )]
    Utf8 {
        /// Which file.
        origin: Origin,
        /// The line, from 1.
        line: u64,
        /// The octet, from 1, counted from the beginning of the file.
        octet: u64,
    },
    /// A file is not what it was when it was digested.
    #[error(
        "{0}: changed while the message was made; what was written is cut short and nobody will take it, so make the message again"
    )]
    Changed(Origin),
    /// A file is standard output, too.
    #[error("{0}: is standard output, too; write the message to another file")]
    Output(Origin),
    /// What is written is not taken.
    #[error("standard output: the message could not be written, and nobody has it")]
    Write(#[source] io::Error),
    /// A key file cannot be read.
    #[error("--sign {}: cannot be read", .0.display())]
    KeyRead(PathBuf, #[source] io::Error),
    /// A key file is none.
    #[error("--sign {}", .0.display())]
    Key(PathBuf, #[source] KeyError),
    /// A key whose time is over or has not come.
    #[error(
        "--sign {}: the key is not valid now, so nobody would take its signature; make another with make-ima-key(1)", .0.display()
    )]
    KeyTime(PathBuf),
    /// The message has no room for a signature.
    #[error("--sign {}: no room for another signature in the header block", .0.display())]
    Signature(PathBuf),
}

/// What can be wrong with the value of an option.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Wrong {
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    #[error(
        "two addresses: write `Bob Ng <bob@b.test>` or `bob@b.test Bob Ng`, with one address only"
    )]
    TwoAddresses,
    #[error("one address is meant: give the option again for each further one")]
    Several,
    #[error(transparent)]
    Id(#[from] IdError),
    #[error(transparent)]
    Date(#[from] DateError),
    #[error(transparent)]
    Part(#[from] PartError),
    #[error(transparent)]
    Rule(#[from] Rule),
    #[error("{0:?} cannot stand in a header field, which is one line")]
    Character(char),
    #[error("a field is written as NAME=VALUE")]
    NoEquals,
    #[error("the field {0} has an option of its own: {1}")]
    HasOption(&'static str, &'static str),
    #[error("the field {0} is made from the parts of the message")]
    Computed(&'static str),
    #[error("the field {0} is added on the way, and not by the author")]
    Transport(&'static str),
    #[error("nothing stands before the colon: write FILE:TYPE")]
    NoFile,
    #[error(
        "standard input has no file name to attach it under: write it to a file first, or name a file that is called - as ./-"
    )]
    Stdin,
    #[error("it ends in no file name to attach it under")]
    NoName,
    #[error("its name is not UTF-8: rename it, or link it under another name")]
    NameUtf8,
    #[error("cannot be attached under its name: rename it, or link it under another name")]
    Name(#[source] FileNameError),
}

/// A value in quotes, its beginning only where it is long.
fn shown(value: &str) -> String {
    const MOST: usize = 80;
    match value.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}…", value.get(..end).unwrap_or_default()),
        None => format!("{value:?}"),
    }
}
