//! Folders that the monitor watches.

use std::cell::RefCell;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::rc::Rc;

use ima_message::FolderName;
use ima_proto::imrp::{self, Fault};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::line::Line;
use crate::packets::{Reply, Request};

/// Those of one WATCH, until it is dropped.
pub struct Watcher {
    line: Rc<RefCell<Line>>,
    /// Gives an octet where the monitor has something to say.
    bell: OwnedFd,
}

/// Octets that are taken from a bell at a time: there are seldom two.
const OCTETS: usize = 64;

impl Watcher {
    pub fn new(line: Rc<RefCell<Line>>, bell: OwnedFd) -> Self {
        Self { line, bell }
    }
}

impl imrp::Watcher for Watcher {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn changed(&mut self) -> Result<Vec<FolderName>, Fault> {
        // In this order: it rings again for what changes after the answer.
        while let Ok((OCTETS, _)) | Err(Errno::INTR) =
            recv(&self.bell, &mut [0_u8; OCTETS], RecvFlags::DONTWAIT)
        {}
        match self.line.borrow_mut().ask(&Request::Changed)?.0 {
            Reply::Changed(folders) => Ok(folders),
            _ => Err(Fault),
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Where that fails nothing is watched any more.
        let _ = self.line.borrow_mut().ask(&Request::Unwatch);
    }
}
