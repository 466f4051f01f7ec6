//! Domains on loopback as server-setup makes them, with a private CA that they
//! share, and their servers.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a test waits for anything before it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A program of the suite.
pub fn program(name: &str) -> PathBuf {
    let path = match name {
        "fetch-mail" => env!("CARGO_BIN_EXE_fetch-mail"),
        "ima-mailbox" => env!("CARGO_BIN_EXE_ima-mailbox"),
        "make-ima-key" => env!("CARGO_BIN_EXE_make-ima-key"),
        "make-ima-message" => env!("CARGO_BIN_EXE_make-ima-message"),
        "server-check" => env!("CARGO_BIN_EXE_server-check"),
        "server-give-recipient" => env!("CARGO_BIN_EXE_server-give-recipient"),
        "server-handle-incoming-mail" => env!("CARGO_BIN_EXE_server-handle-incoming-mail"),
        "server-post-office" => env!("CARGO_BIN_EXE_server-post-office"),
        "server-receive" => env!("CARGO_BIN_EXE_server-receive"),
        "server-send-mail" => env!("CARGO_BIN_EXE_server-send-mail"),
        "server-setup" => env!("CARGO_BIN_EXE_server-setup"),
        "server-user" => env!("CARGO_BIN_EXE_server-user"),
        "show-ima-message" => env!("CARGO_BIN_EXE_show-ima-message"),
        other => panic!("{other} is no program of the suite"),
    };
    path.into()
}

/// Runs a program to its end, with this on stdin.
pub fn run(name: &str, arguments: &[impl AsRef<OsStr>], stdin: &[u8]) -> Output {
    let mut command = Command::new(program(name));
    command.args(arguments);
    feed(command, stdin)
}

/// Runs a command to its end, with this on stdin.
pub fn feed(mut command: Command, stdin: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let octets = stdin.to_vec();
    // A program that does not read its input is no fault of the test's.
    let writer = thread::spawn(move || drop(pipe.write_all(&octets)));
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("written");
    output
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8 on stdout")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8 on stderr")
}

pub fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

/// Waits for something to become true.
pub fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_true() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A folder with the domains of one test and their CA.
pub struct Site {
    dir: TempDir,
}

impl Site {
    pub fn new() -> Self {
        Self {
            dir: TempDir::new().expect("a folder"),
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn ca(&self) -> PathBuf {
        self.path().join("ca")
    }

    /// A domain with these users, in a folder of its own.
    pub fn host(&self, name: &str, users: &[&str]) -> Host {
        self.host_in(name, name, users)
    }

    /// The same, in a folder of another name.
    pub fn host_in(&self, folder: &str, name: &str, users: &[&str]) -> Host {
        let dir = self.path().join(folder);
        let mut command = Command::new(program("server-setup"));
        command
            .arg(&dir)
            .args(["--host", name, "--listen", "127.0.0.1:0", "--ca"])
            .arg(self.ca());
        for user in users {
            command.args(["--user", user]);
        }
        let output = command.output().expect("server-setup runs");
        assert!(output.status.success(), "{}", stderr(&output));
        Host {
            name: name.to_owned(),
            dir,
        }
    }
}

/// One domain.
#[derive(Clone)]
pub struct Host {
    pub name: String,
    pub dir: PathBuf,
}

impl Host {
    pub fn inbox(&self, user: &str) -> PathBuf {
        self.dir
            .join("mail")
            .join(&self.name)
            .join(user)
            .join("inbox")
    }

    /// Messages in a user's inbox: the digests, by its journal, in which an
    /// `add` may stand again.
    pub fn messages(&self, user: &str) -> Vec<String> {
        let journal = fs::read_to_string(self.inbox(user).join("journal")).expect("a journal");
        let mut digests: Vec<String> = Vec::new();
        for line in journal.lines().filter_map(|line| line.strip_prefix("add ")) {
            let digest = line.split(' ').next().expect("a digest");
            if !digests.iter().any(|known| known == digest) {
                digests.push(digest.to_owned());
            }
        }
        digests
    }

    /// A message of an inbox put together again.
    pub fn message(&self, user: &str, digest: &str) -> Vec<u8> {
        let folder = self.inbox(user).join("messages");
        let mut octets = fs::read(folder.join(digest)).expect("a message");
        let mut parts: Vec<(usize, PathBuf)> = fs::read_dir(&folder)
            .expect("a folder")
            .filter_map(|entry| {
                let path = entry.expect("an entry").path();
                let name = path.file_name()?.to_str()?.to_owned();
                let number = name.strip_prefix(digest)?.strip_prefix('.')?.parse().ok()?;
                Some((number, path))
            })
            .collect();
        parts.sort();
        for (_, path) in parts {
            octets.extend(fs::read(path).expect("an attachment"));
        }
        octets
    }

    /// Changes a configuration file as text.
    pub fn edit(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.dir.join(file);
        let text = fs::read_to_string(&path).expect("a configuration file");
        fs::write(path, change(text)).expect("written");
    }

    /// Sets a key at the top of a configuration file, in place of what it was.
    pub fn set(&self, file: &str, key: &str, value: &str) {
        self.edit(file, |text| {
            let begins = |line: &str| {
                line.split('=')
                    .next()
                    .is_some_and(|name| name.trim() == key)
            };
            let table = text.find("\n[").map_or(text.len(), |at| at + 1);
            let (top, tables) = text.split_at(table);
            let kept: String = top
                .lines()
                .filter(|line| !begins(line))
                .map(|line| format!("{line}\n"))
                .collect();
            format!("{kept}{key} = {value}\n{tables}")
        });
    }

    /// Says where the server of another host is.
    pub fn knows(&self, host: &str, address: impl ToString) {
        let address = address.to_string();
        self.edit("server-send-mail.toml", |text| {
            let line = format!("\"{host}\" = \"{address}\"\n");
            let old: String = text
                .lines()
                .filter(|old| !old.starts_with(&format!("\"{host}\" =")))
                .map(|old| format!("{old}\n"))
                .collect();
            match old.find("[hosts]\n") {
                Some(at) => format!(
                    "{}[hosts]\n{line}{}",
                    &old[..at],
                    &old[at + "[hosts]\n".len()..]
                ),
                None => format!("{old}\n[hosts]\n{line}"),
            }
        });
    }

    /// A program of the suite with this domain's configuration.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.env("EMEMO_CONFIG_DIR", &self.dir);
        command
    }

    /// server-send-mail with a message on stdin.
    pub fn send(&self, message: &[u8], options: &[&str]) -> Output {
        let mut command = self.command("server-send-mail");
        command.args(options);
        feed(command, message)
    }

    /// Starts server-receive and waits until it listens.
    pub fn start(&self) -> Server {
        self.start_with(self.command("server-receive"))
    }

    /// The same, with a command of the test's own.
    pub fn start_with(&self, mut command: Command) -> Server {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("server-receive starts");
        let log = Arc::new(Log::default());
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let writer = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                writer.push(line);
            }
        });
        let line = log.wait_for("listening");
        // Of either form of the log.
        let begins = ["address=", "\"address\":"];
        let mut after = begins.iter().filter_map(|begins| line.split_once(begins));
        let (_, address) = after.next().expect("an address");
        let address = address.split([' ', '}']).next();
        let address = address.and_then(|address| address.trim_matches('"').parse().ok());
        let address = address.expect("an address");
        Server {
            child,
            address,
            log,
        }
    }
}

