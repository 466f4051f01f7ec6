//! A message that a handler that stays has accepted, on its way to it.

use std::io::{self, Write};
use std::mem;
use std::time::Instant;

use super::stream::{Fault, Talk};
use crate::imdp::{Command, DataAnswer, Drop, Outcome, Say};

/// Octets that are given at once: what a pipe takes.
pub(super) const HOLD: usize = 64 << 10;

/// Takes the data of one message and passes them on as they come, but for the
/// last of them: [`Exchange::deliver`] is told when they are all there and right.
/// Dropped before that, it has the handler forget the message; one that has some
/// of the data already is left with less than all of them, and ends.
///
/// Writing never fails: what is wrong with the handler is said by `deliver`.
#[derive(Debug)]
pub struct Exchange<'s> {
    hand: Hand<'s>,
    deadline: Instant,
    /// Whether some of it was given.
    is_begun: bool,
}

#[derive(Debug)]
enum Hand<'s> {
    In(Box<Talk<'s>>),
    /// The handler failed, and that is logged.
    Failed,
    /// The connection is to be closed.
    Dropped,
}

impl<'s> Exchange<'s> {
    pub(super) fn new(mut talk: Talk<'s>, octets: u64, deadline: Instant) -> Self {
        talk.renew(deadline);
        talk.hold_command(&Command::Data { octets });
        Self {
            hand: Hand::In(Box::new(talk)),
            deadline,
            is_begun: false,
        }
    }

    /// All data were written, and are those that the header block announces:
    /// has the handler deliver the message, and passes its lines on as they come.
    ///
    /// # Errors
    /// [`Drop`], where it exits with 3.
    pub fn deliver(mut self, say: &mut dyn Say) -> Outcome {
        let mut talk = match mem::replace(&mut self.hand, Hand::Failed) {
            Hand::In(talk) => talk,
            Hand::Failed => return Ok(DataAnswer::Partial),
            Hand::Dropped => return Err(Drop),
        };
        talk.renew(self.deadline);
        let answer = talk
            .is_silent()
            .and_then(|()| talk.give_held(self.deadline))
            .and_then(|()| talk.hear(DataAnswer::parse, say));
        match answer {
            Ok(answer) => Ok(match talk.rest() {
                true => answer,
                false => DataAnswer::Partial,
            }),
            Err(fault) => talk.failed(fault).map(|()| DataAnswer::Partial),
        }
    }

    fn pass_on(&mut self) {
        if let Hand::In(talk) = &mut self.hand {
            let silent = match self.is_begun {
                true => Ok(()),
                false => talk.is_silent(),
            };
            self.is_begun = true;
            if let Err(fault) = silent.and_then(|()| talk.give_held(self.deadline)) {
                self.fail(fault);
            }
        }
    }

    fn fail(&mut self, fault: Fault) {
        if let Hand::In(talk) = mem::replace(&mut self.hand, Hand::Failed)
            && talk.failed(fault).is_err()
        {
            self.hand = Hand::Dropped;
        }
    }
}

impl Write for Exchange<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if let Hand::In(talk) = &self.hand
            && talk.held() + octets.len() > HOLD
        {
            self.pass_on();
        }
        if let Hand::In(talk) = &mut self.hand {
            talk.hold(octets);
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::ops::Drop for Exchange<'_> {
    fn drop(&mut self) {
        if let Hand::In(talk) = mem::replace(&mut self.hand, Hand::Failed) {
            match self.is_begun {
                true => talk.break_off(),
                false => talk.abort(),
            }
        }
    }
}
