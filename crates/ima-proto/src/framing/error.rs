//! Why reading from or writing to a network failed.

use std::io::{self, ErrorKind};

use crate::tls::TlsError;

/// Why a line or a block could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The peer closed, properly, before any octet of this line.
    #[error("the peer closed the connection")]
    Closed,
    /// The connection ended within a line or a block, or without close_notify.
    #[error("the connection broke off before the end")]
    Truncated,
    /// More than [`MAX_LINE`](super::MAX_LINE) octets without LF, or a block over its limit.
    #[error("longer than the {limit} octets that are allowed here")]
    TooLong {
        /// The limit, in octets.
        limit: u64,
    },
    /// A line that is not UTF-8, or holds a control or a noncharacter.
    #[error("a line that is not text: UTF-8 without control characters is asked for")]
    NotText,
    /// A deadline passed: the line's, the stall time, or the message's.
    #[error("the peer took too long")]
    TimedOut,
    /// TLS failed: above all, the peer refused our certificate.
    #[error(transparent)]
    Tls(TlsError),
    /// Any other fault of the connection.
    #[error("the connection failed: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> WireError {
        let error = match error.downcast::<TlsError>() {
            Ok(found) => return WireError::Tls(found),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::UnexpectedEof => WireError::Truncated,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => WireError::TimedOut,
            _ => WireError::Io(error),
        }
    }
}

/// Why a counted block did not reach its sink.
#[derive(Debug, thiserror::Error)]
pub enum BlockError<E> {
    /// The wire failed.
    #[error("{0}")]
    Wire(WireError),
    /// The sink refused; the rest of the block is still unread.
    #[error("{0}")]
    Sink(E),
}

impl<E> From<WireError> for BlockError<E> {
    fn from(error: WireError) -> BlockError<E> {
        BlockError::Wire(error)
    }
}
