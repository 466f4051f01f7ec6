//! Who is served, and where: every recipient of ours looked up before anything
//! is delivered.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use ima_mailbox::Folder;
use ima_message::{Address, HeaderBlock};
use ima_program::{log, report};
use ima_route::{Action, Destination, RoutingTable};

use crate::failure::Failure;
use crate::inbox::{self, Presence};

/// The recipients of ours and the places that the message goes to for them.
#[derive(Default)]
pub(crate) struct Plan {
    /// Recipients that nobody has, in order.
    pub(crate) unknown: Vec<Address>,
    /// Recipients that cannot be looked up now.
    pub(crate) faulty: Vec<Address>,
    /// Recipients that share their places.
    pub(crate) groups: Vec<Group>,
    /// Each place once.
    pub(crate) places: Vec<Place>,
}

/// Recipients with the same places: one, or all the spellings and tags of an
/// alias.
pub(crate) struct Group {
    pub(crate) recipients: Vec<Address>,
    /// How many places there are.
    pub(crate) places: usize,
}

/// A place that the message goes to.
pub(crate) struct Place {
    pub(crate) destination: Destination,
    /// The recipient it is reached by first: its `bcc` is kept.
    pub(crate) written: Address,
    /// Those who are served there.
    pub(crate) groups: Vec<usize>,
    /// Whether it is an inbox that is missing and should not be.
    pub(crate) missing: bool,
    /// An inbox that was opened to ask whether it can take the message: it need
    /// not be opened again for that.
    pub(crate) folder: OnceLock<Arc<Folder>>,
}

/// So many inboxes are kept open from the check to the delivery at most.
pub(crate) const CROWD: usize = 100;

impl Plan {
    /// Looks up the recipients whose hosts are ours; the others are some other
    /// server's.
    ///
    /// # Errors
    /// None is ours.
    pub(crate) fn new(table: &RoutingTable, header: &HeaderBlock) -> Result<Self, Failure> {
        let mut planner = Planner::default();
        let mut any = false;
        for recipient in header.recipients() {
            if table.is_ours(recipient.hostpart()) {
                any = true;
                planner.add(table, recipient, header);
            }
        }
        if !any {
            return Err(Failure::NoneOfOurs);
        }
        Ok(planner.plan)
    }
}

/// So many places are compared one by one with a further one.
const FEW: usize = 8;

/// A plan in the making.
#[derive(Default)]
struct Planner {
    plan: Plan,
    /// The places, once there are more than a few.
    places: HashMap<Destination, usize>,
    /// Groups by what the table gave for them, which is the same allocation for
    /// the same alias; it is held so that no other takes its place in memory.
    groups: HashMap<*const Destination, (usize, Arc<[Destination]>)>,
}

impl Planner {
    fn add(&mut self, table: &RoutingTable, recipient: &Address, header: &HeaderBlock) {
        let destinations = match table.look_up(recipient) {
            Ok(Some(destinations)) => destinations,
            Ok(None) => return self.plan.unknown.push(recipient.clone()),
            Err(error) => {
                log::error("look-up-failed")
                    .field("digest", header.digest())
                    .field("recipient", recipient)
                    .field("error", report::chain(&error))
                    .emit();
                return self.plan.faulty.push(recipient.clone());
            }
        };
        let key = destinations.as_ptr();
        if let Some((group, _)) = self.groups.get(&key) {
            if let Some(group) = self.plan.groups.get_mut(*group) {
                group.recipients.push(recipient.clone());
            }
            return;
        }
        // What an alias names is there, or the alias is wrong: that is no
        // reason to refuse those who write to it.
        let direct = destinations
            .first()
            .filter(|first| destinations.len() == 1 && first.address == *recipient);
        let known = direct.map(presence);
        if known == Some(Presence::Nobody) {
            return self.plan.unknown.push(recipient.clone());
        }
        let group = self.plan.groups.len();
        self.plan.groups.push(Group {
            recipients: vec![recipient.clone()],
            places: destinations.len(),
        });
        for destination in destinations.iter() {
            self.place(destination, recipient, group, known);
        }
        self.groups.insert(key, (group, destinations));
    }

    fn place(
        &mut self,
        destination: &Destination,
        recipient: &Address,
        group: usize,
        known: Option<Presence>,
    ) {
        let there = self.index_of(destination);
        if let Some(place) = there.and_then(|index| self.plan.places.get_mut(index)) {
            place.groups.push(group);
            return;
        }
        self.plan.places.push(Place {
            destination: destination.clone(),
            written: recipient.clone(),
            groups: vec![group],
            missing: known.unwrap_or_else(|| presence(destination)) != Presence::There,
            folder: OnceLock::new(),
        });
    }

    /// Where this place stands, if it does already.
    fn index_of(&mut self, destination: &Destination) -> Option<usize> {
        let places = &self.plan.places;
        if places.len() <= FEW {
            let mut places = places.iter();
            return places.position(|place| place.destination == *destination);
        }
        let new = places.iter().enumerate().skip(self.places.len());
        let new = new.map(|(index, place)| (place.destination.clone(), index));
        self.places.extend(new);
        self.places.get(destination).copied()
    }
}

fn presence(destination: &Destination) -> Presence {
    match &destination.action {
        Action::Inbox {
            path,
            base,
            from_pattern,
        } => inbox::presence(path, base, *from_pattern),
        Action::Command(_) => Presence::There,
    }
}

/// The distinct recipients of some groups, in the order of the message.
pub(crate) fn recipients_of(plan: &Plan, groups: &HashSet<usize>) -> Vec<Address> {
    let chosen = plan
        .groups
        .iter()
        .enumerate()
        .filter(|(index, _)| groups.contains(index));
    chosen
        .flat_map(|(_, group)| group.recipients.iter().cloned())
        .collect()
}
