//! What reaches a terminal, which script(1) makes: nothing that a stranger wrote moves
//! it, and nothing turns the direction of writing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use crate::fetch::{self, folder};
use crate::peer::office::Office;
use crate::peer::{Identity, Receiver};
use crate::site::{Site, feed, letter, letter_with, program, stderr};

/// What a stranger would like a terminal to do: to take another title, to be cleared,
/// in both forms, to go back to the beginning of the line, to ring; and what turns text
/// around.
const WISHES: [&str; 11] = [
    "\u{1b}]0;owned\u{7}",
    "\u{1b}[2J",
    "\u{9b}2J",
    "\u{7}",
    "\rforged",
    "\u{8}",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
    "\u{61c}",
    "\u{2028}",
];
/// Those that text may hold (ima-message(5)).
const BIDI: &str = "\u{202e}\u{2066}\u{200f}\u{61c}";

/// A command line at a terminal.
pub fn at(command: &Command) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = |word: &OsStr| {
        let word = word.as_bytes();
        let inner = word.split(|octet| *octet == b'\'');
        [
            b"'",
            &inner.collect::<Vec<_>>().join(&b"'\\''"[..])[..],
            b"'",
        ]
        .concat()
    };
    let line = words.map(quoted).collect::<Vec<_>>().join(&b' ');
    let mut terminal = Command::new("script");
    terminal
        .args(["--quiet", "--return", "--command"])
        .arg(OsStr::from_bytes(&line))
        .arg("/dev/null")
        // The shell of whoever runs the tests may be any.
        .env("SHELL", "/bin/sh");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    terminal
}

/// What a person sees of a command with this on stdin, and its exit status.
#[track_caller]
fn seen(command: &Command, stdin: &[u8]) -> (Option<i32>, String) {
    let output = feed(at(command), stdin);
    let seen = String::from_utf8_lossy(&output.stdout);
    // What the terminal itself says of the end of the input.
    let seen = seen.replace("^D\u{8}\u{8}", "");
    for wish in WISHES {
        assert!(!seen.contains(wish), "{command:?}: {wish:?} in {seen:?}");
    }
    (output.status.code(), seen)
}

fn suite(name: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(program(name));
    command.args(arguments);
    command
}

/// A file that is read from a terminal's standard input, and its name.
fn file(site: &Site, name: &str, octets: &[u8]) -> std::path::PathBuf {
    let path = site.path().join(name);
    fs::write(&path, octets).unwrap();
    path
}

const PROGRAMS: [&str; 13] = [
    "fetch-mail",
    "ima-mailbox",
    "make-ima-key",
    "make-ima-message",
    "server-check",
    "server-give-recipient",
    "server-handle-incoming-mail",
    "server-post-office",
    "server-receive",
    "server-send-mail",
    "server-setup",
    "server-user",
    "show-ima-message",
];

/// A name that a pattern of the shell brought, for instance.
#[test]
fn what_is_said_of_an_argument_moves_no_terminal() {
    let wishes = WISHES.concat();
    for name in PROGRAMS {
        for argument in [
            format!("--{wishes}"),
            format!("--config={wishes}"),
            wishes.clone(),
            format!("/no/{wishes}/such"),
        ] {
            for arguments in [&[&*argument][..], &["--", &argument], &["check", &argument]] {
                let mut command = suite(name, arguments);
                command.env("EMEMO_CONFIG_DIR", "/no/such/folder");
                let (code, said) = seen(&command, b"");
                assert!(matches!(code, Some(1 | 2)), "{name} {arguments:?}: {said}");
                assert_ne!(said, "", "{name} {arguments:?}");
            }
        }
    }
}

