//! How long the programs take that run once for each message, held against an
//! empty one that needs shared libraries as most programs do; and a script that
//! runs server-give-recipient, as a routing table may name it, held against one
//! that runs the empty program. All are run in turn, so that whatever else the
//! machine does meets them alike.
//!
//!     startup PROGRAMS EMPTY
//!
//! What counts is measured with a mailbox in memory. On a disk,
//! server-give-recipient waits for its fsyncs, which is what it promises, and
//! the time is the disk's; that is printed and not judged.
//!
//! PROGRAMS is the folder of the suite's programs, EMPTY the empty program. The
//! exit status is 0 where every ratio of medians is at most 2, else 1.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// How often each program is run.
const ROUNDS: usize = 400;
const ROUNDS_ON_DISK: usize = 100;
/// Where files need no disk.
const MEMORY: &str = "/dev/shm";
/// What a program may take, in times of the empty one.
const MOST: f64 = 1.5;

const LETTER: &str = "Noon at the usual place?\n";

/// A folder that goes away with it.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The programs, a mail domain that server-setup made, and messages that
/// nobody has seen yet.
struct Bench {
    programs: PathBuf,
    empty: PathBuf,
    place: Place,
    message: String,
    next: usize,
}

impl Bench {
    fn new(programs: &Path, empty: &Path, on: &Path) -> io::Result<Self> {
        let place = Place(on.join(format!("ememo-startup.{}", std::process::id())));
        fs::create_dir(&place.0)?;
        let letter = place.0.join("letter");
        fs::write(&letter, LETTER)?;
        let setup = Command::new(programs.join("server-setup"))
            .arg(place.0.join("b.test"))
            .args([
                "--host",
                "b.test",
                "--user",
                "bob",
                "--listen",
                "127.0.0.1:0",
                "--ca",
            ])
            .arg(place.0.join("ca"))
            .stdout(Stdio::null())
            .status()?;
        assert!(setup.success(), "server-setup makes a mail domain");
        let made = Command::new(programs.join("make-ima-message"))
            .args([
                "--from",
                "alice@a.test",
                "--to",
                "bob@b.test",
                "--id",
                "first@a.test",
                "--text",
            ])
            .arg(&letter)
            .output()?;
        assert!(made.status.success(), "make-ima-message makes a message");
        Ok(Self {
            programs: programs.into(),
            empty: empty.into(),
            place,
            message: String::from_utf8(made.stdout).expect("the message is text"),
            next: 0,
        })
    }

    /// A file with a message of its own: the same again would be a duplicate.
    fn fresh_message(&mut self) -> io::Result<PathBuf> {
        self.next += 1;
        let id = format!("id: {}@a.test", self.next);
        let path = self.place.0.join("message");
        fs::write(&path, self.message.replace("id: first@a.test", &id))?;
        Ok(path)
    }

    fn time(&self, program: &Path, arguments: &[&OsStr], stdin: &Path) -> io::Result<Duration> {
        let stdin = File::open(stdin)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("EMEMO_CONFIG_DIR", self.place.0.join("b.test"))
            .stdin(stdin)
            .stdout(Stdio::null());
        let begin = Instant::now();
        let status = command.status()?;
        let time = begin.elapsed();
        assert!(status.success(), "{} ends with {status}", program.display());
        Ok(time)
    }

    /// A script that becomes a program, which gets the script's argument.
    fn script(&self, name: &str, program: &Path) -> io::Result<PathBuf> {
        let path = self.place.0.join(name);
        let program = fs::canonicalize(program)?;
        fs::write(
            &path,
            format!("#!/bin/sh\nexec '{}' \"$1\"\n", program.display()),
        )?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// Prints the medians, and gives the greatest ratio.
    fn run(&mut self, rounds: usize) -> io::Result<f64> {
        let inbox = self.place.0.join("b.test/mail/b.test/bob/inbox");
        let give = self.programs.join("server-give-recipient");
        let check = self.programs.join("server-handle-incoming-mail");
        let script = self.script("script", &give)?;
        let empty_script = self.script("empty-script", &self.empty)?;
        let (empty, to_inbox): (PathBuf, &[&OsStr]) = (self.empty.clone(), &[inbox.as_ref()]);
        let commands: [(&str, &Path, &[&OsStr]); 5] = [
            ("an empty program", &empty, &[]),
            (
                "server-handle-incoming-mail --check",
                &check,
                &["--check".as_ref()],
            ),
            ("server-give-recipient", &give, to_inbox),
            ("a script of an empty program", &empty_script, to_inbox),
            ("a script of server-give-recipient", &script, to_inbox),
        ];
        let mut times = [const { Vec::new() }; 5];
        for _ in 0..rounds {
            for ((_, program, arguments), times) in commands.iter().zip(&mut times) {
                let message = self.fresh_message()?;
                times.push(self.time(program, arguments, &message)?);
            }
        }
        let mut greatest: f64 = 0.0;
        let mut standard = Duration::MAX;
        for ((name, ..), times) in commands.iter().zip(&mut times) {
            let time = median(times);
            if name.ends_with("an empty program") {
                standard = time;
                println!("{name:36} {:7.3} ms", milliseconds(time));
                continue;
            }
            let ratio = time.as_secs_f64() / standard.as_secs_f64();
            println!("{name:36} {:7.3} ms, {ratio:.2} times", milliseconds(time));
            greatest = greatest.max(ratio);
        }
        Ok(greatest)
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [programs, empty] = &arguments[..] else {
        eprintln!("usage: startup PROGRAMS EMPTY");
        return Ok(ExitCode::from(2));
    };
    let memory = Path::new(MEMORY);
    let (place, in_memory) = match memory.is_dir() {
        true => (memory.to_owned(), true),
        false => (std::env::temp_dir(), false),
    };
    println!(
        "{ROUNDS} runs of each, their medians, with a mailbox on {}:",
        place.display()
    );
    let mut bench = Bench::new(programs, empty, &place)?;
    let mut ratio = bench.run(ROUNDS)?;
    if ratio > MOST {
        println!("over {MOST:.1}; once more, as the machine may have been busy:");
        ratio = bench.run(ROUNDS)?;
    }
    drop(bench);
    if in_memory {
        println!("{ROUNDS_ON_DISK} runs with a mailbox on disk, for comparison:");
        Bench::new(programs, empty, programs)?.run(ROUNDS_ON_DISK)?;
    }
    Ok(match ratio <= MOST {
        true => ExitCode::SUCCESS,
        false => {
            println!(
                "a program takes {ratio:.2} times as long as an empty one; {MOST:.1} are the most"
            );
            ExitCode::FAILURE
        }
    })
}
