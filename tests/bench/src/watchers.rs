//! What clients that watch cost a post office, and how soon they learn of mail.
//!
//!     watchers PROGRAMS [CLIENTS [MAILBOXES]]
//!
//! It is built with `--features net`. PROGRAMS is the folder of the suite's
//! programs. So many clients (1,000) of so many mailboxes (100) log in by
//! certificate and WATCH, each in a thread here; the server may have 4,096
//! descriptors, which are too few for 1,000 clients of one mailbox, who all ask at
//! once what is new. Printed is what the server has resident for
//! each client; how long it takes from a line being appended to a journal until
//! the clients of that mailbox are told; and the same from the end of
//! server-give-recipient, before which most are told. The exit status is 0 where a
//! client takes less than 64 KiB, and is told of a line within 50 ms, and in 5 ms at
//! the median; else 1.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use ima_message::{Address, Hostpart};
use ima_proto::imrp::{ALPN, Client, Event, Times};
use ima_proto::tls::{
    ClientSide, PeerVerifier, RootSource, Secure, UserCertificate, connect_as_user,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lines that are appended.
const APPENDED: usize = 200;
/// Messages that are delivered.
const DELIVERED: usize = 50;
/// How long anything may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The stack of a client's thread.
const STACK: usize = 256 << 10;

/// Resident for each client at the most, in octets.
const MOST_RESIDENT: u64 = 64 << 10;
/// Until the last client is told, and at the median.
const WORST: Duration = Duration::from_millis(50);
const MEDIAN: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize, default| arguments.get(at).map_or(Some(default), |n| n.parse().ok());
    let (Some(programs), Some(clients), Some(mailboxes)) =
        (arguments.get(1), number(2, 1000), number(3, 100))
    else {
        eprintln!("usage: watchers PROGRAMS [CLIENTS [MAILBOXES]]");
        return ExitCode::from(2);
    };
    match measure(Path::new(programs), clients, mailboxes) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("watchers: {error}");
            ExitCode::from(2)
        }
    }
}

fn measure(programs: &Path, clients: usize, mailboxes: usize) -> io::Result<bool> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?;
    let site = Site::make(programs, mailboxes)?;
    let server = Server::start(programs, &site.0)?;
    let before = server.resident()?;
    let crowd = Crowd::gather(&site, server.address, clients, mailboxes)?;
    let waiting = server.resident()?;

    let mut appended = Vec::new();
    for round in 0..APPENDED {
        let journal = site.journal(round % mailboxes);
        let begin = append(&journal, round)?;
        appended.extend(crowd.told(round % mailboxes, begin)?.0);
    }
    let (mut behind, mut ahead, mut told) = (Vec::new(), 0, 0);
    for round in 0..DELIVERED {
        let mailbox = round % mailboxes;
        site.deliver(programs, mailbox, &format!("Delivery {round}.\n"))?;
        let (late, early) = crowd.told(mailbox, Instant::now())?;
        told += late.len();
        ahead += early;
        behind.extend(late);
    }
    let after = server.resident()?;
    let descriptors = fs::read_dir(format!("/proc/{}/fd", server.child.id()))?.count();
    drop(crowd);

    let count = u64::try_from(clients).map_err(other)?.max(1);
    let each = |resident: u64| resident.saturating_sub(before) / count;
    println!("{clients} clients of {mailboxes} mailboxes, {descriptors} descriptors");
    println!(
        "resident for each: {:.1} KiB when they began to wait, {:.1} KiB in the end",
        kib(each(waiting)),
        kib(each(after))
    );
    let (median, worst) = ends(&mut appended);
    println!(
        "from a line to its announcement: median {:.2} ms, worst {:.2} ms, of {}",
        ms(median),
        ms(worst),
        appended.len()
    );
    let (median_behind, worst_behind) = ends(&mut behind);
    println!(
        "from the end of a delivery: {ahead} of {told} told before it; median {:.2} ms, worst {:.2} ms",
        ms(median_behind),
        ms(worst_behind)
    );
    Ok(each(after) < MOST_RESIDENT
        && worst <= WORST
        && median <= MEDIAN
        && worst_behind <= WORST
        && median_behind <= MEDIAN)
}

fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

