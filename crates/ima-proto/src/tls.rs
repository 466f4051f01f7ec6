//! Certificates in both directions, and the TLS connections that carry them.
//!
//! All that decides whom we believe lies in this folder:
//!
//! | file | what it fixes |
//! |---|---|
//! | `trust.rs` | the roots and revocation lists that a peer's chain is checked against |
//! | `verifier.rs`, `peer_check.rs` | the check of a peer's chain, the same whichever side dialled |
//! | `names.rs` | the domains that a checked certificate speaks for |
//! | `any_key.rs`, `key_digest.rs`, `key_proof.rs` | a user's certificate, of which only the key counts |
//! | `identity.rs` | our own certificates, chosen by host |
//! | `monitor.rs` | the same, for a process that holds no key |
//! | `lifetime.rs` | until when they last, and the warnings |
//! | `fresh.rs`, `pem.rs` | files that are read, and read again when they change |
//! | `server.rs`, `client.rs` | the handshake from either side |
//! | `probe.rs` | a handshake that believes nothing and judges everything, for finding faults |
//! | `secure.rs` | the connection after it |
//! | `fault.rs`, `stray.rs` | sentences for what was wrong |
//!
//! TLS 1.3 only (RFC 8446), X25519MLKEM768 first, no session resumption, no
//! tickets, no early data; ALPN (RFC 7301) must name the protocol.

mod any_key;
mod client;
mod fault;
mod fresh;
mod identity;
mod key_digest;
mod key_proof;
mod lifetime;
mod monitor;
mod names;
mod peer_check;
mod pem;
pub mod probe;
mod secure;
mod server;
mod stray;
mod timed;
mod trust;
mod verifier;

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use client::{ClientSide, UserCertificate, connect, connect_as_user};
pub use fault::TlsError;
pub use identity::{Identities, IdentityError, IdentityToml, hostparts};
pub use key_digest::{KeyDigest, KeyDigestError};
pub use key_proof::{KeyProof, KeyProofs};
pub use monitor::{KeyReply, KeyRequest, Keys, RemoteIdentities};
pub use names::VerifiedNames;
pub use pem::PemError;
pub use secure::Secure;
pub use server::{PeerInfo, ServerSide, Servers, UserPeer, Users, accept, accept_user};
pub use stray::Stray;
pub use trust::{RootSource, TrustError};
pub use verifier::{Disbelief, PeerVerifier};

/// How long a handshake may take in all, from either side.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// TLS could not be set up at all; no peer is involved.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct SetupError(#[from] rustls::Error);

/// Why the certificates, roots and revocation lists of a configuration cannot be
/// put to work.
#[derive(Debug, thiserror::Error)]
pub enum UseError {
    /// A certificate or key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Roots or revocation lists.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The cryptography.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// The one cryptography of this crate: aws-lc-rs, whose first key exchange is
/// X25519MLKEM768.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests;
