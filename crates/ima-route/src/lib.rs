//! The routing table: where the mail for an address goes.
//!
//! An address is looked up as it is, then without its tag, then as `*@host`;
//! each in the table of the configuration file, then in the route files. It
//! leads to an inbox, to a command, or as an alias to other addresses of our
//! own hosts. The manual page server-handle-incoming-mail.toml(5) describes
//! both forms. This crate delivers nothing: it says where to.

mod alias;
mod destination;
mod entry;
mod error;
mod pattern;
mod route_file;
mod sorted_lines;
mod table;

pub use destination::{Action, Destination};
pub use entry::RoutesToml;
pub use error::{EntryError, LineError, RouteError};
pub use sorted_lines::MAX_LINE;
pub use table::RoutingTable;
