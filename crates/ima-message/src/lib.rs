//! The IMA message, and the words that programs say about messages: octets to
//! values and back.
//!
//! A message is a header block and the data that it announces; the manual page
//! ima-message(5) gives the grammar. This crate opens nothing, decides nothing
//! and knows no clock. What its types hold cannot be wrong: a [`HeaderBlock`]
//! keeps every rule of the format, the mathematics of its signatures included.

mod address;
mod data;
mod date;
mod digest;
mod entry;
mod folder_name;
mod handler_line;
mod header;
mod host;
mod id;
mod key;
pub mod limits;
mod part;
mod received;
mod signature;
mod size;
pub mod text;
mod text_form;
mod token;

pub use address::{Address, AddressError, Localpart, Mailbox, MailboxError};
pub use data::{CopyError, DataError, DataVerifier, copy_verified};
pub use date::{DateError, DateTime};
pub use digest::{DigestError, Digester, MessageDigest, PartDigest};
pub use entry::{Entry, EntryError, Flag, FlagChange, FlagError};
pub use folder_name::{FolderName, FolderNameError};
pub use handler_line::{Cookie, HandlerLine};
pub use header::{Field, HeaderBlock, HeaderError, ReadError, Rule};
pub use host::{Hostpart, HostpartError};
pub use id::{IdError, MessageId};
pub use key::{KeyError, KeyFile, KeyLine};
pub use part::{FileName, FileNameError, MediaType, Part, PartError};
pub use received::{Author, Received, ReceivedError};
pub use signature::{Signature, SignatureError, Signer};
pub use size::{ByteSize, SizeError};
pub use token::{Generation, Token, TokenError};
