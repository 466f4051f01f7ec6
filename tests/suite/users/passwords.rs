//! Passwords from stdin and from a terminal.

use std::io::{BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use super::Office;
use crate::site::wait_until;

fn office() -> Office {
    let office = Office::new();
    office.succeeds("server-user add bob@b.test --mailbox mail/bob");
    office
}

#[test]
fn the_first_line_of_stdin_is_the_password() {
    let office = office();
    let long = "x".repeat(1024);
    for (written, password) in [
        ("one\\n", "one"),
        ("no line feed", "no line feed"),
        (" spaces \\n", " spaces "),
        ("Grüße\\n", "Grüße"),
        ("first\\nsecond\\n", "first"),
        (&format!("{long}\\n"), &long),
        (&long, &long),
    ] {
        office.succeeds(&format!(
            "printf '{written}' | server-user password bob@b.test"
        ));
        assert!(
            office.logs_in("bob@b.test", password).is_some(),
            "{written}"
        );
    }
    for (written, says) in [
        ("", "there is no password"),
        ("\\n", "there is no password"),
        ("one\\r\\n", "is there a carriage return"),
        ("a\\033b\\n", "without control characters"),
        ("\\377\\n", "text in UTF-8"),
        (&format!("x{long}\\n"), "the password is too long"),
        (&format!("x{long}{long}"), "the password is too long"),
    ] {
        office.fails(
            2,
            &format!("printf '{written}' | server-user password bob@b.test"),
            says,
        );
    }
    assert!(office.logs_in("bob@b.test", &long).is_some());
}

#[test]
fn a_password_takes_the_place_of_the_others_or_stands_beside_them() {
    let office = office();
    let works = |passwords: &[&str]| {
        let works = |password: &&str| office.logs_in("bob@b.test", password).is_some();
        let all = ["one", "two", "three"];
        let working: Vec<_> = all.into_iter().filter(works).collect();
        assert_eq!(working, passwords);
    };
    office.succeeds("echo one | server-user password bob@b.test");
    let said = office.succeeds("echo two | server-user password bob@b.test --add");
    assert_eq!(said, "bob@b.test has 2 passwords now.\n");
    works(&["one", "two"]);
    office.succeeds("echo three | server-user password bob@b.test");
    works(&["three"]);
    office.succeeds("server-user password bob@b.test --remove");
    works(&[]);
    office.succeeds("echo one | server-user password bob@b.test --add");
    works(&["one"]);
}

/// A server-user on a terminal of its own, which script(1) makes.
struct Terminal {
    child: Child,
    name: String,
    shown: String,
}

impl Terminal {
    fn new(office: &Office) -> Self {
        let command = "tty; exec server-user password bob@b.test";
        let mut shell = office
            .0
            .shell(&format!("exec script -qec '{command}' /dev/null"));
        let mut child = shell
            .env("EMEMO_CONFIG_DIR", office.0.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("script(1) starts");
        let mut terminal = Self {
            shown: String::new(),
            name: String::new(),
            child: {
                assert!(child.try_wait().unwrap().is_none());
                child
            },
        };
        terminal.wait_for("\n");
        terminal.name = terminal.shown.trim().to_owned();
        assert!(terminal.name.starts_with("/dev/"), "{}", terminal.name);
        terminal
    }

    /// Reads on until this has been shown.
    fn wait_for(&mut self, text: &str) {
        let stdout = self.child.stdout.as_mut().unwrap();
        let from = self.shown.len();
        let mut octet = [0];
        while !self.shown[from..].contains(text) {
            let count = stdout.read(&mut octet).unwrap();
            assert_eq!(count, 1, "it ended before {text:?}: {}", self.shown);
            self.shown.push(char::from(octet[0]));
        }
    }

    /// Types once the terminal does not show what is typed.
    fn types(&mut self, prompt: &str, password: &str) {
        self.wait_for(prompt);
        let name = self.name.clone();
        wait_until("the terminal does not echo", || {
            let output = Command::new("stty")
                .args(["-F", &name, "-a"])
                .output()
                .unwrap();
            String::from_utf8(output.stdout)
                .unwrap()
                .contains(" -echo ")
        });
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(format!("{password}\n").as_bytes()).unwrap();
    }

    /// The exit status, and all that was shown.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        BufReader::new(self.child.stdout.take().unwrap())
            .read_to_string(&mut rest)
            .unwrap();
        let status = self.child.wait().unwrap();
        (status.code(), self.shown + &rest)
    }
}

#[test]
fn a_terminal_does_not_show_what_is_typed() {
    let office = office();
    let mut terminal = Terminal::new(&office);
    terminal.types("Password for bob@b.test: ", "gehe1m");
    terminal.types("The same again for bob@b.test: ", "gehe1m");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("The password of bob@b.test is set."),
        "{shown}"
    );
    assert!(!shown.contains("gehe1m"), "{shown}");
    assert!(office.logs_in("bob@b.test", "gehe1m").is_some());

    let mut terminal = Terminal::new(&office);
    terminal.types("Password for bob@b.test: ", "other1");
    terminal.types("The same again for bob@b.test: ", "other2");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(2), "{shown}");
    assert!(
        shown.contains("the two passwords differ") && !shown.contains("other"),
        "{shown}"
    );

    let mut terminal = Terminal::new(&office);
    terminal.types("Password for bob@b.test: ", "");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("there is no password"), "{shown}");
    assert!(office.logs_in("bob@b.test", "gehe1m").is_some());
}
