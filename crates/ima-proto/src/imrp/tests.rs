//! Both sides in memory: what a session answers, and what a client makes of it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail by panicking"
)]

mod changing;
mod post;
mod storing;
mod syncing;
mod watching;

use std::time::Duration;

use ima_message::{Address, FolderName, MessageDigest};

use super::*;
use crate::framing::{Ending, Memory, WireError};
use post::{Post, digest, token};

const GENERATION: &str = "6f0c9a1b2d3e4f50";

/// A session over memory that keeps what it wrote.
fn session(post: &Post, input: &[u8], chunk: usize, ending: Ending) -> (String, End) {
    limited(post, input, chunk, ending, Limits::default())
}

/// The same with other limits.
fn limited(
    post: &Post,
    input: &[u8],
    chunk: usize,
    ending: Ending,
    limits: Limits,
) -> (String, End) {
    use std::cell::RefCell;
    use std::io::{Read, Write};
    use std::rc::Rc;
    use std::time::Instant;

    use crate::framing::Channel;

    /// [`Memory`], of which the test keeps a handle.
    struct Kept(Rc<RefCell<Memory>>);
    impl Read for Kept {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().read(into)
        }
    }
    impl Write for Kept {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(octets)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            self.0.borrow_mut().flush()
        }
    }
    impl Channel for Kept {
        fn set_deadline(&mut self, _at: Instant) {}
        fn has_buffered(&mut self) -> bool {
            false
        }
        fn wait(
            &mut self,
            wake: Option<std::os::fd::BorrowedFd<'_>>,
            at: Instant,
        ) -> std::io::Result<crate::framing::Woken> {
            self.0.borrow_mut().wait(wake, at)
        }
        fn close(&mut self) -> std::io::Result<()> {
            self.0.borrow_mut().close()
        }
    }

    let memory = Memory::new(input).in_chunks(chunk).ending(ending);
    let memory = Rc::new(RefCell::new(memory));
    let end = Session::new(Kept(memory.clone()), post.clone(), limits).run();
    let output = memory.borrow().output().to_vec();
    (String::from_utf8(output).unwrap(), end)
}

fn said(post: &Post, input: &str) -> String {
    session(post, input.as_bytes(), usize::MAX, Ending::Close).0
}

const IN: &str = "LOGIN bob@b.test CERTIFICATE\n";

