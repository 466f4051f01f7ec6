//! `--check`: whether the message could be delivered.

use std::collections::HashSet;
use std::io::Write;

use ima_message::{HandlerLine, HeaderBlock};
use ima_program::exit::Exit;
use ima_route::Action;

use crate::inbox;
use crate::outcome::not_looked_up;
use crate::plan::{Plan, recipients_of};

/// Prints a line for each recipient that cannot be served, and says what it
/// means for the message: nothing stands against it, nobody has an address, or
/// a fault of ours.
pub(crate) fn check(plan: &Plan, header: &HeaderBlock, mut stdout: impl Write) -> Exit {
    let mut lines = String::new();
    let mut exit = Exit::Done;
    if plan.unknown.is_empty() {
        let full = recipients_of(plan, &cannot_take(plan, header));
        let deferred = plan.faulty.iter().map(not_looked_up);
        for line in deferred.chain(full.iter().map(inbox::cannot_take)) {
            lines += &format!("{line}\n");
            exit = Exit::Unfinished;
        }
    } else {
        for recipient in &plan.unknown {
            lines += &format!("{}\n", HandlerLine::NoRecipient(recipient.clone()));
        }
        exit = Exit::Refused;
    }
    match stdout
        .write_all(lines.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => exit,
        Err(_) => Exit::Unfinished,
    }
}

/// The groups that have an inbox which cannot take the message.
fn cannot_take(plan: &Plan, header: &HeaderBlock) -> HashSet<usize> {
    let full = plan.places.iter().filter(|place| {
        let Action::Inbox { path, .. } = &place.destination.action else {
            return false;
        };
        if place.missing {
            inbox::log_missing(path, &place.written);
        }
        place.missing || !inbox::can_take(path, &place.written, header)
    });
    full.flat_map(|place| place.groups.iter().copied())
        .collect()
}
