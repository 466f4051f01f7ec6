#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod alone;
mod surroundings;

use super::{ChildError, Command, Event, Group, Limits, Running};
use crate::exit::Exit::{self, Done, Drop, Refused, Unfinished};
use crate::spool::Spooled;
use alone::alone;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, wait};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

fn command(argv: &[&str]) -> Command {
    Command {
        argv: argv.iter().map(OsString::from).collect(),
        config_dir: PathBuf::from("/"),
        env: Vec::new(),
        stdin: File::open("/dev/null").unwrap(),
        group: Group::Own,
    }
}

fn sh(script: &str) -> Command {
    command(&["/bin/sh", "-c", script])
}

fn within(time: Duration) -> Limits {
    Limits::until(Instant::now() + time)
}

fn start(script: &str, time: Duration) -> Running {
    sh(script).start(within(time)).unwrap()
}

/// Its lines and its end, which must come within half a minute more than its time.
fn finish(mut running: Running) -> (Vec<String>, Exit) {
    let mut lines = Vec::new();
    let limit = running.deadline + LONG / 2;
    loop {
        assert!(Instant::now() < limit, "{lines:?}");
        match running.next(LONG * 60) {
            Event::Line(line) => lines.push(line),
            Event::Tick => panic!("a tick that nobody asked for"),
            Event::Exited(exit) => {
                assert_eq!(running.next(LONG), Event::Exited(exit), "and stays so");
                return (lines, exit);
            }
        }
    }
}

fn run(script: &str) -> (Vec<String>, Exit) {
    finish(start(script, LONG))
}

fn line(running: &mut Running) -> String {
    match running.next(LONG) {
        Event::Line(line) => line,
        other => panic!("{other:?} and no line"),
    }
}

fn is_reaped(pid: &str) -> bool {
    !Path::new("/proc").join(pid).exists()
}

/// Waits for a process that is not ours to be gone, or a zombie of somebody's.
fn assert_ends(pid: &str) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return,
        other => other.unwrap(),
    };
    assert!(is_ready(&pidfd), "it lives on");
}

fn is_ready(fd: &impl std::os::fd::AsFd) -> bool {
    let time = Timespec::try_from(LONG / 2).unwrap();
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&time)).unwrap() == 1
}

#[test]
fn exit_codes() {
    for (script, exit) in [
        ("exit 0", Done),
        ("exit 1", Refused),
        ("exit 2", Unfinished),
        ("exit 3", Drop),
        ("exit 4", Unfinished),
        ("exit 127", Unfinished),
        ("exit 255", Unfinished),
        ("kill -KILL $$", Unfinished),
        ("kill -PIPE $$", Unfinished),
        ("kill -TERM $$", Unfinished),
    ] {
        assert_eq!(run(script), (vec![], exit), "{script}");
    }
}

#[test]
fn lines_come_in_order_and_the_last_needs_no_lf() {
    assert_eq!(
        run(
            "echo OK bob@b.test; echo; echo 'FAIL dave@b.test full'; printf 'OK eve@b.test'; exit 2"
        ),
        (
            vec![
                "OK bob@b.test".into(),
                "FAIL dave@b.test full".into(),
                "OK eve@b.test".into()
            ],
            Unfinished
        )
    );
    let (lines, exit) = run("echo whole; printf 'OK eve@b.te'; kill -KILL $$");
    assert_eq!(
        (lines, exit),
        (vec!["whole".into()], Unfinished),
        "half a line says nothing"
    );
}

#[test]
fn a_line_cannot_be_forged() {
    let (lines, _) = run(r"printf 'OK a@b.test\rOK\n\033[2J\tx\0\377\n'");
    assert_eq!(
        lines,
        [
            "OK a@b.test\u{fffd}OK",
            "\u{fffd}[2J\u{fffd}x\u{fffd}\u{fffd}"
        ]
    );
}

#[test]
fn a_line_is_given_while_the_child_goes_on() {
    let mut running = start("echo $$; kill -STOP $$", LONG);
    let pid = line(&mut running);
    assert_eq!(running.next(Duration::from_millis(1)), Event::Tick);
    assert_eq!(running.next(Duration::from_millis(1)), Event::Tick);
    assert!(!is_reaped(&pid));
    drop(running);
    assert!(is_reaped(&pid), "dropped is killed and reaped");
}

#[test]
fn a_flood_keeps_no_tick_away_and_no_deadline() {
    let mut running = start("exec yes", LONG);
    let tick = Duration::from_millis(30);
    let begin = Instant::now();
    for ticks in 1..=3 {
        let event = loop {
            match running.next(tick) {
                Event::Line(_) => {}
                event => break event,
            }
        };
        assert_eq!(event, Event::Tick);
        assert!(begin.elapsed() >= tick * ticks, "too early");
        assert!(begin.elapsed() < LONG / 2, "starved");
    }
    running.deadline = Instant::now();
    assert_eq!(running.next(tick), Event::Exited(Unfinished));
}