#[test]
fn nothing_but_login_comes_first() {
    let post = Post::default();
    for command in ["FOLDERS", "SYNC inbox - list", "PART inbox 00 0", "x"] {
        let said = said(&post, &format!("{command}\n{IN}"));
        assert!(said.starts_with("ERROR "), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert_eq!(said(&post, "DONE\n"), "");
    let (out, end) = session(&post, b"", usize::MAX, Ending::Silence);
    assert_eq!(out, "ERROR no login in time\n");
    assert!(matches!(end, End::NoLogin), "{end:?}");
    assert_eq!(
        said(&post, &format!("{IN}{IN}")),
        "OK\nERROR LOGIN comes once\n"
    );
}

#[test]
fn passwords_and_certificates() {
    let post = Post::default();
    assert_eq!(
        said(&post, "LOGIN Bob@B.test PASSWORD 11\nopen sesameDONE\n"),
        "OK\n"
    );
    let input = "LOGIN bob@b.test PASSWORD 1\nxLOGIN eve@b.test PASSWORD 11\nopen sesame\
                 LOGIN eve@b.test CERTIFICATE\nLOGIN bob@b.test CERTIFICATE\n";
    let (out, end) = session(&post, input.as_bytes(), usize::MAX, Ending::Close);
    // The third failure is the last word.
    assert_eq!(out, "FAIL\nFAIL\nFAIL\n");
    assert!(matches!(end, End::NoLogin), "{end:?}");
    for octets in ["0", "1025", "9223372036854775807"] {
        let (out, end) = session(
            &post,
            format!("LOGIN bob@b.test PASSWORD {octets}\n").as_bytes(),
            usize::MAX,
            Ending::Close,
        );
        assert!(out.starts_with("ERROR LOGIN takes "), "{out}");
        assert!(matches!(end, End::Error(_)), "{end:?}");
    }
}

#[test]
fn a_whole_mailbox_in_one_round_trip() {
    let mut post = Post::default();
    let first = post.add("1", "Lunch?", b"a picture");
    post.note(&format!("flag {first} +seen"));
    let second = post.add("2", "Dinner?", b"another");
    let ends: Vec<u64> = post.journal.iter().map(|(_, at)| *at).collect();
    let octets = |digest| {
        let (_, octets) = post
            .messages
            .iter()
            .find(|(known, _)| *known == digest)
            .unwrap();
        String::from_utf8(octets.clone()).unwrap()
    };
    let header = |digest| {
        let octets = octets(digest);
        octets[..octets.find("\n\n").unwrap() + 2].to_owned()
    };
    let line = |digest, at| format!("+ add {digest} 2026-11-22T09:30:02Z 999 {}\n", token(at));
    let flag = format!("+ flag {first} +seen {}\n", token(ends[1]));
    let last = format!("OK {}\n", post.end());
    let expected = |block: &dyn Fn(MessageDigest) -> String| {
        [
            "OK\n",
            &line(first, ends[0]),
            &block(first),
            &flag,
            &line(second, ends[2]),
            &block(second),
            &last,
        ]
        .concat()
    };
    for (mode, expected) in [
        ("list", expected(&|_| String::new())),
        (
            "headers",
            expected(&|digest| format!("+ header {}\n{}", header(digest).len(), header(digest))),
        ),
        (
            "messages",
            expected(&|digest| format!("+ message {}\n{}", octets(digest).len(), octets(digest))),
        ),
    ] {
        let input = format!("{IN}SYNC inbox - {mode}\nDONE\n");
        for chunk in [1, 2, 7, usize::MAX] {
            let (out, end) = session(&post, input.as_bytes(), chunk, Ending::Close);
            assert_eq!(out, expected, "{mode}");
            assert!(matches!(end, End::Done), "{end:?}");
        }
    }
    // From any line's token on, what follows it, and nothing else.
    assert_eq!(
        said(&post, &format!("{IN}SYNC inbox {} list\n", token(ends[1]))),
        format!("OK\n{}{last}", line(second, ends[2]))
    );
    assert_eq!(
        said(&post, &format!("{IN}SYNC inbox {} list\n", post.end())),
        format!("OK\n{last}")
    );
    assert_eq!(
        said(&post, &format!("{IN}SYNC inbox 0000000000000000.31 list\n")),
        format!("OK\nRESET {}\n", post.end())
    );
}

#[test]
fn what_came_and_went_is_left_out() {
    let mut post = Post::default();
    let gone = post.add("1", "x", b"");
    let again = post.add("2", "y", b"");
    let kept = post.add("3", "z", b"");
    post.note(&format!("del {gone}"));
    post.note(&format!("add {kept} 2026-11-22T09:30:02Z 999"));
    post.note(&format!("del {again}"));
    post.note(&format!("add {again} 2026-11-22T10:00:00Z 999"));
    let ends: Vec<u64> = post.journal.iter().map(|(_, at)| *at).collect();
    let said = said(&post, &format!("{IN}SYNC inbox - list\n"));
    let expected = [
        "OK".to_owned(),
        format!("+ add {kept} 2026-11-22T09:30:02Z 999 {}", token(ends[2])),
        format!("+ del {gone} {}", token(ends[3])),
        format!("+ del {again} {}", token(ends[5])),
        format!("+ add {again} 2026-11-22T10:00:00Z 999 {}", token(ends[6])),
        format!("OK {}\n", post.end()),
    ];
    assert_eq!(said, expected.join("\n"));
}

#[test]
fn what_is_not_there_is_no_breach() {
    let mut post = Post::default();
    let message = post.add("1", "x", b"attached");
    let attached = digest(b"attached");
    let other = "ab".repeat(32);
    let input = format!(
        "{IN}SYNC nothing - list\nSYNC ../x - list\nFETCH . {message}\nFETCH inbox {other}\n\
         PART inbox {other} 0\nPART inbox {attached} 9\nPART inbox {attached} 8\n\
         PART inbox {attached} 5\nPART /etc {attached} 0\nFOLDERS\nDONE\n"
    );
    assert_eq!(
        said(&post, &input),
        format!(
            "OK\nFAIL no such folder\nFAIL no such folder\nFAIL no such folder\n\
             FAIL no such message\nFAIL no such attachment\n\
             FAIL the attachment is shorter than that\n+ attachment {attached} 0\nOK\n\
             + attachment {attached} 3\nhedOK\nFAIL no such folder\n+ inbox 1 1 999 {}\nOK\n",
            post.end()
        )
    );
}

#[test]
fn a_fault_here_is_said_and_ends_the_session() {
    let post = Post {
        broken: true,
        ..Post::default()
    };
    let (out, end) = session(
        &post,
        format!("{IN}SYNC inbox - list\nDONE\n").as_bytes(),
        usize::MAX,
        Ending::Close,
    );
    assert_eq!(out, "OK\nERROR a fault here; try again later\n");
    assert!(matches!(end, End::Fault), "{end:?}");
}

#[test]
fn a_client_and_a_session_understand_each_other() {
    let mut post = Post::default();
    let first = post.add("1", "Lunch?", b"a picture");
    let inbox: FolderName = "inbox".parse().unwrap();
    let attached = digest(b"a picture");
    let input = format!(
        "LOGIN bob@b.test PASSWORD 11\nopen sesameFOLDERS\nSYNC inbox - list\nFETCH inbox {first}\n\
         PART inbox {attached} 2\nDONE\n"
    );
    let answers = said(&post, &input);
    for chunk in [1, 3, usize::MAX] {
        let mut client = Client::new(
            Memory::new(answers.as_bytes()).in_chunks(chunk),
            Times::default(),
        );
        let bob = Address::parse("bob@b.test").unwrap();
        assert!(client.log_in_by_password(&bob, b"open sesame").unwrap());
        assert_eq!(client.folders().unwrap(), post.folders().unwrap());
        let mut changes = Vec::new();
        let synced = client
            .sync(&inbox, None, &mut |change| changes.push(change))
            .unwrap();
        assert_eq!(synced, Synced::Upto(post.end()));
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].entry.digest(), first);
        client.ask_message(&inbox, first, 1000).unwrap();
        client.ask_part(&inbox, attached, 2, 7).unwrap();
        let mut octets = Vec::new();
        let mut sink = |piece: &[u8]| {
            octets.extend_from_slice(piece);
            Ok::<(), WireError>(())
        };
        assert_eq!(client.answer(&mut sink).unwrap(), Answer::Whole);
        assert_eq!(client.answer(&mut sink).unwrap(), Answer::Whole);
        assert_eq!(octets, [&post.messages[0].1[..], b"picture"].concat());
        client.done().unwrap();
    }
}

