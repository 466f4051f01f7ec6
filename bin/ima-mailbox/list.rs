//! `ima-mailbox list`.

use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use ima_message::Flag;
use ima_program::exit::Exit;

use crate::failure::{self, Failure};

/// Prints the messages of a folder, oldest first.
pub(crate) fn list(folder: &Path) -> Result<Exit, Failure> {
    let folder = failure::open(folder)?;
    let mut live: Vec<_> = folder.live(None)?.unwrap_or_default().into_iter().collect();
    live.sort_by(|(a, one), (b, other)| {
        let key = (one.time.unix_seconds(), a);
        key.cmp(&(other.time.unix_seconds(), b))
    });
    let mut out = BufWriter::new(io::stdout().lock());
    for (digest, message) in live {
        let flags: Vec<&str> = message.flags.iter().map(Flag::as_str).collect();
        let flags = if flags.is_empty() {
            "-".to_owned()
        } else {
            flags.join(",")
        };
        writeln!(out, "{digest} {} {} {flags}", message.time, message.octets)
            .map_err(Failure::Stdout)?;
    }
    out.flush().map_err(Failure::Stdout)?;
    Ok(Exit::Done)
}
