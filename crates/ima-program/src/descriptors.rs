//! How many descriptors a process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::log;

/// Asks for as many descriptors as the system allows: a connection takes up to
/// five with the pipes of its command, or eight with an open folder. Where that
/// fails, it is logged, and the limit stays what it was.
pub fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn("descriptor-limit").field("error", error).emit();
    }
}
