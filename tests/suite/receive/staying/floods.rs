//! Handlers that stay and say too much, too early, or nothing that is whole.

use std::time::{Duration, Instant};

use super::{TAKES, act, place};
use crate::peer::Peer;
use crate::process::kib;
use crate::receive::lasting::commands;
use crate::site::{letter, wait_until};

/// 100 MB without a line's end.
const ENDLESS: &str = "head -c 100000000 /dev/zero | tr '\\0' x";
const READS: &str = "head -c $octets >/dev/null";

/// Whatever is done at HEADERS and at DATA: it is no refusal, the message is taken
/// later, and nobody is left.
fn is_no_refusal(cases: &[(&str, &str)]) {
    let large = letter(&["bob@b.test"], &"x".repeat(3_000_000));
    let small = letter(&["bob@b.test"], "Hello\n");
    let place = place("", "");
    place.set("message-timeout", "\"2s\"");
    let server = place.b.start();
    for (headers, data) in cases {
        let what = format!("{headers}; {data}");
        // A large one has more time.
        let hangs = what.contains("sleep");
        for letter in [&small, &large].into_iter().take(2 - usize::from(hangs)) {
            act(&place, headers, data);
            let begin = Instant::now();
            let last = final_line(&mut place.dial(&server), letter, &what);
            if let Some(last) = last {
                let is_fault = last == "PARTIAL" || last.starts_with("DEFER 300 ");
                assert!(is_fault, "{what}: {last}");
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        }
        wait_until("its end", || commands(&server) == 0);
        act(&place, "echo ACCEPT", TAKES);
        assert_eq!(place.dial(&server).deliver(&large), "OK", "after {what}");
    }
    let peak = kib(server.child.id(), "VmHWM");
    assert!(peak < 64 << 10, "{peak} KiB");
}

/// None where the time of the message was over, and with it the connection.
fn final_line(peer: &mut Peer, letter: &[u8], what: &str) -> Option<String> {
    peer.send_headers(letter);
    let mut answer = peer.try_answer().ok()?;
    if answer == ["ACCEPT"] {
        answer = peer.data(letter);
    }
    let octets: usize = answer.iter().map(|line| line.len() + 1).sum();
    assert!(octets < (1 << 20) + 8192, "{what}: {octets}");
    answer.pop()
}

#[test]
fn nothing_that_it_says_to_headers_is_kept_or_refuses() {
    is_no_refusal(&[
        (ENDLESS, ""),
        (
            "printf '+ '; head -c 100000000 /dev/zero | tr '\\0' x; echo",
            "",
        ),
        ("printf ACCEPT; sleep 1000", ""),
        ("echo ACCEPT; exec yes '+ more'", READS),
    ]);
}

#[test]
fn nothing_that_it_says_to_data_is_kept_or_refuses() {
    let accept = "echo ACCEPT";
    is_no_refusal(&[
        (accept, ENDLESS),
        (accept, "exec yes '+ more'"),
        (accept, &format!("{READS}; exec yes '+ more'")),
        (accept, &format!("{READS}; {ENDLESS}")),
        (accept, &format!("{READS}; exec >&-; sleep 1000")),
        (accept, &format!("{READS}; printf OK; sleep 1000")),
        (accept, &format!("{READS}; printf OK; exit 0")),
    ]);
}
