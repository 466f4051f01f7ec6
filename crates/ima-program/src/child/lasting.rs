//! A child that stays: it is asked on its stdin, a pipe, and answers on its
//! stdout, as often as it is asked. Closing its stdin is how it is told to end.

use super::watched::CHUNK;
use super::{ChildError, Command, Event, Group, Limits, MAX_OUTPUT, Running, Started};
use crate::exit::Exit;
use rustix::io::{ioctl_fionbio, ioctl_fionread};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, PipeWriter, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// A child whose stdin is a pipe that we hold. Dropped before it ended, it is
/// killed, with its process group, and reaped.
#[derive(Debug)]
pub struct Lasting {
    /// None once it is closed. It is dropped first.
    input: Option<PipeWriter>,
    running: Running,
}

/// What came of waiting for room in the pipe to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It takes octets again.
    Here,
    /// The time has come.
    TimedOut,
    /// The child has written something or closed its stdout, or has ended.
    Spoke,
}

impl Lasting {
    /// Starts it, in a process group of its own, with the environment that a
    /// [`Command`] has. `config_dir` as there.
    ///
    /// # Errors
    /// As for [`Command::start`].
    pub fn start(argv: Vec<OsString>, config_dir: PathBuf) -> Result<Self, ChildError> {
        let (started, input) = Self::spawn(argv, config_dir)?;
        Ok(Self::new(started, input))
    }

    /// Starts it, for whoever makes a [`Lasting`] of it and the pipe to its stdin: this
    /// process or another.
    ///
    /// # Errors
    /// As for [`Command::start`].
    pub fn spawn(
        argv: Vec<OsString>,
        config_dir: PathBuf,
    ) -> Result<(Started, PipeWriter), ChildError> {
        let named = argv.first().map(PathBuf::from).unwrap_or_default();
        let failed = |source| ChildError::Start {
            program: named,
            source,
        };
        let pipe = io::pipe().and_then(|(reader, writer)| {
            ioctl_fionbio(&writer, true)?;
            Ok((File::from(OwnedFd::from(reader)), writer))
        });
        let (stdin, input) = match pipe {
            Ok(pipe) => pipe,
            Err(error) => return Err(failed(error)),
        };
        let command = Command {
            argv,
            config_dir,
            env: Vec::new(),
            stdin,
            group: Group::Own,
        };
        Ok((command.spawn()?, input))
    }

    /// A child that was started a moment ago, with the pipe to its stdin, which does not
    /// block.
    #[must_use]
    pub fn new(started: Started, input: PipeWriter) -> Self {
        let mut running = Running::new(started, Limits::until(Instant::now()));
        running.ends_with_line = true;
        Self {
            input: Some(input),
            running,
        }
    }

