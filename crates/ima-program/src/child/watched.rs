//! A child's two descriptors: its stdout and its pidfd.

use super::lines::Lines;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::fcntl_getpipe_size;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So much is read at once.
pub(super) const CHUNK: usize = 16 * 1024;

/// A pipe's size where the system does not tell, pipe(7).
const PIPE: usize = 64 * 1024;

/// Longer is not waited for at once, poll(2) being asked again.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What there is to do.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ready {
    /// The child has exited and can be reaped.
    pub(super) exited: bool,
    /// Its stdout can be read, or is closed.
    pub(super) output: bool,
    /// The pipe to its stdin takes octets, or nobody reads them any more.
    pub(super) room: bool,
}

#[derive(Debug)]
pub(super) struct Watched {
    pidfd: Arc<OwnedFd>,
    /// None once it is closed.
    output: Option<OwnedFd>,
}

impl Watched {
    /// A child that has this stdout.
    pub(super) const fn new(pidfd: Arc<OwnedFd>, output: OwnedFd) -> Self {
        Self {
            pidfd,
            output: Some(output),
        }
    }

    /// Waits until there is something to do, at most for `time`; may return
    /// earlier with nothing.
    pub(super) fn wait(&self, time: Duration) -> Ready {
        self.wait_for(None, time)
    }

    /// The same, also until the pipe to its stdin has room.
    pub(super) fn wait_for(&self, input: Option<BorrowedFd<'_>>, time: Duration) -> Ready {
        // In the place of one that is not there stands the child itself.
        let pidfd = || PollFd::new(&*self.pidfd, PollFlags::IN);
        let output = self.output.as_ref();
        let mut fds = [
            pidfd(),
            output.map_or_else(pidfd, |output| PollFd::new(output, PollFlags::IN)),
            input.map_or_else(pidfd, |input| {
                PollFd::from_borrowed_fd(input, PollFlags::OUT)
            }),
        ];
        let time = Timespec::try_from(time.min(LONGEST_WAIT)).ok();
        let count = if input.is_some() { 3 } else { 2 };
        let watched = fds.get_mut(..count).unwrap_or_default();
        if poll(watched, time.as_ref()).is_err() {
            return Ready::default();
        }
        let [exited, spoke, room] = fds.map(|fd| !fd.revents().is_empty());
        Ready {
            exited,
            output: output.is_some() && spoke,
            room: input.is_some() && room,
        }
    }

    /// Waits for the child's end, at most for `time`; whether it came.
    pub(super) fn wait_for_end(&self, time: Duration) -> bool {
        let start = Instant::now();
        loop {
            let left = time.saturating_sub(start.elapsed());
            let mut pidfd = [PollFd::new(&*self.pidfd, PollFlags::IN)];
            let time = Timespec::try_from(left).ok();
            match poll(&mut pidfd, time.as_ref()) {
                Ok(1..) => return true,
                _ if left.is_zero() => return false,
                _ => {}
            }
        }
    }

    /// Reads what is there, at most `most` octets and no more than the system
    /// gives at once: that there is more [`Watched::wait`] says. How many octets
    /// that was; `None` where there is nothing now, or will be nothing any more.
    pub(super) fn read(&mut self, lines: &mut Lines, most: usize) -> Option<usize> {
        let mut chunk = [MaybeUninit::uninit(); CHUNK];
        let room = chunk.get_mut(..most.min(CHUNK)).unwrap_or_default();
        let output = self.output.as_ref().filter(|_| !room.is_empty())?;
        loop {
            match rustix::io::read(output, &mut *room) {
                Ok(([], _)) => self.output = None,
                Ok((octets, _)) => {
                    lines.feed(octets);
                    return Some(octets.len());
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {}
                Err(_) => self.output = None,
            }
            return None;
        }
    }

    /// Whether its stdout is open.
    pub(super) const fn has_output(&self) -> bool {
        self.output.is_some()
    }

    /// Reads what the child, which has exited, had written: no more than a
    /// pipe holds, for others may go on writing to it. Then closes it.
    pub(super) fn drain(&mut self, lines: &mut Lines) {
        let size = self
            .output
            .as_ref()
            .map_or(0, |output| fcntl_getpipe_size(output).unwrap_or(PIPE));
        let mut left = size;
        while let Some(count) = self.read(lines, left) {
            left = left.saturating_sub(count);
        }
        self.output = None;
    }
}
