//! `--verify`: a line for each part, each signature, and who vouches.

use std::io::{self, Write};

use ima_message::HeaderBlock;
use ima_program::escape::visible;
use ima_program::exit::Exit;

use crate::data::{self, Nowhere, Verdicts};
use crate::failure::Failure;
use crate::input::{Input, Output};
use crate::keys::Keys;

/// Reads all data and prints what is to be said of them:
///
/// ```text
/// part N ok|wrong|short|missing
/// data long
/// signature SIGNER valid|unknown-key|unknown-algorithm
/// author host|valid|unknown-key|none|local HOST
/// ```
///
/// # Errors
/// Something is wrong with the data; it is printed nevertheless.
pub(crate) fn print(
    header: &HeaderBlock,
    input: &mut Input,
    keys: &Keys,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let verdicts = data::read(header, input, &mut Nowhere)?;
    write(header, &verdicts, keys, output).map_err(Failure::Write)?;
    match verdicts.all_right() {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(Failure::Data(input.origin().clone(), error)),
    }
}

fn write(
    header: &HeaderBlock,
    verdicts: &Verdicts,
    keys: &Keys,
    output: &mut impl Write,
) -> io::Result<()> {
    for (index, verdict) in verdicts.parts.iter().enumerate() {
        writeln!(output, "part {} {verdict}", index + 1)?;
    }
    if verdicts.long {
        writeln!(output, "data long")?;
    }
    for (signature, verdict) in keys.judge(header) {
        let signer = signature.signer().to_string();
        writeln!(output, "signature {} {verdict}", visible(&signer))?;
    }
    if let Some(received) = header.received() {
        let host = received.host.to_string();
        writeln!(output, "author {} {}", received.author, visible(&host))?;
    }
    output.flush()
}
