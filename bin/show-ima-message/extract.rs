//! `--extract DIR`: the attachments as files.

use std::collections::HashSet;
use std::io::{ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ima_message::{HeaderBlock, Part};
use ima_program::exit::Exit;
use ima_program::report;

use crate::data::{self, Sink};
use crate::failure::Failure;
use crate::input::{Input, Output};
use crate::staged::{Directory, Staged};

/// Writes every attachment, verifies the whole message, and only then gives the
/// files their names; prints the path of each.
///
/// # Errors
/// The message is not valid, or there is no room: then there is no new file. A
/// name that is taken is reported, and the other files are there: 2.
pub(crate) fn extract(
    header: &HeaderBlock,
    input: &mut Input,
    directory: &Path,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let directory = Directory::open(directory)?;
    let mut attachments = Attachments {
        directory: &directory,
        files: Vec::new(),
        names: HashSet::new(),
        wanted: false,
    };
    let verdicts = data::read(header, input, &mut attachments)?;
    verdicts
        .all_right()
        .map_err(|error| Failure::Data(input.origin().clone(), error))?;
    let (placed, exit) = attachments.place();
    let fault = |error| Failure::Extract(directory.path_of("."), error);
    directory.sync().map_err(fault)?;
    for path in placed {
        output
            .write_all(path.as_os_str().as_bytes())
            .and_then(|()| output.write_all(b"\n"))
            .map_err(Failure::Write)?;
    }
    output.flush().map_err(Failure::Write)?;
    Ok(exit)
}

/// The attachments so far, under the names that they will have.
struct Attachments<'d> {
    directory: &'d Directory,
    files: Vec<(String, Staged<'d>)>,
    names: HashSet<String>,
    wanted: bool,
}

impl Attachments<'_> {
    /// Gives each file its name. What cannot have it is reported.
    fn place(self) -> (Vec<PathBuf>, Exit) {
        let mut placed = Vec::new();
        let mut exit = Exit::Done;
        for (name, file) in self.files {
            let path = self.directory.path_of(&name);
            let failure = match file.place(&name) {
                Ok(()) => {
                    placed.push(path);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Failure::Exists(path),
                Err(error) => Failure::Extract(path, error),
            };
            report::report(crate::PROGRAM, &failure);
            exit = failure.exit();
        }
        (placed, exit)
    }
}

impl Sink for Attachments<'_> {
    fn begin(&mut self, part: &Part) -> Result<(), Failure> {
        self.wanted = part.is_attachment();
        if let Some(name) = part.name() {
            let name = free_name(name, &self.names);
            let file = Staged::new(self.directory)
                .map_err(|error| Failure::Extract(self.directory.path_of(&name), error))?;
            self.names.insert(name.clone());
            self.files.push((name, file));
        }
        Ok(())
    }

    fn take(&mut self, octets: &[u8]) -> Result<(), Failure> {
        match self.files.last_mut().filter(|_| self.wanted) {
            Some((name, staged)) => staged
                .file
                .write_all(octets)
                .map_err(|error| Failure::Extract(self.directory.path_of(name), error)),
            None => Ok(()),
        }
    }
}

/// The name of an attachment as a file. One that would be hidden (`.profile`)
/// or taken for an option (`-rf`) gets a `_` before it; one that stands in the
/// message before gets a number: `photo.jpg`, `photo-2.jpg`.
fn free_name(name: &str, taken: &HashSet<String>) -> String {
    let name = if name.starts_with(['.', '-']) {
        format!("_{name}")
    } else {
        name.to_owned()
    };
    let (stem, suffix) = match name.rfind('.') {
        Some(dot) => name.split_at_checked(dot).unwrap_or((&name, "")),
        None => (&*name, ""),
    };
    let numbered = (2_u32..).map(|number| format!("{stem}-{number}{suffix}"));
    std::iter::once(name.clone())
        .chain(numbered)
        .find(|name| !taken.contains(name))
        .unwrap_or_else(|| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_used_once() {
        let mut taken = HashSet::new();
        for (name, free) in [
            ("photo.jpg", "photo.jpg"),
            ("photo.jpg", "photo-2.jpg"),
            ("photo.jpg", "photo-3.jpg"),
            ("photo-2.jpg", "photo-2-2.jpg"),
            ("README", "README"),
            ("README", "README-2"),
            (".profile", "_.profile"),
            ("-rf", "_-rf"),
            ("...", "_..."),
        ] {
            let given = free_name(name, &taken);
            assert_eq!(given, free);
            taken.insert(given);
        }
    }
}