#[test]
fn a_letter_is_shown_with_nothing_hidden() {
    let site = Site::new();
    let subject = format!("gpj.{BIDI}exe");
    let to = format!("carol@c.test {BIDI}Carol");
    let header = format!("x-mood={BIDI}good");
    let options = ["--subject", &subject, "--to", &to, "--header", &header];
    let mut make = suite("make-ima-message", &["--from", "alice@a.test"]);
    make.args(options);
    let made = feed(make, WISHES.concat().as_bytes());
    assert!(made.status.success());
    let path = file(&site, "letter", &made.stdout);
    for options in [&[][..], &["--json"], &["--verify"]] {
        let mut show = suite("show-ima-message", options);
        let (code, said) = seen(show.arg(&path), b"");
        assert_eq!(code, Some(0), "{said}");
        if options.is_empty() {
            assert!(said.contains("\\e]0;owned\\u{7}"), "{said}");
            assert!(said.contains("gpj.\\u{202e}"), "{said}");
        }
    }
    // What is no message is named with its place.
    let text = String::from_utf8(letter(&["bob@b.test"], "Hello\n")).unwrap();
    for wish in WISHES {
        let broken = text.replace("to: bob@", &format!("to: {wish}@"));
        let path = file(&site, &format!("broken{wish}"), broken.as_bytes());
        let (code, said) = seen(&suite("show-ima-message", &[&path]), b"");
        assert_eq!(code, Some(1), "{said}");
        let given = ["--config".as_ref(), path.as_os_str()];
        seen(&suite("server-handle-incoming-mail", &given), b"");
        let mut attach = suite("make-ima-message", &["--from", "alice@a.test"]);
        attach.args(["--to", "bob@b.test", "--attach"]).arg(&path);
        let (code, said) = seen(&attach, b"");
        assert_eq!(code, Some(2), "{said}");
    }
}

/// Files that somebody else has put into a mailbox, or that are to be imported.
#[test]
fn names_in_a_mailbox_move_no_terminal() {
    let site = Site::new();
    let b = site.host("b.test", &["bob"]);
    let inbox = b.inbox("bob");
    let maildir = site.path().join("Maildir");
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(folder)).unwrap();
    }
    for wish in WISHES {
        for folder in ["messages", "attachments", "tmp", "."] {
            fs::write(inbox.join(folder).join(format!("x{wish}")), "x").unwrap();
        }
        fs::write(maildir.join("new").join(format!("1.{wish}")), b"\xff\0x").unwrap();
        fs::create_dir_all(maildir.join(format!(".{wish}x/cur"))).unwrap();
    }
    let journal = inbox.join("journal");
    let whole = fs::read_to_string(&journal).unwrap();
    let tool = |arguments: &[&str], path: &Path| {
        let mut command = suite("ima-mailbox", arguments);
        seen(command.arg(path), b"").1
    };
    assert!(tool(&["check"], &inbox).contains("\\e]0;owned"));
    tool(&["list"], &inbox);
    for wish in WISHES {
        fs::write(&journal, format!("{whole}add {wish}\n")).unwrap();
        tool(&["check"], &inbox);
        tool(&["list"], &inbox);
        fs::write(&journal, format!("{wish}\n")).unwrap();
        tool(&["check"], &inbox);
        tool(&["list"], &inbox);
    }
    fs::write(&journal, &whole).unwrap();
    let mut import = suite("ima-mailbox", &["import"]);
    let said = seen(import.arg("--maildir").arg(&maildir).arg(&inbox), b"").1;
    assert!(!said.is_empty());
    tool(&["repair"], &inbox);
    tool(&["compact"], &inbox);
}

/// What is said to HEADERS and to DATA with these words in it.
type Answers = fn(&str) -> (String, String);

