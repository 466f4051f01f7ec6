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
//! field, or reaches a terminal as a sequence. The other form, for programs, is an
//! object of JSON with the same keys:
//!
//! ```text
//! {"time":"2026-11-22T09:30:02.123Z","level":"info","program":"server-receive",…}
//! ```
//!
//! What is secret (a password, a
//! key, message text) must not be given to these functions.

mod form;
mod line;
mod syslog;

pub use form::{Form, FormError, VARIABLE, chosen, form, set_form, set_usual_form};

use crate::readiness::polled;
use jiff::Timestamp;
use rustix::event::PollFlags;
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use syslog::Syslog;

/// The longest line in octets, with its LF: what a pipe takes at once, so that
/// the lines of processes that share one do not mix. A field that would make a
/// line longer is left out, and `cut=true` says so.
pub const MAX_LINE: usize = 4096;

/// The longest value in octets, before it is escaped; a longer one ends in `…`.
pub const MAX_VALUE: usize = 1000;

/// Room for most lines.
const USUAL_LINE: usize = 320;

static PROGRAM: OnceLock<&'static str> = OnceLock::new();
static SYSLOG: OnceLock<Syslog> = OnceLock::new();
/// Lines that nobody took.
static LOST: AtomicUsize = AtomicUsize::new(0);

/// How long a line waits for its reader.
const PATIENCE: Duration = Duration::from_secs(1);

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

impl Level {
    const ALL: [Self; 3] = [Self::Info, Self::Warn, Self::Error];

    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
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

/// What a program that may have no log otherwise ended with.
pub(crate) fn failed(program: &str, error: &str) {
    let entry = Entry::of(form(), Level::Error, program, "failed");
    entry.field("error", error).emit();
}

/// What it has to say.
pub(crate) fn said(program: &str, text: &str) {
    let entry = Entry::of(form(), Level::Warn, program, "said");
    entry.field("text", text).emit();
}

/// A line in the making.
#[derive(Debug)]
#[must_use = "an entry is written by emit()"]
pub struct Entry {
    form: Form,
    level: Level,
    line: String,
    cut: bool,
}

impl Entry {
    fn new(level: Level, event: &str) -> Self {
        Self::of(form(), level, program(), event)
    }

    /// One of this form, and of now.
    pub(crate) fn of(form: Form, level: Level, program: &str, event: &str) -> Self {
        Self::at(form, Timestamp::now(), level, program, event)
    }

    fn at(form: Form, time: Timestamp, level: Level, program: &str, event: &str) -> Self {
        let mut line = String::with_capacity(USUAL_LINE);
        form.begin(&mut line, time, level.name());
        let entry = Self {
            form,
            level,
            line,
            cut: false,
        };
        entry.field("program", program).field("event", event)
    }

    /// Adds a field. A key is lower-case letters, digits and `-`.
    pub fn field(mut self, key: &'static str, value: impl Display) -> Self {
        let before = self.line.len();
        self.form.push_field(&mut self.line, key, value);
        let end = [self.form.cut().len(), self.form.end().len()];
        if end.into_iter().fold(self.line.len(), usize::saturating_add) > MAX_LINE {
            self.line.truncate(before);
            self.cut = true;
        }
        self
    }

    /// Writes the line, in one write(2); one that cannot be written is lost.
    pub fn emit(self) {
        let level = self.level;
        write(level, &self.into_line());
    }

