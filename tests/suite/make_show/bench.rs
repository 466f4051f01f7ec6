//! A folder with files in it, and the three programs run there.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

pub const MAKE: &str = env!("CARGO_BIN_EXE_make-ima-message");
pub const SHOW: &str = env!("CARGO_BIN_EXE_show-ima-message");
pub const KEY: &str = env!("CARGO_BIN_EXE_make-ima-key");

/// What every message of the tests begins with, where nothing else matters.
pub const PLAIN: [&str; 8] = [
    "--from",
    "alice@a.test",
    "--to",
    "bob@b.test",
    "--date",
    "2026-11-22T09:30:00Z",
    "--id",
    "1@a.test",
];

pub struct Bench {
    dir: TempDir,
}

/// What a run of a program said.
#[derive(Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, octets: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, octets).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// The names in a folder, sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A program with these arguments, its pipes ready.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, program: &str, arguments: &[&str], stdin: impl AsRef<[u8]>) -> Answer {
        finish(self.command(program, arguments).spawn().unwrap(), stdin)
    }

    /// What sh makes of a script that finds the programs, as `$0` the one named.
    pub fn shell(&self, script: &str, program: &str, stdin: impl AsRef<[u8]>) -> Answer {
        let beside = Path::new(program).parent().unwrap().display();
        let mut command = self.command("sh", &["-c", script, program]);
        command.env("PATH", format!("{beside}:/usr/bin:/bin"));
        finish(command.spawn().unwrap(), stdin)
    }

    /// make-ima-message with these arguments behind [`PLAIN`] and this text.
    pub fn make(&self, arguments: &[&str], text: impl AsRef<[u8]>) -> Answer {
        self.run(MAKE, &[&PLAIN, arguments].concat(), text)
    }

    /// The message that [`Bench::make`] makes.
    #[track_caller]
    pub fn message(&self, arguments: &[&str], text: impl AsRef<[u8]>) -> Vec<u8> {
        let answer = self.make(arguments, text);
        assert_eq!((answer.code, &*answer.stderr), (Some(0), ""));
        answer.stdout
    }

    pub fn show(&self, arguments: &[&str], message: impl AsRef<[u8]>) -> Answer {
        self.run(SHOW, arguments, message)
    }

    /// Makes a key file and gives the line that publishes it.
    #[track_caller]
    pub fn key(&self, signer: &str, file: &str) -> String {
        self.run(KEY, &[signer, file], "").is(0).text()
    }
}

/// Feeds a child and awaits its end.
pub fn finish(mut child: Child, stdin: impl AsRef<[u8]>) -> Answer {
    let mut pipe = child.stdin.take().unwrap();
    let octets = stdin.as_ref().to_owned();
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
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Answer {
    #[track_caller]
    pub fn is(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        self
    }

    /// The exit code, and all that was said on stderr, in one line.
    #[track_caller]
    pub fn fails(self, code: i32, why: &str) -> Self {
        assert_eq!(
            (self.code, &*self.stderr),
            (Some(code), &*format!("{why}\n"))
        );
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }
}

/// The lines of a header block that begin with this name.
pub fn fields(message: &[u8], name: &str) -> Vec<String> {
    let end = message.windows(2).position(|two| two == b"\n\n").unwrap();
    let header = std::str::from_utf8(&message[..end]).unwrap();
    header
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .map(ToOwned::to_owned)
        .collect()
}

/// A message with lines put in before the `size` field: transport fields, or
/// what an author may write with other programs.
pub fn with_lines(message: &[u8], lines: &str) -> Vec<u8> {
    let at = message
        .windows(6)
        .position(|six| six == b"\nsize:")
        .unwrap()
        + 1;
    [&message[..at], lines.as_bytes(), &message[at..]].concat()
}
