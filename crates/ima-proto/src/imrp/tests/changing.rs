//! FLAG, DELETE, MOVE, CREATE and REMOVE.

use ima_message::FlagChange;

use super::*;

const OTHER: &str = "abababababababababababababababababababababababababababababababab";

#[test]
fn each_command_and_what_it_refuses() {
    let mut post = Post::default();
    let first = post.add("1", "Lunch?", b"");
    let second = post.add("2", "Dinner?", b"");
    let dialogue = [
        (format!("FLAG inbox {first} +seen -junk"), "OK"),
        (format!("FLAG inbox {OTHER} +seen"), "FAIL no such message"),
        (format!("FLAG nothing {first} +seen"), "FAIL no such folder"),
        ("CREATE archive".to_owned(), "OK"),
        (
            "CREATE archive".to_owned(),
            "FAIL there is a folder of this name",
        ),
        (format!("MOVE inbox {first} nothing"), "FAIL no such folder"),
        (
            format!("MOVE inbox {OTHER} archive"),
            "FAIL no such message",
        ),
        (format!("MOVE inbox {first} archive"), "OK"),
        (
            format!("MOVE inbox {first} archive"),
            "FAIL no such message",
        ),
        (format!("DELETE inbox {second}"), "OK"),
        (format!("DELETE inbox {second}"), "FAIL no such message"),
        ("REMOVE archive".to_owned(), "OK"),
        ("REMOVE archive".to_owned(), "FAIL no such folder"),
    ];
    let commands: String = dialogue.iter().map(|(say, _)| format!("{say}\n")).collect();
    let answers: String = dialogue
        .iter()
        .map(|(_, hear)| format!("{hear}\n"))
        .collect();
    let from = post.end();
    let input = format!("{IN}{commands}SYNC inbox {from} list\nDONE\n");
    for chunk in [1, 2, 7, usize::MAX] {
        let (out, end) = session(&post, input.as_bytes(), chunk, Ending::Close);
        let changes = out.strip_prefix(&format!("OK\n{answers}")).unwrap();
        let told: Vec<&str> = changes
            .lines()
            .map(|line| line.rsplit_once(' ').unwrap().0)
            .collect();
        let expected = [
            format!("+ flag {first} +seen -junk"),
            format!("+ del {first}"),
            format!("+ del {second}"),
            "OK".to_owned(),
        ];
        assert_eq!(told, expected);
        assert!(matches!(end, End::Done), "{end:?}");
    }
}

#[test]
fn what_came_together_about_one_folder_is_done_together() {
    let mut post = Post::default();
    let first = post.add("1", "x", b"");
    let second = post.add("2", "y", b"");
    let input = format!(
        "{IN}FLAG inbox {first} +seen\nFLAG inbox {OTHER} +seen\nFLAG inbox {second} +seen\n\
         DELETE inbox {second}\nFLAG inbox {second} +junk\nDELETE inbox {second}\n\
         DELETE nothing {first}\nFLAG inbox {first} +junk\nFOLDERS\nFLAG inbox {first} -junk\n"
    );
    let answers = [
        "OK",
        "OK",
        "FAIL no such message",
        "OK",
        "OK",
        // Behind its deletion.
        "FAIL no such message",
        "FAIL no such message",
        "FAIL no such folder",
        "OK",
    ]
    .join("\n");
    for (chunk, calls) in [
        (
            usize::MAX,
            "apply inbox 4, apply inbox 2, apply nothing 1, apply inbox 1, apply inbox 1, ends",
        ),
        (
            1,
            &format!(
                "{}apply nothing 1, apply inbox 1, apply inbox 1, ends",
                "apply inbox 1, ".repeat(6)
            ),
        ),
    ] {
        post.calls.borrow_mut().clear();
        let (out, _) = session(&post, input.as_bytes(), chunk, Ending::Close);
        let rest = out.strip_prefix(&answers).unwrap();
        assert!(rest.starts_with("\n+ inbox 1 "), "{rest}");
        assert!(rest.ends_with("\nOK\nOK\n"), "{rest}");
        assert_eq!(post.calls.borrow().join(", "), calls);
    }
}

#[test]
fn messages_that_go_the_same_way_go_together() {
    let mut post = Post::default();
    let first = post.add("1", "x", b"");
    let second = post.add("2", "y", b"");
    let input = format!(
        "{IN}CREATE a\nCREATE b\nMOVE inbox {first} a\nMOVE inbox {second} a\n\
         MOVE inbox {first} a\nMOVE inbox {OTHER} a\nMOVE inbox {OTHER} b\nFOLDERS\n"
    );
    let said = said(&post, &input);
    let answers = format!(
        "{}FAIL no such message\nFAIL no such message\nFAIL no such message\n+ inbox 0 ",
        "OK\n".repeat(5)
    );
    assert!(said.starts_with(&answers), "{said}");
    assert_eq!(
        post.calls.borrow().join(", "),
        "create a, create b, relocate inbox 2 a, relocate inbox 2 a, relocate inbox 1 b, ends"
    );
}

