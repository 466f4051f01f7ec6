//! One line an event, on stderr, for people and for `grep`:
//!
//! ```text
//! time=2026-11-22T09:30:02.123Z level=info program=server-receive event=accepted peer=a.test
//! ```
//!
//! A value is in double quotes where it is empty or holds a space, `"`, `=`,
//! `\`, or a character that could lead a reader astray; inside the quotes `"`
//! and `\` have a `\` before them, and the last kind is written as in
//! [`crate::escape`]. So nothing that a peer or a child says forges a line or a
//! field, or reaches a terminal as a sequence. What is secret (a password, a
//! key, message text) must not be given to these functions.

mod syslog;

use crate::escape::{is_hidden, push_visible};
use jiff::Timestamp;
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use syslog::Syslog;

/// The longest line in octets, with its LF: what a pipe takes at once, so that
/// the lines of processes that share one do not mix. A field that would make a
/// line longer is left out, and `cut=true` says so.
pub const MAX_LINE: usize = 4096;

/// The longest value in octets, before it is escaped; a longer one ends in `…`.
pub const MAX_VALUE: usize = 1000;

const CUT: &str = " cut=true";

static PROGRAM: OnceLock<&'static str> = OnceLock::new();
static SYSLOG: OnceLock<Syslog> = OnceLock::new();

/// Says once, at the start, which program this is. The first name stays.
pub fn init(program: &'static str) {
    PROGRAM.get_or_init(|| program);
}

/// The name that [`init`] was given, else `unknown`.
#[must_use]
pub fn program() -> &'static str {
    PROGRAM.get().copied().unwrap_or("unknown")
}

/// How grave an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// Somebody else's fault, or one that was got over.
    Warn,
    /// Our own fault: somebody should look.
    Error,
}

/// An event that is as it should be.
pub fn info(event: &'static str) -> Entry {
    Entry::new(Level::Info, event)
}

/// An event that is somebody else's fault, or that was got over.
pub fn warn(event: &'static str) -> Entry {
    Entry::new(Level::Warn, event)
}

/// An event that is a fault of our own.
pub fn error(event: &'static str) -> Entry {
    Entry::new(Level::Error, event)
}

/// A line in the making.
#[derive(Debug)]
#[must_use = "an entry is written by emit()"]
pub struct Entry {
    level: Level,
    line: String,
    cut: bool,
}

impl Entry {
    fn new(level: Level, event: &str) -> Self {
        Self::at(Timestamp::now(), level, program(), event)
    }

    fn at(time: Timestamp, level: Level, program: &str, event: &str) -> Self {
        let level_name = match level {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let entry = Self {
            level,
            line: format!("time={time:.3} level={level_name}"),
            cut: false,
        };
        entry.field("program", program).field("event", event)
    }

    /// Adds `key=value`. A key is lower-case letters, digits and `-`.
    pub fn field(mut self, key: &'static str, value: impl Display) -> Self {
        let value = escaped(&value.to_string());
        let length = [self.line.len(), 1, key.len(), 1, value.len(), CUT.len(), 1]
            .into_iter()
            .fold(0, usize::saturating_add);
        if length > MAX_LINE {
            self.cut = true;
            return self;
        }
        self.line.push(' ');
        self.line.push_str(key);
        self.line.push('=');
        self.line.push_str(&value);
        self
    }

    /// Writes the line, in one write(2); one that cannot be written is lost.
    pub fn emit(self) {
        let level = self.level;
        write(level, &self.into_line());
    }

    fn into_line(mut self) -> String {
        if self.cut {
            self.line.push_str(CUT);
        }
        self.line.push('\n');
        self.line
    }
}

fn escaped(value: &str) -> String {
    let end = value.floor_char_boundary(MAX_VALUE);
    let (kept, rest) = value.split_at_checked(end).unwrap_or((value, ""));
    let quote =
        kept.is_empty() || kept.contains(|c| matches!(c, ' ' | '"' | '=' | '\\') || is_hidden(c));
    let mut out = String::with_capacity(kept.len().saturating_add(8));
    if quote {
        out.push('"');
    }
    for c in kept.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if is_hidden(c) => push_visible(&mut out, c),
            c => out.push(c),
        }
    }
    if !rest.is_empty() {
        out.push('…');
    }
    if quote {
        out.push('"');
    }
    out
}

/// One write(2) on stderr, again only where a signal came in between; or a
/// datagram to the system's log. `line` ends in LF.
pub(crate) fn write(level: Level, line: &str) {
    match SYSLOG.get() {
        Some(syslog) => syslog.send(level, program(), line.trim_end()),
        None => while rustix::io::write(io::stderr(), line.as_bytes()) == Err(Errno::INTR) {},
    }
}

