//! Folders that the monitor watches.

use std::cell::RefCell;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::rc::Rc;

use ima_message::FolderName;
use ima_proto::imrp;

use super::line::Line;
use crate::packets::{Reply, Request};

/// Those of one WATCH, until it is dropped.
pub struct Watcher {
    line: Rc<RefCell<Line>>,
    /// Becomes readable where the monitor has something to say.
    bell: OwnedFd,
}

impl Watcher {
    pub fn new(line: Rc<RefCell<Line>>, bell: OwnedFd) -> Self {
        Self { line, bell }
    }
}

impl imrp::Watcher for Watcher {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn changed(&mut self) -> Vec<FolderName> {
        match self.line.borrow_mut().ask(&Request::Changed) {
            Ok((Reply::Changed(folders), _)) => folders,
            _ => Vec::new(),
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Where that fails nothing is watched any more.
        let _ = self.line.borrow_mut().ask(&Request::Unwatch);
    }
}