    /// The program's file.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.running.program
    }

    /// Its process id, which is its own until it is reaped.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.running.id
    }

    /// How it ended, as [`Running::status`].
    #[must_use]
    pub const fn status(&self) -> Option<ExitStatus> {
        self.running.status()
    }

    /// From here on, for what it is asked next: the time at which it is killed,
    /// and as much output as the handler contract allows.
    pub fn renew(&mut self, deadline: Instant) {
        self.running.deadline = deadline;
        self.running.last_tick = Instant::now();
        self.running.lines.renew(MAX_OUTPUT);
    }

    /// Gives it octets, as many as the pipe takes at once.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] where the pipe is full; [`ErrorKind::BrokenPipe`]
    /// where nobody reads it.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let Some(input) = &mut self.input else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        loop {
            match input.write(octets) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    /// Waits until the pipe takes octets again, until the child speaks or ends,
    /// or for `time`.
    #[must_use]
    pub fn wait_for_room(&self, time: Duration) -> Room {
        let input = self.input.as_ref().map(|input| input.as_fd());
        let ready = self.running.watched.wait_for(input, time);
        if ready.exited || ready.output {
            Room::Spoke
        } else if ready.room {
            Room::Here
        } else {
            Room::TimedOut
        }
    }

    /// Waits for what happens next, as [`Running::next`]. Every line ends in LF.
    pub fn next(&mut self, tick: Duration) -> Event {
        self.running.next(tick)
    }

    /// Whether a whole further line is here: [`Lasting::next`] gives it at once.
    #[must_use]
    pub fn has_line(&self) -> bool {
        self.running.lines.has_line()
    }

    /// Whether it wrote more than counts, so that lines of it are lost.
    #[must_use]
    pub fn has_flooded(&self) -> bool {
        self.running.lines.has_lost()
    }

    /// Whether some of what it was given is still in the pipe.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        let input = self.input.as_ref();
        input.is_some_and(|input| ioctl_fionread(input).is_ok_and(|octets| octets > 0))
    }

    /// Whether it runs and has said nothing that was not heard yet.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let ready = self.running.watched.wait(Duration::ZERO);
        !ready.exited && !ready.output && self.running.lines.is_empty()
    }

    /// Whether it has closed its stdout or said something that was not heard yet,
    /// as far as its stdout tells: less than [`Lasting::is_at_rest`], and sooner.
    #[must_use]
    pub fn has_spoken(&mut self) -> bool {
        let Running { watched, lines, .. } = &mut self.running;
        watched.read(lines, CHUNK);
        !watched.has_output() || !lines.is_empty()
    }

    /// Whether its end was not seen yet.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.running.parent.is_some()
    }

    /// Tells it that nothing comes any more.
    pub fn close(&mut self) {
        self.input = None;
    }

    /// Closes its stdin and waits for its end, for `time` at most; then it is
    /// killed. Gives how it ended.
    pub fn end(mut self, time: Duration) -> Exit {
        self.close();
        if self.running.parent.is_some() && self.running.watched.wait_for_end(time) {
            self.running.settle();
        } else if self.running.parent.is_some() {
            self.running.kill();
        }
        self.running.exit
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use std::thread;

    const LONG: Duration = Duration::from_secs(60);

    fn start(script: &str) -> Lasting {
        let argv = ["/bin/sh", "-c", script].map(OsString::from);
        let mut child = Lasting::start(argv.into(), PathBuf::from("/")).unwrap();
        child.renew(Instant::now() + LONG);
        child
    }

    #[test]
    fn it_is_asked_as_often_as_one_likes_and_ends_in_order() {
        let mut child = start("while read -r line; do echo \"$line $line\"; done; exit 1");
        for question in ["a", "b", "c"] {
            assert!(child.is_at_rest() && !child.has_spoken());
            child.write(format!("{question}\n").as_bytes()).unwrap();
            let answer = format!("{question} {question}");
            assert_eq!(child.next(LONG), Event::Line(answer));
            assert!(!child.has_unread() && !child.has_line() && child.is_running());
        }
        assert_eq!(child.end(LONG), Exit::Refused);
    }

    #[test]
    fn what_it_says_unasked_is_noticed_and_not_lost() {
        let mut child = start("echo here; read -r line; exec >&-; read -r line; exit 0");
        assert!(child.running.watched.wait(LONG).output);
        assert!(child.has_spoken() && !child.is_at_rest());
        assert_eq!(child.next(LONG), Event::Line("here".into()));
        assert!(!child.has_spoken() && child.is_at_rest());
        // The end of its stdout is something, and so is half a line.
        child.write(b"\n").unwrap();
        assert!(child.running.watched.wait(LONG).output);
        assert!(child.has_spoken() && child.is_running());
        child.write(b"\n").unwrap();
        assert_eq!(child.next(LONG), Event::Exited(Exit::Done));
        assert!(!child.is_running());

        let mut child = start("printf half; read -r line; exit 0");
        assert!(child.running.watched.wait(LONG).output);
        assert!(child.has_spoken() && child.has_spoken() && !child.is_at_rest());
        assert_eq!(child.end(LONG), Exit::Done);
    }

    #[test]
    fn output_counts_anew_for_each_question() {
        let mut child =
            start("while read -r n; do head -c \"$n\" /dev/zero | tr '\\0' x; echo; done");
        for _ in 0..3 {
            child.renew(Instant::now() + LONG);
            child.write(b"1000000\n").unwrap();
            assert_eq!(child.next(LONG), Event::Line("x".repeat(4096)));
            assert!(!child.has_flooded());
        }
        child.renew(Instant::now() + LONG);
        child.write(b"2000000\n").unwrap();
        while !child.has_flooded() {
            assert_eq!(child.next(Duration::from_millis(10)), Event::Tick);
        }
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_full_and_then_broken() {
        let mut child = start("echo here; read -r line; exec <&-; echo closed; sleep 1000");
        assert_eq!(child.next(LONG), Event::Line("here".into()));
        child.write(b"go\n").unwrap();
        assert_eq!(child.next(LONG), Event::Line("closed".into()));
        // A process that another test begins has the reading end as well, until it runs
        // its program.
        let end = Instant::now() + LONG;
        let broken = loop {
            match child.write(b"more") {
                Ok(_) if Instant::now() < end => thread::sleep(Duration::from_millis(1)),
                written => break written.unwrap_err(),
            }
        };
        assert_eq!(broken.kind(), ErrorKind::BrokenPipe);

        let mut child = start("sleep 1000");
        while child.write(&[b'x'; 4096]).is_ok() {}
        let full = child.write(b"x").unwrap_err();
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        assert!(child.has_unread());
        assert_eq!(child.wait_for_room(Duration::ZERO), Room::TimedOut);
        // It does not end by itself.
        assert_eq!(child.end(Duration::from_millis(10)), Exit::Unfinished);
    }

    #[test]
    fn half_a_line_is_none_and_one_out_of_time_is_killed() {
        let mut child = start("printf half; exit 0");
        assert_eq!(child.next(LONG), Event::Exited(Exit::Done));
        let mut child = start("sleep 1000");
        child.renew(Instant::now());
        assert_eq!(child.next(LONG), Event::Exited(Exit::Unfinished));
    }
}
