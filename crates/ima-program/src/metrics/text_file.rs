//! The file that holds the text.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::log;

/// Everybody may read it: who collects it is another user.
const MODE: u32 = 0o644;

/// A file that is replaced as a whole each time. Whoever reads it, also after a crash
/// of this program, finds one text from its beginning to its end.
#[derive(Debug)]
pub struct TextFile {
    path: PathBuf,
    has_failed: bool,
}

impl TextFile {
    /// The file at `path`, which is not looked at yet. Where that is a symbolic link,
    /// the link is replaced.
    #[must_use]
    pub fn new(path: PathBuf) -> TextFile {
        TextFile {
            path,
            has_failed: false,
        }
    }

    /// Puts a text into it, and says whether that could be done. If not, that is
    /// logged once, as `metrics-not-written`, and that it works again, as
    /// `metrics-written-again`.
    ///
    /// It is not synchronised: after a loss of power it may be empty.
    pub fn write(&mut self, text: &[u8]) -> bool {
        let written = replace(&self.path, text);
        let had_failed = std::mem::replace(&mut self.has_failed, written.is_err());
        match &written {
            Err(error) if !had_failed => log::error("metrics-not-written")
                .field("file", self.path.display())
                .field("error", error)
                .emit(),
            Ok(()) if had_failed => log::info("metrics-written-again")
                .field("file", self.path.display())
                .emit(),
            _ => {}
        }
        written.is_ok()
    }
}

/// The name beside it does not end as those that are collected.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut beside = tempfile::Builder::new()
        .prefix(&prefix)
        .tempfile_in(folder)?;
    let file: &mut File = beside.as_file_mut();
    file.write_all(text)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    beside.persist(path)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("server.prom");
        let mut file = TextFile::new(path.clone());
        assert!(file.write(b"long 1\n"));
        let reader = File::open(&path).unwrap();
        assert!(file.write(b"2\n"));
        assert_eq!(fs::read(&path).unwrap(), b"2\n");
        // Who had opened it reads on in what it was.
        assert_eq!(io::read_to_string(reader).unwrap(), "long 1\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode(), 0o100_644);
        assert_eq!(names(place.path()), ["server.prom"]);
    }

    #[test]
    fn a_link_is_replaced_and_what_it_leads_to_is_not_touched() {
        let place = tempfile::tempdir().unwrap();
        let (path, other) = (place.path().join("a.prom"), place.path().join("other"));
        fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(TextFile::new(path.clone()).write(b"1\n"));
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        assert_eq!(fs::read(&path).unwrap(), b"1\n");
    }

    #[test]
    fn a_place_where_nothing_can_be_written_is_no_harm() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("folder");
        let mut file = TextFile::new(folder.join("a.prom"));
        assert!(!file.write(b"1\n") && file.has_failed);
        fs::create_dir_all(folder.join("a.prom")).unwrap();
        assert!(!file.write(b"1\n") && file.has_failed);
        assert_eq!(names(&folder), ["a.prom"]);
        fs::remove_dir(folder.join("a.prom")).unwrap();
        assert!(file.write(b"1\n") && !file.has_failed);
    }
}