#[test]
fn what_never_ends_is_killed_with_its_group() {
    for script in [
        "sleep 1000 & echo $$; echo $!; wait",
        "sleep 1000 & echo $$; echo $!; kill -STOP $$",
        "sleep 1000 & trap '' TERM INT HUP PIPE; echo $$; echo $!; exec >&-; while :; do wait; done",
        "exec <&-; sleep 1000 & echo $$; echo $!; printf half; exec sleep 1000",
    ] {
        let mut running = start(script, LONG);
        let (pid, grandchild) = (line(&mut running), line(&mut running));
        running.deadline = Instant::now();
        assert_eq!(finish(running), (vec![], Unfinished), "{script}");
        assert!(is_reaped(&pid), "{script}");
        assert_ends(&grandchild);
    }
}

#[test]
fn a_deadline_comes_while_it_is_waited_for() {
    let begin = Instant::now();
    assert_eq!(
        finish(start("exec sleep 1000", SHORT)),
        (vec![], Unfinished)
    );
    assert!(begin.elapsed() >= SHORT);
}

#[test]
fn a_deadline_that_is_past_kills_at_once() {
    let limits = Limits::until(Instant::now());
    let (lines, exit) = finish(sh("exec sleep 1000").start(limits).unwrap());
    assert_eq!((lines, exit), (vec![], Unfinished));
}

#[test]
fn a_grandchild_that_holds_stdout_is_not_waited_for() {
    let (lines, exit) = run("sleep 1000 & echo $!; exit 1");
    assert_eq!(exit, Refused);
    let [grandchild] = &*lines else {
        panic!("{lines:?}")
    };
    assert_ends(grandchild);
    assert_eq!(run("yes & exit 0").1, Done, "nor one that floods it");
}

#[test]
fn a_daemon_in_a_session_of_its_own_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = |name: &str| {
        let path = dir.path().join(name);
        let status = process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(status.success());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        (path, file)
    };
    let ((to_daemon, mut question), (from_daemon, mut answer)) = (fifo("to"), fifo("from"));
    let (lines, exit) = run(&format!(
        "trap 'exit 0' USR1
         setsid sh -c 'kill -USR1 $0; exec cat {} >{}' $$ &
         wait; exit 2",
        to_daemon.display(),
        from_daemon.display()
    ));
    assert_eq!((lines, exit), (vec![], Done));
    question.write_all(b"there?").unwrap();
    assert!(is_ready(&answer), "it was killed");
    let mut said = [0; 6];
    answer.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"there?");
}

#[test]
fn a_child_that_closes_its_stdout_is_waited_for() {
    let (lines, exit) = run("echo a; exec >&- 2>&-; sh -c :; exit 3");
    assert_eq!((lines, exit), (vec!["a".into()], Drop));
}

#[test]
fn floods_are_cut_and_cost_no_memory() {
    let mut running = start("head -c 100000000 /dev/zero | tr '\\0' x; exit 1", LONG);
    assert_eq!(
        running.next(LONG),
        Event::Exited(Refused),
        "100 MB and no LF"
    );

    let mut running = start("yes 'OK bob@b.test' | head -c 100000000", LONG);
    let mut total = 0;
    while let Event::Line(line) = running.next(LONG) {
        assert_eq!(line, "OK bob@b.test");
        total += line.len() + 1;
    }
    assert_eq!(running.next(LONG), Event::Exited(Done));
    assert_eq!(total, (1 << 20) / 14 * 14, "only whole lines");
    assert!(
        format!("{:?}", running.lines).len() < 10_000,
        "what was read is let go"
    );
}

#[test]
fn long_lines_are_cut() {
    let (lines, _) = run(
        "head -c 5000 /dev/zero | tr '\\0' x; echo; head -c 4096 /dev/zero | tr '\\0' y; echo; echo z",
    );
    assert_eq!(lines, ["x".repeat(4096), "y".repeat(4096), "z".into()]);
}

#[test]
fn stdin_is_the_message_and_need_not_be_read() {
    let message = || {
        let mut spool = Spooled::writer();
        spool.write_all(&[b'x'; 1_000_000]).unwrap();
        spool.finish().unwrap()
    };
    let with = |script| Command {
        stdin: message(),
        ..sh(script)
    };
    assert_eq!(
        finish(with("exit 0").start(within(LONG)).unwrap()),
        (vec![], Done)
    );
    let (lines, _) = finish(
        with("wc -c; [ -f /dev/stdin ] && echo file")
            .start(within(LONG))
            .unwrap(),
    );
    assert_eq!(lines, ["1000000", "file"]);
}

