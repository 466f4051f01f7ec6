//! The text of a process that writes no files, in a file of its monitor's.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use super::{Metrics, Publishing, TextFile};
use crate::monitor::{Questions, Service};

/// The service of the monitor that writes the file. It is asked to write a text, and
/// answers whether that could be done.
#[derive(Debug)]
pub struct Texts(Mutex<TextFile>);

impl Texts {
    /// Writes this file.
    #[must_use]
    pub fn new(file: TextFile) -> Texts {
        Texts(Mutex::new(file))
    }
}

impl Service for Texts {
    type Request = Vec<u8>;
    type Reply = bool;

    fn answer(&self, text: Vec<u8>, _with: Vec<OwnedFd>) -> (bool, Vec<OwnedFd>) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (file.write(&text), Vec::new())
    }
}

impl Publishing {
    /// [`Publishing::begin`], where the monitor writes the file; nothing, where it gave no
    /// sockets.
    ///
    /// # Errors
    /// Where the system has no thread left.
    pub fn remote(metrics: Metrics, sockets: Vec<OwnedFd>) -> io::Result<Option<Publishing>> {
        if sockets.is_empty() {
            return Ok(None);
        }
        let questions = Questions::<Texts>::new(sockets);
        let publish = move |text: &[u8]| {
            let asked = questions.ask(&text.to_vec(), &[]);
            asked.is_ok_and(|(is_written, _)| is_written)
        };
        Publishing::begin(metrics, publish).map(Some)
    }
}
