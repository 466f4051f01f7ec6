//! A network process that was taken over, of whichever server, and the log.

use ima_program::escape::is_hidden;

/// What may come of an attempt that must fail.
pub const DENIED: [&str; 3] = [
    "\"Operation not permitted (os error 1)\"",
    "\"Permission denied (os error 13)\"",
    "\"Socket operation on non-socket (os error 88)\"",
];
/// What the log held before.
pub const EARLIER: &str = "an earlier line\n";

/// The log that it tried to empty and to write others' lines into is not its own, and
/// says why it was killed.
pub fn does_not_own_the_log(log: &str, program: &str) {
    let ours = format!(" program={program} event=");
    let later = log.strip_prefix(EARLIER).unwrap();
    assert!(later.ends_with('\n') && later.contains("event=network-process-failed"));
    for line in later.lines() {
        assert!(line.starts_with("time=") && line.contains(&ours), "{line}");
        assert!(!line.contains(is_hidden), "{line}");
    }
    let said = later.matches("event=network-process-said text=\"time=");
    assert_eq!(said.count(), 2, "{log}");
    assert!(
        log.contains("event=network-process-broke-the-rules"),
        "{log}"
    );
}