#[test]
fn many_leave_no_zombie_and_no_descriptor() {
    if !alone("many_leave_no_zombie_and_no_descriptor") {
        return;
    }
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    for i in 0..200 {
        let script = [
            "exit 0",
            "echo a; kill -KILL $$",
            "yes & exit 1",
            "exec sleep 1000",
        ];
        let mut running = start(script.get(i % 4).unwrap(), LONG);
        if i % 4 < 3 {
            while !matches!(running.next(LONG), Event::Exited(_)) {}
        }
    }
    assert_eq!(descriptors(), before);
    let children = wait(WaitOptions::NOHANG);
    assert!(
        matches!(children, Err(Errno::CHILD)),
        "somebody was not reaped"
    );
}

#[test]
fn who_could_not_be_killed_is_reaped_later() {
    let child = process::Command::new("/bin/sh")
        .args(["-c", "exit 0"])
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    super::left::leave(child);
    assert!(is_ready(&pidfd));
    assert_eq!(run("exit 0").1, Done);
    assert!(is_reaped(&pid));
}

/// Each that hangs at a disk would have been followed by another, without end.
#[test]
fn where_many_could_not_be_killed_no_other_is_started() {
    if !alone("where_many_could_not_be_killed_no_other_is_started") {
        return;
    }
    let mut pids = Vec::new();
    for number in 0..super::MOST_LEFT {
        assert_eq!(run("exit 0").1, Done, "{number}");
        let child = process::Command::new("/bin/sleep").arg("1000").spawn();
        let child = child.unwrap();
        pids.push(Pid::from_child(&child));
        super::left::leave(child);
    }
    let error = sh("exit 0").start(within(LONG)).unwrap_err();
    assert!(matches!(error, ChildError::Stuck), "{error}");
    let pid = pids[0];
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert!(is_ready(&pidfd));
    assert_eq!(run("exit 0").1, Done);
    for pid in pids.into_iter().skip(1) {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

#[test]
fn what_cannot_be_started_is_named() {
    let fails = |argv: &[&str]| command(argv).start(within(LONG)).unwrap_err();
    assert!(matches!(fails(&[]), ChildError::Empty));
    let missing = fails(&["no-such-handler", "--check"]).to_string();
    assert!(
        missing.starts_with("no-such-handler: there is no such program; looked for /"),
        "{missing}"
    );
    let plain = fails(&["/etc/passwd"]).to_string();
    assert_eq!(
        plain,
        "/etc/passwd: /etc/passwd is not an executable file; `chmod +x` may be missing"
    );
    assert!(matches!(
        fails(&["/bin/sh", "nul\0"]),
        ChildError::Start { .. }
    ));
}

/// Of which the system says "No such file or directory", though it is there, and "Exec
/// format error".
#[test]
fn a_script_that_cannot_be_started_is_told_why() {
    let dir = tempfile::TempDir::new().unwrap();
    for (number, (script, said)) in [
        (
            "#!/bin/sh\r\nexit 0\r\n",
            "its first line ends in a carriage return",
        ),
        (
            "#! /no/such/sh -e\n",
            "the interpreter \"/no/such/sh\", which is not there",
        ),
        (
            "exit 0\n",
            "its first line does not name an interpreter, as #!/bin/sh does",
        ),
        ("", "its first line does not name an interpreter"),
    ]
    .into_iter()
    .enumerate()
    {
        let source = dir.path().join(format!("{number}.source"));
        let path = dir.path().join(number.to_string());
        fs::write(&source, script).unwrap();
        // By another process: a child of another test could hold it open for writing.
        let mut install = process::Command::new("install");
        install.args(["-m", "755"]).arg(&source).arg(&path);
        assert!(install.status().unwrap().success());
        let path = path.to_str().unwrap();
        let error = command(&[path])
            .start(within(LONG))
            .unwrap_err()
            .to_string();
        let begin = format!("{path}: cannot be started: ");
        assert!(error.starts_with(&begin) && error.contains(said), "{error}");
    }
}

#[test]
fn a_child_is_in_a_group_of_its_own_or_in_ours() {
    let group_of = |group| {
        let script = "read pid name state parent group rest < /proc/$$/stat; echo $$ $group";
        let command = Command {
            group,
            ..sh(script)
        };
        let (lines, exit) = finish(command.start(within(LONG)).unwrap());
        assert_eq!(exit, Done);
        let (pid, group) = lines[0].split_once(' ').unwrap();
        (pid.to_owned(), group.to_owned())
    };
    let (pid, group) = group_of(Group::Own);
    assert_eq!(pid, group);
    let (_, group) = group_of(Group::Ours);
    let ours = rustix::process::getpgrp().as_raw_nonzero().to_string();
    assert_eq!(group, ours);
}

#[test]
fn a_child_in_our_group_is_killed_at_its_deadline_and_we_are_not() {
    let command = Command {
        group: Group::Ours,
        ..sh("exec sleep 600")
    };
    let running = command.start(within(SHORT)).unwrap();
    assert_eq!(finish(running), (vec![], Unfinished));
}
