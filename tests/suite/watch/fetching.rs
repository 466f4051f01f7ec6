//! fetch-mail --watch.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustix::process::{Signal, kill_process};

use crate::fetch::{Place, folder};
use crate::pages::root;
use crate::peer::Relay;
use crate::peer::office::{Letter, Office};
use crate::post::PASSWORD;
use crate::process::{pid, wait};
use crate::site::{Server, code, feed, program, stderr, stdout, wait_until};

/// A fetch-mail that stays; killed when dropped.
struct Keeper {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Keeper {
    fn start(mut command: Command) -> Keeper {
        command.arg("--watch");
        Keeper::of(command)
    }

    /// The same, where the command says that it stays.
    fn of(mut command: Command) -> Keeper {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, theirs) = (child.stderr.take().unwrap(), Arc::clone(&said));
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                *theirs.lock().unwrap() += &(line + "\n");
            }
        });
        Keeper {
            child,
            said,
            reader: Some(reader),
        }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn wait_for(&self, text: &str) {
        wait_until(text, || self.said().contains(text));
    }

    /// How it ends by itself, and all that it has said.
    fn end(mut self) -> (i32, String) {
        let status = wait(&mut self.child);
        self.reader.take().unwrap().join().unwrap();
        (status.code().expect("no signal"), self.said())
    }

    /// The same, by a signal.
    fn stop(self, signal: Signal) -> (i32, String) {
        kill_process(pid(&self.child), signal).unwrap();
        self.end()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends one that may be at work at this moment.
fn stop(keeper: Keeper, signal: Signal) {
    let (code, said) = keeper.stop(signal);
    let at_work =
        "fetch-mail: ended by a signal; what had come whole is kept, and the next run goes on\n";
    assert!(
        (code, said.as_str()) == (0, "") || (code, said.as_str()) == (2, at_work),
        "{code}: {said}"
    );
}

/// Lines of a journal that begin so.
fn lines(folder: &std::path::Path, begins: &str) -> usize {
    let journal = fs::read_to_string(folder.join("journal")).unwrap_or_default();
    journal
        .lines()
        .filter(|line| line.starts_with(begins))
        .count()
}

/// Waits until so many letters are in a folder of the mailbox here.
fn wait_for_letters(place: &Place, folder: &str, count: usize) {
    let what = format!("{count} letters in {folder}");
    wait_until(&what, || lines(&place.mail().join(folder), "add ") == count);
}

/// A post office at an address of its own, which it gets again.
fn start_at(place: &Place, address: SocketAddr) -> Server {
    let listen = format!("[\"{address}\"]");
    place.b.set("server-post-office.toml", "listen", &listen);
    place.b.start_office()
}

#[test]
fn mail_is_fetched_as_it_arrives() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        place.deliver("inbox", &place.letter("First.\n", &[]));
        let server = place.b.start_office();
        let keeper = Keeper::start(place.command(server.address));
        wait_for_letters(&place, "inbox", 1);
        for count in 2..=4 {
            place.deliver("inbox", &place.letter(&count.to_string(), &[b"attached"]));
            wait_for_letters(&place, "inbox", count);
        }
        // It holds the mailbox while it waits.
        let cron = place.fetch(server.address);
        assert_eq!(
            (code(&cron), stdout(&cron), stderr(&cron)),
            (2, String::new(), String::new())
        );
        stop(keeper, signal);
        place.check();
        // All of it on one connection.
        server.log.wait_for_count("event=login", 1);
        place.fetch_well(server.address);
    }
}

/// Once it was said whenever anything came.
#[test]
fn what_is_wrong_with_a_message_is_said_once() {
    let place = Place::new();
    let letter = place.letter("Bad.\n", &[]);
    place.deliver("inbox", &letter);
    let bad = Letter::new(&letter).digest.to_string();
    let file = place.b.mailbox("bob").join("inbox/messages").join(&bad);
    let octets = fs::read(&file).unwrap();
    fs::write(&file, &octets[..octets.len() - 2]).unwrap();
    let server = place.b.start_office();
    let keeper = Keeper::start(place.command(server.address));
    keeper.wait_for(&bad);
    for count in 1..=3 {
        place.deliver("inbox", &place.letter(&count.to_string(), &[]));
        wait_for_letters(&place, "inbox", count);
    }
    // When it is mended it comes, with the next.
    fs::write(&file, &octets).unwrap();
    place.deliver("inbox", &place.letter("Last.\n", &[]));
    wait_for_letters(&place, "inbox", 5);
    kill_process(pid(&keeper.child), Signal::TERM).unwrap();
    let (_, said) = keeper.end();
    assert_eq!(said.matches(&bad).count(), 1, "{said}");
}

