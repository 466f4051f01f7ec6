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

/// The children of a process that are not reaped yet.
pub fn children(pid: u32) -> Vec<u32> {
    let parent = pid.to_string();
    let list = fs::read_dir("/proc").unwrap();
    list.filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, fields) = stat.rsplit_once(") ")?;
        (fields.split(' ').nth(1) == Some(&parent)).then_some(pid)
    })
    .collect()
}

/// The network process of a server that was started as this process.
pub fn network(pid: u32) -> Option<u32> {
    children(pid).into_iter().find(|child| {
        let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        line.split(|octet| *octet == 0).nth(1) == Some(b"--network")
    })
}

/// A process, and its network process if it is a server.
pub fn processes(pid: u32) -> Vec<u32> {
    [pid].into_iter().chain(network(pid)).collect()
}

/// How many descriptors a program has open, in all of its processes.
pub fn descriptors(child: &Child) -> usize {
    entries(child, "fd")
}

/// How many threads it has.
pub fn threads(child: &Child) -> usize {
    entries(child, "task")
}

/// How many descriptors the network process of a server has open.
pub fn descriptors_of_network(server: &Child) -> usize {
    count(network(server.id()).unwrap(), "fd")
}

/// How many its monitor has open.
pub fn descriptors_of_monitor(server: &Child) -> usize {
    count(server.id(), "fd")
}

fn entries(child: &Child, what: &str) -> usize {
    let processes = processes(child.id());
    processes.into_iter().map(|pid| count(pid, what)).sum()
}

fn count(pid: u32, what: &str) -> usize {
    let list = fs::read_dir(format!("/proc/{pid}/{what}"));
    list.unwrap().count()
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

/// What /proc/PID/status says in KiB of a program, in all of its processes: `VmHWM` is the
/// most memory that a process has had, `VmRSS` what it has.
pub fn kib(pid: u32, name: &str) -> u64 {
    let of = |pid: &u32| -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let lines = status.lines();
        let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = values.next().unwrap().trim().trim_end_matches(" kB");
        value.parse().unwrap()
    };
    processes(pid).iter().map(of).sum()
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

/// Processor time of a program, in all of its processes, in ticks of 10 ms.
pub fn ticks(pid: u32) -> u64 {
    let of = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = fields.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    processes(pid).iter().map(of).sum()
}

/// A server that may have so many descriptors, and has no right to more.
pub fn with_descriptors(host: &Host, name: &str, limit: usize) -> Server {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -n {limit} && exec \"$0\"")])
        .arg(program(name))
        .env("EMEMO_CONFIG_DIR", &host.dir);
    host.start_with(command)
}

/// A server that had few descriptors, and more connections than these: it did not
/// spin, and has room again.
pub fn starved(host: &Host, name: &str) -> Server {
    let mut server = with_descriptors(host, name, 40);
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
