//! What this program can reach once it speaks with a server, which may have been
//! taken over: the mailbox here, and what it takes to find the server again.

use std::path::Path;

use ima_program::confinement::Confinement;
use ima_program::log;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use crate::args::Args;
use crate::failure::Failure;
use crate::mirror::above;

/// What a server's name is looked up with.
const NAMES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// Confines this thread, and those that it begins, to the directories of the
/// options; to the one above where one of them is still to be made.
///
/// # Errors
/// A fault.
pub fn enter(args: &Args) -> Result<(), Failure> {
    if !Confinement::is_possible() {
        log::info("no-landlock")
            .field("consequence", "this program is confined by itself alone")
            .emit();
        return Ok(());
    }
    let mut confinement = Confinement::default().connects();
    for names in NAMES {
        confinement = confinement.reads_beside(Path::new(names));
    }
    for directory in [Some(&args.directory), args.maildir.as_ref()]
        .into_iter()
        .flatten()
    {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match open(directory, flags, Mode::empty()) {
            Err(Errno::NOENT) => open(above(directory), flags, Mode::empty()),
            opened => opened,
        };
        let opened = opened.map_err(|e| Failure::io("open", directory)(e.into()))?;
        confinement = confinement.changes(opened);
    }
    confinement.enter().map_err(Failure::Confinement)
}
