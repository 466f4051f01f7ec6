//! What must be seen from a process of its own: this test program starts itself
//! again with sockets as systemd and inetd pass them on.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::fs::{FileType, fstat};
use rustix::io::{FdFlags, fcntl_getfd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::*;

/// Set in the process that is started, to its part.
const PART: &str = "IMA_PROTO_TEST_PART";

/// This test program, to play a part of this module's one test; `shell` says
/// where its sockets are.
fn child(part: &str, shell: &str) -> Command {
    // As the test harness names it: without the crate.
    let path = std::any::type_name_of_val(&sockets_from_elsewhere);
    let (_, name) = path.split_once("::").unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", shell, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(PART, part)
        .stdout(Stdio::null());
    command
}

fn listener() -> (OwnedFd, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener.into(), address)
}

/// Both ends of a connection.
fn pair() -> (OwnedFd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0.into(), dialled)
}

fn all_of(mut stream: TcpStream) -> String {
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

const SYSTEMD: &str = r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&0 </dev/null"#;
const SYSTEMD_TWO: &str = r#"LISTEN_PID=$$ LISTEN_FDS=2 exec "$@" 3<&0 4<&1 </dev/null >/dev/null"#;
const INETD: &str = r#"exec "$@""#;

#[test]
fn sockets_from_elsewhere() {
    match std::env::var(PART).as_deref() {
        Ok("systemd") => serve(Incoming::open(&[]).unwrap(), 2),
        Ok("inetd") => {
            serve(Incoming::from_inetd().unwrap(), 1);
            let stdin = fstat(io::stdin()).unwrap();
            let kind = FileType::from_raw_mode(stdin.st_mode);
            assert_eq!(kind, FileType::CharacterDevice);
        }
        Ok("mixed") => {
            let error = Incoming::open(&[]).unwrap_err();
            assert!(matches!(error, ListenError::Mixed), "{error}");
        }
        Ok("no socket") => {
            let error = Incoming::open(&[]).unwrap_err();
            let sentence = error.to_string();
            assert!(sentence.contains("LISTEN_FDS 0"), "{sentence}");
            let error = Incoming::from_inetd().unwrap_err();
            assert!(error.to_string().contains("stdin"), "{error}");
        }
        Ok("starved") => starve(),
        Ok(other) => panic!("{other}"),
        Err(_) => start_all(),
    }
}

/// Says what it is to each connection, `count` of them where it listens.
fn serve(incoming: Incoming, count: usize) {
    match incoming {
        Incoming::One(mut stream, address) => {
            assert!(address.ip().is_loopback());
            assert!(fcntl_getfd(&stream).unwrap().contains(FdFlags::CLOEXEC));
            stream.write_all(b"one").unwrap();
        }
        Incoming::Listening(listeners) => {
            let (stop, _stopping) = stop();
            for socket in &listeners.sockets {
                assert!(fcntl_getfd(socket).unwrap().contains(FdFlags::CLOEXEC));
            }
            for _ in 0..count {
                let (mut stream, _) = connection(listeners.accept(stop.as_fd()));
                stream.write_all(b"listening").unwrap();
            }
        }
    }
}

fn start_all() {
    // systemd, Accept=no, with two sockets.
    let ((first, one), (second, other)) = (listener(), listener());
    let mut systemd = child("systemd", SYSTEMD_TWO)
        .stdin(first)
        .stdout(second)
        .spawn()
        .unwrap();
    for address in [one, other] {
        assert_eq!(all_of(TcpStream::connect(address).unwrap()), "listening");
    }
    assert!(systemd.wait().unwrap().success());

    // systemd, Accept=yes.
    let (socket, dialled) = pair();
    let mut systemd = child("systemd", SYSTEMD).stdin(socket).spawn().unwrap();
    assert_eq!(all_of(dialled), "one");
    assert!(systemd.wait().unwrap().success());

    // inetd, nowait and wait.
    let (socket, dialled) = pair();
    let mut inetd = child("inetd", INETD).stdin(socket).spawn().unwrap();
    assert_eq!(all_of(dialled), "one");
    assert!(inetd.wait().unwrap().success());
    let (socket, address) = listener();
    let mut inetd = child("inetd", INETD).stdin(socket).spawn().unwrap();
    assert_eq!(all_of(TcpStream::connect(address).unwrap()), "listening");
    assert!(inetd.wait().unwrap().success());

    // What cannot be.
    let ((first, _), (second, _dialled)) = (listener(), pair());
    let mixed = child("mixed", SYSTEMD_TWO)
        .stdin(first)
        .stdout(second)
        .status();
    assert!(mixed.unwrap().success());
    let none = child("no socket", SYSTEMD).stdin(Stdio::null()).status();
    assert!(none.unwrap().success());
    assert!(child("starved", INETD).status().unwrap().success());
}

/// Without a descriptor for a connection: no end, and no busy loop.
fn starve() {
    let listeners = Arc::new(listeners(&["127.0.0.1:0"]));
    let (stop, stopping) = stop();
    let (accepted, outcome) = mpsc::channel();
    let dialled = TcpStream::connect(listeners.addresses()[0]).unwrap();
    let spare = std::fs::File::open("/dev/null").unwrap();
    let limit = getrlimit(Resource::Nofile);
    let next = io::stdin().as_fd().try_clone_to_owned().unwrap();
    let lowest_free = std::os::fd::AsRawFd::as_raw_fd(&next).unsigned_abs();
    drop(next);
    let few = Rlimit {
        current: Some(lowest_free.into()),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, few).unwrap();
    let before = clock_gettime(ClockId::ProcessCPUTime);
    let accepting = thread::spawn(move || {
        let (stream, _) = connection(listeners.accept(stop.as_fd()));
        accepted.send(()).unwrap();
        let second = listeners.accept(stop.as_fd());
        drop(stream);
        matches!(second, Accepted::Stop)
    });
    let nothing = outcome.recv_timeout(Duration::from_millis(500));
    assert_eq!(nothing, Err(mpsc::RecvTimeoutError::Timeout));
    let after = clock_gettime(ClockId::ProcessCPUTime);
    let busy = Duration::try_from(after - before).unwrap();
    assert!(
        busy < Duration::from_millis(100),
        "{busy:?} of processor time"
    );
    drop(spare);
    outcome.recv_timeout(Duration::from_secs(20)).unwrap();
    drop(stopping);
    assert!(accepting.join().unwrap());
    drop(dialled);
}
