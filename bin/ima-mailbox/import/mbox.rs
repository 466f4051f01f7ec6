//! An mbox.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use ima_mime::mbox::{self, Reader};

use super::Sink;
use crate::failure::Failure;

/// Stores all mails of a file; `-` is standard input.
pub(super) fn import(file: &Path, sink: Sink) -> Result<(), Failure> {
    if file == Path::new("-") {
        let source = BufReader::with_capacity(64 << 10, io::stdin().lock());
        return read(file, source, sink);
    }
    let opened = File::open(file).map_err(Failure::io("open", file))?;
    read(file, BufReader::with_capacity(64 << 10, opened), sink)
}

fn read(file: &Path, source: impl BufRead, mut sink: Sink) -> Result<(), Failure> {
    let mut reader = Reader::new(source);
    loop {
        let mail = match reader.read() {
            Ok(Some(mail)) => mail,
            Ok(None) => return sink.commit(),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(Failure::NoMbox(file.to_owned()));
            }
            Err(error) => {
                sink.commit()?;
                return Err(Failure::io("read", file)(error));
            }
        };
        let place = || format!("{}, line {}", file.display(), mail.line);
        sink.mail(
            &place,
            &mail.octets,
            mail.arrived,
            mbox::flags(&mail.octets),
        )?;
    }
}
