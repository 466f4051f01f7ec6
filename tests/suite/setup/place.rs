//! A temporary folder in which the programs are run, by a shell as a user would.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_server-setup");

/// A folder in which commands run.
pub struct Place(pub TempDir);

/// What a command said.
#[derive(Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A server-receive, until it is dropped.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Place {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A shell that finds the programs.
    pub fn shell(&self, script: &str) -> Command {
        let programs = Path::new(PROGRAM).parent().unwrap().display();
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .current_dir(self.0.path())
            .env(
                "PATH",
                format!("{programs}:{}", std::env::var("PATH").unwrap()),
            )
            .env_remove("EMEMO_CONFIG_DIR")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, script: &str) -> Answer {
        self.shell(script).output().unwrap().into()
    }

    #[track_caller]
    pub fn succeeds(&self, script: &str) -> String {
        let answer = self.run(script);
        assert_eq!(
            answer.code,
            Some(0),
            "{script}\n{}{}",
            answer.stdout,
            answer.stderr
        );
        answer.stdout
    }

    /// Runs what must exit with 2, and say this on stderr alone.
    #[track_caller]
    pub fn fails(&self, script: &str, says: &str) -> String {
        let answer = self.run(script);
        assert_eq!(
            (answer.code, &*answer.stdout),
            (Some(2), ""),
            "{script}\n{}",
            answer.stderr
        );
        assert!(answer.stderr.contains(says), "{script}\n{}", answer.stderr);
        answer.stderr
    }

    /// Starts server-receive with the configuration in a folder, on a free port.
    pub fn serve(&self, folder: &str) -> Server {
        let script = format!("EMEMO_CONFIG_DIR={folder} exec server-receive --listen 127.0.0.1:0");
        let mut child = self.shell(&script).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let line = log
            .find(|line| line.contains("event=listening"))
            .expect("it listens");
        let address = line.split("address=").nth(1).unwrap().to_owned();
        // Or the server would stop at a full pipe.
        thread::spawn(move || log.for_each(drop));
        Server { child, address }
    }

    /// Every file with its contents, every folder, and the permissions of both.
    pub fn everything(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let metadata = path.symlink_metadata().unwrap();
                let contents = if metadata.is_dir() {
                    Vec::new()
                } else {
                    fs::read(&path).unwrap()
                };
                if metadata.is_dir() {
                    folders.push(path.clone());
                }
                let name = path.strip_prefix(self.0.path()).unwrap().to_owned();
                found.insert(name, (metadata.permissions().mode() & 0o7777, contents));
            }
        }
        found
    }

    pub fn mode(&self, name: &str) -> u32 {
        self.path(name).metadata().unwrap().permissions().mode() & 0o7777
    }
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

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The literal displays of a manual page, as they are read.
pub fn displays(page: &str) -> Vec<String> {
    let page = document(page);
    let displays = page.split("\n.Bd -literal").skip(1);
    let bodies = displays.map(|display| {
        display
            .split_once("\n.Ed")
            .unwrap()
            .0
            .split_once('\n')
            .unwrap()
            .1
    });
    bodies.map(|body| body.replace("\\e", "\\")).collect()
}

/// A letter from `from` to `to`, sent with the configuration in a folder.
pub fn letter(folder: &str, from: &str, to: &str) -> String {
    format!(
        "echo Hello | make-ima-message --from {from} --to {to} | EMEMO_CONFIG_DIR={folder} server-send-mail"
    )
}
