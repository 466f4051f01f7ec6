//! The limit of open files, which a session can meet anywhere.

use std::error::Error;
use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::limits::OF_A_SESSION;

/// Whether a failure is that no descriptor was left, of this process or of the
/// machine.
pub fn are_used_up(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let errno = match error.downcast_ref::<io::Error>() {
            Some(error) => Errno::from_io_error(error),
            None => error.downcast_ref::<Errno>().copied(),
        };
        if matches!(errno, Some(Errno::MFILE | Errno::NFILE)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// What an administrator does then.
pub fn advice() -> String {
    let limit = match getrlimit(Resource::Nofile).current {
        Some(limit) => limit.to_string(),
        None => "any number of".to_owned(),
    };
    format!(
        "this process may have {limit} files open: raise that (LimitNOFILE of systemd, ulimit -n) to {OF_A_SESSION} for each of max-connections, or lower max-connections"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::path::Path;

    use ima_mailbox::{Mailbox, MailboxError};

    use super::*;

    #[test]
    fn only_a_lack_of_descriptors_is_one() {
        let missing = Mailbox::open(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(!are_used_up(&missing));
        for errno in [Errno::MFILE, Errno::NFILE] {
            assert!(are_used_up(&MailboxError::Read(errno.into())));
            assert!(are_used_up(&errno));
        }
        assert!(!are_used_up(&MailboxError::Read(Errno::IO.into())));
    }
}
