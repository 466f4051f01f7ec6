//! `ima-mailbox check`.

use std::io::{self, Write as _};
use std::path::PathBuf;

use ima_mailbox::check::{self, Finding, Severity};
use ima_program::{escape::visible, exit::Exit, report};

use crate::PROGRAM;

/// The findings cannot be told.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
struct Unwritten(#[source] io::Error);

/// Checks each folder or mailbox and prints a line for each finding. Damage is
/// 1; what could not be checked, or not be said, is 2 whatever else was found.
pub(crate) fn check(dirs: &[PathBuf], quiet: bool) -> Exit {
    let mut exit = Exit::Done;
    let mut printed = Ok(());
    for dir in dirs {
        let checked = check::directory(dir, &mut |finding| {
            let severity = finding.severity();
            exit = exit.max(weight(severity));
            if printed.is_ok() && !(quiet && severity == Severity::Note) {
                printed = print(&finding);
            }
        });
        if let Err(error) = checked {
            report::report(PROGRAM, &error);
            exit = Exit::Unfinished;
        }
    }
    if let Err(error) = printed {
        report::report(PROGRAM, &Unwritten(error));
        exit = Exit::Unfinished;
    }
    exit
}

fn weight(severity: Severity) -> Exit {
    match severity {
        Severity::Note => Exit::Done,
        Severity::Damage => Exit::Refused,
        Severity::Unchecked => Exit::Unfinished,
    }
}

fn print(finding: &Finding) -> io::Result<()> {
    let note = if finding.severity() == Severity::Note {
        "note: "
    } else {
        ""
    };
    let line = finding.to_string();
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{note}{}", visible(&line))?;
    stdout.flush()
}