#[test]
fn many_at_once_are_still_few_at_a_time() {
    let mut post = Post::default();
    let message = post.add("1", "x", b"");
    let line = format!("FLAG inbox {message} +x\n");
    let said = said(&post, &format!("{IN}{}", line.repeat(5000)));
    assert_eq!(said, "OK\n".repeat(5001));
    let calls = post.calls.borrow().len();
    assert!((20..100).contains(&calls), "{calls}");
}

#[test]
fn a_wrong_line_takes_nothing_back() {
    let mut post = Post::default();
    let message = post.add("1", "x", b"");
    let flag = format!("FLAG inbox {message} +seen\n");
    for (wrong, error) in [
        ("FLAG inbox\n".to_owned(), "ERROR FLAG takes "),
        ("\u{7}\n".to_owned(), "ERROR a line that is not text"),
        ("x".repeat(5000), "ERROR longer than the 4096 octets"),
        (IN.to_owned(), "ERROR LOGIN comes once"),
    ] {
        let said = said(&post, &format!("{IN}{flag}{flag}{wrong}"));
        let rest = said.strip_prefix("OK\nOK\nOK\n").unwrap();
        assert!(rest.starts_with(error), "{rest}");
        assert_eq!(rest.lines().count(), 1, "{rest}");
    }
}

#[test]
fn a_fault_is_no_refusal_and_the_last_word() {
    let mut post = Post::default();
    let message = post.add("1", "x", b"");
    post.broken = true;
    for command in [
        format!("FLAG inbox {message} +seen\nFLAG inbox {message} +junk"),
        format!("DELETE inbox {message}"),
        format!("MOVE inbox {message} archive"),
        "CREATE archive".to_owned(),
        "REMOVE archive".to_owned(),
    ] {
        let input = format!("{IN}{command}\nFOLDERS\n");
        let (out, end) = session(&post, input.as_bytes(), usize::MAX, Ending::Close);
        assert_eq!(out, "OK\nERROR a fault here; try again later\n");
        assert!(matches!(end, End::Fault), "{end:?}");
    }
}

#[test]
fn paths_are_names_of_no_folder() {
    let mut post = Post::default();
    let message = post.add("1", "x", b"");
    for name in ["../x", ".", "/etc", &"x".repeat(300)] {
        let input = format!(
            "{IN}FLAG {name} {message} +seen\nDELETE {name} {message}\n\
             MOVE {name} {message} inbox\nMOVE inbox {message} {name}\nCREATE {name}\n\
             REMOVE {name}\nSTORE {name} 4\nabcdFOLDERS\n"
        );
        let said = said(&post, &input);
        let lines: Vec<&str> = said.lines().collect();
        let expected = [
            "OK",
            "FAIL no such folder",
            "FAIL no such folder",
            "FAIL no such folder",
            "FAIL no such folder",
            "FAIL no folder can have this name",
            "FAIL no such folder",
            "FAIL no such folder",
        ];
        assert_eq!(lines[..8], expected);
        assert_eq!(lines.len(), 10);
    }
    assert_eq!(post.calls.borrow().join(", "), ["ends"; 4].join(", "));
}

#[test]
fn before_a_login_nothing_is_changed() {
    let post = Post::default();
    for command in [
        format!("FLAG inbox {OTHER} +seen"),
        format!("DELETE inbox {OTHER}"),
        format!("MOVE inbox {OTHER} archive"),
        "CREATE archive".to_owned(),
        "REMOVE archive".to_owned(),
        "STORE inbox 1\nx".to_owned(),
        "WATCH inbox 6f0c9a1b2d3e4f50.31".to_owned(),
    ] {
        let said = said(&post, &format!("{command}\n{IN}"));
        assert_eq!(said, "ERROR LOGIN comes first\n");
    }
    assert!(post.calls.borrow().is_empty());
}

#[test]
fn however_it_ends_the_mailbox_is_told() {
    let post = Post::default();
    for ending in [Ending::Close, Ending::Cut, Ending::Silence] {
        session(&post, IN.as_bytes(), usize::MAX, ending);
        assert_eq!(post.calls.borrow_mut().drain(..).count(), 1);
    }
}

fn flags(words: &[&str]) -> Vec<FlagChange> {
    words
        .iter()
        .map(|word| FlagChange {
            set: word.starts_with('+'),
            flag: word[1..].parse().unwrap(),
        })
        .collect()
}

