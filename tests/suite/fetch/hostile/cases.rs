//! What a hostile server does, and what is to be seen of it.

/// What a server says in place of an honest answer to a command.
pub type Twist = fn(&str, Vec<u8>) -> Vec<u8>;

/// Replaces text in the answers to commands of one word.
fn replaced(line: &str, said: Vec<u8>, word: &str, from: &str, to: &str) -> Vec<u8> {
    match line.starts_with(word) {
        true => String::from_utf8(said).unwrap().replace(from, to).into(),
        false => said,
    }
}

/// Changes one octet of the answers to commands of one word.
pub fn turned(line: &str, mut said: Vec<u8>, word: &str, octet: usize) -> Vec<u8> {
    if line.starts_with(word) {
        let at = said.len() - 4 - octet;
        said[at] ^= 1;
    }
    said
}

/// The first octets of what came, as a line.
fn begun(line: &str, said: Vec<u8>, word: &str, begin: &str) -> Vec<u8> {
    match line.starts_with(word) {
        true => begin.as_bytes().to_vec(),
        false => said,
    }
}

const TOKEN: &str = "6f0c9a1b2d3e4f50.900";

/// What is done, what the program exits with, what it says, and how many of the
/// three messages are in the mailbox all the same.
pub const CASES: &[(&str, Twist, i32, &str, usize)] = &[
    (
        "another octet in an inline part",
        |line, said| turned(line, said, "FETCH", 0),
        3,
        "part 1",
        0,
    ),
    (
        "another octet in a header block",
        |line, said| turned(line, said, "FETCH", 200),
        3,
        "the server sent it wrong",
        0,
    ),
    (
        "another octet in an attachment",
        |line, said| turned(line, said, "PART", 0),
        3,
        "an attachment of it is not what was announced",
        1,
    ),
    (
        "a message less than it was",
        |line, said| replaced(line, said, "FETCH", "ima: 1\n", ""),
        3,
        "",
        0,
    ),
    (
        "a message of no octets",
        |line, said| begun(line, said, "FETCH", "+ message 0\nOK\n"),
        3,
        "its header block",
        0,
    ),
    (
        "a message of more octets than are listed",
        |line, said| begun(line, said, "FETCH", "+ message 4194305\n"),
        3,
        "4194305 octets where at most",
        0,
    ),
    (
        "a message of all the octets there are",
        |line, said| begun(line, said, "FETCH", "+ message 9223372036854775807\n"),
        3,
        "9223372036854775807 octets where at most",
        0,
    ),
    (
        "a length that is none",
        |line, said| begun(line, said, "FETCH", "+ message -1\nOK\n"),
        3,
        "-1",
        0,
    ),
    (
        "more of an attachment than is announced",
        |line, said| replaced(line, said, "PART", " 8\n", " 9\n"),
        3,
        "9 octets where at most 8",
        1,
    ),
    (
        "less of an attachment than is announced",
        |line, said| replaced(line, said, "PART", " 8\n", " 7\n"),
        3,
        "it said \"dOK\"",
        1,
    ),
    (
        "an attachment that has lost its end there",
        |line, said| replaced(line, said, "PART", " 8\nattached", " 7\nattache"),
        3,
        "an attachment of it is not what was announced",
        1,
    ),
    (
        "another attachment",
        |line, said| {
            let other = format!("+ attachment {} 8\nattachedOK\n", "ab".repeat(32));
            begun(line, said, "PART", &other)
        },
        3,
        "an attachment that was not asked for",
        1,
    ),
    (
        "an attachment whose name is a path",
        |line, said| begun(line, said, "PART", "+ attachment ../../x 8\nattached"),
        3,
        "../../x",
        1,
    ),
    (
        "a message whose name is a path",
        |line, said| {
            let line_of = format!("+ add ../../x 2026-11-22T09:30:02Z 1 {TOKEN}\nOK {TOKEN}\n");
            begun(line, said, "SYNC", &line_of)
        },
        3,
        "../../x",
        0,
    ),
    (
        "a folder whose name is a path",
        |line, said| {
            begun(
                line,
                said,
                "FOLDERS",
                &format!("+ ../x 1 1 1 {TOKEN}\nOK\n"),
            )
        },
        3,
        "../x",
        0,
    ),
    (
        "a folder twice",
        |line, said| {
            let one = format!("+ inbox 1 1 1 {TOKEN}\n");
            begun(line, said, "FOLDERS", &format!("{one}{one}OK\n"))
        },
        3,
        "inbox 1 1 1",
        0,
    ),
    (
        "folders without end",
        |line, said| {
            let folders = (0..1001).map(|n| format!("+ f{n} 0 0 0 {TOKEN}\n"));
            begun(
                line,
                said,
                "FOLDERS",
                &(folders.collect::<String>() + "OK\n"),
            )
        },
        3,
        "1001 folders, and at most 1000",
        0,
    ),
    (
        "a line without end",
        |line, said| begun(line, said, "SYNC", &"x".repeat(1 << 20)),
        3,
        "longer than the 4096 octets",
        0,
    ),
    (
        "lines that say nothing, without end",
        |line, said| begun(line, said, "SYNC", &"+ alive\n".repeat(1 << 17)),
        3,
        "more lines than are taken",
        0,
    ),
    (
        "a list that goes backwards",
        |line, said| {
            let del = format!("+ del {} {TOKEN}\n", "ab".repeat(32));
            begun(line, said, "SYNC", &format!("{del}{del}OK {TOKEN}\n"))
        },
        3,
        "do not grow",
        0,
    ),
    (
        "a list that begins again and again",
        |line, said| begun(line, said, "SYNC", &format!("RESET {TOKEN}\n")),
        3,
        "do not grow",
        0,
    ),
    (
        "nonsense",
        |line, said| begun(line, said, "FOLDERS", "250 OK\n"),
        3,
        "250 OK",
        0,
    ),
    (
        "a terminal sequence",
        |line, said| begun(line, said, "FOLDERS", "FAIL \u{1b}[2J\n"),
        3,
        "not text",
        0,
    ),
    (
        "words that are written backwards",
        |line, said| begun(line, said, "FETCH", "ERROR \u{202e}lla si lleW\n"),
        2,
        r#"b.test: the server ended the session: "\u{202e}lla si lleW"; the next connection goes on"#,
        0,
    ),
    (
        "messages that are listed and not given",
        |line, said| begun(line, said, "FETCH", "FAIL no such message\n"),
        2,
        "the server does not give it: no such message",
        0,
    ),
    (
        "attachments that are announced and not given",
        |line, said| begun(line, said, "PART", "FAIL no such attachment\n"),
        2,
        "the server does not give an attachment of it",
        1,
    ),
    (
        "folders that are named and not listed",
        |line, said| begun(line, said, "SYNC", "FAIL no such folder\n"),
        2,
        "inbox: the server does not list it: no such folder",
        0,
    ),
    (
        "more room than there is anywhere",
        |line, said| {
            let add = format!("add {} 2026-11-22T09:30:02Z", "ab".repeat(32));
            let huge = format!("+ {add} 9223372036854775807 {TOKEN}\n");
            let end = format!("OK {TOKEN}\n");
            let text = match line.rsplit(' ').next().unwrap() {
                _ if line.contains(TOKEN) => end,
                "messages" => huge + "+ message 9223372036854775807\n",
                _ => huge + &end,
            };
            begun(line, said, "SYNC", &text)
        },
        2,
        "has room for",
        0,
    ),
    (
        "a login that is refused",
        |line, said| begun(line, said, "LOGIN", "FAIL\n"),
        1,
        "b.test refuses the login of bob@b.test",
        0,
    ),
];