/// As systemd starts it.
#[test]
fn the_command_of_the_unit_stays() {
    let unit = root().join("etc/systemd/fetch-mail-watch.service");
    let unit = fs::read_to_string(unit).unwrap();
    let mut lines = unit.lines();
    let line = lines.find_map(|line| line.strip_prefix("ExecStart="));
    let place = Place::new();
    let server = place.b.start_office();
    // Its configuration is written.
    drop(place.command(server.address));
    let home = place.site.path().display().to_string();
    let mut words = line
        .unwrap()
        .split(' ')
        .map(|word| word.replace("%h", &home));
    let name = words.next().unwrap();
    let mut command = Command::new(program(name.rsplit('/').next().unwrap()));
    command
        .args(words)
        .env("EMEMO_CONFIG_DIR", place.site.path());
    let keeper = Keeper::of(command);
    place.deliver("inbox", &place.letter("First.\n", &[]));
    wait_for_letters(&place, "inbox", 1);
    place.deliver("inbox", &place.letter("Second.\n", &[]));
    wait_for_letters(&place, "inbox", 2);
    stop(keeper, Signal::TERM);
}

#[test]
fn what_changes_here_goes_there() {
    let place = Place::new();
    place.deliver("inbox", &place.letter("First.\n", &[]));
    let server = place.b.start_office();
    let keeper = Keeper::start(place.command(server.address));
    wait_for_letters(&place, "inbox", 1);
    let here = ima_mailbox::Folder::open(&place.mail().join("inbox")).unwrap();
    let digest = here
        .live(None)
        .unwrap()
        .unwrap()
        .into_keys()
        .next()
        .unwrap();
    let changes = [("seen", true), ("flagged", true), ("seen", false)];
    for (number, (flag, set)) in changes.into_iter().enumerate() {
        let flag = flag.parse().unwrap();
        let changes = vec![ima_message::FlagChange { flag, set }];
        let act = ima_mailbox::Act::Flag { digest, changes };
        here.apply(&[act]).unwrap();
        let there = place.b.inbox("bob");
        wait_until("a flag", || lines(&there, "flag ") == number + 1);
    }
    here.apply(&[ima_mailbox::Act::Delete { digest }]).unwrap();
    let there = place.b.inbox("bob");
    wait_until("deleted", || lines(&there, "del ") == 1);
    stop(keeper, Signal::TERM);
    place.check();
}

/// A mail program marks a mail as read.
#[test]
fn what_changes_in_a_maildir_goes_there() {
    let place = Place::new();
    place.deliver("inbox", &place.letter("First.\n", &[]));
    let server = place.b.start_office();
    let maildir = place.file("Maildir");
    let mut command = place.command(server.address);
    command.arg("--maildir").arg(&maildir);
    let keeper = Keeper::start(command);
    let mut found = None;
    wait_until("a mail", || {
        let parts = ["new", "cur"].map(|part| maildir.join("inbox").join(part));
        let files = parts.iter().filter_map(|part| fs::read_dir(part).ok());
        found = files.flatten().next().map(|entry| entry.unwrap().path());
        found.is_some()
    });
    let found = found.unwrap();
    let name = found.file_name().unwrap().to_str().unwrap();
    let base = name.split(':').next().unwrap();
    let read = maildir.join("inbox/cur").join(format!("{base}:2,S"));
    fs::rename(&found, read).unwrap();
    let there = place.b.inbox("bob");
    wait_until("a flag", || lines(&there, "flag ") == 1);
    place.deliver("inbox", &place.letter("Second.\n", &[]));
    wait_for_letters(&place, "inbox", 2);
    stop(keeper, Signal::TERM);
}

