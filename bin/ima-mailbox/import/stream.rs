//! Messages one behind the other on standard input, as `export` writes them:
//! each header block says how many octets follow.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _};

use ima_message::{HeaderBlock, ReadError};

use super::{Sink, now};
use crate::failure::Failure;

/// Stores them all. One whose data are not those that were announced is named,
/// and the next begins behind them; behind a header block that is none nothing
/// can be found.
pub(super) fn import(mut sink: Sink) -> Result<(), Failure> {
    let mut source = BufReader::with_capacity(64 << 10, io::stdin().lock());
    let mut number = 0;
    loop {
        number += 1;
        if source.fill_buf().map_err(Failure::Stdin)?.is_empty() {
            return sink.commit();
        }
        let header = match HeaderBlock::read(&mut source) {
            Ok(header) => header,
            Err(ReadError::Io(error)) => return Err(Failure::Stdin(error)),
            Err(ReadError::Empty) => return sink.commit(),
            Err(ReadError::Header(source)) => {
                sink.commit()?;
                let failure = Failure::Stream { number, source };
                sink.tally.refuse(&failure);
                return Ok(());
            }
        };
        // Nothing else says when one arrived that was sent from here.
        let time = header
            .received()
            .map_or(header.date(), |received| &received.time);
        let arrived = now().map(|now| time.unix_seconds().clamp(0, now));
        let mut data = (&mut source).take(header.size());
        match sink.message(&header, &mut data, arrived, BTreeSet::new()) {
            Err(Failure::Mailbox(error)) if error.is_refusal() => {
                io::copy(&mut data, &mut io::sink()).map_err(Failure::Stdin)?;
                if data.limit() > 0 {
                    sink.commit()?;
                    return Err(Failure::StreamEnds { number });
                }
                let digest = header.digest();
                sink.tally.refuse(&Failure::Data {
                    number,
                    digest,
                    source: error,
                });
            }
            taken => taken?,
        }
    }
}
