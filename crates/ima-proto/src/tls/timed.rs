//! A socket on which no call blocks past a deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A socket on which no call blocks past a deadline.
pub(super) struct Timed<'a> {
    socket: &'a TcpStream,
    deadline: Instant,
    patience: &'a mut Patience,
}

impl<'a> Timed<'a> {
    pub(super) fn new(
        socket: &'a TcpStream,
        deadline: Instant,
        patience: &'a mut Patience,
    ) -> Timed<'a> {
        Timed {
            socket,
            deadline,
            patience,
        }
    }

    fn left(&self) -> io::Result<Duration> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(time) = renewed(self.patience.reading, self.left()?) {
                self.socket.set_read_timeout(Some(time))?;
                self.patience.reading = Some(time);
            }
            match self.socket.read(into) {
                Err(error) if is_unfinished(&error) => {}
                outcome => return outcome,
            }
        }
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        loop {
            if let Some(time) = renewed(self.patience.writing, self.left()?) {
                self.socket.set_write_timeout(Some(time))?;
                self.patience.writing = Some(time);
            }
            match self.socket.write(octets) {
                Err(error) if is_unfinished(&error) => {}
                outcome => return outcome,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long a call on a socket may block, as the socket was told; nothing where
/// that is not known.
#[derive(Debug, Default)]
pub(super) struct Patience {
    reading: Option<Duration>,
    writing: Option<Duration>,
}

/// What a socket is to be told where a call may block for `left`, never zero, which
/// would mean for ever. `None` where what it was told serves: as long, or shorter
/// but not by far, since a call that gave up too early is made again.
fn renewed(told: Option<Duration>, left: Duration) -> Option<Duration> {
    if told.is_some_and(|told| told <= left && left / 4 <= told) {
        return None;
    }
    // With some room, it serves for the next call too.
    let room = left / 16;
    Some(match left > Duration::from_secs(1) {
        true => left.saturating_sub(room),
        false => left,
    })
}

/// Whether a call is to be made again, if there is time left: it gave up when the
/// socket's time was up, or a signal came.
fn is_unfinished(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_time_that_serves_is_left_as_it_is() {
        let seconds = Duration::from_secs;
        let told = renewed(None, seconds(60)).unwrap();
        assert!(told <= seconds(60) && told > seconds(50), "{told:?}");
        for left in [59, 60, 120, 200] {
            assert_eq!(renewed(Some(told), seconds(left)), None, "{left}");
        }
        for left in [1, 50] {
            let shorter = renewed(Some(told), seconds(left)).unwrap();
            assert!(shorter <= seconds(left), "{left}");
        }
        let longer = renewed(Some(told), seconds(600)).unwrap();
        assert!(longer > seconds(500) && longer <= seconds(600));
        let least = Duration::from_nanos(1);
        assert_eq!(renewed(Some(told), least), Some(least));
    }

    #[test]
    fn no_call_ends_before_the_deadline_or_long_after_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        let mut patience = Patience::default();
        // A short time, one for which it still serves, and a shorter one.
        for millis in [100, 300, 50] {
            let begin = Instant::now();
            let time = Duration::from_millis(millis);
            let mut timed = Timed::new(&socket, begin + time, &mut patience);
            let error = timed.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(begin.elapsed() >= time, "{millis}");
            assert!(begin.elapsed() < Duration::from_secs(20), "{millis}");
        }
        let begin = Instant::now();
        let time = Duration::from_millis(100);
        let mut timed = Timed::new(&socket, begin + time, &mut patience);
        let error = loop {
            if let Err(error) = timed.write_all(&[0; 1 << 16]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(begin.elapsed() >= time);
        drop(silent);
    }
}
