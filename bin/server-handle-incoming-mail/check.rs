//! `--check`: whether the message could be delivered.

use std::collections::HashSet;

use ima_mailbox::OpenFolders;
use ima_message::{HandlerLine, HeaderBlock};
use ima_program::exit::Exit;
use ima_route::Action;

use crate::inbox;
use crate::outcome::not_looked_up;
use crate::plan::{CROWD, Plan, recipients_of};

/// A line, with its LF, for each recipient that cannot be served; and what that
/// means for the message: nothing stands against it, nobody has an address, or a
/// fault of ours.
pub(crate) fn check(plan: &Plan, header: &HeaderBlock, open: &mut OpenFolders) -> (String, Exit) {
    let mut lines = String::new();
    if !plan.unknown.is_empty() {
        for recipient in &plan.unknown {
            lines += &format!("{}\n", HandlerLine::NoRecipient(recipient.clone()));
        }
        return (lines, Exit::Refused);
    }
    let full = recipients_of(plan, &cannot_take(plan, header, open));
    let deferred = plan.faulty.iter().map(not_looked_up);
    for line in deferred.chain(full.iter().map(inbox::cannot_take)) {
        lines += &format!("{line}\n");
    }
    let exit = match lines.is_empty() {
        true => Exit::Done,
        false => Exit::Unfinished,
    };
    (lines, exit)
}

/// The groups that have an inbox which cannot take the message.
fn cannot_take(plan: &Plan, header: &HeaderBlock, open: &mut OpenFolders) -> HashSet<usize> {
    let full = plan.places.iter().filter(|place| {
        let Action::Inbox { path, .. } = &place.destination.action else {
            return false;
        };
        if place.missing {
            inbox::log_missing(path, &place.written, header.digest());
            return true;
        }
        let Some(folder) = inbox::can_take(path, &place.written, header, open) else {
            return true;
        };
        if plan.places.len() <= CROWD {
            // Nobody else has asked.
            let _ = place.folder.set(folder);
        }
        false
    });
    full.flat_map(|place| place.groups.iter().copied())
        .collect()
}
