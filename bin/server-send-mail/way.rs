//! How a host is spoken to, from one message to the next.

use std::io::Read;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ima_message::{HeaderBlock, Hostpart};
use ima_proto::framing::Channel;
use ima_proto::imdp::{DataAnswer, HeadersAnswer, SendError, Sender};
use ima_proto::tls::Secure;

use crate::upcoming::{Next, Upcoming};

/// A receiver waits 120 s for the data that it has accepted. One that may have
/// waited for so long already is asked once more.
const STALE: Duration = Duration::from_secs(60);

/// How a host is spoken to.
pub enum Way {
    /// Over a connection, where there is one already.
    Remote(Option<Box<Connection>>),
    /// By commands on this machine.
    Local,
}

impl Way {
    /// The connection, if there is one, is of no further use.
    pub fn break_off(&mut self) {
        if let Self::Remote(connection) = self {
            *connection = None;
        }
    }
}

/// A connection, on which the question about the next message goes ahead.
pub struct Connection<C: Channel = Secure> {
    sender: Sender<C>,
    /// The next message has been asked about.
    has_asked: bool,
    /// When the host could answer that.
    free_since: Instant,
}

/// Finds out what comes next on a connection.
pub struct Ahead<'a> {
    /// What is read.
    pub upcoming: &'a Upcoming,
    /// The return path's host.
    pub from: &'a Hostpart,
    /// The recipients' host.
    pub host: &'a Hostpart,
}

impl Ahead<'_> {
    /// What the host is asked about the next message, where that is for it and
    /// goes over the same connection.
    fn block(&self, header: &HeaderBlock) -> Option<HeaderBlock> {
        let is_ours = header.return_path().hostpart() == self.from
            && (header.recipients().iter()).any(|address| address.hostpart() == self.host);
        is_ours.then(|| header.for_host(self.host))
    }
}

impl<C: Channel> Connection<C> {
    /// One on which nothing was said yet.
    pub fn new(sender: Sender<C>) -> Self {
        Self {
            sender,
            has_asked: false,
            free_since: Instant::now(),
        }
    }

    /// Whether the host takes a message. Where that was asked ahead, it was about
    /// this message, and only the answer is awaited.
    pub fn ask(
        &mut self,
        block: &HeaderBlock,
        information: &mut dyn FnMut(&str),
    ) -> Result<HeadersAnswer, SendError> {
        if !std::mem::take(&mut self.has_asked) {
            return self.sender.headers(block, information);
        }
        let may_be_stale = self.free_since.elapsed() > STALE;
        match self.sender.verdict(block, information)? {
            HeadersAnswer::Accept | HeadersAnswer::AcceptParts(_) if may_be_stale => {
                self.sender.abort()?;
                self.sender.headers(block, information)
            }
            answer => Ok(answer),
        }
    }

    /// Sends the data of a message, `octets` of them, and asks about the next.
    pub fn deliver(
        &mut self,
        octets: u64,
        data: &mut dyn Read,
        ahead: &Ahead<'_>,
        information: &mut dyn FnMut(&str),
    ) -> Result<DataAnswer, SendError> {
        self.sender.send(octets, data)?;
        loop {
            let wake = self.ask_ahead(ahead);
            if let Some(answer) = self.sender.outcome(wake, information)? {
                self.free_since = Instant::now();
                return Ok(answer);
            }
        }
    }

    /// Takes an accepted header block back, and asks about the next message.
    pub fn abort(&mut self, ahead: &Ahead<'_>) -> Result<(), SendError> {
        self.sender.withdraw()?;
        loop {
            let wake = self.ask_ahead(ahead);
            if self.sender.withdrawn(wake)? {
                self.free_since = Instant::now();
                return Ok(());
            }
        }
    }

    /// Says the end.
    pub fn done(self) {
        // All is answered; how the peer closes changes nothing.
        let _ = self.sender.done();
    }

