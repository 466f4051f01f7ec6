//! The inner loops: what is done for each message, or for each octet of it.
//!
//!     cargo bench --manifest-path tests/bench/Cargo.toml
//!
//! Journals lie in memory where there is /dev/shm: what is measured is what the
//! suite does, not what a disk does.

#[path = "inner/journal.rs"]
mod journal;
#[path = "inner/message.rs"]
mod message;
#[path = "inner/routing.rs"]
mod routing;

fn main() {
    divan::main();
}
