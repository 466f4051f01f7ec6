//! What the programs say to each other, and whom they believe: TLS identities,
//! bounded framing, listening and dialling, and the protocols on top.

pub mod dial;
pub mod find;
pub mod framing;
pub mod handlers;
pub mod imdp;
pub mod imrp;
pub mod listen;
pub mod tls;
pub mod users;
