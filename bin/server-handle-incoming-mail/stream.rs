//! `--stream`: one message after the other, as ima-handler(7) describes it for a
//! handler that stays.

mod answers;
mod questions;

use std::io;
use std::path::PathBuf;

use ima_mailbox::OpenFolders;
use ima_message::HeaderBlock;
use ima_program::child::orphans;
use ima_program::exit::Exit;
use ima_program::{log, report};

use crate::PROGRAM;
use crate::check;
use crate::config::Setup;
use crate::current::Current;
use crate::failure::Failure;
use crate::headers::Headers;
use crate::ledger::Ledger;
use crate::message::Message;
use crate::plan::Plan;
use crate::routed_command::way;
use crate::serve;
use answers::Answers;
use questions::{Octets, Question, Questions};

/// The seconds that a sender waits where the fault is ours.
const DEFER: u64 = 300;

/// Why no message is served any more.
enum End {
    /// The other side closed, between two messages.
    InOrder,
    /// It closed within one, broke the order, or cannot be answered.
    Broken(String),
    /// The sender's connection is to be closed.
    Drop,
    /// A command has left something running in our process group, which whoever
    /// started us ends when we do.
    LeftBehind,
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Serves messages until there are no more.
pub(crate) fn serve(config: Option<PathBuf>) -> Exit {
    let begun =
        orphans::adopt().and_then(|()| Ok((Questions::from_stdin()?, Answers::to_stdout()?)));
    let (mut questions, mut answers) = match begun {
        Ok(both) => both,
        Err(error) => {
            report::report(PROGRAM, &error);
            return Exit::Unfinished;
        }
    };
    let mut current = Current::new(config);
    let mut open = OpenFolders::default();
    loop {
        match message(&mut questions, &mut answers, &mut current, &mut open) {
            Ok(()) => {}
            Err(End::InOrder | End::LeftBehind) => return Exit::Done,
            Err(End::Drop) => return Exit::Drop,
            Err(End::Broken(why)) => {
                log::warn("stream-ended").field("reason", why).emit();
                return Exit::Unfinished;
            }
        }
    }
}

/// Serves one message, from its header block on.
fn message(
    questions: &mut Questions,
    answers: &mut Answers,
    current: &mut Current,
    open: &mut OpenFolders,
) -> Result<(), End> {
    if !open.is_empty() && !questions.come_within(OpenFolders::IDLE) {
        open.let_go();
    }
    let header = match questions.next()? {
        None => return Err(End::InOrder),
        Some(Question::Headers(octets)) => questions.header_block(octets)?,
        Some(_) => return Err(End::Broken("HEADERS comes first".into())),
    };
    let (header, setup, plan) = match looked_up(&header, current) {
        Ok(found) => found,
        Err(failure) => {
            report::report(PROGRAM, &failure);
            return Ok(answers.finish(&refusal(&failure))?);
        }
    };
    let (lines, exit) = check::check(&plan, &header, open);
    answers.write_lines(&lines)?;
    match exit {
        Exit::Done => answers.finish("ACCEPT")?,
        Exit::Refused => {
            return Ok(answers.finish("REJECT recipient no such recipient here")?);
        }
        Exit::Unfinished | Exit::Drop => {
            return Ok(answers.finish(&format!("DEFER {DEFER} not now; try again later"))?);
        }
    }
    match questions.next()? {
        Some(Question::Data(octets)) if octets == header.size() => {}
        Some(Question::Abort) => return Ok(answers.finish("OK")?),
        Some(_) => {
            return Err(End::Broken(
                "DATA, as long as announced, or ABORT comes after ACCEPT".into(),
            ));
        }
        None => return Err(End::InOrder),
    }
    let mut data = questions.octets(header.size());
    deliver(&plan, header, setup, &mut data, answers)
}

/// A message's header block, the configuration as it is now, and where it says
/// that the message goes.
fn looked_up<'c>(
    block: &[u8],
    current: &'c mut Current,
) -> Result<(HeaderBlock, &'c Setup, Plan), Failure> {
    let header = HeaderBlock::parse(block).map_err(ima_message::ReadError::from)?;
    let setup = current.setup(header.recipients().len())?;
    let plan = Plan::new(&setup.table, &header)?;
    Ok((header, setup, plan))
}

fn refusal(failure: &Failure) -> String {
    match failure {
        Failure::Header(_) => format!("REJECT format {}", report::chain(failure)),
        Failure::NoneOfOurs => "REJECT recipient nobody here is a recipient".into(),
        _ => format!("DEFER {DEFER} a fault here; try again later"),
    }
}

/// Reads the data and delivers them. Nothing is delivered unless they are whole.
fn deliver(
    plan: &Plan,
    header: HeaderBlock,
    setup: &Setup,
    data: &mut Octets<'_>,
    answers: &mut Answers,
) -> Result<(), End> {
    let ledger = Ledger::new(plan, &mut *answers);
    let headers = Headers::new(&header);
    if !serve::is_read_once(plan) {
        drop(headers);
        let way = way(&header);
        let kept = Message::keep(header, data);
        data.drain()?;
        match kept {
            Ok(message) => serve::serve(plan, &message, &ledger, setup, way),
            Err(failure) => {
                drop(ledger);
                report::report(PROGRAM, &failure);
                let is_refused = failure.exit() == Exit::Refused;
                return Ok(answers.finish(if is_refused { "FAIL" } else { "PARTIAL" })?);
            }
        }
    } else {
        serve::serve_once(plan, &headers, data, &ledger)?;
    }
    match ledger.close() {
        Exit::Drop => Err(End::Drop),
        _ if answers.is_broken() => Err(End::Broken("the answer cannot be written".into())),
        _ if orphans::are_left() => Err(End::LeftBehind),
        _ => Ok(()),
    }
}
