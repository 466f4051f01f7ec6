//! What only the parent of a child can do.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process_group, pidfd_send_signal};

use super::{Group, left};

/// The parent of a child, which is this process or, for the network process of a
/// server, its monitor. To be dropped once the child is reaped or left.
pub trait Parent: fmt::Debug + Send {
    /// Kills the child and all in a process group of its own. It is not reaped yet.
    fn kill(&self);

    /// The child has exited: as long as nobody else can have its process id, kills what
    /// is left of its group; then reaps it.
    ///
    /// # Errors
    /// Where how it ended is lost.
    fn reap(&mut self) -> io::Result<ExitStatus>;

    /// The child cannot be killed: it is reaped when it is gone.
    fn leave(self: Box<Self>);
}

/// A child that runs, and how to reach it.
#[derive(Debug)]
pub struct Started {
    /// The program's file.
    pub program: PathBuf,
    /// Its process id.
    pub id: u32,
    /// Who can end it.
    pub parent: Box<dyn Parent>,
    /// Readable when it has exited.
    pub pidfd: Arc<OwnedFd>,
    /// Its stdout, which is not blocking.
    pub output: OwnedFd,
}

/// We are the parent.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) child: Child,
    pub(super) pidfd: Arc<OwnedFd>,
    pub(super) group: Group,
}

impl Own {
    fn kill_group(&self) {
        if self.group == Group::Own {
            kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        }
    }
}

impl Parent for Own {
    fn kill(&self) {
        self.kill_group();
        // One that left the group.
        pidfd_send_signal(&self.pidfd, Signal::KILL).ok();
    }

    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.kill_group();
        self.child.wait()
    }

    fn leave(self: Box<Self>) {
        left::leave(self.child);
    }
}
