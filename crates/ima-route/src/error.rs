//! What can be wrong with routes: in the text of one entry, in a line of a
//! route file, or in the table as a whole.

use std::io;
use std::path::PathBuf;

use ima_message::{Address, AddressError, Hostpart, HostpartError};

/// Why the text of one entry is not a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The key is no address.
    #[error("the route {key:?} is for no address: {source}; a key is an address or \"*@host\"")]
    Key {
        /// As written.
        key: String,
        /// The rule that it breaks.
        source: AddressError,
    },
    /// The key begins with `*@`, and no hostpart follows.
    #[error("the route {key:?} is for no host: {source}; a catch-all is written \"*@host\"")]
    CatchAll {
        /// As written.
        key: String,
        /// The rule that the hostpart breaks.
        source: HostpartError,
    },
    /// Two keys are the same address in two spellings.
    #[error("the routes {first:?} and {second:?} are for one address: keep one of them")]
    Twice {
        /// The one, as written.
        first: String,
        /// The other.
        second: String,
    },
    /// None, or several, of `inbox`, `command` and `alias`.
    #[error("a route has exactly one of `inbox`, `command` and `alias`, and here are {count}")]
    NotOne {
        /// How many there are.
        count: usize,
    },
    /// An inbox, a command, its first word, or an alias that says nothing.
    #[error("`{key}` is empty: {wanted}")]
    Empty {
        /// `inbox`, `command` or `alias`.
        key: &'static str,
        /// What would be right.
        wanted: &'static str,
    },
    /// A NUL, which can stand neither in a path nor in an argument.
    #[error("`{key}` holds a NUL, which can stand neither in a path nor in an argument")]
    Nul {
        /// `inbox` or `command`.
        key: &'static str,
    },
    /// A placeholder that does not exist.
    #[error(
        "there is no placeholder {{{word}}}: there are {{localpart}}, {{hostpart}} and {{address}}"
    )]
    UnknownPlaceholder {
        /// What stands in the braces.
        word: String,
    },
    /// A placeholder in the name of the program.
    #[error(
        "{{{word}}} cannot stand in the name of the program, {program:?}: a sender would choose what is run"
    )]
    ProgramPlaceholder {
        /// What stands in the braces.
        word: &'static str,
        /// The command's first word.
        program: String,
    },
    /// A placeholder in an alias.
    #[error(
        "{target:?} in `alias`: an alias names addresses, and placeholders are not filled in there"
    )]
    AliasPlaceholder {
        /// As written.
        target: String,
    },
    /// What an alias names is no address.
    #[error("{target:?} in `alias` is no address: {source}")]
    Target {
        /// As written.
        target: String,
        /// The rule that it breaks.
        source: AddressError,
    },
}

/// Why a line of a route file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// More octets than a line may have.
    #[error("a line has at most {} octets", crate::MAX_LINE)]
    TooLong,
    /// The file does not end in a line feed, so it may have been cut short.
    #[error("the last line does not end in a line feed; has the file been written whole?")]
    CutShort,
    /// No TAB between address and value.
    #[error("a line is an address, one TAB, and a value like {{ inbox = \"…\" }}")]
    NoTab,
    /// The address is not in the form that is compared.
    #[error(
        "the address of a line is written in lower case, its host as A-labels (xn--…), or it is not found"
    )]
    NotCanonical,
    /// The lines are not in order.
    #[error("the lines are not in the order of their octets: sort the file with `LC_ALL=C sort`")]
    NotSorted,
    /// The same address as the line before.
    #[error("the address stands on two lines: keep one of them")]
    Twice,
    /// The value is not UTF-8.
    #[error("the value is not UTF-8")]
    NotUtf8,
    /// The value is no TOML value, or no route.
    #[error("the value is no route: {0}")]
    Value(String),
}

/// Why there is no routing table, or no answer from it. None of these is the
/// fault of whoever sent a message.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// A route for a host that is not ours.
    #[error(
        "the route \"{entry}\" is for a host that is not in `hosts`: add {host} there, or take the route away"
    )]
    KeyHost {
        /// The key, as written.
        entry: String,
        /// Its hostpart.
        host: Hostpart,
    },
    /// An alias to an address elsewhere.
    #[error(
        "the alias \"{entry}\" leads to {target}, whose host is not in `hosts`: an alias names addresses of these hosts only"
    )]
    AliasHost {
        /// The key, as written.
        entry: String,
        /// The address.
        target: Address,
    },
    /// An alias to an address that has no route.
    #[error(
        "the alias \"{entry}\" leads to {target}, which has no route: add one, or take the address out of the alias"
    )]
    AliasWithoutRoute {
        /// The key, as written.
        entry: String,
        /// The address.
        target: Address,
    },
    /// An alias that leads to itself.
    #[error("an alias leads back to itself: {}; take one of these steps away", .entries.join(" → "))]
    AliasLoop {
        /// The keys on the way, the first again at the end.
        entries: Vec<String>,
    },
    /// A route file cannot be opened or read.
    #[error("the route file {} cannot be read", .file.display())]
    File {
        /// Its path.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A route file holds a line that cannot be used.
    #[error("the route file {}, at octet {offset}", .file.display())]
    Line {
        /// Its path.
        file: PathBuf,
        /// Where the line begins, from 0.
        offset: u64,
        /// Why.
        source: LineError,
    },
}
