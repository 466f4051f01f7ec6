//! Why DNS gives no answer.

use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use ima_program::escape::visible;

/// Most aliases (CNAME) in a row.
pub(super) const ALIASES: usize = 8;
/// Longest text of an error that may hold what a peer sent.
const TEXT: usize = 200;

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// A server of a service.
    Srv,
}

impl std::fmt::Display for RecordKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RecordKind::A => "A",
            RecordKind::Aaaa => "AAAA",
            RecordKind::Srv => "SRV",
        })
    }
}

/// Why DNS has no answer to a question.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NameError {
    /// The name does not exist (NXDOMAIN).
    #[error("there is no such name")]
    NoSuchName,
    /// The name is longer than a name can be.
    #[error("the name is too long for DNS")]
    TooLong,
    /// The server answered with an error of its own.
    #[error("{}", words(*.0))]
    Answered(u16),
    /// Nobody answered.
    #[error("no answer came: is that server up, and can it be reached by UDP and TCP?")]
    Silent,
    /// The server cannot be reached.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// Aliases lead in a circle, or too far.
    #[error(
        "the aliases (CNAME) lead in a circle, or over more than {ALIASES} names: the owner of the name must mend them"
    )]
    Aliases,
    /// The answer cannot be read.
    #[error("the answer cannot be used: {0}")]
    Broken(String),
    /// The resolver could not be set up.
    #[error("{0}")]
    NoResolver(String),
}

impl NameError {
    /// What the resolver says; None where it says that there are no records.
    pub(super) fn of(error: NetError) -> Option<NameError> {
        let code = match error {
            NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. })) => {
                response_code
            }
            NetError::Dns(DnsError::ResponseCode(code)) => code,
            NetError::Timeout | NetError::NoConnections | NetError::Busy => {
                return Some(NameError::Silent);
            }
            NetError::Io(error) => return Some(NameError::Unreachable(short(&error))),
            error => return Some(NameError::broken(&error)),
        };
        match code {
            ResponseCode::NoError => None,
            ResponseCode::NXDomain => Some(NameError::NoSuchName),
            code => Some(NameError::Answered(u16::from(code))),
        }
    }

    pub(super) fn broken(error: &dyn std::error::Error) -> NameError {
        NameError::Broken(short(error))
    }

    /// Whether DNS says that there are no such records, and not merely that it
    /// does not know.
    pub(crate) fn means_none(&self) -> bool {
        matches!(self, NameError::NoSuchName | NameError::TooLong)
    }

    /// Whether the owner of the name must mend it, by what DNS says.
    #[must_use]
    pub fn is_of_the_zone(&self) -> bool {
        matches!(self, NameError::NoSuchName | NameError::Aliases)
    }
}

/// A question that found no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the look-up of {name} ({kind} records) by {servers} failed: {source}")]
pub struct LookUpError {
    /// The name that was looked up.
    pub name: String,
    /// The records that were wanted.
    pub kind: RecordKind,
    /// Who was asked.
    pub servers: String,
    /// What came.
    pub source: NameError,
}

/// In one line, and not at any length: the words may be a stranger's.
pub(super) fn short(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    visible(&text).chars().take(TEXT).collect()
}

/// A response code (RFC 1035, 4.1.1) in words.
fn words(code: u16) -> String {
    let words = match code {
        1 => "FORMERR (it does not understand the question)",
        2 => "SERVFAIL (it has trouble with the name, or with the servers of that domain)",
        4 => "NOTIMP (it does not serve such questions)",
        5 => "REFUSED (it does not serve us: is it the right server?)",
        _ => return format!("DNS error {code}"),
    };
    format!("it answered {words}")
}