/// A running server-receive; killed when dropped.
pub struct Server {
    pub child: Child,
    pub address: SocketAddr,
    pub log: Arc<Log>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server has logged so far.
#[derive(Default)]
pub struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Log {
    fn push(&self, line: String) {
        self.lines.lock().expect("no panic").push(line);
        self.more.notify_all();
    }

    pub fn text(&self) -> String {
        self.lines.lock().expect("no panic").join("\n")
    }

    /// All of it, as soon as a text is in it as often as it has to be.
    pub fn wait_for_count(&self, text: &str, count: usize) -> String {
        let lines = self.lines.lock().expect("no panic");
        let found = |lines: &[String]| lines.iter().filter(|line| line.contains(text)).count();
        let (lines, _) = self
            .more
            .wait_timeout_while(lines, PATIENCE, |lines| found(lines) < count)
            .expect("no panic");
        let all = lines.join("\n");
        assert_eq!(
            found(&lines),
            count,
            "lines with {text:?} in the log:\n{all}"
        );
        all
    }

    /// The first line that holds a text, as soon as there is one.
    pub fn wait_for(&self, text: &str) -> String {
        let lines = self.lines.lock().expect("no panic");
        let missing = |lines: &mut Vec<String>| !lines.iter().any(|line| line.contains(text));
        let (lines, _) = self
            .more
            .wait_timeout_while(lines, PATIENCE, missing)
            .expect("no panic");
        let found = lines.iter().find(|line| line.contains(text));
        found
            .unwrap_or_else(|| panic!("no {text:?} in the log:\n{}", lines.join("\n")))
            .clone()
    }
}

/// A message from alice@a.test to these recipients.
pub fn letter(recipients: &[&str], text: &str) -> Vec<u8> {
    letter_with(recipients, text, &[])
}

/// The same, with further options of make-ima-message.
pub fn letter_with(recipients: &[&str], text: &str, options: &[&str]) -> Vec<u8> {
    let mut command = Command::new(program("make-ima-message"));
    command.args(["--from", "alice@a.test", "--subject", "Lunch?"]);
    for recipient in recipients {
        command.args(["--to", recipient]);
    }
    command.args(options);
    let output = feed(command, text.as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    output.stdout
}

/// A letter whose header block takes as much memory as one can: nearly as many octets,
/// fields and addresses as there may be, each of them kept in two forms.
pub fn large_letter() -> Vec<u8> {
    let letter = letter(&["bob@b.test"], "Hello\n");
    let text = String::from_utf8(letter).expect("UTF-8");
    let to = |number: usize| format!("to: {number}\u{e9}@b\u{fc}cher.test {number:0>20}\n");
    let deliver = |number: usize| format!("deliver: {number}\u{e9}@b\u{fc}cher.test\n");
    let tos: String = (0..9_990).map(to).collect();
    let delivers: String = (0..9_990).map(deliver).collect();
    let text = text.replace(
        "to: bob@b.test\n",
        &format!("to: bob@b.test\n{tos}{delivers}"),
    );
    assert!(text.len() < 1_040_384, "{}", text.len());
    text.into_bytes()
}

/// A message without the transport lines that others add or take away.
pub fn letter_octets(message: &[u8]) -> Vec<u8> {
    let mut rest = message;
    let header = ima_message::HeaderBlock::read(&mut rest).expect("a message");
    [&header.letter_octets()[..], b"\n", rest].concat()
}
