//! What a fetch would bring, by the header blocks alone.

use std::io::{self, Write as _};

use ima_message::{Entry, FolderName, HeaderBlock, Token};
use ima_program::Exit;
use ima_program::escape::visible;
use ima_proto::imrp::{Change, SyncMode, Synced};

use crate::failure::Failure;
use crate::mirror::Mirror;
use crate::session::Session;
use crate::tally::{Spoken, Tally};

/// Prints a line for each message that is on the server and not here, and keeps its
/// header block. How far each folder has come stays as it is.
///
/// # Errors
/// What ended it.
pub fn list(session: &mut Session, mirror: &mut Mirror) -> Result<Exit, Failure> {
    let mut tally = Tally::default();
    let outcome = all(session, mirror, &mut tally);
    let exit = tally.exit();
    tally.say(&mut Spoken::default(), true);
    outcome.map_err(|failure| session.cause(failure))?;
    Ok(exit)
}

fn all(session: &mut Session, mirror: &Mirror, tally: &mut Tally) -> Result<(), Failure> {
    for status in session.folders()? {
        let name = &status.name;
        if !session.scope.holds(name) {
            continue;
        }
        let place = mirror.state.place(name);
        let known = place.filter(|place| place.missing.is_empty() && place.since.is_none());
        let since = known.and_then(|place| place.server);
        if since == Some(status.token) {
            continue;
        }
        let listed = folder(session, mirror, tally, name, since)?;
        if listed == Listed::Reset && folder(session, mirror, tally, name, None)? == Listed::Reset {
            return Err(Failure::List(name.clone()));
        }
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Listed {
    Done,
    Reset,
}

fn folder(
    session: &mut Session,
    mirror: &Mirror,
    tally: &mut Tally,
    name: &FolderName,
    since: Option<Token>,
) -> Result<Listed, Failure> {
    let here = mirror.mailbox.folder(name)?;
    let earliest = session.scope.since;
    let mut take = |change: &Change, block: Option<&[u8]>| -> Result<(), Failure> {
        let (
            Entry::Add {
                digest,
                time,
                octets,
            },
            Some(block),
        ) = (&change.entry, block)
        else {
            return Ok(());
        };
        let is_earlier = earliest.is_some_and(|since| time.unix_seconds() < since);
        let is_here = match &here {
            Some(folder) => folder.has_whole(*digest)?,
            None => false,
        };
        if is_earlier || is_here {
            return Ok(());
        }
        match HeaderBlock::parse(block) {
            Ok(header) if header.digest() == *digest => {
                mirror.desk.keep_header(name, &header)?;
                let from = header.from().address();
                let subject = header.subject().unwrap_or_default();
                let line = format!("{name} {digest} {time} {octets} {from} {subject}");
                writeln!(io::stdout().lock(), "{}", visible(line.trim_end()))
                    .map_err(Failure::io("write", "standard output"))?;
            }
            Ok(_) => tally.wrong(name, *digest, "it is the header block of another message"),
            Err(error) => tally.wrong(name, *digest, &error.to_string()),
        }
        Ok(())
    };
    let mut fault = None;
    session.client.ask_sync(name, since, SyncMode::Headers)?;
    let synced = session.client.sync_answer(&mut |change, block| {
        if fault.is_none() {
            fault = take(&change, block).err();
        }
    })?;
    match (fault, synced) {
        (Some(fault), _) => Err(fault),
        (None, Synced::Upto(_)) => Ok(Listed::Done),
        (None, Synced::Reset(_)) => Ok(Listed::Reset),
        (None, Synced::Refused(text)) => {
            tally.miss(format!("{name}: the server does not list it: {text}"));
            Ok(Listed::Done)
        }
    }
}
