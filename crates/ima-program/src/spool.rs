//! A message's octets as a file that can be read from the start again and
//! handed to a child as its stdin, and that leaves nothing behind.

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};
use std::os::fd::AsFd as _;
use std::sync::Arc;

/// Up to so many octets stay in memory.
pub const IN_MEMORY: u64 = 256 * 1024;

/// Octets that came from elsewhere, as an unlinked file: in memory up to
/// [`IN_MEMORY`] octets, else on the disk of `$TMPDIR` or `/tmp`. It is gone
/// with its last descriptor, also after a power cut.
#[derive(Debug)]
pub enum Spooled {}

impl Spooled {
    /// An empty one, to be written to.
    #[must_use]
    pub const fn writer() -> SpoolWriter {
        SpoolWriter {
            file: None,
            length: 0,
            on_disk: false,
            disk: None,
        }
    }

    /// An empty one, which has its file on the disk from elsewhere.
    #[must_use]
    pub const fn writer_with(disk: Arc<dyn Disk>) -> SpoolWriter {
        SpoolWriter {
            file: None,
            length: 0,
            on_disk: false,
            disk: Some(disk),
        }
    }

    /// An empty file without a name, on the disk of `$TMPDIR` or `/tmp`.
    ///
    /// # Errors
    /// What the system says.
    pub fn on_disk() -> io::Result<File> {
        tempfile::tempfile_in(env::temp_dir())
    }

    /// What stdin holds: stdin itself where it is a regular file, at the place
    /// where it stands (which is not the start where somebody read from it
    /// before), else all of it, spooled. There is no limit but the disk's.
    ///
    /// # Errors
    /// Those of reading stdin and of writing the spooled file.
    pub fn from_stdin() -> io::Result<File> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        Self::from_file(File::from(stdin))
    }

    /// As [`Spooled::from_stdin`], for any file, pipe or socket.
    ///
    /// # Errors
    /// Those of reading `file` and of writing the spooled file.
    pub fn from_file(mut file: File) -> io::Result<File> {
        if file.metadata()?.is_file() {
            return Ok(file);
        }
        let mut spool = Self::writer();
        io::copy(&mut file, &mut spool)?;
        spool.finish()
    }
}

/// Where files on the disk come from, for a process that can make none.
pub trait Disk: fmt::Debug + Send + Sync {
    /// An empty file without a name.
    ///
    /// # Errors
    /// What the system says.
    fn file(&self) -> io::Result<File>;
}

/// Takes the octets of a [`Spooled`]. Small writes are gathered.
#[derive(Debug)]
pub struct SpoolWriter {
    file: Option<BufWriter<File>>,
    length: u64,
    on_disk: bool,
    disk: Option<Arc<dyn Disk>>,
}

impl SpoolWriter {
    /// The file, at its start.
    ///
    /// # Errors
    /// Those of writing what was gathered: a full disk, above all.
    pub fn finish(mut self) -> io::Result<File> {
        self.buffer(0)?;
        let mut file = match self.file {
            Some(buffer) => buffer
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?,
            None => in_memory()?,
        };
        file.rewind()?;
        Ok(file)
    }

    fn disk_file(&self) -> io::Result<File> {
        match &self.disk {
            Some(disk) => disk.file(),
            None => Spooled::on_disk(),
        }
    }

    /// Where `more` octets are to be written.
    fn buffer(&mut self, more: usize) -> io::Result<&mut BufWriter<File>> {
        let length = self
            .length
            .saturating_add(more.try_into().unwrap_or(u64::MAX));
        let file = match self.file.take() {
            Some(buffer) if self.on_disk || length <= IN_MEMORY => buffer,
            Some(buffer) => {
                let mut memory = buffer
                    .into_inner()
                    .map_err(io::IntoInnerError::into_error)?;
                memory.rewind()?;
                let mut disk = self.disk_file()?;
                io::copy(&mut memory, &mut disk)?;
                self.on_disk = true;
                BufWriter::new(disk)
            }
            None if length <= IN_MEMORY => BufWriter::new(in_memory()?),
            None => {
                self.on_disk = true;
                BufWriter::new(self.disk_file()?)
            }
        };
        Ok(self.file.insert(file))
    }
}

impl Write for SpoolWriter {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.buffer(octets.len())?.write(octets)?;
        self.length = self
            .length
            .saturating_add(written.try_into().unwrap_or(u64::MAX));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), BufWriter::flush)
    }
}

fn in_memory() -> io::Result<File> {
    let create = |flags| memfd_create("ima-message", flags);
    let fd = match create(MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => create(MemfdFlags::CLOEXEC)?, // Linux before 6.3
        other => other?,
    };
    Ok(File::from(fd))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::{IN_MEMORY, Spooled};
    use std::fs::{self, File};
    use std::io::{Read as _, Seek as _, Write as _};
    use std::os::fd::{AsRawFd as _, OwnedFd};

    fn octets(length: u64) -> Vec<u8> {
        (0..length)
            .map(|i| u8::try_from(i % 251).unwrap())
            .collect()
    }

    fn read(file: &mut File) -> Vec<u8> {
        let mut octets = Vec::new();
        file.read_to_end(&mut octets).unwrap();
        octets
    }

    fn name(file: &File) -> String {
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        fs::read_link(link).unwrap().display().to_string()
    }

    #[test]
    fn what_goes_in_comes_out_and_the_large_lies_on_disk() {
        for length in [
            0,
            1,
            8191,
            IN_MEMORY - 1,
            IN_MEMORY,
            IN_MEMORY + 1,
            3 * IN_MEMORY,
        ] {
            for step in [1000, 100_000, 10_000_000] {
                let mut spool = Spooled::writer();
                for piece in octets(length).chunks(step) {
                    spool.write_all(piece).unwrap();
                }
                let mut file = spool.finish().unwrap();
                assert_eq!(
                    name(&file).starts_with("/memfd:"),
                    length <= IN_MEMORY,
                    "{length}"
                );
                assert!(
                    name(&file).ends_with("(deleted)"),
                    "nothing to leave behind"
                );
                assert_eq!(read(&mut file), octets(length));
                file.rewind().unwrap();
                assert_eq!(read(&mut file), octets(length), "and again");
            }
        }
    }

    #[test]
    fn a_pipe_is_spooled_and_a_file_is_not() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"through a pipe").unwrap();
        drop(writer);
        let mut file = Spooled::from_file(File::from(OwnedFd::from(reader))).unwrap();
        assert_eq!(read(&mut file), b"through a pipe");

        let mut plain = tempfile::tempfile().unwrap();
        plain.write_all(b"a file").unwrap();
        plain.rewind().unwrap();
        let descriptor = plain.as_raw_fd();
        let same = Spooled::from_file(plain).unwrap();
        assert_eq!(same.as_raw_fd(), descriptor);
    }

    #[test]
    fn a_directory_is_an_error() {
        let error = Spooled::from_file(File::open("/").unwrap()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::IsADirectory);
    }
}
