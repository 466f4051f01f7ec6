//! What is damaged, or deleted meanwhile, is not taken for what was stored.

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::Bob;
use crate::site::{code, feed, letter, letter_with, program, run, stderr};

/// The options of the three forms; a Maildir is `out`.
const FORMS: [&[&str]; 3] = [&[], &["--mbox", "-"], &["--maildir", "out"]];
/// More than a pipe and a program hold together.
const LARGE: usize = 400_000;

/// Gives the inbox messages with attachments of so many octets, a text in each; their
/// digests in the order in which they are exported.
fn get(bob: &Bob, messages: usize, attachments: &[usize]) -> Vec<String> {
    for number in 0..messages {
        let mut options = Vec::new();
        for (at, &length) in attachments.iter().enumerate() {
            let path = bob.path(&format!("{number}-{at}.bin"));
            let octet = |place: usize| (place % 251 + 7 * at + number).to_le_bytes()[0];
            fs::write(&path, (0..length).map(octet).collect::<Vec<u8>>()).expect("written");
            options.extend(["--attach".to_owned(), path.display().to_string()]);
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let text = format!("Text {number}\n");
        bob.gets(&letter_with(&["bob@b.test"], &text, &options));
    }
    let listed = bob.does(&["list", "bob/inbox"]);
    let digest = |line: &str| line.split(' ').next().expect("a digest").to_owned();
    listed.lines().map(digest).collect()
}

/// A message of the inbox as it is.
fn whole(bob: &Bob, digest: &str) -> Vec<u8> {
    let file = bob.path("bob/inbox/messages").join(digest);
    let parts = (1..).map_while(|number: usize| match number {
        1 => fs::read(&file).ok(),
        _ => fs::read(file.with_extension(number.to_string())).ok(),
    });
    parts.collect::<Vec<_>>().concat()
}

/// The file in `attachments/` of a message's attachment.
fn attachment(bob: &Bob, digest: &str, number: usize) -> PathBuf {
    let file = bob.path("bob/inbox/messages").join(digest);
    let octets = fs::read(file.with_extension(number.to_string())).expect("an attachment");
    let entries = fs::read_dir(bob.path("bob/inbox/attachments")).expect("a folder");
    let mut paths = entries.map(|entry| entry.expect("an entry").path());
    let is_same = |path: &PathBuf| fs::read(path).expect("an attachment") == octets;
    paths.find(is_same).expect("it is there")
}

/// Changes an octet of a file, the last one.
fn change(path: &Path) {
    let mut octets = fs::read(path).expect("a file");
    *octets.last_mut().expect("an octet") ^= 1;
    fs::write(path, octets).expect("written");
}

/// All names of files in the Maildir `out`.
fn names(bob: &Bob) -> Vec<String> {
    let mut names = Vec::new();
    for place in ["cur", "new", "tmp"] {
        for entry in fs::read_dir(bob.path("out").join(place)).expect("a Maildir") {
            let name = entry.expect("an entry").file_name();
            names.push(name.into_string().expect("UTF-8"));
        }
    }
    names
}

/// What a program that writes a message to standard output is stopped in.
struct Stopped {
    child: Child,
    stdout: ChildStdout,
    begin: Vec<u8>,
}

impl Stopped {
    /// An export of the inbox, in the middle of its first message.
    fn new(bob: &Bob, form: &[&str]) -> Self {
        let mut child = Command::new(program("ima-mailbox"))
            .current_dir(bob.path("."))
            .arg("export")
            .args(form)
            .arg("bob/inbox")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdout = child.stdout.take().expect("a pipe");
        let mut begin = vec![0; 10];
        stdout.read_exact(&mut begin).expect("it begins");
        Self {
            child,
            stdout,
            begin,
        }
    }

    /// Lets it go on: its exit code, what it wrote and what it said.
    fn goes_on(mut self) -> (i32, Vec<u8>, String) {
        let mut octets = self.begin;
        self.stdout.read_to_end(&mut octets).expect("it writes");
        let output = self.child.wait_with_output().expect("it ends");
        (code(&output), octets, stderr(&output))
    }
}

/// Once only lengths were looked at: what is damaged went out, nothing was said, and it
/// was a success.
#[test]
fn octets_that_are_not_those_of_their_digest_do_not_go_out() {
    for part in [1, 2, 3] {
        let bob = Bob::new();
        let digests = get(&bob, 3, &[1000, LARGE]);
        let others = [whole(&bob, &digests[0]), whole(&bob, &digests[2])].concat();
        let damaged = &digests[1];
        match part {
            1 => change(&bob.path("bob/inbox/messages").join(damaged)),
            number => change(&attachment(&bob, damaged, number)),
        }
        assert_eq!(code(&bob.runs(&["check", "bob"], b"")), 1);
        for form in FORMS {
            let output = bob.runs(&[&["export"], form, &["bob/inbox"]].concat(), b"");
            let said = stderr(&output);
            assert_eq!(code(&output), 2, "{form:?}: {said}");
            let wanted = format!("{damaged} in bob/inbox cannot be exported: `ima-mailbox check`");
            assert!(said.contains(&wanted), "{form:?}: {said}");
            let why = format!("the octets of part {part} do not match its digest");
            assert!(said.contains(&why), "{form:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{form:?}: {said}");
            match form {
                [] => assert!(output.stdout == others),
                ["--mbox", _] => {
                    let mbox = String::from_utf8(output.stdout).expect("UTF-8");
                    assert_eq!(mbox.matches("X-IMA-Digest: ").count(), 2);
                    assert!(!mbox.contains(damaged));
                }
                _ => {
                    let names = names(&bob);
                    assert_eq!(names.len(), 2, "{names:?}");
                    assert!(names.iter().all(|name| !name.contains(damaged)));
                }
            }
        }
        // A file that is made holds the others too.
        bob.fails(2, &["export", "--mbox", "o.mbox", "bob/inbox"], b"");
        let mbox = fs::read_to_string(bob.path("o.mbox")).expect("an mbox");
        assert_eq!(mbox.matches("X-IMA-Digest: ").count(), 2);
    }
}

/// Once an attachment that had gone with its message was taken for a standard output that
/// cannot be written, and no other message was exported.
#[test]
fn a_message_that_is_deleted_meanwhile_ends_nothing() {
    for form in [&[][..], &["--mbox", "-"]] {
        let bob = Bob::new();
        let digests = get(&bob, 3, &[LARGE, 1000]);
        let wholes = [0, 1].map(|number| whole(&bob, &digests[number])).concat();
        let stopped = Stopped::new(&bob, form);
        // One that is being written, and one that is not yet open.
        bob.does(&["delete", "bob/inbox", &digests[0], &digests[2]]);
        bob.does(&["compact", "bob/inbox"]);
        let attachments = fs::read_dir(bob.path("bob/inbox/attachments")).expect("a folder");
        assert_eq!(attachments.count(), 2);
        let (code, written, said) = stopped.goes_on();
        assert_eq!((code, &*said), (0, ""), "{form:?}");
        if form.is_empty() {
            assert!(written == wholes);
            continue;
        }
        bob.does(&["create", "eve/inbox"]);
        let output = bob.runs(&["import", "--mbox", "-", "eve/inbox"], &written);
        assert_eq!(crate::site::code(&output), 0, "{}", stderr(&output));
        let found: Vec<String> = bob.list("eve/inbox").into_keys().collect();
        let mut wanted = digests[..2].to_vec();
        wanted.sort();
        assert_eq!(found, wanted);
    }
}

/// Once a message without its file was passed over as if it had been deleted.
#[test]
fn a_message_that_lost_a_file_and_was_not_deleted_is_named() {
    for lost in [1, 2] {
        let bob = Bob::new();
        let digests = get(&bob, 3, &[LARGE]);
        let others = [whole(&bob, &digests[0]), whole(&bob, &digests[2])].concat();
        let damaged = &digests[1];
        let (path, why) = match lost {
            1 => (
                bob.path("bob/inbox/messages").join(damaged),
                "its file is missing",
            ),
            _ => (attachment(&bob, damaged, 2), "an attachment is missing"),
        };
        let stopped = Stopped::new(&bob, &[]);
        fs::remove_file(path).expect("removed");
        let (code, written, said) = stopped.goes_on();
        assert_eq!(code, 2, "{said}");
        assert!(
            said.contains(&format!("{damaged} in bob/inbox cannot be exported")),
            "{said}"
        );
        assert!(said.contains(why), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(written == others);
    }
}

/// Half of it is written, so nothing can follow; but the output is not to blame.
#[test]
fn a_message_that_cannot_be_read_any_more_is_named_and_not_the_output() {
    for form in [&[][..], &["--mbox", "-"]] {
        let bob = Bob::new();
        let digests = get(&bob, 2, &[LARGE]);
        let stopped = Stopped::new(&bob, form);
        shorten(&attachment(&bob, &digests[0], 2));
        let (code, written, said) = stopped.goes_on();
        assert_eq!(code, 2, "{form:?}: {said}");
        let wanted = format!("{} in bob/inbox cannot be read to its end", digests[0]);
        assert!(said.contains(&wanted), "{form:?}: {said}");
        assert!(!said.contains("standard output"), "{form:?}: {said}");
        let text = String::from_utf8_lossy(&written);
        let begins = if form.is_empty() {
            "ima: 1\n"
        } else {
            "X-IMA-Digest: "
        };
        assert_eq!(text.matches(begins).count(), 1, "{form:?}");
    }
    let bob = Bob::new();
    get(&bob, 1, &[LARGE]);
    let mut command = Command::new(program("ima-mailbox"));
    let full = OpenOptions::new().write(true).open("/dev/full");
    command
        .args(["export"])
        .arg(bob.path("bob/inbox"))
        .stdout(full.expect("a full device"));
    let output = command.output().expect("it runs");
    let said = stderr(&output);
    assert!(said.contains("cannot write to standard output"), "{said}");
    assert_eq!((code(&output), said.lines().count()), (2, 1), "{said}");
}

/// Of a Maildir it is taken back, and the others go on.
#[test]
fn a_mail_of_a_maildir_that_cannot_be_read_any_more_is_taken_back() {
    let bob = Bob::new();
    let digests = get(&bob, 3, &[LARGE]);
    bob.does(&["export", "--maildir", "out", "bob/inbox"]);
    let all = names(&bob);
    let name = all.iter().find(|name| name.contains(&digests[0]));
    let name = name.expect("its file").clone();
    for name in &all {
        fs::remove_file(bob.path("out/new").join(name)).expect("removed");
    }
    // The program writes into a pipe, and so it can be stopped.
    let pipe = bob.path("out/tmp").join(&name);
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let child = Command::new(program("ima-mailbox"))
        .current_dir(bob.path("."))
        .args(["export", "--maildir", "out", "bob/inbox"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut reader = File::open(&pipe).expect("a reader");
    reader.read_exact(&mut [0; 10]).expect("it begins");
    shorten(&attachment(&bob, &digests[0], 2));
    reader.read_to_end(&mut Vec::new()).expect("it ends");
    let output = child.wait_with_output().expect("it ends");
    let said = stderr(&output);
    assert_eq!(code(&output), 2, "{said}");
    let wanted = format!("{} in bob/inbox cannot be exported: ", digests[0]);
    assert!(said.contains(&wanted), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let mut left: Vec<String> = all.into_iter().filter(|one| *one != name).collect();
    let mut found = names(&bob);
    left.sort();
    found.sort();
    assert_eq!(found, left);
}

/// Makes an attachment shorter behind what may have been read of it.
fn shorten(path: &Path) {
    let file = OpenOptions::new().write(true).open(path);
    let shortened = file.and_then(|file| file.set_len(LARGE as u64 - 50_000));
    shortened.expect("shortened");
}

/// All attachments are held open where that can be; no message is too large where not.
#[test]
fn a_message_has_more_attachments_than_files_may_be_open() {
    let bob = Bob::new();
    let digests = get(&bob, 1, &(1..=150).collect::<Vec<usize>>());
    bob.gets(&letter(&["bob@b.test"], "another"));
    // Too few by far, and just enough for the attachments with nothing beside.
    for limit in [40].into_iter().chain(156..=172) {
        for form in FORMS {
            let run = format!("ulimit -n {limit} && exec \"$0\" export \"$@\"");
            let mut shell = Command::new("sh");
            shell
                .current_dir(bob.path("."))
                .args(["-c", &run])
                .arg(program("ima-mailbox"))
                .args(form)
                .arg("bob/inbox");
            let output = feed(shell, b"");
            assert_eq!(
                (code(&output), stderr(&output)),
                (0, String::new()),
                "{limit} {form:?}"
            );
            match form {
                [] => {
                    let found = output.stdout;
                    let large = whole(&bob, &digests[0]);
                    assert!(found.windows(large.len()).any(|window| window == large));
                }
                ["--mbox", _] => assert!(!output.stdout.is_empty()),
                _ => {
                    assert_eq!(names(&bob).len(), 2);
                    fs::remove_dir_all(bob.path("out")).expect("removed");
                }
            }
        }
    }
    let listed = run("ima-mailbox", &["check".into(), bob.path("bob")], b"");
    assert_eq!(code(&listed), 0);
}
