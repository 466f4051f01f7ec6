//! What poll(2) finds of a descriptor.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// What is found of it within this time, of what was asked for and of an end or an error;
/// nothing where the time is up. `None` where it cannot be asked.
pub fn polled(fd: impl AsFd, flags: PollFlags, time: Duration) -> Option<PollFlags> {
    let until = Instant::now().checked_add(time)?;
    loop {
        let mut waiting = [PollFd::new(&fd, flags)];
        let left = until.saturating_duration_since(Instant::now());
        match poll(&mut waiting, Some(&left.try_into().ok()?)) {
            Err(Errno::INTR) => {}
            Err(_) => return None,
            Ok(_) => return waiting.first().map(PollFd::revents),
        }
    }
}

/// Whether it is readable within this time: a child's pidfd, when that has exited.
pub fn is_readable_within(fd: impl AsFd, time: Duration) -> bool {
    polled(fd, PollFlags::IN, time).is_some_and(|found| found.contains(PollFlags::IN))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_comes_is_seen_and_its_end() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        assert!(!is_readable_within(&reader, Duration::ZERO));
        let begun = Instant::now();
        assert!(!is_readable_within(&reader, Duration::from_millis(20)));
        assert!(begun.elapsed() >= Duration::from_millis(20));
        writer.write_all(b"x").unwrap();
        assert!(is_readable_within(&reader, Duration::from_secs(60)));
        drop(writer);
        let found = polled(&reader, PollFlags::empty(), Duration::ZERO).unwrap();
        assert!(found.contains(PollFlags::HUP));
    }
}