/// What a client makes of an answer to FETCH or PART.
fn fetched(answer: &str) -> Result<Answer, ClientError> {
    let mut client = Client::new(Memory::new(answer), Times::default());
    let inbox: FolderName = "inbox".parse().unwrap();
    let part = "ab".repeat(32).parse().unwrap();
    client.ask_part(&inbox, part, 3, 5).unwrap();
    client
        .answer(&mut |_| Ok::<(), WireError>(()))
        .map_err(|error| match error {
            SinkError::Client(error) => error,
            SinkError::Sink(error) => error.into(),
        })
}

#[test]
fn a_server_that_breaks_rules_is_told_from_one_that_breaks_down() {
    let ab = "ab".repeat(32);
    let whole = format!("+ alive\n+ attachment {ab} 5\n12345OK\n");
    assert_eq!(fetched(&whole).unwrap(), Answer::Whole);
    // Damaged there: all that there is has come, and its digest will tell.
    let short = format!("+ attachment {ab} 4\n1234OK\n");
    assert_eq!(fetched(&short).unwrap(), Answer::Whole);
    assert_eq!(
        fetched("FAIL no such attachment\n").unwrap(),
        Answer::Refused("no such attachment".into())
    );
    for (answer, breach) in [
        (String::new(), false),
        (format!("+ attachment {ab} 5\n123"), false),
        ("ERROR a fault here\n".into(), false),
        (format!("+ attachment {ab} 6\n123456OK\n"), true),
        (format!("+ attachment {ab} 9223372036854775807\n"), true),
        (
            format!("+ attachment {} 5\n12345OK\n", "cd".repeat(32)),
            true,
        ),
        ("+ message 5\n12345OK\n".into(), true),
        (format!("+ attachment {ab} 5\n12345FAIL\n"), true),
        ("OK\n".into(), true),
        ("nonsense\n".into(), true),
        ("x".repeat(5000), true),
        ("+ alive\n".repeat(20_000), true),
        ("+ \u{1b}[31m\n".into(), true),
    ] {
        let error = fetched(&answer).unwrap_err();
        assert_eq!(error.is_breach(), breach, "{answer:.60}: {error}");
    }
}

/// What a client makes of an answer to FOLDERS and to SYNC.
fn listed(answer: &str, times: Times) -> [Option<ClientError>; 2] {
    let inbox: FolderName = "inbox".parse().unwrap();
    let client = || Client::new(Memory::new(answer), times);
    [
        client().folders().err(),
        client().sync(&inbox, None, &mut |_| {}).err(),
    ]
}

#[test]
fn names_and_digests_that_are_paths_are_breaches() {
    let token = "6f0c9a1b2d3e4f50.256";
    for line in [
        format!("../x 1 1 1 {token}"),
        format!("/etc 1 1 1 {token}"),
        format!("in box 1 1 1 {token}"),
        format!("add ../../../etc/passwd 2026-11-22T09:30:02Z 1 {token}"),
        format!("del .. {token}"),
        format!("add {} 2026-11-22T09:30:02Z -1 {token}", "ab".repeat(32)),
    ] {
        for error in listed(&format!("+ {line}\nOK {token}\n"), Times::default()) {
            let error = error.unwrap();
            assert!(
                matches!(error, ClientError::Unexpected(_)),
                "{line}: {error}"
            );
        }
    }
    let [folders, _] = listed("+ something new\nOK\n", Times::default());
    assert!(folders.is_none());
}

#[test]
fn lines_that_say_nothing_do_not_buy_time() {
    let times = Times {
        message: Duration::ZERO,
        ..Times::default()
    };
    for error in listed("+ alive\n+ alive\nOK 6f0c9a1b2d3e4f50.256\n", times) {
        let error = error.unwrap();
        assert!(
            matches!(error, ClientError::Wire(WireError::TimedOut)),
            "{error}"
        );
    }
}