fn kib(octets: u64) -> f64 {
    octets as f64 / 1024.0
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The median and the last.
fn ends(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort();
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    (at(times.len() / 2), at(times.len().saturating_sub(1)))
}

/// b.test in a folder that goes away with it, and its CA.
struct Site(PathBuf);

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Site {
    fn make(programs: &Path, mailboxes: usize) -> io::Result<Self> {
        let site =
            Self(std::env::temp_dir().join(format!("ememo-watchers.{}", std::process::id())));
        fs::create_dir(&site.0)?;
        let mut setup = Command::new(programs.join("server-setup"));
        setup.arg(site.0.join("b.test"));
        setup.args(["--host", "b.test", "--listen", "127.0.0.1:0", "--ca"]);
        setup.arg(site.0.join("ca"));
        for mailbox in 0..mailboxes {
            setup.args(["--user", &format!("user{mailbox}")]);
        }
        run(&mut setup)?;
        for mailbox in 0..mailboxes {
            let mut user = Command::new(programs.join("server-user"));
            user.env("EMEMO_CONFIG_DIR", site.0.join("b.test"));
            user.args(["certificate", &format!("user{mailbox}@b.test")]);
            match mailbox {
                0 => user.arg("--make").arg(site.0.join("key")),
                _ => user.arg("--enrol").arg(site.0.join("key/user0@b.test.pem")),
            };
            run(&mut user)?;
            site.deliver(programs, mailbox, "The first.\n")?;
        }
        let config = site.0.join("b.test/server-post-office.toml");
        let text = fs::read_to_string(&config)?;
        let most = "max-connections = 10000\nmax-connections-per-address = 10000\n";
        let rest = text
            .lines()
            .filter(|line| !line.starts_with("max-connections"));
        let rest: String = rest.map(|line| format!("{line}\n")).collect();
        fs::write(&config, format!("{most}{rest}"))?;
        Ok(site)
    }

    fn inbox(&self, mailbox: usize) -> PathBuf {
        self.0
            .join(format!("b.test/mail/b.test/user{mailbox}/inbox"))
    }

    fn journal(&self, mailbox: usize) -> PathBuf {
        self.inbox(mailbox).join("journal")
    }

    /// server-give-recipient with a message that nobody has seen.
    fn deliver(&self, programs: &Path, mailbox: usize, text: &str) -> io::Result<()> {
        let letter = self.0.join("letter");
        fs::write(&letter, text)?;
        let message = self.0.join("message.ima");
        let mut make = Command::new(programs.join("make-ima-message"));
        make.args(["--from", "alice@a.test", "--subject", "Lunch?", "--to"]);
        make.arg(format!("user{mailbox}@b.test"));
        run(make
            .stdin(File::open(&letter)?)
            .stdout(File::create(&message)?))?;
        let mut give = Command::new(programs.join("server-give-recipient"));
        run(give.arg(self.inbox(mailbox)).stdin(File::open(&message)?)).map(drop)
    }
}

/// Gives what it says.
fn run(command: &mut Command) -> io::Result<Vec<u8>> {
    let program = command.get_program().to_owned();
    let output = command.output()?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(other(format!(
            "{}: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}

/// Appends a line to a journal as a program of the suite does, but does not wait
/// for the disk. Gives the time before it.
fn append(journal: &Path, round: usize) -> io::Result<Instant> {
    let lock = OpenOptions::new()
        .write(true)
        .open(journal.with_file_name("lock"))?;
    lock.lock()?;
    let text = fs::read_to_string(journal)?;
    let digest = text
        .lines()
        .find_map(|line| line.strip_prefix("add ")?.split(' ').next());
    let digest = digest.ok_or_else(|| other("no message"))?;
    let sign = if round.is_multiple_of(2) { '+' } else { '-' };
    let line = format!("flag {digest} {sign}seen\n");
    let mut journal = OpenOptions::new().append(true).open(journal)?;
    let begin = Instant::now();
    journal.write_all(line.as_bytes())?;
    Ok(begin)
}

/// A running server-post-office.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(programs: &Path, site: &Path) -> io::Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -n 4096; exec \"$0\""])
            .arg(programs.join("server-post-office"))
            .env("EMEMO_CONFIG_DIR", site.join("b.test"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().map(BufReader::new);
        let mut lines = stderr.into_iter().flat_map(|stderr| stderr.lines());
        let address = loop {
            let line = lines.next().ok_or_else(|| other("the server ended"))??;
            if let Some((_, address)) = line.split_once("address=")
                && line.contains("event=listening")
            {
                let address = address.split(' ').next().unwrap_or_default();
                break address.trim_matches('"').parse().map_err(other)?;
            }
            eprintln!("{line}");
        };
        // What it logs from here on is read, and of no interest.
        thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address })
    }

    /// In octets.
    fn resident(&self) -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.map(|kib| kib << 10)
            .ok_or_else(|| other("smaps_rollup names no Rss"))
    }
}

/// What a client says: that it waits, or when it was told.
enum Said {
    Waits,
    Told(Instant),
}

/// Clients that wait, by their mailboxes.
struct Crowd {
    mailboxes: Vec<(usize, Receiver<io::Result<Said>>)>,
}

impl Crowd {
    fn gather(
        site: &Site,
        server: SocketAddr,
        clients: usize,
        mailboxes: usize,
    ) -> io::Result<Self> {
        let key = |extension| site.0.join(format!("key/user0@b.test.{extension}"));
        let certificate = UserCertificate::load(&key("pem"), &key("key")).map_err(other)?;
        let roots = RootSource::File("ca/ca.pem".into());
        let verifier = PeerVerifier::load(&[roots], &[], &site.0).map_err(other)?;
        let tls = ClientSide::for_user(Some(certificate), verifier, ALPN).map_err(other)?;
        let host = Hostpart::parse("b.test").map_err(other)?;
        let mut channels: Vec<_> = (0..mailboxes).map(|_| (0, channel())).collect();
        for number in 0..clients {
            let mailbox = number % mailboxes;
            let secure = connect_as_user(TcpStream::connect(server)?, &tls, &host);
            let mut client = Client::new(secure.map_err(other)?, Times::default());
            let user = Address::parse(&format!("user{mailbox}@b.test")).map_err(other)?;
            if !client.log_in_by_certificate(&user).map_err(other)? {
                return Err(other("a login was refused"));
            }
            if let Some((count, (sender, _))) = channels.get_mut(mailbox) {
                *count += 1;
                let sender = sender.clone();
                let work = move || drop(watch(client, &sender).map_err(|e| sender.send(Err(e))));
                thread::Builder::new().stack_size(STACK).spawn(work)?;
            }
        }
        let crowd = Self {
            mailboxes: channels
                .into_iter()
                .map(|(count, (_, receiver))| (count, receiver))
                .collect(),
        };
        for mailbox in 0..mailboxes {
            crowd.hear(mailbox)?;
        }
        Ok(crowd)
    }

    /// What each client of a mailbox says next.
    fn hear(&self, mailbox: usize) -> io::Result<Vec<Said>> {
        let Some((count, receiver)) = self.mailboxes.get(mailbox) else {
            return Ok(Vec::new());
        };
        (0..*count)
            .map(|_| receiver.recv_timeout(PATIENCE).map_err(other)?)
            .collect()
    }

    /// How long after a moment each client of a mailbox was told, and how many of
    /// them before it. Then all of them wait again.
    fn told(&self, mailbox: usize, since: Instant) -> io::Result<(Vec<Duration>, usize)> {
        let (mut times, mut early, mut waiting) = (Vec::new(), 0, 0);
        let count = self.mailboxes.get(mailbox).map_or(0, |(count, _)| *count);
        while times.len() < count || waiting < count {
            let Some((_, receiver)) = self.mailboxes.get(mailbox) else {
                break;
            };
            match receiver.recv_timeout(PATIENCE).map_err(other)?? {
                Said::Waits => waiting += 1,
                Said::Told(at) => {
                    early += usize::from(at < since);
                    times.push(at.saturating_duration_since(since));
                }
            }
        }
        Ok((times, early))
    }
}

/// Watches, and says what it sees. What comes to nothing, as a WATCH may tell it, is
/// not said.
fn watch(mut client: Client<Secure>, say: &Sender<io::Result<Said>>) -> io::Result<()> {
    let mut before = Vec::new();
    let mut told = None;
    loop {
        let folders = client.folders().map_err(other)?.into_iter();
        let folders: Vec<_> = folders.map(|one| (one.name, one.token)).collect();
        let is_new = folders != before;
        if let Some(at) = told.filter(|_| is_new) {
            // Nobody listens any more when the benchmark has ended.
            let _ = say.send(Ok(Said::Told(at)));
        }
        let mut watch = client.watch(&folders).map_err(other)?;
        // Whoever appends after this is heard: the token says so.
        if is_new && say.send(Ok(Said::Waits)).is_err() {
            return Ok(());
        }
        let far = Instant::now() + PATIENCE * 60;
        told = match watch.next(None, far).map_err(other)? {
            Event::Changed(_) => Some(Instant::now()),
            Event::Alive => None,
            event => return Err(other(format!("{event:?}"))),
        };
        watch.end().map_err(other)?;
        before = folders;
    }
}