#[test]
fn a_server_that_comes_back_is_found_again() {
    let place = Place::new();
    place.deliver("inbox", &place.letter("First.\n", &[]));
    let server = place.b.start_office();
    let address = server.address;
    let keeper = Keeper::start(place.command(address));
    wait_for_letters(&place, "inbox", 1);
    place.deliver("inbox", &place.letter("Second.\n", &[]));
    wait_for_letters(&place, "inbox", 2);
    // Killed, and nobody is there for a while.
    drop(server);
    place.deliver("inbox", &place.letter("Third.\n", &[]));
    keeper.wait_for("b.test");
    let server = start_at(&place, address);
    wait_for_letters(&place, "inbox", 3);
    place.deliver("inbox", &place.letter("Last.\n", &[]));
    wait_for_letters(&place, "inbox", 4);
    keeper.wait_for("mail is fetched again");
    let said = keeper.said();
    assert_eq!(said.lines().count(), 2, "{said}");
    keeper.stop(Signal::TERM);
    drop(server);
    place.check();
}

#[test]
fn what_is_cut_goes_on() {
    let place = Place::new();
    let large = vec![7; 300_000];
    place.deliver("inbox", &place.letter("First.\n", &[&large]));
    let server = place.b.start_office();
    let relay = Relay::to(server.address);
    relay.cut_after(100_000);
    let keeper = Keeper::start(place.command(relay.address));
    keeper.wait_for("b.test");
    relay.cut_after(u64::MAX);
    wait_for_letters(&place, "inbox", 1);
    keeper.wait_for("mail is fetched again");
    let said = keeper.said();
    assert_eq!(said.lines().count(), 2, "{said}");
    keeper.stop(Signal::TERM);
    place.check();
}

#[test]
fn a_signal_ends_a_watch_and_all_is_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        let folders = [folder("inbox", &[place.letter("First.\n", &[])])];
        let office = Office::start(&place.identity(), &folders, |line, said| {
            match line.starts_with("WATCH") {
                true => Vec::new(),
                false => said,
            }
        });
        let keeper = Keeper::start(place.command(office.address));
        wait_until("a WATCH", || {
            office.lines().iter().any(|line| line.starts_with("WATCH"))
        });
        assert_eq!(keeper.stop(signal), (0, String::new()));
        assert_eq!(office.connections(), 1);
        place.check();
    }
}

#[test]
fn a_signal_ends_a_handshake_that_does_not_go_on() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let keeper = Keeper::start(place.command(listener.local_addr().unwrap()));
    let (mut silent, _) = listener.accept().unwrap();
    // It has begun to speak, and waits for an answer.
    assert_eq!(silent.read(&mut [0]).unwrap(), 1);
    assert_eq!(keeper.stop(Signal::TERM), (0, String::new()));
    assert!(!place.mail().exists());
}

#[test]
fn a_signal_ends_a_pause() {
    let place = Place::new();
    // Nothing is caught before the first connection; the second finds nobody.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let keeper = Keeper::start(place.command(listener.local_addr().unwrap()));
    let mut accepted = listener.accept().unwrap().0;
    assert_eq!(accepted.read(&mut [0]).unwrap(), 1);
    drop((accepted, listener));
    keeper.wait_for("b.test");
    let (code, said) = keeper.stop(Signal::INT);
    assert_eq!((code, said.lines().count()), (0, 1), "{said}");
}

#[test]
fn a_login_that_is_refused_ends_it() {
    let place = Place::new();
    place.b.write_users(&[crate::post::Entry::new("bob")]);
    let server = place.b.start_office();
    let (code, said) = Keeper::start(place.command(server.address)).end();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("refuses the login of bob@b.test"), "{said}");
    assert!(!place.mail().exists());
}

#[test]
fn a_server_that_breaks_the_rules_ends_it() {
    for answer in ["OK\n", "+ changed ../x\n", "+ message 1\n", "x\n"] {
        let place = Place::new();
        let folders = [folder("inbox", &[place.letter("First.\n", &[])])];
        let office = Office::start(&place.identity(), &folders, move |line, said| {
            match line.starts_with("WATCH") {
                true => answer.into(),
                false => said,
            }
        });
        let (code, said) = Keeper::start(place.command(office.address)).end();
        assert_eq!(code, 3, "{answer:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        place.check();
    }
}

#[test]
fn where_the_server_does_not_watch_that_is_said_once() {
    let place = Place::new();
    let folders = [folder("inbox", &[place.letter("First.\n", &[])])];
    let office = Office::start(&place.identity(), &folders, |line, said| {
        match line.starts_with("WATCH") {
            true => b"FAIL not today\n".to_vec(),
            false => said,
        }
    });
    let keeper = Keeper::start(place.command(office.address));
    // It comes back, after a pause that grows.
    wait_until("a third connection", || office.connections() >= 3);
    let said = keeper.said();
    keeper.stop(Signal::TERM);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("\"not today\""), "{said}");
    let watches = office.lines();
    let watches = watches.iter().filter(|line| line.starts_with("WATCH"));
    assert!(watches.count() >= 4);
    place.check();
}

