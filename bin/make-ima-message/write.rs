//! The message to standard output.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use ima_message::HeaderBlock;

use crate::failure::Failure;
use crate::parts::Parts;

/// Writes header block and data.
///
/// # Errors
/// A file is not what it was, or is the output itself; the output does not take
/// the octets. What was written then is no valid message.
pub(crate) fn write(header: &HeaderBlock, parts: &Parts) -> Result<(), Failure> {
    let output = io::stdout().as_fd().try_clone_to_owned();
    let mut output = File::from(output.map_err(Failure::Write)?);
    let target = output.metadata().map_err(Failure::Write)?;
    for source in parts.sources() {
        let file = source
            .file
            .metadata()
            .map_err(|error| Failure::Read(source.origin.clone(), error))?;
        if file.is_file() && (file.dev(), file.ino()) == (target.dev(), target.ino()) {
            return Err(Failure::Output(source.origin.clone()));
        }
        if source.length == 0 {
            source.must_end_at(0)?;
        }
    }
    output
        .write_all(header.as_bytes())
        .map_err(Failure::Write)?;
    for source in parts.sources() {
        source.copy(&mut output)?;
    }
    Ok(())
}
