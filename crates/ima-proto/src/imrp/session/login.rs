//! LOGIN.

use std::time::{Duration, Instant};

use ima_message::Address;

use super::{End, Session, Stop};
use crate::framing::Channel;
use crate::imrp::MAX_PASSWORD;
use crate::imrp::answer::Final;
use crate::imrp::office::{Login, Office};
use crate::users::moment_of_failure;

impl<C: Channel, O: Office> Session<C, O> {
    fn refuse_second(&self) -> Result<(), Stop> {
        match self.mailbox {
            Some(_) => Err(Stop::Error("LOGIN comes once".into())),
            None => Ok(()),
        }
    }

    pub(super) fn password(&mut self, address: &Address, octets: u64) -> Result<(), Stop> {
        self.refuse_second()?;
        let stall = self.limits.stall;
        self.wire.flush(stall)?;
        let password = self.wire.read_block(octets, MAX_PASSWORD, stall)?;
        let begin = Instant::now();
        let login = self.office.by_password(address, &password);
        self.login(login, begin)
    }

    pub(super) fn certificate(&mut self, address: &Address) -> Result<(), Stop> {
        self.refuse_second()?;
        let begin = Instant::now();
        let login = self.office.by_certificate(address);
        self.login(login, begin)
    }

    fn login(&mut self, login: Login<O::Mailbox>, begin: Instant) -> Result<(), Stop> {
        match login {
            Login::Granted(mailbox) => {
                self.mailbox = Some(mailbox);
                self.wire.set_message_deadline(None);
                Ok(self.say(&Final::Ok)?)
            }
            Login::Fault => Err(Stop::Fault),
            Login::Later(busy, delay) => {
                wait(begin, delay);
                Err(Stop::Later(busy))
            }
            Login::Refused => {
                self.failed = self.failed.saturating_add(1);
                self.say(&Final::Fail("".into()))?;
                match self.failed < self.limits.failed_logins {
                    true => Ok(()),
                    false => Err(Stop::End(End::NoLogin)),
                }
            }
        }
    }
}

/// Until whoever logged in at `begin` may be told to come later.
fn wait(begin: Instant, delay: Duration) {
    let now = Instant::now();
    let moment = moment_of_failure(begin, now, delay);
    std::thread::sleep(moment.saturating_duration_since(now));
}
