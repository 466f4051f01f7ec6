//! --watch: stays, and synchronises as soon as something changes there or here.

mod journals;
mod pause;

use std::convert::Infallible;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use ima_message::{FolderName, Token};
use ima_program::Exit;
use ima_program::report::report;
use ima_proto::framing::WireError;
use ima_proto::imrp::{ClientError, Event};

use crate::PROGRAM;
use crate::args::Args;
use crate::config::{Account, Proof};
use crate::failure::Failure;
use crate::mirror::{self, Mirror};
use crate::session::Session;
use crate::signals::Signals;
use crate::tally::{Spoken, say};
use crate::{fetch, password, shelter};
use journals::Journals;
use pause::Pause;

/// How long a server that says something every 5 minutes may be silent.
const SILENCE: Duration = Duration::from_secs(11 * 60);
/// How often it is asked which folders there are, where nothing changes.
const FOLDERS: Duration = Duration::from_secs(4 * 60);
/// What changes here seldom changes alone: for so long more of it is awaited. And
/// no server has us ask more often what has not changed.
const MORE: Duration = Duration::from_millis(200);

/// How often in a row both sides are brought together without a wait between.
const AGAIN: usize = 8;

/// Stays until a signal comes, or until the server refuses the login or breaks
/// the rules. What passes, such as a server that is not reached, is said once,
/// and once that it has passed.
///
/// # Errors
/// What ends it.
pub fn watch(args: &Args, account: &Account) -> Result<Exit, Failure> {
    let is_there = mirror::look(&args.directory)?;
    let password = password::password(&account.proof, &account.address)?;
    shelter::enter(args, account)?;
    let mut keeper = Keeper {
        args,
        account,
        password,
        mirror: None,
        journals: None,
        signals: Signals::default(),
        pause: Pause::new(),
        is_failing: false,
        spoken: Spoken::default(),
        is_blind: false,
    };
    if is_there {
        keeper.open()?;
    }
    keeper.stay()
}

/// What is kept while connections come and go.
struct Keeper<'a> {
    args: &'a Args,
    account: &'a Account,
    password: Option<Vec<u8>>,
    /// Locked for as long as it stays. Made only for who is let in.
    mirror: Option<Mirror>,
    /// Changes here, where they can be seen.
    journals: Option<Journals>,
    signals: Signals,
    pause: Pause,
    /// Whether it was said that something does not work.
    is_failing: bool,
    /// What was said of single messages.
    spoken: Spoken,
    /// Whether the server would not watch when it was asked last.
    is_blind: bool,
}

/// Why a connection is not kept.
enum Break {
    /// It is worth trying again.
    Passing(Box<Failure>),
    /// It is not.
    Lasting(Box<Failure>),
    /// A signal came while nothing was in hand.
    Stopped,
}

