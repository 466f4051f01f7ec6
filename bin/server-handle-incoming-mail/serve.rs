//! Serving the places of a plan, several at once.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ima_mailbox::Shared;
use ima_route::Action;

use crate::config::Setup;
use crate::copies::Copies;
use crate::inbox;
use crate::ledger::Ledger;
use crate::message::Message;
use crate::plan::{Place, Plan};
use crate::routed_command::Commands;

/// Nothing deep is called, and the large buffers are elsewhere.
const STACK: usize = 512 << 10;

/// Delivers to every place. Once a command says that the connection is to be
/// closed no further one is begun.
pub(crate) fn serve<W: Write + Send>(
    plan: &Plan,
    message: &Message,
    ledger: &Ledger<'_, W>,
    setup: &Setup,
) {
    ledger.faulty();
    let copies = Copies::new(message);
    let service = Service {
        message,
        copies: &copies,
        shared: Shared::new(),
        commands: Commands {
            setup,
            copies: &copies,
            digest: message.digest.to_string(),
        },
        ledger,
    };
    let next = AtomicUsize::new(0);
    let work = || {
        while !ledger.is_dropped() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(place) = plan.places.get(index) else {
                break;
            };
            service.serve(index, place);
        }
    };
    // This thread is one of them; where there are no more, it does it alone.
    thread::scope(|scope| {
        for _ in 1..setup.parallel.min(plan.places.len()) {
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

/// What places are served with.
struct Service<'m, W> {
    message: &'m Message,
    copies: &'m Copies<'m>,
    shared: Shared,
    commands: Commands<'m>,
    ledger: &'m Ledger<'m, W>,
}

impl<W: Write> Service<'_, W> {
    fn serve(&self, index: usize, place: &Place) {
        let address = &place.destination.address;
        match &place.destination.action {
            Action::Inbox { path, .. } if place.missing => {
                inbox::log_missing(path, address);
                self.ledger.answer(index, &inbox::cannot_take(address));
            }
            Action::Inbox { path, .. } => {
                let header = self.copies.header(&place.written);
                let line = inbox::deliver(path, address, &header, self.message, &self.shared);
                self.ledger.answer(index, &line);
            }
            Action::Command(words) => self.commands.run(index, place, words, self.ledger),
        }
    }
}
