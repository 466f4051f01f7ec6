//! What commands leave behind them, in a process that runs many.

use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, getpid, set_child_subreaper, waitid};
use std::io;

/// From here on processes whose parent ends before them become our children,
/// where they are descendants of ours, and [`are_left`] sees them.
///
/// # Errors
/// What the system says.
pub fn adopt() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Whether we have children that still run. Those that have ended are reaped:
/// nobody else may be waiting for a child.
#[must_use]
pub fn are_left() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    loop {
        match waitid(WaitId::All, options) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}
