//! SYNC of folders in which much has happened.

use super::*;

/// The lines of an answer to SYNC, without their tokens.
fn told(post: &Post) -> Vec<String> {
    let said = said(post, &format!("{IN}SYNC inbox - list\n"));
    let lines = said.lines().skip(1);
    lines
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

#[test]
fn more_deletions_than_are_kept_in_mind() {
    let mut post = Post::default();
    let many = 70_000;
    let gone = |number| format!("{number:064x}");
    for number in 0..many {
        post.note(&format!("add {} 2026-11-22T09:30:02Z 9", gone(number)));
    }
    let kept = post.add("1", "x", b"");
    for number in 0..many {
        post.note(&format!("del {}", gone(number)));
    }
    let told = told(&post);
    assert_eq!(told.len(), many + 2);
    assert!(
        told[0].starts_with(&format!("+ add {kept} ")),
        "{}",
        told[0]
    );
    assert_eq!(told[1], format!("+ del {}", gone(0)));
    assert_eq!(told[many], format!("+ del {}", gone(many - 1)));
}

#[test]
fn an_add_again_is_told_once_or_harms_nobody() {
    let mut post = Post::default();
    let message = |number| format!("{number:064x}");
    let add = |number| format!("add {} 2026-11-22T09:30:02Z 9", message(number));
    let many = 100_000;
    for number in 0..many {
        post.note(&add(number));
    }
    // One of those that were told last, and one of those that were told first.
    post.note(&add(many - 1));
    post.note(&add(0));
    let told = told(&post);
    let times = |number| {
        let begins = format!("+ add {} ", message(number));
        told.iter().filter(|line| line.starts_with(&begins)).count()
    };
    assert_eq!((times(many - 1), times(1)), (1, 1));
    assert!((1..=2).contains(&times(0)));
    assert!(told.len() > many);
}

#[test]
fn a_journal_that_is_another_each_time_is_a_fault_and_no_end_without() {
    let mut post = Post::default();
    post.add("1", "x", b"");
    post.restless = true;
    let (out, end) = session(
        &post,
        format!("{IN}SYNC inbox - list\n").as_bytes(),
        usize::MAX,
        Ending::Close,
    );
    assert_eq!(out, "OK\nERROR a fault here; try again later\n");
    assert!(matches!(end, End::Fault), "{end:?}");
    // Who named a token is told that it means nothing any more.
    let answer = said(&post, &format!("{IN}SYNC inbox {} list\n", post.end()));
    assert!(answer.starts_with("OK\nRESET "), "{answer}");
}

#[test]
fn a_message_whose_file_is_cut_short_is_left_out_and_named() {
    let mut post = Post::default();
    let digests: Vec<MessageDigest> = ["1", "2", "3"].map(|id| post.add(id, "x", b"")).into();
    post.messages[1].1.truncate(20);
    for mode in ["headers", "messages"] {
        post.calls.borrow_mut().clear();
        let out = said(&post, &format!("{IN}SYNC inbox - {mode}\n"));
        let told: Vec<&str> = out
            .split("+ add ")
            .skip(1)
            .map(|line| &line[..64])
            .collect();
        let whole = [digests[0], digests[2]].map(|digest| digest.to_string());
        assert_eq!(told, whole, "{out}");
        assert!(out.ends_with(&format!("OK {}\n", post.end())), "{out}");
        let damaged = format!("damaged inbox {}", digests[1]);
        assert_eq!(*post.calls.borrow(), [&*damaged, "ends"]);
    }
    let listed = said(&post, &format!("{IN}SYNC inbox - list\n"));
    assert_eq!(listed.matches("+ add ").count(), 3, "{listed}");
}

#[test]
fn a_file_that_ends_before_its_length_ends_the_session_by_name() {
    let mut post = Post::default();
    let digest = post.add("1", "x", b"");
    // More than is read before it is announced.
    let (_, octets) = &mut post.messages[0];
    octets.resize(100_000, b'x');
    post.cut = true;
    for command in [
        "SYNC inbox - messages".to_owned(),
        format!("FETCH inbox {digest}"),
    ] {
        post.calls.borrow_mut().clear();
        let input = format!("{IN}{command}\nDONE\n");
        let (out, end) = session(&post, input.as_bytes(), usize::MAX, Ending::Close);
        assert!(!out.contains("ERROR"), "{out:.400}");
        assert!(matches!(end, End::Fault), "{end:?}");
        let damaged = format!("damaged inbox {digest}");
        assert_eq!(*post.calls.borrow(), [&*damaged, "ends"], "{command}");
    }
}
