//! What a process of this suite needs: an exit code, a configuration, a voice,
//! a place for octets that came through a pipe, and children that behave.
//!
//! Nothing here knows mail, and nothing is done before it is asked for: no
//! global set-up, no thread, no signal handler, no file read in advance, so
//! that a filter starts in about a millisecond.

pub mod child;
pub mod config;
#[cfg(feature = "confinement")]
pub mod confinement;
pub mod descriptors;
pub mod escape;
pub mod exit;
pub mod log;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "separation")]
pub mod monitor;
pub mod options;
pub mod program;
pub mod readiness;
pub mod report;
pub mod server;
pub mod spool;

pub use exit::Exit;
