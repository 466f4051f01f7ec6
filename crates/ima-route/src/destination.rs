//! Where a message goes for an address.

use std::hash::{Hash, Hasher};
use std::path::PathBuf;

use ima_message::Address;

/// One place that a message goes to, with every placeholder filled in. Two are
/// equal where serving the one serves the other: the same inbox, or the same
/// command for the same address.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Who is served there: the address that was looked up, or for an alias the
    /// one that it names.
    pub address: Address,
    /// What is done.
    pub action: Action,
}

/// What is done with a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It is stored in a mailbox's folder.
    Inbox {
        /// The folder, absolute where the configuration's folder is.
        path: PathBuf,
        /// The part of the path that no address can choose: up to the last `/`
        /// before the first placeholder, or all of it where there is none.
        base: PathBuf,
        /// Whether the route has placeholders, so that an address may name a
        /// mailbox that does not exist.
        from_pattern: bool,
    },
    /// A program is run with these arguments and, behind them, the address. A
    /// relative program with a `/` is to be found from the configuration's
    /// folder.
    Command(Vec<String>),
}

impl PartialEq for Destination {
    fn eq(&self, other: &Self) -> bool {
        let one_place = self.action == other.action;
        one_place && (matches!(self.action, Action::Inbox { .. }) || self.address == other.address)
    }
}

impl Eq for Destination {}

impl Hash for Destination {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.action.hash(state);
        if matches!(self.action, Action::Command(_)) {
            self.address.hash(state);
        }
    }
}
