//! A configuration, mailboxes and commands in a temporary folder.

use std::borrow::BorrowMut;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use ima_mailbox::Folder;
use ima_message::Digester;
use tempfile::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_server-handle-incoming-mail");

/// One host, b.test, and whatever a test puts there.
pub struct Site {
    dir: TempDir,
}

/// What a run of the program said.
#[derive(Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Site {
    /// With these lines under `[routes]`; `{dir}` in them is the folder.
    pub fn new(routes: &str) -> Self {
        Self::configured(&format!("hosts = [\"b.test\"]\n[routes]\n{routes}"))
    }

    /// With this configuration file.
    pub fn configured(config: &str) -> Self {
        let site = Self {
            dir: TempDir::new().unwrap(),
        };
        fs::create_dir(site.path("mail")).unwrap();
        site.write("server-handle-incoming-mail.toml", config);
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let text = text.replace("{dir}", self.dir.path().to_str().unwrap());
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Makes mail/NAME/inbox.
    pub fn inbox(&self, name: &str) {
        Folder::create(&self.path(&format!("mail/{name}/inbox"))).unwrap();
    }

    /// Makes an executable shell script.
    pub fn script(&self, name: &str, body: &str) {
        let source = format!("{name}.sh");
        self.write(&source, &format!("#!/bin/sh\n{body}\n"));
        // By another process: a child that another test starts meanwhile could
        // hold a file open that this one writes, which then cannot be executed.
        let mut install = Command::new("install");
        install
            .args(["-m", "755"])
            .arg(self.path(&source))
            .arg(self.path(name));
        assert!(install.status().unwrap().success());
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .env("EMEMO_CONFIG_DIR", self.dir.path())
            // As server-receive has it.
            .env("EMEMO_LOG", "text")
            .current_dir(self.dir.path());
        command
    }

    /// Runs the program with `message` coming through a pipe.
    pub fn run(&self, arguments: &[&str], message: &[u8]) -> Answer {
        finish(self.command(arguments), message)
    }

    /// Delivers a message, which must be answered with this exit code and, in
    /// any order, these lines.
    #[track_caller]
    pub fn delivers(&self, message: &[u8], code: i32, lines: &[&str]) -> Answer {
        self.run(&[], message).is(code, lines)
    }

    /// The header blocks in mail/NAME/inbox, with their inline parts.
    pub fn messages(&self, name: &str) -> Vec<String> {
        let folder = self.path(&format!("mail/{name}/inbox/messages"));
        let whole = |name: &PathBuf| name.extension().is_none();
        let mut paths: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(whole)
            .collect();
        paths.sort();
        paths
            .iter()
            .map(|path| fs::read_to_string(path).unwrap())
            .collect()
    }

    /// The numbers of messages in these inboxes.
    pub fn counts(&self, names: &[&str]) -> Vec<usize> {
        names.iter().map(|name| self.messages(name).len()).collect()
    }
}

/// Runs a command with these octets on its stdin, which it may leave unread.
pub fn finish(mut command: impl BorrowMut<Command>, stdin: &[u8]) -> Answer {
    let mut child = command
        .borrow_mut()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let octets = stdin.to_owned();
    let writer = std::thread::spawn(move || {
        // EPIPE where the program has seen enough.
        let _ = pipe.write_all(&octets);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.into()
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Answer {
    #[track_caller]
    pub fn is(self, code: i32, lines: &[&str]) -> Self {
        let mut got: Vec<_> = self.stdout.lines().collect();
        let mut wanted = lines.to_owned();
        got.sort_unstable();
        wanted.sort_unstable();
        assert_eq!((self.code, got), (Some(code), wanted), "{}", self.stderr);
        assert!(self.stdout.is_empty() || self.stdout.ends_with('\n'));
        self
    }

    #[track_caller]
    pub fn explains(self, why: &str) -> Self {
        assert!(self.stderr.contains(why), "{}", self.stderr);
        self
    }
}

/// A header block with these lines (recipients and the like), and its data:
/// one inline part, and attachments by name.
pub fn message_of(lines: &str, text: &str, attachments: &[(&str, &[u8])]) -> Vec<u8> {
    let part = |octets: &[u8], media_type: &str, name: &str| {
        let mut digester = Digester::new();
        digester.update(octets);
        format!(
            "part: {media_type} {} sha256:{}{name}\n",
            octets.len(),
            digester.finish()
        )
    };
    let mut header =
        format!("ima: 1\nfrom: alice@a.test\n{lines}date: 2026-11-22T09:30:00Z\nid: 1@a.test\n");
    header += &part(text.as_bytes(), "text/plain", "");
    for (name, octets) in attachments {
        header += &part(octets, "application/octet-stream", &format!(" name={name}"));
    }
    let data = [
        &[text.as_bytes()],
        attachments
            .iter()
            .map(|(_, octets)| *octets)
            .collect::<Vec<_>>()
            .as_slice(),
    ]
    .concat();
    let data = data.concat();
    header += &format!("size: {}\n\n", data.len());
    [header.as_bytes(), &data].concat()
}

/// A short message with these lines.
pub fn message(lines: &str) -> Vec<u8> {
    message_of(lines, "Hello\n", &[])
}

/// The header block alone.
pub fn header_of(message: &[u8]) -> &[u8] {
    let end = message.windows(2).position(|two| two == b"\n\n").unwrap();
    &message[..end + 2]
}

/// An open file that holds these octets and stands behind `before` further ones.
pub fn file_behind(before: &[u8], octets: &[u8]) -> File {
    use std::io::{Seek as _, SeekFrom};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(before).unwrap();
    file.write_all(octets).unwrap();
    file.seek(SeekFrom::Start(before.len() as u64)).unwrap();
    file
}
