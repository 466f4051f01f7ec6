//! The exit codes, in both directions, so that the two ends of a pipe cannot
//! drift apart.

use std::fmt;
use std::process::{ExitCode, ExitStatus};

/// How a program ended; the same in every program of the suite.
///
/// | code | name | meaning | what the caller does |
/// |---|---|---|---|
/// | 0 | done | all of it is done, and durable | nothing |
/// | 1 | refused | a final no; trying again will not help | report it to the user |
/// | 2 | unfinished | part done, or not yet: a fault, a full disk, a bad configuration, a busy peer | try again later |
/// | 3 | drop | the peer broke the rules or must not be talked to | close the connection now |
///
/// Wrong usage and unreadable configuration are 2, so a typing error in a
/// configuration file delays mail and never rejects it. A child that dies by a
/// signal, or exits with any other code, counts as 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// 0: all of it is done, and durable.
    Done = 0,
    /// 1: a final no.
    Refused = 1,
    /// 2: part done, or not yet.
    Unfinished = 2,
    /// 3: close the connection now.
    Drop = 3,
}

impl Exit {
    /// The number that the process exits with, 0 to 3.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Unfinished => 2,
            Self::Drop => 3,
        }
    }

    /// What a child's exit code means; any that is not 0 to 3 is `Unfinished`.
    #[must_use]
    pub const fn from_code(code: i32) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::Refused,
            3 => Self::Drop,
            _ => Self::Unfinished,
        }
    }

    /// What a child's end means; death by a signal is `Unfinished`.
    #[must_use]
    pub fn from_status(status: ExitStatus) -> Self {
        status.code().map_or(Self::Unfinished, Self::from_code)
    }

    /// One answer for many: any `Drop` is `Drop`, all `Done` (also none at
    /// all) is `Done`, all `Refused` is `Refused`, any mixture is `Unfinished`.
    #[must_use]
    pub fn combine(exits: impl IntoIterator<Item = Self>) -> Self {
        exits
            .into_iter()
            .reduce(|all, next| match (all, next) {
                (Self::Drop, _) | (_, Self::Drop) => Self::Drop,
                (all, next) if all == next => all,
                _ => Self::Unfinished,
            })
            .unwrap_or(Self::Done)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The name from the table: `done`, `refused`, `unfinished` or `drop`.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unfinished => "unfinished",
            Self::Drop => "drop",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::Exit::{self, Done, Drop, Refused, Unfinished};
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    #[test]
    fn codes_go_both_ways() {
        for exit in [Done, Refused, Unfinished, Drop] {
            assert_eq!(Exit::from_code(i32::from(exit.code())), exit);
        }
        for code in [-1, 4, 64, 127, 128, 255, 256] {
            assert_eq!(Exit::from_code(code), Unfinished, "{code}");
        }
    }

    #[test]
    fn a_status_is_its_code_and_a_signal_is_a_fault() {
        assert_eq!(Exit::from_status(ExitStatus::from_raw(0)), Done);
        assert_eq!(Exit::from_status(ExitStatus::from_raw(1 << 8)), Refused);
        assert_eq!(Exit::from_status(ExitStatus::from_raw(3 << 8)), Drop);
        assert_eq!(
            Exit::from_status(ExitStatus::from_raw(127 << 8)),
            Unfinished
        );
        for signal in [1, 3, 9, 13, 15] {
            assert_eq!(Exit::from_status(ExitStatus::from_raw(signal)), Unfinished);
        }
    }

    #[test]
    fn many_become_one() {
        for (exits, one) in [
            (&[][..], Done),
            (&[Done, Done], Done),
            (&[Refused], Refused),
            (&[Refused, Refused, Refused], Refused),
            (&[Done, Refused], Unfinished),
            (&[Refused, Done, Refused], Unfinished),
            (&[Done, Unfinished], Unfinished),
            (&[Refused, Unfinished], Unfinished),
            (&[Done, Refused, Unfinished, Drop, Done], Drop),
            (&[Drop, Refused], Drop),
        ] {
            assert_eq!(Exit::combine(exits.iter().copied()), one, "{exits:?}");
        }
    }
}
