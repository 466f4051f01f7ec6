//! Servers as processes: how systemd and inetd start them, how they are stopped,
//! and what they hold.

use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use super::site::{Host, Server, program, wait_until};

/// Both ends of a connection.
pub fn pair() -> (OwnedFd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0.into(), dialled)
}

/// Starts a command as inetd does: the socket is stdin, stdout and stderr.
pub fn inetd(mut command: Command) -> (Child, TcpStream) {
    let (socket, peer) = pair();
    command
        .stdin(socket.try_clone().unwrap())
        .stdout(socket.try_clone().unwrap())
        .stderr(socket);
    // The command holds the socket too, until it is dropped.
    (command.spawn().unwrap(), peer)
}

/// Starts a server as systemd does: the socket is descriptor 3.
pub fn systemd(name: &str, config_dir: &Path, socket: OwnedFd) -> Child {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "exec env LISTEN_PID=$$ LISTEN_FDS=1 \"$0\" 3<&0 </dev/null",
        ])
        .arg(program(name))
        .env("EMEMO_CONFIG_DIR", config_dir)
        .stdin(socket)
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

pub fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

pub fn terminate(child: &Child) {
    kill_process(pid(child), Signal::TERM).unwrap();
}

pub fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_until("the program's end", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// How many descriptors a process has open.
pub fn descriptors(child: &Child) -> usize {
    fs::read_dir(format!("/proc/{}/fd", child.id()))
        .unwrap()
        .count()
}

/// How many threads it has.
pub fn threads(child: &Child) -> usize {
    fs::read_dir(format!("/proc/{}/task", child.id()))
        .unwrap()
        .count()
}

/// As many descriptors as this program may have, which it has from now on.
pub fn raise_descriptors() -> u64 {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
    .unwrap();
    maximum.unwrap_or(u64::MAX)
}

/// A server is served well by inetd only if it says nothing on the socket beside
/// TLS. The command must not be able to start.
pub fn says_nothing_to_the_peer(command: Command) {
    let (mut child, mut socket) = inetd(command);
    let mut said = Vec::new();
    socket.read_to_end(&mut said).unwrap();
    assert_eq!(String::from_utf8_lossy(&said), "");
    assert_eq!(wait(&mut child).code(), Some(2));
}

/// What /proc/PID/status says in KiB: `VmHWM` is the most memory that a process has
/// had, `VmRSS` what it has.
pub fn kib(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let lines = status.lines();
    let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = values.next().unwrap().trim().trim_end_matches(" kB");
    value.parse().unwrap()
}

/// The same command in a shell that allows it so much memory of its own.
pub fn within_kib(command: &Command, kib: u32) -> Command {
    let mut bounded = Command::new("sh");
    bounded
        .args(["-c", &format!("ulimit -d {kib} && exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bounded.env(name, value),
            None => bounded.env_remove(name),
        };
    }
    bounded
}

/// Processor time of a process, in ticks of 10 ms.
pub fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// A server that had few descriptors, and more connections than these: it did not
/// spin, and has room again.
pub fn starved(host: &Host, name: &str) -> Server {
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 40; exec \"$0\""])
        .arg(program(name))
        .env("EMEMO_CONFIG_DIR", &host.dir);
    let mut server = host.start_with(command);
    let silent: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(server.address).unwrap())
        .collect();
    server.log.wait_for("event=cannot-accept");
    let before = ticks(server.child.id());
    let begin = Instant::now();
    wait_until("a second", || begin.elapsed() > Duration::from_secs(1));
    let spent = ticks(server.child.id()) - before;
    assert!(spent < 30, "{spent} of 100 ticks");
    assert!(server.child.try_wait().unwrap().is_none());
    assert_eq!(server.log.text().matches("event=cannot-accept").count(), 1);
    drop(silent);
    server
}