/// What says only how far it is takes nobody's time.
#[test]
fn a_server_that_says_that_it_is_there_is_let_be() {
    let place = Place::new();
    let folders = [folder("inbox", &[place.letter("First.\n", &[])])];
    let watches = AtomicBool::new(false);
    let office = Office::start(&place.identity(), &folders, move |line, said| {
        let is_watch = line.starts_with("WATCH");
        match (watches.swap(is_watch, Ordering::SeqCst), is_watch) {
            // Whatever it says.
            (true, _) => b"OK\n".to_vec(),
            (false, true) => [&b"+ alive\n".repeat(1000), &b"+ changed inbox\n"[..]].concat(),
            (false, false) => said,
        }
    });
    let keeper = Keeper::start(place.command(office.address));
    wait_until("the third WATCH", || {
        let lines = office.lines();
        lines
            .iter()
            .filter(|line| line.starts_with("WATCH"))
            .count()
            >= 3
    });
    stop(keeper, Signal::TERM);
    // Nothing but what belongs to a WATCH was asked again and again.
    let lines = office.lines();
    let fetched = lines.iter().filter(|line| line.starts_with("SYNC"));
    assert_eq!(fetched.count(), 1, "{lines:?}");
}

#[test]
fn it_reaches_nothing_but_its_mailbox_once_it_has_spoken_with_a_server() {
    let place = Place::new();
    place.deliver("inbox", &place.letter("First.\n", &[]));
    let server = place.b.start_office();
    let (maildir, outside) = (place.file("maildir"), place.file("outside"));
    fs::create_dir(&maildir).unwrap();
    fs::create_dir(&outside).unwrap();
    let mut command = place.command(server.address);
    command.arg("--maildir").arg(&maildir);
    let keeper = Keeper::start(command);
    let letters = || fs::read_dir(maildir.join("inbox/new")).map_or(0, Iterator::count);
    wait_until("a letter is in the Maildir", || letters() == 1);
    let tasks = fs::read_dir(format!("/proc/{}/task", keeper.child.id())).unwrap();
    let statuses = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")));
    let confined = |status: String| status.contains("\nNoNewPrivs:\t1\n");
    let all = statuses.map(Result::unwrap).all(confined);
    if keeper.said().contains("event=no-landlock") {
        return;
    }
    assert!(all);
    // A path of its own leads elsewhere by now: nothing is written there.
    fs::rename(&maildir, place.file("before")).unwrap();
    std::os::unix::fs::symlink(&outside, &maildir).unwrap();
    place.deliver("inbox", &place.letter("Second.\n", &[]));
    keeper.wait_for("Permission denied");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

/// Confined, it could not read the file again, nor run the command, and took the old
/// password for refused for good.
#[test]
fn a_password_that_was_changed_is_read_again() {
    for begins in ["password-file = ", "password-command = [\"cat\", "] {
        let place = Place::new();
        place.deliver("inbox", &place.letter("First.\n", &[]));
        let server = place.b.start_office();
        let address = server.address;
        fs::create_dir(place.file("secret")).unwrap();
        let file = place.file("secret/password");
        fs::write(&file, PASSWORD).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let ends = if begins.contains("[") { "]" } else { "" };
        let keeper = Keeper::start(place.configured(&format!(
            "address = \"bob@b.test\"\n{begins}\"{}\"{ends}\n[hosts]\n\"b.test\" = \"{address}\"\n",
            file.display()
        )));
        wait_for_letters(&place, "inbox", 1);
        drop(server);
        let mut change = place.b.command("server-user");
        change.args(["password", "bob@b.test"]);
        let changed = feed(change, b"another\n");
        assert_eq!(code(&changed), 0, "{}", stderr(&changed));
        fs::write(&file, "another\n").unwrap();
        place.deliver("inbox", &place.letter("Second.\n", &[]));
        let server = start_at(&place, address);
        wait_for_letters(&place, "inbox", 2);
        keeper.wait_for("mail is fetched again");
        keeper.stop(Signal::TERM);
        drop(server);
    }
}
