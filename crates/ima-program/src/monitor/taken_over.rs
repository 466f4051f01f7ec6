//! A network process that was taken over, for tests: it tries what it must not be able to
//! do. Builds that are installed do not have it.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, thread};

use rustix::fs::{OFlags, fcntl_setfl, ftruncate};
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg, sendto, shutdown, sockopt};
use rustix::process::{
    PidfdFlags, Resource, Rlimit, Signal, getppid, kill_process, pidfd_open, setrlimit,
};

use crate::log;

/// A folder, in which the file `victim` may be lost, and files that are to be read, each
/// on a line. Where this is set, a network process plays one that was taken over once it is
/// shut in.
pub const VARIABLE: &str = "EMEMO_TAKEN_OVER";

/// What [`VARIABLE`] says.
#[derive(Debug)]
pub struct Prey {
    folder: PathBuf,
    files: Vec<PathBuf>,
}

impl Prey {
    /// `None` where nobody plays.
    #[must_use]
    pub fn of_environment() -> Option<Self> {
        let paths = env::var(VARIABLE).ok()?;
        let mut paths = paths.lines().map(PathBuf::from);
        Some(Self {
            folder: paths.next()?,
            files: paths.collect(),
        })
    }
}

/// A line that no log may hold, as one of another program's.
const FORGED: &str = "time=2026-11-22T09:30:02.123Z level=info program=sshd event=login user=root";

/// Logs what came of an attempt: `outcome=done`, or why not.
pub fn report<T>(attempt: &str, outcome: Result<T, impl Display>) {
    let entry = log::info("taken-over").field("attempt", attempt);
    match outcome {
        Ok(_) => entry.field("outcome", "done").emit(),
        Err(error) => entry.field("outcome", error).emit(),
    }
}

/// Tries everything that needs no service of the monitor's. What is called `allowed` is
/// what the network process lives on; all else must fail. Where it does not fail, no file
/// but the `victim` is lost.
pub fn attempts(prey: &Prey) {
    report("allowed memory", super::to_memory(&1_u8));
    let thread = thread::Builder::new().spawn(|| ());
    report("allowed thread", thread.map(|thread| thread.join().is_ok()));
    prey.files.iter().for_each(|file| read(file));
    let victim = prey.folder.join("victim");
    read(&victim);
    change(&victim);
    processes();
    sockets(&prey.folder);
    the_log();
}

fn change(path: &Path) {
    let beside = path.with_extension("new");
    let append = OpenOptions::new().append(true).open(path);
    let write = append.and_then(|mut file| file.write_all(b"x"));
    report("write", write);
    report("change a mode", {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))
    });
    report("make a file", File::create(&beside));
    report("make a directory", fs::create_dir(&beside));
    report("make a symbolic link", symlink("/", &beside));
    report("make a link", fs::hard_link(path, &beside));
    report("rename", fs::rename(path, &beside));
    report("remove", fs::remove_file(path));
}

fn read(path: &Path) {
    let named = |what: &str| format!("{what} {}", path.display());
    let above = path.parent().unwrap_or(path);
    report(&named("read"), fs::read(path));
    report(&named("look at"), fs::metadata(path));
    report(&named("list the folder of"), fs::read_dir(above));
    report(&named("go to the folder of"), env::set_current_dir(above));
    // By ways around.
    let relative = path.strip_prefix("/").unwrap_or(path);
    let parent = getppid().map_or(1, |pid| pid.as_raw_nonzero().get());
    for root in [
        "/proc/self/root".to_owned(),
        "/proc/self/cwd/../../../../../../../..".to_owned(),
        "/proc/self/fd/0/../../../../../..".to_owned(),
        format!("/proc/{parent}/root"),
    ] {
        let way = Path::new(&root).join(relative);
        report(&format!("read {}", way.display()), fs::read(&way));
    }
}

fn processes() {
    report("execute /bin/true", Command::new("/bin/true").status());
    let ourselves = Command::new("/proc/self/exe").arg("--version").status();
    report("execute ourselves", ourselves);
    let Some(parent) = getppid() else {
        return;
    };
    let errno = |outcome: rustix::io::Result<()>| outcome.map_err(io::Error::from);
    report(
        "kill the monitor",
        errno(kill_process(parent, Signal::KILL)),
    );
    report(
        "stop the monitor",
        errno(kill_process(parent, Signal::STOP)),
    );
    let opened = pidfd_open(parent, PidfdFlags::empty()).map_err(io::Error::from);
    report("hold the monitor", opened);
    for name in ["mem", "environ", "maps", "fd/3", "cmdline"] {
        let path = format!("/proc/{parent}/{name}");
        let read = File::open(path).and_then(|mut file| file.read(&mut [0; 64]));
        report(&format!("read the monitor's {name}"), read);
    }
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    report("set a limit", errno(setrlimit(Resource::Core, none)));
}

fn sockets(folder: &Path) {
    report("listen", TcpListener::bind("127.0.0.1:0"));
    report("connect", TcpStream::connect("127.0.0.1:1"));
    report("make a UDP socket", UdpSocket::bind("127.0.0.1:0"));
    report("make a Unix socket", UnixDatagram::unbound());
    report("connect to a Unix socket", UnixStream::connect("/dev/log"));
    report(
        "listen at a Unix socket",
        UnixListener::bind(folder.join("socket")),
    );
    report("make a pair of sockets", UnixStream::pair());
    let errno = |outcome: rustix::io::Result<usize>| outcome.map_err(io::Error::from);
    let stranger = SocketAddr::from(([127, 0, 0, 1], 1));
    let dials = SendFlags::from_bits_retain(libc::MSG_FASTOPEN.unsigned_abs());
    report("dial", errno(sendto(io::stdin(), b"x", dials, &stranger)));
    let data = [IoSlice::new(b"x")];
    let mut nothing = SendAncillaryBuffer::default();
    report(
        "dial by a message",
        errno(sendmsg(io::stdin(), &data, &mut nothing, dials)),
    );
    let reused = sockopt::set_socket_reuseaddr(io::stdin(), true);
    report("set an option", reused.map_err(io::Error::from));
}

/// What stands behind descriptor 2 is lost where it can be.
fn the_log() {
    let errno = |outcome: rustix::io::Result<()>| outcome.map_err(io::Error::from);
    let log = io::stderr();
    report("empty the log", errno(ftruncate(&log, 0)));
    let both = rustix::net::Shutdown::Both;
    report("close the log", errno(shutdown(&log, both)));
    // Of a pipe of its own.
    let flags = fcntl_setfl(&log, OFlags::NONBLOCK);
    report("allowed flags", errno(flags));
    let forged = format!("{FORGED}\n{FORGED}\u{1b}[2J\n");
    let said = rustix::io::write(&log, forged.as_bytes()).map(drop);
    report("allowed words", errno(said));
}
