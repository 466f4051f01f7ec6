//! What this program can reach once it speaks with a server, which may have been
//! taken over: the mailbox here, and what it takes to find the server again.

use std::path::Path;

use ima_program::confinement::Confinement;
use ima_program::log;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use crate::args::Args;
use crate::config::{Account, Proof};
use crate::failure::Failure;
use crate::mirror::above;

/// What a server's name is looked up with, and the directories into which programs
/// that manage the network put what the first is a link to.
const NAMES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];
const MANAGERS: [&str; 3] = [
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
];

/// Confines this thread, and those that it begins, to the directories of the
/// options; to the one above where one of them is still to be made. Whoever stays can
/// read again what may change. Nobody is confined who may have to run a command for
/// the password again.
///
/// # Errors
/// A fault.
pub fn enter(args: &Args, account: &Account) -> Result<(), Failure> {
    if args.watch && matches!(account.proof, Proof::Command(..)) {
        return Ok(());
    }
    if !Confinement::is_possible() {
        if log::chosen().is_some() {
            log::info("no-landlock")
                .field("consequence", "this program is confined by itself alone")
                .emit();
        }
        return Ok(());
    }
    let mut confinement = Confinement::default().connects();
    for names in NAMES.map(Path::new) {
        confinement = match args.watch {
            // They are replaced by others, in time.
            true => confinement.reads_beside(names),
            false => confinement.reads_file(names),
        };
    }
    if args.watch {
        for manager in MANAGERS {
            confinement = confinement.reads_beside(&Path::new(manager).join("resolv.conf"));
        }
        for file in &account.files {
            confinement = confinement.reads_beside(file);
        }
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
        // What is wrong with it is said by whoever needs it.
        if let Ok(opened) = opened {
            confinement = confinement.changes(opened);
        }
    }
    confinement.enter().map_err(Failure::Confinement)
}
