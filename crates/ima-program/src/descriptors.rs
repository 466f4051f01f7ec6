//! How many descriptors a process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::log;

/// Asks for as many descriptors as the system allows. Where that fails, it is
/// logged, and the limit stays what it was.
pub fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn("descriptor-limit").field("error", error).emit();
    }
}

/// The same, for a process that needs `needed` of them where all limits are
/// reached that `keys` of the configuration set. Where it may have fewer, that is
/// logged, with what to do; it works all the same, until they are used up.
pub fn raise_limit_to(needed: u64, keys: &str) {
    raise_limit();
    if let Some(limit) = getrlimit(Resource::Nofile).current
        && limit < needed
    {
        log::warn("few-descriptors")
            .field("limit", limit)
            .field("needed", needed)
            .field("advice", advice(limit, needed, keys))
            .emit();
    }
}

fn advice(limit: u64, needed: u64, keys: &str) -> String {
    format!(
        "this process may have {limit} files open, and needs {needed} where its limits are reached: raise that (LimitNOFILE of systemd, ulimit -Hn) to {needed}, or lower {keys}"
    )
}
