//! A route file: routes for very many users, of which a look-up reads a few.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::Deserialize;

use crate::entry::Route;
use crate::error::{LineError, RouteError};
use crate::sorted_lines::{self, SearchError};

/// A file that is opened by the first look-up, and read at its size of then.
#[derive(Debug)]
pub(crate) struct RouteFile {
    path: PathBuf,
    opened: OnceLock<(File, u64)>,
    /// What was looked up already: a catch-all is, once for each recipient.
    answers: Mutex<HashMap<String, Option<Arc<Route>>>>,
}

impl RouteFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            opened: OnceLock::new(),
            answers: Mutex::default(),
        }
    }

    /// The route for a key in canonical form, `bob@b.test` or `*@b.test`.
    ///
    /// # Errors
    /// The file cannot be read, or a line that was met cannot be used.
    pub(crate) fn look_up(&self, key: &str) -> Result<Option<Arc<Route>>, RouteError> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get(key) {
            return Ok(answer.clone());
        }
        let answer = self.search(key)?;
        answers.insert(key.to_owned(), answer.clone());
        Ok(answer)
    }

    fn search(&self, key: &str) -> Result<Option<Arc<Route>>, RouteError> {
        let (file, size) = self.opened()?;
        let found =
            sorted_lines::search(file, *size, key.as_bytes()).map_err(|error| match error {
                SearchError::Read(source) => self.unreadable(source),
                SearchError::Line(offset, source) => self.unusable(offset, source),
            })?;
        let Some(found) = found else {
            return Ok(None);
        };
        let route =
            parse_value(&found.value).map_err(|source| self.unusable(found.offset, source))?;
        Ok(Some(Arc::new(route)))
    }

    fn opened(&self) -> Result<&(File, u64), RouteError> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let file = File::open(&self.path).map_err(|source| self.unreadable(source))?;
        let metadata = file.metadata().map_err(|source| self.unreadable(source))?;
        if !metadata.is_file() {
            return Err(self.unreadable(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not a regular file",
            )));
        }
        let size = metadata.len();
        if let Some(last) = size.checked_sub(1) {
            let mut octet = [0];
            file.read_exact_at(&mut octet, last)
                .map_err(|source| self.unreadable(source))?;
            if octet != *b"\n" {
                return Err(self.unusable(last, LineError::CutShort));
            }
        }
        Ok(self.opened.get_or_init(|| (file, size)))
    }

    fn unreadable(&self, source: io::Error) -> RouteError {
        RouteError::File {
            file: self.path.clone(),
            source,
        }
    }

    fn unusable(&self, offset: u64, source: LineError) -> RouteError {
        RouteError::Line {
            file: self.path.clone(),
            offset,
            source,
        }
    }
}

fn parse_value(value: &[u8]) -> Result<Route, LineError> {
    let value = std::str::from_utf8(value).map_err(|_| LineError::NotUtf8)?;
    toml::de::ValueDeserializer::parse(value)
        .and_then(Route::deserialize)
        .map_err(|error| LineError::Value(error.message().to_owned()))
}