/// From here on lines go to the system's log (facility mail, `/dev/log`), and
/// nowhere where there is none; and file descriptor 2, which children inherit,
/// is `/dev/null`. For a program that inetd started: its stderr is the peer's
/// socket.
///
/// # Errors
/// Where `/dev/null` cannot be opened. Nothing is changed then, and the
/// program must not go on: what it or a child prints would reach the peer.
pub fn to_syslog() -> io::Result<()> {
    let syslog = Syslog::new("/dev/log")?;
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stderr(&null)?;
    SYSLOG.get_or_init(|| syslog);
    Ok(())
}

/// Whether stderr is the socket that stdin is, as inetd has it.
#[must_use]
pub fn stderr_is_stdin_socket() -> bool {
    same_socket(io::stdin(), io::stderr())
}

fn same_socket(one: impl AsFd, other: impl AsFd) -> bool {
    let (Ok(one), Ok(other)) = (fstat(one), fstat(other)) else {
        return false;
    };
    FileType::from_raw_mode(one.st_mode) == FileType::Socket
        && (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::{Entry, Level, MAX_LINE, MAX_VALUE, same_socket};
    use std::env;
    use std::error::Error;
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    fn entry(event: &str) -> Entry {
        let time = "2026-11-22T09:30:02.1239Z".parse().unwrap();
        Entry::at(time, Level::Info, "server-receive", event)
    }

    #[test]
    fn a_line() {
        let line = entry("accepted")
            .field("peer", "a.test")
            .field("size", 301)
            .into_line();
        assert_eq!(
            line,
            "time=2026-11-22T09:30:02.123Z level=info program=server-receive event=accepted peer=a.test size=301\n"
        );
        let whole = "2026-11-22T09:30:02Z".parse().unwrap();
        assert!(
            Entry::at(whole, Level::Warn, "p", "e")
                .into_line()
                .starts_with("time=2026-11-22T09:30:02.000Z level=warn ")
        );
    }

    #[test]
    fn a_value_forges_nothing() {
        for (value, written) in [
            ("bob@b.test", "bob@b.test"),
            ("", "\"\""),
            ("two words", "\"two words\""),
            ("a=b", "\"a=b\""),
            ("say \"no\"", "\"say \\\"no\\\"\""),
            ("x\ntime=now", "\"x\\ntime=now\""),
            ("\\n", "\"\\\\n\""),
            ("\u{1b}[2J", "\"\\e[2J\""),
            ("\u{202e}", "\"\\u{202e}\""),
            ("grün", "grün"),
        ] {
            let line = entry("x").field("v", value).into_line();
            assert!(line.ends_with(&format!(" event=x v={written}\n")), "{line}");
        }
    }

    #[test]
    fn lines_and_values_have_an_end() {
        let long = "ä".repeat(MAX_VALUE);
        let line = entry("x").field("v", &long).field("w", 1).into_line();
        assert!(line.ends_with("ä… w=1\n"));

        let hard = "\u{1}".repeat(MAX_VALUE);
        let mut many = entry("x");
        for _ in 0..10 {
            many = many.field("v", &hard);
        }
        let line = many.field("small", 1).into_line();
        assert!(line.len() <= MAX_LINE, "{}", line.len());
        assert!(line.ends_with(" small=1 cut=true\n"), "{line}");
    }

    #[test]
    fn inetd_is_recognised() {
        let (one, other) = UnixStream::pair().unwrap();
        assert!(same_socket(&one, one.try_clone().unwrap()));
        assert!(!same_socket(&one, &other));
        let file = File::open("/dev/null").unwrap();
        assert!(!same_socket(&file, &file));
    }
    /// Is run twice: by the harness, and by itself as inetd would.
    #[test]
    fn under_inetd_nothing_reaches_the_peer_by_stderr() {
        const INSIDE: &str = "IMA_TEST_INETD";
        if env::var_os(INSIDE).is_some() {
            assert!(super::stderr_is_stdin_socket());
            super::to_syslog().unwrap();
            assert!(!super::stderr_is_stdin_socket());
            super::error("leak").emit();
            let error: Box<dyn Error> = "leak".into();
            crate::report::report("leak", &*error);
            std::io::stderr().write_all(b"leak").unwrap();
            let child = Command::new("/bin/sh")
                .args(["-c", "echo leak >&2"])
                .status();
            assert!(child.unwrap().success());
            return;
        }
        let (mut peer, ours) = UnixStream::pair().unwrap();
        let socket = || Stdio::from(OwnedFd::from(ours.try_clone().unwrap()));
        let mut inside = Command::new(env::current_exe().unwrap());
        inside
            .args(["--exact", "--nocapture"])
            .arg("log::tests::under_inetd_nothing_reaches_the_peer_by_stderr")
            .env(INSIDE, "1")
            .stdin(socket())
            .stderr(socket())
            .stdout(Stdio::piped());
        let output = inside.spawn().unwrap().wait_with_output().unwrap();
        drop((inside, ours));
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
        let mut heard = String::new();
        peer.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "");
    }
}
