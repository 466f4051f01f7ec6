//! WATCH on both sides.

use std::io::{self, BufRead as _, BufReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;
use crate::framing::{Channel, Woken};

/// Folders of which some have changed, and nothing more will.
pub struct Told {
    wake: io::PipeReader,
    /// As long as it is there, nothing is readable and nothing has ended.
    _writer: PipeWriter,
    changed: Vec<FolderName>,
}

impl Told {
    /// These have changed before they were watched.
    pub fn new(changed: Vec<FolderName>) -> Told {
        let (wake, writer) = io::pipe().unwrap();
        Told {
            wake,
            _writer: writer,
            changed,
        }
    }
}

impl Watcher for Told {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    fn changed(&mut self) -> Result<Vec<FolderName>, Fault> {
        Ok(std::mem::take(&mut self.changed))
    }
}

/// An inbox that changes as often as it rings.
pub struct Rung(io::PipeReader);

impl Rung {
    pub fn new(bell: io::PipeReader) -> Rung {
        Rung(bell)
    }
}

impl Watcher for Rung {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn changed(&mut self) -> Result<Vec<FolderName>, Fault> {
        let mut waiting = [PollFd::new(&self.0, PollFlags::IN)];
        if poll(&mut waiting, Some(&Timespec::default())).unwrap() == 0 {
            return Ok(Vec::new());
        }
        self.0.read_exact(&mut [0]).unwrap();
        Ok(vec!["inbox".parse().unwrap()])
    }
}

/// A connection of this machine's, where time is real.
struct Local(UnixStream);

impl Read for Local {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Local {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Channel for Local {
    fn set_deadline(&mut self, at: Instant) {
        let left = at.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        self.0.set_read_timeout(Some(left)).unwrap();
    }

    fn has_buffered(&mut self) -> bool {
        false
    }

    fn wait(&mut self, wake: Option<BorrowedFd<'_>>, at: Instant) -> io::Result<Woken> {
        let wake = wake.unwrap();
        let left = at.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap();
        let mut waiting = [
            PollFd::new(&self.0, PollFlags::IN),
            PollFd::from_borrowed_fd(wake, PollFlags::IN),
        ];
        poll(&mut waiting, Some(&left))?;
        Ok(match waiting.map(|fd| !fd.revents().is_empty()) {
            [true, _] => Woken::Readable,
            [_, true] => Woken::Wake,
            _ => Woken::TimedOut,
        })
    }

    fn close(&mut self) -> io::Result<()> {
        self.0.shutdown(std::net::Shutdown::Write)
    }
}

/// A client of a session that watches.
struct Remote {
    lines: BufReader<UnixStream>,
    bell: PipeWriter,
    session: JoinHandle<End>,
}

impl Remote {
    fn new(limits: Limits) -> Remote {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (bell, writer) = io::pipe().unwrap();
        let session = thread::spawn(move || {
            let post = Post::default();
            *post.bell.borrow_mut() = Some(bell);
            Session::new(Local(theirs), post, limits).run()
        });
        let mut client = Remote {
            lines: BufReader::new(ours),
            bell: writer,
            session,
        };
        client.send(&format!("{IN}WATCH inbox {}\n", now()));
        assert_eq!(client.line(), "OK\n");
        client
    }

    fn send(&mut self, said: &str) {
        self.lines.get_mut().write_all(said.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    fn ring(&mut self) {
        self.bell.write_all(b"x").unwrap();
    }
}

#[test]
fn the_server_says_that_it_is_there_again_and_again() {
    let mut client = Remote::new(Limits {
        alive: Duration::from_millis(20),
        ..Limits::default()
    });
    for _ in 0..3 {
        assert_eq!(client.line(), "+ alive\n");
    }
    client.ring();
    let mut line = client.line();
    while line == "+ alive\n" {
        line = client.line();
    }
    assert_eq!(line, "+ changed inbox\n");
    assert_eq!(client.line(), "+ alive\n");
}

#[test]
fn some_of_a_line_does_not_end_it() {
    let mut client = Remote::new(Limits::default());
    for octet in ["x", "y"] {
        client.send(octet);
        client.ring();
        assert_eq!(client.line(), "+ changed inbox\n");
    }
    client.send("\n");
    assert_eq!(client.line(), "OK\n");
    client.send("DONE\n");
    assert!(matches!(client.session.join().unwrap(), End::Done));
}

#[test]
fn the_rest_of_a_line_comes_in_time() {
    let mut client = Remote::new(Limits {
        stall: Duration::from_millis(50),
        ..Limits::default()
    });
    client.send("x");
    assert_eq!(client.line(), "ERROR no command in time\n");
    let end = client.session.join().unwrap();
    assert!(matches!(end, End::Broken(WireError::TimedOut)), "{end:?}");
}

#[test]
fn a_line_that_is_too_long_is_an_error() {
    let post = Post::default();
    for chunk in [1, 4096, usize::MAX] {
        let input = format!("{IN}WATCH inbox {}\n{}\n", now(), "x".repeat(5000));
        let (said, end) = session(&post, input.as_bytes(), chunk, Ending::Close);
        assert!(
            said.starts_with("OK\nERROR longer than the 4096 "),
            "{said}"
        );
        assert!(matches!(end, End::Error(_)), "{end:?}");
    }
}

fn now() -> String {
    Post::default().end().to_string()
}

#[test]
fn the_next_line_ends_it_whatever_it_is() {
    let post = Post::default();
    for line in ["", "x", "DONE", "WATCH", "STORE inbox 9999999999"] {
        for chunk in [1, usize::MAX] {
            let input = format!("{IN}WATCH inbox {0}\n{line}\nSYNC inbox - list\n", now());
            let (said, end) = session(&post, input.as_bytes(), chunk, Ending::Close);
            assert_eq!(said, format!("OK\nOK\nOK {}\n", now()), "{line:?}");
            assert!(matches!(end, End::Done), "{end:?}");
        }
    }
}

#[test]
fn what_has_changed_is_told_first() {
    let post = Post::default();
    let said = said(
        &post,
        &format!("{IN}WATCH inbox 0000000000000001.31\n\nFOLDERS\n"),
    );
    assert!(
        said.starts_with("OK\n+ changed inbox\nOK\n+ inbox 0 "),
        "{said}"
    );
}

#[test]
fn a_folder_that_is_not_there_is_refused_and_the_next_line_is_a_command() {
    let post = Post::default();
    for folders in [
        format!("nowhere {}", now()),
        format!("inbox {0} ../x {0}", now()),
    ] {
        let said = said(&post, &format!("{IN}WATCH {folders}\nDONE\nFOLDERS\n"));
        assert_eq!(said, "OK\nFAIL no such folder\n", "{folders}");
    }
}

#[test]
fn who_is_silent_is_told_that_the_server_is_there() {
    let post = Post::default();
    let input = format!("{IN}WATCH inbox {}\n", now());
    let (said, end) = session(&post, input.as_bytes(), usize::MAX, Ending::Silence);
    // In memory the second wait ends the connection.
    assert_eq!(said, "OK\n+ alive\n");
    assert!(matches!(end, End::Broken(WireError::Truncated)), "{end:?}");
}

#[test]
fn an_end_while_it_waits_is_an_end() {
    let post = Post::default();
    let input = format!("{IN}WATCH inbox {}\n", now());
    let (said, end) = session(&post, input.as_bytes(), usize::MAX, Ending::Close);
    assert_eq!(said, "OK\n");
    assert!(matches!(end, End::Done), "{end:?}");
    let (_, end) = session(&post, input.as_bytes(), usize::MAX, Ending::Cut);
    assert!(matches!(end, End::Broken(WireError::Truncated)), "{end:?}");
    let (_, end) = session(
        &post,
        format!("{input}half a li").as_bytes(),
        usize::MAX,
        Ending::Cut,
    );
    assert!(matches!(end, End::Broken(WireError::Truncated)), "{end:?}");
}

/// A client of a server that says this.
fn client(input: &str, ending: Ending) -> Client<Memory> {
    Client::new(Memory::new(input).ending(ending), Times::default())
}

fn inbox() -> Vec<(FolderName, ima_message::Token)> {
    vec![("inbox".parse().unwrap(), token(31))]
}

#[test]
fn a_client_hears_and_ends_it() {
    let said = "+ alive\n+ changed inbox\n+ something new\n+ changed other\nOK\n+ inbox 0 0 0 6f0c9a1b2d3e4f50.31\nOK\n";
    let mut client = client(said, Ending::Close);
    let folders = inbox();
    let mut watch = client.watch(&folders).unwrap();
    assert_eq!(watch.folders(), 1);
    let mut next = || watch.next(None, Instant::now()).unwrap();
    assert_eq!(next(), Event::Alive);
    assert_eq!(next(), Event::Changed("inbox".parse().unwrap()));
    assert_eq!(next(), Event::Changed("other".parse().unwrap()));
    watch.end().unwrap();
    assert_eq!(client.folders().unwrap().len(), 1);
}

#[test]
fn a_client_hears_no_and_goes_on() {
    let folders = inbox();
    let mut one = client("FAIL no such folder\nOK\n", Ending::Close);
    let mut watch = one.watch(&folders).unwrap();
    let event = watch.next(None, Instant::now()).unwrap();
    assert_eq!(event, Event::Refused("no such folder".into()));
    watch.end().unwrap();
    assert_eq!(one.folders().unwrap(), []);
    // The refusal and the line that was to end it have met.
    let said =
        "FAIL not now\n+ inbox 0 0 0 6f0c9a1b2d3e4f50.31\nOK\n+ x 0 0 0 6f0c9a1b2d3e4f50.31\nOK\n";
    let mut other = client(said, Ending::Close);
    other.watch(&folders).unwrap().end().unwrap();
    assert_eq!(other.folders().unwrap()[0].name.as_str(), "x");
}

#[test]
fn a_client_is_woken_and_does_not_wait_for_ever() {
    let folders = inbox();
    let mut client = client("", Ending::Silence);
    let mut watch = client.watch(&folders).unwrap();
    let (wake, mut writer) = io::pipe().unwrap();
    let event = watch.next(Some(wake.as_fd()), Instant::now()).unwrap();
    assert_eq!(event, Event::TimedOut);
    writer.write_all(b"x").unwrap();
    let event = watch.next(Some(wake.as_fd()), Instant::now()).unwrap();
    assert_eq!(event, Event::Woken);
}

#[test]
fn what_does_not_belong_to_a_watch_ends_the_exchange() {
    let folders = inbox();
    for said in [
        "OK\n",
        "x\n",
        "+ message 9\n",
        "+ changed ../x\n",
        "+ inbox 0 0 0 6f0c9a1b2d3e4f50.31\n",
        "RESET 6f0c9a1b2d3e4f50.31\n",
    ] {
        let mut client = client(said, Ending::Close);
        let mut watch = client.watch(&folders).unwrap();
        let error = watch.next(None, Instant::now()).unwrap_err();
        assert!(error.is_breach(), "{said:?}: {error}");
    }
    for said in ["ERROR a fault\n", ""] {
        let mut client = client(said, Ending::Close);
        let mut watch = client.watch(&folders).unwrap();
        let error = watch.next(None, Instant::now()).unwrap_err();
        assert!(!error.is_breach(), "{said:?}: {error}");
    }
    let flood = "+ something new\n".repeat(20_000);
    let mut client = client(&flood, Ending::Close);
    let mut watch = client.watch(&folders).unwrap();
    let error = watch.next(None, Instant::now()).unwrap_err();
    assert!(matches!(error, ClientError::Flood), "{error}");
}
