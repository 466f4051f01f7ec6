//! Digests of files, each computed once however many names the file has.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;

use ima_message::{Digester, PartDigest};

use crate::stage::BUFFER;

/// Files whose digest is known, by device and inode.
#[derive(Debug, Default)]
pub(crate) struct Digested {
    known: HashMap<(u64, u64), PartDigest>,
    buffer: Vec<u8>,
}

impl Digested {
    /// The digest of a file's octets.
    pub(crate) fn digest(&mut self, mut file: File) -> io::Result<PartDigest> {
        let metadata = file.metadata()?;
        let inode = (metadata.dev(), metadata.ino());
        if let Some(&digest) = self.known.get(&inode) {
            return Ok(digest);
        }
        self.buffer.resize(BUFFER, 0);
        let mut digester = Digester::new();
        loop {
            match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(octets) => digester.update(self.buffer.get(..octets).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let digest = digester.finish();
        self.known.insert(inode, digest);
        Ok(digest)
    }
}
