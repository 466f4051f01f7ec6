//! Why there are no users.

use std::io;
use std::path::PathBuf;

use ima_program::config::ConfigError;

/// Why a users file, or a folder of them, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// There is nothing at this path.
    #[error("{}: there are no users here; `server-user add` makes this, or `users` is to name another file or folder", .path.display())]
    NotThere {
        /// What `users` names.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("{}: these users cannot be read", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is neither a file nor a folder.
    #[error("{}: users are in a file, or in the *.toml files of a folder, and this is neither", .path.display())]
    Kind {
        /// What was looked at.
        path: PathBuf,
    },
    /// Anybody on the machine could enrol themselves.
    #[error("{0}: everybody may write here, and so log in as anybody; take the right away with `chmod o-w {0}`", .path.display())]
    Writable {
        /// The file or folder.
        path: PathBuf,
    },
    /// The file is not right.
    #[error(transparent)]
    Wrong(#[from] ConfigError),
    /// Two entries for one user.
    #[error(
        "{address} stands in {first} and in {second}, perhaps in two spellings: keep one of them"
    )]
    Twice {
        /// In the form that is compared.
        address: String,
        /// File and line of the one.
        first: String,
        /// File and line of the other.
        second: String,
    },
}