    /// The line, which ends in LF.
    pub(crate) fn into_line(mut self) -> String {
        if self.cut {
            self.line.push_str(self.form.cut());
        }
        self.line.push_str(self.form.end());
        self.line
    }
}

/// One write(2) on stderr, again only where a signal came in between; or a
/// datagram to the system's log. `line` ends in LF, and may be more than one line where
/// [`is_syslog`] is not so. Where nobody reads stderr, a second
/// is waited once; then lines are lost, and counted, until it takes one again.
pub(crate) fn write(level: Level, line: &str) {
    if let Some(syslog) = SYSLOG.get() {
        syslog.send(level, program(), line.trim_end());
        return;
    }
    let patience = match LOST.load(Ordering::Relaxed) {
        0 => PATIENCE,
        _ => Duration::ZERO,
    };
    // Where it cannot be asked, the write says what is wrong.
    let found = polled(io::stderr(), PollFlags::OUT, patience);
    if found.is_some_and(|found| found.is_empty()) {
        let lines = line.bytes().filter(|octet| *octet == b'\n').count();
        LOST.fetch_add(lines, Ordering::Relaxed);
        return;
    }
    match LOST.swap(0, Ordering::Relaxed) {
        0 => {}
        lost => put(&warn("log-lines-lost").field("count", lost).into_line()),
    }
    put(line);
}

fn put(line: &str) {
    while rustix::io::write(io::stderr(), line.as_bytes()) == Err(Errno::INTR) {}
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

/// Whether lines go to the system's log.
#[must_use]
pub fn is_syslog() -> bool {
    SYSLOG.get().is_some()
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
    use super::{Entry, Form, Level, MAX_LINE, MAX_VALUE, same_socket};
    use std::env;
    use std::error::Error;
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    fn entry(event: &str) -> Entry {
        let time = "2026-11-22T09:30:02.1239Z".parse().unwrap();
        Entry::at(Form::Text, time, Level::Info, "server-receive", event)
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
            Entry::at(Form::Text, whole, Level::Warn, "p", "e")
                .into_line()
                .starts_with("time=2026-11-22T09:30:02.000Z level=warn ")
        );
    }

    #[test]
    fn a_time_is_written_the_same_whatever_was_written_before() {
        for time in [
            "2026-11-22T09:30:02.1239Z",
            "2026-11-22T09:30:02.001Z",
            "2026-11-22T09:30:03.999999999Z",
            "2026-11-22T09:30:02.999Z",
            "1970-01-01T00:00:00.5Z",
            "1969-12-31T23:59:59.25Z",
            "1970-01-01T00:00:01Z",
            "9999-12-30T22:00:00.999999999Z",
        ] {
            let time = time.parse().unwrap();
            let line = Entry::at(Form::Text, time, Level::Info, "p", "e").into_line();
            assert!(
                line.starts_with(&format!("time={time:.3} level=")),
                "{line}"
            );
        }
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

    fn json(event: &str) -> Entry {
        let time = "2026-11-22T09:30:02.1239Z".parse().unwrap();
        Entry::at(Form::Json, time, Level::Error, "server-receive", event)
    }

    #[test]
    fn a_line_of_json() {
        let line = json("accepted").field("peer", "a.test").into_line();
        assert_eq!(
            line,
            "{\"time\":\"2026-11-22T09:30:02.123Z\",\"level\":\"error\",\
             \"program\":\"server-receive\",\"event\":\"accepted\",\"peer\":\"a.test\"}\n"
        );
        for (value, written) in [
            ("", ""),
            ("a=b \"c\" \\n", "a=b \\\"c\\\" \\\\n"),
            ("x\"}\n{\"y", "x\\\"}\\n{\\\"y"),
            (
                "\t\r\0\u{1b}[2J\u{7f}",
                "\\t\\u000d\\u0000\\u001b[2J\\u007f",
            ),
            ("\u{202e}\u{2028}", "\\u202e\\u2028"),
            ("grün 👩", "grün 👩"),
        ] {
            let line = json("x").field("v", value).into_line();
            assert!(
                line.ends_with(&format!(",\"v\":\"{written}\"}}\n")),
                "{line}"
            );
        }
    }

    #[test]
    fn a_line_of_json_has_an_end() {
        let hard = "\u{1}".repeat(MAX_VALUE);
        let line = json("x").field("v", &hard).field("small", 1).into_line();
        assert!(line.len() <= MAX_LINE, "{}", line.len());
        assert!(
            line.ends_with(",\"small\":\"1\",\"cut\":\"true\"}\n"),
            "{line}"
        );
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