#[test]
fn a_client_takes_the_answers_in_order() {
    let answers = "OK\nFAIL no such message\n+ alive\n+ news of tomorrow\nOK\nOK\nFAIL\n";
    let mut channel = Memory::new(answers).in_chunks(1);
    let mut client = Client::new(&mut channel, Times::default());
    let (inbox, archive) = ("inbox".parse().unwrap(), "archive".parse().unwrap());
    let digest = OTHER.parse().unwrap();
    client
        .ask_flag(&inbox, digest, &flags(&["+seen", "-junk"]))
        .unwrap();
    client.ask_move(&inbox, digest, &archive).unwrap();
    client.ask_delete(&inbox, digest).unwrap();
    client.ask_create(&archive).unwrap();
    client.ask_remove(&archive).unwrap();
    assert_eq!(client.outstanding(), 5);
    let taken: Vec<Answer> = (0..5).map(|_| client.acknowledged().unwrap()).collect();
    let expected = [
        Answer::Whole,
        Answer::Refused("no such message".into()),
        Answer::Whole,
        Answer::Whole,
        Answer::Refused("".into()),
    ];
    assert_eq!(taken, expected);
    assert!(matches!(client.acknowledged(), Err(ClientError::NotNext)));
    client.done().unwrap();
    assert_eq!(
        String::from_utf8_lossy(channel.output()),
        format!(
            "FLAG inbox {OTHER} +seen -junk\nMOVE inbox {OTHER} archive\nDELETE inbox {OTHER}\n\
             CREATE archive\nREMOVE archive\nDONE\n"
        )
    );
}

#[test]
fn a_client_reads_early_what_it_could_not_leave_on_the_way() {
    let many = 5000;
    let answers = "OK\nFAIL no such message\n".repeat(many / 2);
    let mut channel = Memory::new(answers);
    let mut client = Client::new(&mut channel, Times::default());
    let inbox = "inbox".parse().unwrap();
    let digest = OTHER.parse().unwrap();
    for _ in 0..many {
        client.ask_flag(&inbox, digest, &flags(&["+seen"])).unwrap();
    }
    assert_eq!(client.outstanding(), many);
    for number in 0..many {
        let answer = client.acknowledged().unwrap();
        assert_eq!(answer == Answer::Whole, number % 2 == 0);
    }
    assert_eq!(client.outstanding(), 0);
    drop(client);
    // What is read early, it reads only where the server could be stuck.
    let unread = channel.unread().len();
    assert_eq!(unread, 0);
}

#[test]
fn what_cannot_be_said_is_not_said() {
    let mut channel = Memory::new("");
    let mut client = Client::new(&mut channel, Times::default());
    let inbox = "inbox".parse().unwrap();
    let digest = OTHER.parse().unwrap();
    for count in [0, 65] {
        let changes = flags(&vec!["+x"; count]);
        let error = client.ask_flag(&inbox, digest, &changes).unwrap_err();
        assert!(matches!(error, ClientError::Flags(_)), "{error}");
        assert!(!error.is_breach());
    }
    assert_eq!(client.outstanding(), 0);
    client.done().unwrap();
    assert_eq!(channel.output(), b"DONE\n");
}

#[test]
fn answers_that_answer_something_else_are_breaches() {
    for (answer, breach) in [
        (format!("OK {OTHER}\n"), true),
        ("OK 6f0c9a1b2d3e4f50.31\n".to_owned(), true),
        ("RESET 6f0c9a1b2d3e4f50.31\n".to_owned(), true),
        ("+ message 5\n12345OK\n".to_owned(), true),
        ("+ changed inbox\nOK\n".to_owned(), true),
        ("+ inbox 1 1 1 6f0c9a1b2d3e4f50.31\nOK\n".to_owned(), true),
        ("+ tomorrow\n".repeat(20_000), true),
        ("+ alive\n".repeat(20_000), true),
        ("ERROR a fault here\n".to_owned(), false),
        (String::new(), false),
    ] {
        let mut client = Client::new(Memory::new(answer.as_str()), Times::default());
        let inbox = "inbox".parse().unwrap();
        client.ask_delete(&inbox, OTHER.parse().unwrap()).unwrap();
        let error = client.acknowledged().unwrap_err();
        assert_eq!(error.is_breach(), breach, "{answer:.60}: {error}");
    }
    // A question is answered by its own kind of answer.
    let mut client = Client::new(Memory::new("OK\n"), Times::default());
    client.ask_create(&"archive".parse().unwrap()).unwrap();
    let sink = &mut |_: &[u8]| Ok::<(), WireError>(());
    assert!(matches!(
        client.answer(sink),
        Err(SinkError::Client(ClientError::NotNext))
    ));
    assert!(matches!(client.stored(), Err(ClientError::NotNext)));
    assert!(matches!(
        client.sync_answer(&mut |_, _| {}),
        Err(ClientError::NotNext)
    ));
    assert_eq!(client.acknowledged().unwrap(), Answer::Whole);
}

#[test]
fn what_has_no_room_keeps_nothing_else_from_being_done() {
    let mut post = Post::default();
    let first = post.add("1", "x", b"");
    let second = post.add("2", "y", b"");
    post.is_full = true;
    let out = said(
        &post,
        &format!(
            "{IN}FLAG inbox {first} +seen\nDELETE inbox {first}\nDELETE inbox {OTHER}\n\
             FLAG inbox {second} +seen\nDELETE inbox {second}\n"
        ),
    );
    let answers = [
        "OK",
        "FAIL too many flags",
        "OK",
        "FAIL no such message",
        "FAIL too many flags",
        "OK",
        "",
    ];
    assert_eq!(out, answers.join("\n"));
    assert_eq!(*post.calls.borrow(), ["apply inbox 5", "ends"]);
}
