//! What was changed here, done on the server.

use std::collections::VecDeque;

use ima_message::{FlagChange, FolderName, MessageDigest};
use ima_program::report::chain;
use ima_proto::imrp::{Answer, Stored};

use crate::failure::Failure;
use crate::merge::Deed;
use crate::part::Part;
use crate::plan::{Order, Plan, setting, touched};
use crate::round::Run;

/// Flags that one question changes.
const FLAGS_AT_ONCE: usize = 64;
/// Questions whose answers are not taken yet.
const AHEAD: usize = 512;
/// What a server says, by imrp(7), of a message that is not in the folder.
const ABSENT: &str = "no such message";

/// A question that the server has yet to answer.
struct Question {
    order: Order,
    is_store: bool,
}

impl Run<'_> {
    /// What [`Run::send`] will tell the server is put into the state.
    pub fn announce(&mut self, parts: &mut [Part], plan: &Plan) {
        for order in plan.stores.iter().chain(&plan.orders) {
            for at in touched(&order.deed) {
                let Some(part) = parts.get_mut(at) else {
                    continue;
                };
                part.is_asked = true;
                let sent = &mut self.mirror.state.place_mut(&part.name).sent;
                match &order.deed {
                    Deed::Put { flags, .. } => {
                        sent.presence(order.digest, true);
                        sent.flags(order.digest, &setting(flags));
                    }
                    Deed::Flag { changes, .. } => sent.flags(order.digest, changes),
                    Deed::Delete { .. } => sent.presence(order.digest, false),
                    Deed::Move { from, changes, .. } if at == *from => {
                        sent.flags(order.digest, changes);
                        sent.presence(order.digest, false);
                    }
                    Deed::Move { flags, .. } => {
                        sent.presence(order.digest, true);
                        sent.flags(order.digest, &setting(flags));
                    }
                }
            }
        }
    }

    /// Tells the server. What it refuses is tried in another way in the next round,
    /// or said.
    ///
    /// # Errors
    /// What ended it.
    pub fn send(&mut self, parts: &mut [Part], plan: Plan) -> Result<(), Failure> {
        let mut asked = VecDeque::new();
        for order in plan.stores {
            self.store(parts, order, &mut asked)?;
        }
        for order in plan.orders {
            self.ask(parts, order, &mut asked)?;
        }
        while let Some(question) = asked.pop_front() {
            self.take(parts, question)?;
        }
        Ok(())
    }

    fn ask(
        &mut self,
        parts: &mut [Part],
        order: Order,
        asked: &mut VecDeque<Question>,
    ) -> Result<(), Failure> {
        while asked.len() >= AHEAD {
            let Some(question) = asked.pop_front() else {
                break;
            };
            self.take(parts, question)?;
        }
        if self.session.is_stopped() {
            return Err(Failure::Stopped);
        }
        let name = |at: usize| parts.get(at).map(|part| &part.name);
        let client = &mut self.session.client;
        match &order.deed {
            Deed::Put { .. } => return Ok(()),
            Deed::Move {
                from, to, changes, ..
            } => {
                let (Some(from), Some(to)) = (name(*from), name(*to)) else {
                    return Ok(());
                };
                for changes in changes.chunks(FLAGS_AT_ONCE) {
                    client.ask_flag(from, order.digest, changes)?;
                    asked.push_back(Question {
                        order: order.clone(),
                        is_store: false,
                    });
                }
                client.ask_move(from, order.digest, to)?;
            }
            Deed::Delete { at } => {
                let Some(at) = name(*at) else {
                    return Ok(());
                };
                client.ask_delete(at, order.digest)?;
            }
            Deed::Flag { at, changes } => {
                let Some(folder) = name(*at) else {
                    return Ok(());
                };
                for changes in changes.chunks(FLAGS_AT_ONCE) {
                    client.ask_flag(folder, order.digest, changes)?;
                    asked.push_back(Question {
                        order: flag_order(&order, *at, changes),
                        is_store: false,
                    });
                }
                return Ok(());
            }
        }
        asked.push_back(Question {
            order,
            is_store: false,
        });
        Ok(())
    }

    /// Sends a message, and asks for its flags.
    fn store(
        &mut self,
        parts: &mut [Part],
        order: Order,
        asked: &mut VecDeque<Question>,
    ) -> Result<(), Failure> {
        let Deed::Put { at, flags } = &order.deed else {
            return Ok(());
        };
        let Some(part) = parts.get(*at) else {
            return Ok(());
        };
        if self.session.is_stopped() {
            return Err(Failure::Stopped);
        }
        let message = match part.folder.stored(order.digest) {
            Ok(Some(message)) => message,
            // It was deleted here meanwhile.
            Ok(None) => {
                self.leave(parts, &order);
                return Ok(());
            }
            Err(damage) => {
                let name = part.name.clone();
                let why = chain(&damage);
                let why = format!("not sent: {why}: `ima-mailbox check` says more");
                self.unsendable(&name, order.digest, &why);
                self.leave(parts, &order);
                return Ok(());
            }
        };
        let client = &mut self.session.client;
        client.ask_store(&part.name, message.octets(), &mut message.whole())?;
        let flags = setting(flags);
        let at = *at;
        let flagged = Order::new(order.digest, Deed::Flag { at, changes: flags });
        asked.push_back(Question {
            order,
            is_store: true,
        });
        match &flagged.deed {
            Deed::Flag { changes, .. } if !changes.is_empty() => self.ask(parts, flagged, asked),
            _ => Ok(()),
        }
    }

    fn take(&mut self, parts: &mut [Part], question: Question) -> Result<(), Failure> {
        let Question { order, is_store } = question;
        let refused = match is_store {
            true => match self.session.client.stored()? {
                Stored::Stored(digest) if digest == order.digest => None,
                Stored::Stored(_) => Some("it says that it stored another message".into()),
                Stored::Refused(text) => Some(text),
            },
            false => match self.session.client.acknowledged()? {
                Answer::Whole => None,
                Answer::Refused(text) => Some(text),
            },
        };
        let Some(text) = refused else {
            self.tally.changed = self.tally.changed.saturating_add(1);
            return Ok(());
        };
        let at = match order.deed {
            Deed::Put { at, .. } | Deed::Flag { at, .. } | Deed::Delete { at } => at,
            Deed::Move { from, .. } => from,
        };
        let Some(name) = parts.get(at).map(|part| part.name.clone()) else {
            return Ok(());
        };
        if is_store {
            let why = format!("not sent: the server does not take it: {text}");
            self.unsendable(&name, order.digest, &why);
        } else if *text == *ABSENT {
            self.refused.insert((name, order.digest));
            if matches!(order.deed, Deed::Delete { .. }) {
                // What is not there is deleted.
                return Ok(());
            }
        } else {
            let what = match order.deed {
                Deed::Delete { .. } => "deleted",
                Deed::Move { .. } => "moved",
                Deed::Flag { .. } | Deed::Put { .. } => "flagged",
            };
            let why = format!("not {what} on the server, which says: {text}");
            self.unsendable(&name, order.digest, &why);
            if let Some(part) = parts.get_mut(at) {
                part.is_undone = true;
            }
        }
        self.leave(parts, &order);
        Ok(())
    }

    /// The server was not told something, or did not do it.
    fn leave(&mut self, parts: &mut [Part], order: &Order) {
        self.forget(parts, order);
        order.is_left(parts);
    }

    /// The server was not told, or did not do it.
    fn forget(&mut self, parts: &[Part], order: &Order) {
        for at in touched(&order.deed) {
            if let Some(part) = parts.get(at) {
                let place = self.mirror.state.place_mut(&part.name);
                place.sent.forget(order.digest);
            }
        }
    }

    fn unsendable(&mut self, name: &FolderName, digest: MessageDigest, why: &str) {
        let why = format!("{name}, message {digest}: {why}");
        self.tally.miss(why.clone());
        self.undone.insert((name.clone(), digest), why);
    }
}

fn flag_order(order: &Order, at: usize, changes: &[FlagChange]) -> Order {
    let changes = changes.to_vec();
    Order::new(order.digest, Deed::Flag { at, changes })
}