#[test]
fn what_a_receiving_server_says_moves_no_terminal() {
    let site = Site::new();
    let a = site.host("a.test", &[]);
    let identity = Identity::made(&site, "b.test");
    let path = file(&site, "letter", &letter(&["bob@b.test"], "Hello\n"));
    let words = WISHES.map(|wish| -> &'static str { format!("{wish}lla si lleW").leak() });
    for (number, words) in words.into_iter().enumerate() {
        let kinds: [Answers; 5] = [
            |words| (format!("REJECT policy {words}"), "OK".to_owned()),
            |words| (format!("+ {words}\nDEFER 300 {words}"), "OK".to_owned()),
            |words| (format!("ERROR {words}"), "OK".to_owned()),
            |words| {
                (
                    "ACCEPT".to_owned(),
                    format!("+ FAIL bob@b.test {words}\nFAIL"),
                )
            },
            |words| ("ACCEPT".to_owned(), format!("+ {words}\nFAIL")),
        ];
        let (headers, data) = kinds[number % kinds.len()](words);
        for (headers, data) in [(headers, data), (words.to_owned(), words.to_owned())] {
            let b = Receiver::answering(&identity, headers.leak(), data.leak());
            a.knows("b.test", b.address);
            let mut command = a.command("server-send-mail");
            let (code, said) = seen(command.arg(&path), b"");
            assert!(matches!(code, Some(1 | 2)), "{said}");
            assert!(said.contains("bob@b.test"), "{said}");
        }
    }
}

/// fetch-mail, which does not wait for long.
fn hurried(place: &fetch::Place, office: &Office) -> Command {
    place.configured(&format!(
        "address = \"bob@b.test\"\ncertificate = \"bob.pem\"\nkey = \"bob.key\"\n\
         idle-timeout = \"1s\"\n[hosts]\n\"b.test\" = \"{}\"\n",
        office.address
    ))
}

#[test]
fn what_a_post_office_says_moves_no_terminal() {
    let place = fetch::Place::new();
    let subject = format!("gpj.{BIDI}exe");
    let hostile = letter_with(
        &["bob@b.test"],
        &WISHES.concat(),
        &["--header", &format!("x-mood={BIDI}")],
    );
    let text = String::from_utf8(hostile).unwrap();
    let hostile = text.replace("subject: Lunch?", &format!("subject: {subject}"));
    let folders = [folder(
        "inbox",
        &[hostile.into_bytes(), place.letter("two\n", &[b"attached"])],
    )];
    let honest = Office::start(&place.identity(), &folders, |_, said| said);
    let mut headers = hurried(&place, &honest);
    headers.arg("--headers-only");
    let (code, said) = seen(&headers, b"");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("gpj.\\u{202e}"), "{said}");
    let (code, said) = seen(&hurried(&place, &honest), b"");
    assert_eq!(code, Some(0), "{said}");

    for word in ["LOGIN", "FOLDERS", "SYNC", "PART"] {
        for (number, wish) in WISHES.into_iter().enumerate() {
            let kind = ["FAIL", "ERROR", "+", "OK"][number % 4];
            let _ = fs::remove_dir_all(place.mail());
            let office = Office::start(&place.identity(), &folders, move |line, said| {
                match line.starts_with(word) {
                    true => format!("{kind} {wish}lla si lleW\n").into_bytes(),
                    false => said,
                }
            });
            let (code, said) = seen(&hurried(&place, &office), b"");
            assert!(
                matches!(code, Some(1..=3)),
                "{word} {kind} {wish:?}: {said}"
            );
        }
    }
}

/// DEFER and two numbers look as if somebody tried again.
#[test]
fn who_sends_from_a_terminal_learns_that_nothing_is_kept() {
    let site = Site::new();
    let a = site.host("a.test", &[]);
    let identity = Identity::made(&site, "b.test");
    let path = file(&site, "letter", &letter(&["bob@b.test"], "Hello\n"));
    let advice = "nothing is kept here: keep the message, and send the same one again later";
    for (answer, code, is_told) in [
        ("ACCEPT", 0, false),
        ("REJECT policy no", 1, false),
        ("DEFER 5 later", 2, true),
    ] {
        let b = Receiver::answering(&identity, answer, "OK");
        a.knows("b.test", b.address);
        let mut command = a.command("server-send-mail");
        let (exit, said) = seen(command.arg(&path), b"");
        assert_eq!(
            (exit, said.contains(advice)),
            (Some(code), is_told),
            "{said}"
        );
        let silent = a.command("server-send-mail").arg(&path).output().unwrap();
        assert!(!stderr(&silent).contains(advice), "{silent:?}");
    }
}

/// And it is not said that it could be passed on as the name of a file.
#[test]
fn an_option_that_is_mistyped_is_guessed() {
    for (name, wrong, right) in [
        ("server-send-mail", "--partail", "--partial"),
        ("server-setup", "--hots", "--host"),
        ("ima-mailbox", "--versoin", "--version"),
    ] {
        let output = feed(suite(name, &[wrong]), b"");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2));
        assert!(said.contains(&format!("'{right}'")), "{said}");
        assert!(!said.contains(&format!("-- {wrong}")), "{said}");
    }
}
