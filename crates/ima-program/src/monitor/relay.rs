//! What the network process says, on its way to the log.
//!
//! The network process does not hold the log: whoever has taken it over could empty the
//! file, or close the socket, that the monitor and the commands write to as well. It holds a
//! pipe, out of which a thread of the monitor copies whole lines. What is no line of this
//! program's log is not copied but told of, so that it is nobody's line.

use std::io::{self, PipeReader, Read as _};
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionread};

use crate::log::{self, Form, Level, MAX_LINE};

/// The thread's.
const STACK: usize = 128 << 10;

/// The most that is read at once, in octets: what a pipe holds.
const ROOM: usize = 64 << 10;

/// How long lines gather after some were copied: to be woken for each costs both processes
/// more than the line.
const PAUSE: Duration = Duration::from_millis(2);

/// How long the end may wait for a log that takes nothing.
const LAST: Duration = Duration::from_secs(5);

/// The thread that copies.
#[derive(Debug)]
pub(super) struct Relay {
    /// Nothing comes, and it ends with the thread's work.
    done: Receiver<()>,
}

impl Relay {
    /// Begins to copy what comes by this pipe, until the process of this pidfd has ended;
    /// whoever else may have come to hold the pipe by then.
    ///
    /// # Errors
    /// Where the system has no threads left.
    pub(super) fn start(pipe: PipeReader, process: Arc<OwnedFd>) -> io::Result<Self> {
        let lines = Lines::new(log::form(), log::program(), log::is_syslog(), log::write);
        Self::copying(pipe, process, lines)
    }

    fn copying(
        pipe: PipeReader,
        process: Arc<OwnedFd>,
        lines: Lines<impl FnMut(Level, &str) + Send + 'static>,
    ) -> io::Result<Self> {
        let (working, done) = mpsc::channel::<()>();
        thread::Builder::new().stack_size(STACK).spawn(move || {
            copy(pipe, &process, lines);
            drop(working);
        })?;
        Ok(Self { done })
    }

    /// The process has ended: waits until all that it wrote is in the log, or for five
    /// seconds where the log takes nothing.
    pub(super) fn finish(self) {
        // It is an error either way: the end, or that there is none.
        let _ = self.done.recv_timeout(LAST);
    }
}

fn copy(mut pipe: PipeReader, process: &OwnedFd, mut lines: Lines<impl FnMut(Level, &str)>) {
    let mut room = vec![0; ROOM];
    // What is there when the process has ended is all that it wrote.
    let mut left = None;
    while left != Some(0) {
        if left.is_none() {
            let mut waiting = [
                PollFd::new(&pipe, PollFlags::IN),
                PollFd::new(process, PollFlags::IN),
            ];
            // Where it fails otherwise, the read waits.
            if poll(&mut waiting, None) == Err(Errno::INTR) {
                continue;
            }
            let [_, ended] = waiting.map(|fd| fd.revents());
            if !ended.is_empty() {
                left = Some(ioctl_fionread(&pipe).unwrap_or_default());
                continue;
            }
        }
        let most = left.map_or(ROOM, |left| usize::try_from(left).unwrap_or(ROOM));
        let most = most.min(room.len());
        let read = match room.get_mut(..most).map(|room| pipe.read(room)) {
            Some(Ok(read)) if read > 0 => read,
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
            _ => break,
        };
        lines.feed(room.get(..read).unwrap_or_default());
        if left.is_none() {
            thread::sleep(PAUSE);
        }
        left = left.map(|left| left.saturating_sub(u64::try_from(read).unwrap_or(left)));
    }
    lines.end();
}

/// Octets in, lines out, as many in a write as are not mixed with those of others.
#[derive(Debug)]
struct Lines<W> {
    form: Form,
    program: &'static str,
    /// Each line is a write of its own.
    is_single: bool,
    write: W,
    /// The beginning of a line; of one that is too long, so much that this shows.
    begun: Vec<u8>,
    /// Whole lines, no longer than `MAX_LINE` together.
    ready: String,
}

impl<W: FnMut(Level, &str)> Lines<W> {
    fn new(form: Form, program: &'static str, is_single: bool, write: W) -> Self {
        Self {
            form,
            program,
            is_single,
            write,
            begun: Vec::new(),
            ready: String::new(),
        }
    }

    /// Writes all lines that are whole by now.
    fn feed(&mut self, octets: &[u8]) {
        for piece in octets.split_inclusive(|octet| *octet == b'\n') {
            let is_whole = piece.ends_with(b"\n");
            if is_whole && self.begun.is_empty() {
                self.take(piece);
                continue;
            }
            let room = MAX_LINE.saturating_add(1).saturating_sub(self.begun.len());
            let kept = piece.get(..room).unwrap_or(piece);
            self.begun.extend_from_slice(kept);
            if is_whole {
                let line = mem::take(&mut self.begun);
                self.take(&line);
            }
        }
        self.flush();
    }

    /// No more will come; what has no LF behind it is no line.
    fn end(&mut self) {
        let begun = mem::take(&mut self.begun);
        self.tell(&begun);
    }

    fn take(&mut self, line: &[u8]) {
        let Some((text, level)) = self.ours(line) else {
            return self.tell(line);
        };
        if self.is_single {
            return (self.write)(level, text);
        }
        if self.ready.len().saturating_add(text.len()) > MAX_LINE {
            self.flush();
        }
        self.ready.push_str(text);
    }

    /// The text of a line that this program could have written, with its LF, and how grave
    /// it is.
    fn ours<'a>(&self, line: &'a [u8]) -> Option<(&'a str, Level)> {
        let text = str::from_utf8(line).ok()?;
        let line = text.strip_suffix('\n')?;
        if text.len() > MAX_LINE {
            return None;
        }
        Some((text, self.form.level_of(line, self.program)?))
    }

    /// Logs that this was said, up to [`log::MAX_VALUE`]; where it is empty, nothing.
    fn tell(&mut self, octets: &[u8]) {
        let kept = octets.get(..MAX_LINE).unwrap_or(octets);
        let text = String::from_utf8_lossy(kept);
        let text = text.trim_end_matches('\n');
        if text.is_empty() {
            return;
        }
        self.flush();
        let level = Level::Error;
        let event = "network-process-said";
        let entry = log::Entry::of(self.form, level, self.program, event);
        (self.write)(level, &entry.field("text", text).into_line());
    }

    fn flush(&mut self) {
        if !self.ready.is_empty() {
            // What level they have is asked only where each is a write of its own.
            (self.write)(Level::Info, &self.ready);
            self.ready.clear();
        }
    }
}

#[cfg(test)]
mod tests;
