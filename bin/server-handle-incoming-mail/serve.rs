//! Serving the places of a plan, several at once.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ima_message::HandlerLine;
use ima_program::log;
use ima_route::Action;

use crate::config::Setup;
use crate::copies::Copies;
use crate::headers::{Headers, OfRecipient};
use crate::inbox::{self, Lines, Target};
use crate::ledger::{Ledger, Outlet};
use crate::message::Message;
use crate::plan::{Place, Plan};
use crate::routed_command::Commands;

/// Nothing deep is called, and the large buffers are elsewhere.
const STACK: usize = 512 << 10;

/// Whether all places can be served from data that are read once.
pub(crate) fn is_read_once(plan: &Plan) -> bool {
    plan.places.iter().all(is_inbox)
}

fn is_inbox(place: &Place) -> bool {
    matches!(place.destination.action, Action::Inbox { .. })
}

/// Delivers to every place of a plan that [`is_read_once`], from data that end
/// where they are announced to, and are read to there.
///
/// # Errors
/// The data cannot be read; nothing is delivered then, and nobody answered.
pub(crate) fn serve_once<W: Outlet>(
    plan: &Plan,
    headers: &Headers<'_>,
    data: &mut dyn Read,
    ledger: &Ledger<'_, W>,
) -> io::Result<()> {
    let all: Vec<usize> = (0..plan.places.len()).collect();
    let known = to_inboxes(plan, &all, headers, data, ledger)?;
    ledger.answer_all(&known);
    Ok(())
}

/// Delivers to every place. Once a command says that the connection is to be
/// closed no further one is begun.
pub(crate) fn serve<W: Outlet>(
    plan: &Plan,
    message: &Message,
    ledger: &Ledger<'_, W>,
    setup: &Setup,
    way: Vec<(&'static str, String)>,
) {
    ledger.faulty();
    let headers = Headers::new(&message.header);
    let copies = Copies::new(message, &headers);
    let service = Service {
        plan,
        message,
        headers: &headers,
        commands: Commands {
            setup,
            copies: &copies,
            digest: headers.digest().to_string(),
            way,
        },
        ledger,
    };
    let errands = errands(plan);
    let next = AtomicUsize::new(0);
    let work = || {
        while !ledger.is_dropped() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(errand) = errands.get(index) else {
                break;
            };
            service.run(errand);
        }
    };
    // This thread is one of them; where there are no more, it does it alone.
    thread::scope(|scope| {
        for _ in 1..setup.parallel.min(errands.len()) {
            if thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, work)
                .is_err()
            {
                break;
            }
        }
        work();
    });
}

/// What is done in one go.
enum Errand {
    /// These places, inboxes, from one reading of the data.
    Inboxes(Vec<usize>),
    /// This place.
    Command(usize),
}

/// The inboxes together, where the first of them is; else in the order of the places.
fn errands(plan: &Plan) -> Vec<Errand> {
    let places = plan.places.iter().enumerate();
    let inboxes = places.clone().filter(|(_, place)| is_inbox(place));
    let inboxes: Vec<usize> = inboxes.map(|(index, _)| index).collect();
    let mut errands = Vec::new();
    for (index, place) in places {
        if !is_inbox(place) {
            errands.push(Errand::Command(index));
        } else if inboxes.first() == Some(&index) {
            errands.push(Errand::Inboxes(inboxes.clone()));
        }
    }
    errands
}

/// What places are served with.
struct Service<'m, W> {
    plan: &'m Plan,
    message: &'m Message,
    headers: &'m Headers<'m>,
    commands: Commands<'m>,
    ledger: &'m Ledger<'m, W>,
}

impl<W: Outlet> Service<'_, W> {
    fn run(&self, errand: &Errand) {
        match errand {
            Errand::Inboxes(inboxes) => self.run_inboxes(inboxes),
            Errand::Command(index) => {
                let place = self.plan.places.get(*index);
                if let Some((place, Action::Command(words))) =
                    place.map(|place| (place, &place.destination.action))
                {
                    self.commands.run(*index, place, words, self.ledger);
                }
            }
        }
    }

    fn run_inboxes(&self, inboxes: &[usize]) {
        let mut data = self.message.data();
        let known = to_inboxes(self.plan, inboxes, self.headers, &mut data, self.ledger);
        let known = known.unwrap_or_else(|error| {
            log::error("message-not-read")
                .field("digest", self.headers.digest())
                .field("error", error)
                .emit();
            let places = inboxes.iter().filter_map(|index| {
                let place = self.plan.places.get(*index)?;
                Some((*index, inbox::cannot_take(&place.destination.address)))
            });
            places.collect()
        });
        self.ledger.answer_all(&known);
    }
}

/// Delivers to these places, which are inboxes; gives each its line, but for those that
/// are told already because others have to be waited for.
///
/// # Errors
/// The data cannot be read; nothing is delivered then, and nobody told.
fn to_inboxes<W: Outlet>(
    plan: &Plan,
    places: &[usize],
    headers: &Headers<'_>,
    data: &mut dyn Read,
    ledger: &Ledger<'_, W>,
) -> io::Result<Lines> {
    let mut known = Vec::new();
    let mut numbers = Vec::new();
    let mut targets = Vec::new();
    for &index in places {
        match plan.places.get(index).map(|place| target(place, headers)) {
            Some(Ok(target)) => {
                numbers.push(index);
                targets.push(target);
            }
            Some(Err(line)) => known.push((index, line)),
            None => {}
        }
    }
    let numbered = |lines: Lines| -> Lines {
        let lines = lines.into_iter();
        let lines = lines.filter_map(|(index, line)| Some((*numbers.get(index)?, line)));
        lines.collect()
    };
    let mut early = |lines| ledger.answer_all(&numbered(lines));
    let rest = inbox::deliver_to_all(&targets, data, &mut early)?;
    known.extend(numbered(rest));
    Ok(known)
}

/// An inbox as a target, or the line for one that is missing.
fn target<'p>(place: &'p Place, headers: &'p Headers<'_>) -> Result<Target<'p>, HandlerLine> {
    let recipient = &place.destination.address;
    match &place.destination.action {
        Action::Inbox { path, .. } if !place.missing => Ok(Target {
            path,
            recipient,
            folder: place.folder.get().map(|folder| &**folder),
            header: OfRecipient {
                headers,
                recipient: &place.written,
            },
            digest: headers.digest(),
        }),
        Action::Inbox { path, .. } => {
            inbox::log_missing(path, recipient, headers.digest());
            Err(inbox::cannot_take(recipient))
        }
        Action::Command(_) => Err(inbox::cannot_take(recipient)),
    }
}