impl Keeper<'_> {
    fn stay(mut self) -> Result<Exit, Failure> {
        loop {
            let failure = match self.connection() {
                Ok(never) => match never {},
                Err(Break::Stopped) => return Ok(Exit::Done),
                Err(Break::Lasting(failure)) => return Err(*failure),
                Err(Break::Passing(failure)) => failure,
            };
            if !std::mem::replace(&mut self.is_failing, true) {
                report(PROGRAM, &*failure);
            }
            if self.signals.pause(self.pause.next()) {
                return Ok(Exit::Done);
            }
        }
    }

    fn open(&mut self) -> Result<(), Failure> {
        let directory = &self.args.directory;
        let is_there = mirror::look(directory)?;
        self.mirror = Some(Mirror::open(directory, &self.account.address)?);
        if !is_there {
            shelter::enter(self.args, self.account)?;
        }
        let scope = &self.account.scope;
        if scope.sends() || scope.maildir.is_some() {
            // Without them what changes here goes there whenever something comes.
            let journals = Journals::open(directory, scope.maildir.as_deref());
            let journals = journals.inspect_err(|failure| report(PROGRAM, failure));
            self.journals = journals.ok();
        }
        Ok(())
    }

    /// One connection, from the login on.
    fn connection(&mut self) -> Result<Infallible, Break> {
        let mut session = self.log_in()?;
        if self.mirror.is_none()
            && let Err(failure) = self.open()
        {
            session.end();
            return Err(Break::Lasting(failure.into()));
        }
        let mut before = Vec::new();
        let mut is_refused = false;
        let mut again = 0;
        loop {
            let tokens = session.tokens();
            let mut tokens = tokens.map_err(|error| self.idle(&session, error.into()))?;
            tokens.retain(|(folder, _)| session.scope.holds(folder));
            if tokens == before && self.signals.pause(MORE) {
                return Err(Break::Stopped);
            }
            before.clone_from(&tokens);
            // Somebody may have changed something here meanwhile; who does so all the
            // time does not keep us from listening.
            if self.synchronise(&mut session, &mut tokens)? && again < AGAIN {
                again += 1;
                continue;
            }
            again = 0;
            match self.wait(&mut session, &tokens) {
                Ok(()) => {
                    is_refused = false;
                    self.is_blind = false;
                    self.is_well();
                }
                // The folder may be gone: that is seen at once. Otherwise the mail
                // is fetched whenever a connection is made anew.
                Err(Failure::NotWatched { .. }) if !is_refused => is_refused = true,
                Err(failure) => {
                    self.is_blind |= matches!(failure, Failure::NotWatched { .. });
                    return Err(self.idle(&session, failure));
                }
            }
        }
    }

    fn log_in(&mut self) -> Result<Session, Break> {
        loop {
            let password = self.password.as_deref();
            let failure = match Session::open(self.account, password, &self.signals) {
                Ok(session) => return Ok(session),
                Err(Failure::Stopped) => return Err(Break::Stopped),
                Err(failure) => failure,
            };
            if failure.exit() == Exit::Unfinished {
                return Err(Break::Passing(failure.into()));
            }
            // It may have been changed; whoever typed it is not asked again.
            let proof = &self.account.proof;
            if !matches!(failure, Failure::PasswordRefused(_)) || matches!(proof, Proof::Terminal) {
                return Err(Break::Lasting(failure.into()));
            }
            let password = password::password(proof, &self.account.address);
            match password {
                Ok(password) if password != self.password => self.password = password,
                _ => return Err(Break::Lasting(failure.into())),
            }
        }
    }

    /// Brings both sides to the same. The tokens of the folders become those up to
    /// which all is done. Says whether something has changed here meanwhile.
    fn synchronise(
        &mut self,
        session: &mut Session,
        tokens: &mut [(FolderName, Token)],
    ) -> Result<bool, Break> {
        let Some(mirror) = &mut self.mirror else {
            return Ok(false);
        };
        let exit = match fetch::fetch(session, mirror, &mut self.spoken) {
            Ok(exit) => exit,
            Err(failure @ Failure::Stopped) => return Err(Break::Lasting(failure.into())),
            Err(failure) if failure.exit() == Exit::Unfinished => {
                return Err(Break::Passing(failure.into()));
            }
            Err(failure) => return Err(Break::Lasting(failure.into())),
        };
        let mut is_changed = false;
        if let Some(journals) = &mut self.journals {
            // What was seen of it was mostly ours. What was not is found in the
            // journals, below; of Maildirs the next time tells.
            is_changed = journals.seen().maildirs;
            match journals.look() {
                Ok(is_new) => is_changed |= is_new,
                Err(failure) => {
                    report(PROGRAM, &failure);
                    self.journals = None;
                }
            }
        }
        if exit == Exit::Done {
            for (name, token) in tokens {
                let Some(place) = mirror.state.place(name) else {
                    continue;
                };
                *token = place.server.unwrap_or(*token);
                let folder = mirror.mailbox.folder(name).ok().flatten();
                let here = folder.and_then(|folder| folder.token().ok());
                is_changed |= session.scope.sends() && here != place.here;
            }
        }
        if !self.is_blind {
            self.is_well();
        }
        Ok(is_changed)
    }

    fn is_well(&mut self) {
        self.pause = Pause::new();
        if std::mem::replace(&mut self.is_failing, false) {
            say("mail is fetched again");
        }
    }

    /// Until there is something to synchronise.
    fn wait(
        &mut self,
        session: &mut Session,
        tokens: &[(FolderName, Token)],
    ) -> Result<(), Failure> {
        let host = self.account.address.hostpart();
        let mut watch = session.client.watch(tokens)?;
        let begin = Instant::now();
        let mut heard = begin;
        loop {
            let wake = self.journals.as_ref().map(|journals| journals.as_fd());
            match watch.next(wake, heard + SILENCE)? {
                Event::Changed(_) => break,
                Event::Alive if begin.elapsed() >= FOLDERS => break,
                Event::Alive => heard = Instant::now(),
                Event::Woken => {
                    let seen = self.journals.as_mut().map(Journals::seen);
                    if seen.is_some_and(|seen| seen.mailbox || seen.maildirs) {
                        self.signals.pause(MORE);
                        break;
                    }
                }
                Event::TimedOut => return Err(ClientError::Wire(WireError::TimedOut).into()),
                Event::Refused(reason) => {
                    let host = host.clone();
                    return Err(Failure::NotWatched { host, reason });
                }
            }
        }
        Ok(watch.end()?)
    }

    /// Why it ended while nothing was in hand.
    fn idle(&self, session: &Session, failure: Failure) -> Break {
        match session.cause(failure) {
            Failure::Stopped => Break::Stopped,
            failure if failure.exit() == Exit::Unfinished => Break::Passing(failure.into()),
            failure => Break::Lasting(failure.into()),
        }
    }
}