    /// Asks about the next message, if it is there. If it is not yet, gives what
    /// is readable when it is.
    fn ask_ahead<'u>(&mut self, ahead: &Ahead<'u>) -> Option<BorrowedFd<'u>> {
        if self.has_asked {
            return None;
        }
        match ahead.upcoming.peek() {
            Next::Later(wake) => return Some(wake),
            Next::Never => {}
            Next::Message(message) => {
                if let Some(block) = ahead.block(message.header()) {
                    // Where the connection fails, its next answer says so.
                    self.has_asked = self.sender.ask(&block).unwrap_or(true);
                }
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use ima_proto::framing::Memory;
    use ima_proto::imdp::Times;

    use super::*;
    use crate::outgoing::Outgoing;

    fn header(id: &str, recipient: &str) -> HeaderBlock {
        let text = format!(
            "ima: 1\nfrom: alice@a.test\nto: {recipient}\ndate: 2026-11-22T09:30:00Z\nid: {id}@a.test\nsize: 0\n\n"
        );
        HeaderBlock::parse(text.as_bytes()).unwrap()
    }

    fn headers(header: &HeaderBlock) -> String {
        let block = std::str::from_utf8(header.as_bytes()).unwrap();
        format!("HEADERS {}\n{block}", block.len())
    }

    /// A message, and then another of which the host could say something `ago`.
    /// Gives whether the question about that one went ahead, the verdict on it,
    /// and all that was said.
    fn talk(answers: &str, next: &HeaderBlock, ago: Duration) -> (bool, HeadersAnswer, String) {
        let upcoming = Upcoming::new().unwrap();
        let empty = Arc::new(File::open("/dev/null").unwrap());
        let message = Outgoing::verified(next.clone(), empty, 0);
        upcoming.fill([Ok(Arc::new(message))].into_iter()).unwrap();
        let (first, host) = (
            header("1", "bob@b.test"),
            Hostpart::parse("b.test").unwrap(),
        );
        let from = first.return_path().hostpart().clone();
        let ahead = Ahead {
            upcoming: &upcoming,
            from: &from,
            host: &host,
        };
        let mut channel = Memory::new(answers).in_chunks(1);
        let mut connection = Connection::new(Sender::new(&mut channel, Times::default()));
        connection.ask(&first, &mut |_| {}).unwrap();
        connection
            .deliver(0, &mut std::io::empty(), &ahead, &mut |_| {})
            .unwrap();
        connection.free_since = Instant::now().checked_sub(ago).unwrap();
        let is_ahead = connection.has_asked;
        let verdict = connection.ask(next, &mut |_| {}).unwrap();
        let said = String::from_utf8(channel.output().to_vec()).unwrap();
        (is_ahead, verdict, said)
    }

    #[test]
    fn an_accept_is_asked_for_again_before_the_receiver_forgets_it() {
        let (first, next) = (header("1", "bob@b.test"), header("2", "bill@b.test"));
        let said = format!("{}DATA 0\n{}", headers(&first), headers(&next));
        let fresh = talk("ACCEPT\nOK\nACCEPT\n", &next, Duration::from_secs(1));
        assert_eq!(fresh, (true, HeadersAnswer::Accept, said.clone()));
        let stale = talk("ACCEPT\nOK\nACCEPT\nOK\nDEFER 5\n", &next, STALE);
        let again = format!("{said}ABORT\n{}", headers(&next));
        assert_eq!(stale, (true, HeadersAnswer::Defer(5, "".into()), again));
        // What is no ACCEPT does not grow old.
        let refused = talk("ACCEPT\nOK\nDEFER 5\n", &next, STALE);
        assert_eq!(refused, (true, HeadersAnswer::Defer(5, "".into()), said));
    }

    #[test]
    fn only_what_goes_the_same_way_is_asked_about_ahead() {
        let other = String::from_utf8(header("2", "bob@b.test").as_bytes().to_vec()).unwrap();
        let passed_on = other.replace("size: 0", "mailer: list@c.test\nsize: 0");
        let both = other.replace("to: bob@b.test", "to: carol@c.test\ncc: bill@b.test");
        let cases = [
            (header("2", "carol@c.test"), false),
            (HeaderBlock::parse(passed_on.as_bytes()).unwrap(), false),
            (HeaderBlock::parse(both.as_bytes()).unwrap(), true),
        ];
        for (next, wanted) in cases {
            let (is_ahead, ..) = talk("ACCEPT\nOK\nACCEPT\n", &next, Duration::ZERO);
            assert_eq!(is_ahead, wanted, "{}", headers(&next));
        }
    }
}
