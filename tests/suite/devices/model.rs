//! The devices, the server, and what is known to have happened to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use ima_mailbox::{Act, Mailbox};
use ima_message::{DateTime, FlagChange, FolderName, HeaderBlock, MessageDigest};

use super::Event;
use super::contents::{Contents, brief, contents, copies};
use super::history::{History, What};
use crate::fetch::Place;
use crate::peer::Relay;
use crate::site::{Server, code, stderr};

const FOLDERS: [&str; 3] = ["inbox", "archive", "trash"];
const FLAGS: [&str; 3] = ["seen", "flagged", "junk"];
/// Messages that there are at all.
const LETTERS: usize = 16;
/// Synchronisations after which it must be quiet.
const ROUNDS: usize = 8;

/// One of those that hold the mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Replica {
    /// A device,
    One,
    /// another,
    Two,
    /// and the server.
    Server,
}

/// What is the same for all cases.
pub struct World {
    place: Place,
    server: Server,
    relay: Relay,
    letters: Vec<Vec<u8>>,
}

/// One case.
struct Case<'a> {
    world: &'a World,
    unused: Vec<&'a Vec<u8>>,
    history: History,
    known: BTreeMap<Replica, BTreeSet<usize>>,
    /// Since it synchronised: where a replica had moved a message from first, and
    /// its moves.
    ways: BTreeMap<(Replica, MessageDigest), Vec<(String, usize)>>,
    /// Journals that were written anew, until their devices synchronise: which flags
    /// were changed there since, nobody can tell.
    anew: BTreeSet<(Replica, String)>,
    /// What each has done since it synchronised.
    own: BTreeMap<Replica, Vec<usize>>,
    /// No device was cut off or has forgotten anything: what is known of everybody is
    /// so.
    is_certain: bool,
    /// What happened, for whoever looks for the reason.
    story: Vec<String>,
}

impl World {
    pub fn new() -> World {
        let place = Place::new();
        let letters = (0..LETTERS)
            .map(|n| match n % 3 {
                0 => place.letter(&format!("{n}\n"), &[b"the same", format!("{n}").as_bytes()]),
                _ => place.letter(&format!("{n}\n"), &[]),
            })
            .collect();
        let server = place.b.start_office();
        let relay = Relay::to(server.address);
        World {
            place,
            server,
            relay,
            letters,
        }
    }

    fn directory(&self, replica: Replica) -> PathBuf {
        match replica {
            Replica::One => self.place.file("one"),
            Replica::Two => self.place.file("two"),
            Replica::Server => self.place.b.mailbox("bob"),
        }
    }

    fn mailbox(&self, replica: Replica) -> Mailbox {
        Mailbox::open(&self.directory(replica)).unwrap()
    }

    /// What the server holds.
    pub fn held(&self) -> Contents {
        contents(&self.mailbox(Replica::Server))
    }

    /// Plays a case from the start to its end.
    pub fn play(&self, events: &[Event]) -> Result<(), String> {
        let mut case = Case {
            world: self,
            unused: self.letters.iter().collect(),
            history: History::default(),
            known: BTreeMap::new(),
            ways: BTreeMap::new(),
            anew: BTreeSet::new(),
            own: BTreeMap::new(),
            is_certain: true,
            story: Vec::new(),
        };
        case.begin();
        let outcome = events.iter().try_for_each(|event| case.happen(event));
        let outcome = outcome.and_then(|()| case.end());
        outcome.map_err(|why| format!("{why}\n{}", case.story.join("\n")))
    }
}

impl Case<'_> {
    fn begin(&mut self) {
        let world = self.world;
        for replica in [Replica::One, Replica::Two, Replica::Server] {
            let directory = world.directory(replica);
            let _ = fs::remove_dir_all(&directory);
            fs::create_dir(&directory).unwrap();
            self.known.insert(replica, BTreeSet::new());
        }
        let mailbox = world.mailbox(Replica::Server);
        for name in FOLDERS {
            mailbox.create_folder(&name.parse().unwrap()).unwrap();
        }
        for device in [Replica::One, Replica::Two] {
            self.new_message(Replica::Server, 0, 0);
            self.synchronise(device, None).unwrap();
        }
    }

    fn happen(&mut self, event: &Event) -> Result<(), String> {
        match *event {
            Event::New(replica, which, folder) => self.new_message(replica, which, folder),
            Event::Flag(replica, which, flag) => self.flag(replica, which, FLAGS[flag]),
            Event::Move(replica, which, folder) => self.relocate(replica, which, FOLDERS[folder]),
            Event::Delete(replica, which) => self.delete(replica, which),
            Event::Compact(replica, folder) => self.compact(replica, FOLDERS[folder]),
            Event::Synchronise(device) => self.synchronise(device, None)?,
            Event::Cut(device, octets) => {
                self.is_certain = false;
                self.world.relay.cut_after(octets);
                self.synchronise(device, Some(false))?;
                self.world.relay.cut_after(u64::MAX);
            }
            Event::Kill(device, octets) => {
                self.is_certain = false;
                self.world.relay.cut_after(u64::MAX);
                self.kill(device, octets);
            }
        }
        Ok(())
    }

    /// One of the messages that a replica holds.
    fn choose(&self, replica: Replica, which: usize) -> Option<(FolderName, MessageDigest)> {
        let all: Vec<_> = contents(&self.world.mailbox(replica))
            .into_iter()
            .flat_map(|(folder, messages)| {
                let digests: Vec<_> = messages.into_keys().collect();
                digests
                    .into_iter()
                    .map(move |digest| (folder.parse().unwrap(), digest.parse().unwrap()))
            })
            .collect();
        all.get(which % all.len().max(1)).cloned()
    }

    fn tell(&mut self, replica: Replica, digest: MessageDigest, what: &str) {
        let number = self.history.len();
        self.story.push(format!(
            "{number} {replica:?} {:.6}: {what}",
            digest.to_string()
        ));
    }

    /// It happens, and has a number then.
    fn note(&mut self, replica: Replica, digest: MessageDigest, what: What) -> usize {
        let copies = copies(&contents(&self.world.mailbox(replica)), digest);
        let known = self.known.get_mut(&replica).unwrap();
        let own = self.own.entry(replica).or_default();
        let number = self.history.add((digest, what), copies, known.clone(), own);
        own.push(number);
        known.insert(number);
        number
    }

    fn new_message(&mut self, replica: Replica, which: usize, folder: usize) {
        if self.unused.is_empty() {
            return;
        }
        let letter = self.unused.remove(which % self.unused.len());
        let mailbox = self.world.mailbox(replica);
        let name = FOLDERS[folder].parse().unwrap();
        let Some(folder) = mailbox.folder(&name).unwrap() else {
            return;
        };
        let mut rest = letter.as_slice();
        let header = HeaderBlock::read(&mut rest).unwrap();
        let mut batch = folder.batch_of_user().unwrap();
        let time = DateTime::parse("2026-11-22T09:30:02Z").unwrap();
        batch.stage(&header, &mut rest, time).unwrap();
        batch.commit().unwrap();
        self.tell(replica, header.digest(), &format!("new in {name}"));
        self.note(replica, header.digest(), What::New);
    }

    fn flag(&mut self, replica: Replica, which: usize, flag: &str) {
        let Some((folder, digest)) = self.choose(replica, which) else {
            return;
        };
        let mailbox = self.world.mailbox(replica);
        let is_set = contents(&mailbox)[folder.as_str()][&digest.to_string()].contains(flag);
        let changes = vec![FlagChange {
            flag: flag.parse().unwrap(),
            set: !is_set,
        }];
        self.tell(replica, digest, &format!("{changes:?} in {folder}"));
        let name = folder.to_string();
        let folder = mailbox.folder(&folder).unwrap().unwrap();
        folder.apply(&[Act::Flag { digest, changes }]).unwrap();
        let flagged = self.note(replica, digest, What::Flagged(flag.to_owned(), !is_set));
        if self.anew.contains(&(replica, name)) {
            self.history.forget(flagged);
        }
    }

    fn relocate(&mut self, replica: Replica, which: usize, to: &str) {
        let Some((from, digest)) = self.choose(replica, which) else {
            return;
        };
        if from.as_str() != to {
            let mailbox = self.world.mailbox(replica);
            mailbox
                .move_message(&from, digest, &to.parse().unwrap())
                .unwrap();
            self.tell(replica, digest, &format!("moved from {from} to {to}"));
            let moved = self.note(replica, digest, What::Moved(to.to_owned()));
            let way = self.ways.entry((replica, digest)).or_default();
            if way.is_empty() {
                way.push((from.to_string(), moved));
            } else {
                way.push((String::new(), moved));
            }
            // Who moved it away and back has changed nothing.
            if way[0].0 == to {
                for (_, number) in std::mem::take(way) {
                    self.history.forget(number);
                }
                // Nor can anybody tell what came back with it.
                if self.anew.contains(&(replica, to.to_owned())) {
                    self.history.forget_flags(&self.own[&replica], digest);
                }
            }
        }
    }

    fn delete(&mut self, replica: Replica, which: usize) {
        let Some((folder, digest)) = self.choose(replica, which) else {
            return;
        };
        let mailbox = self.world.mailbox(replica);
        self.tell(replica, digest, &format!("deleted in {folder}"));
        let folder = mailbox.folder(&folder).unwrap().unwrap();
        folder.apply(&[Act::Delete { digest }]).unwrap();
        self.note(replica, digest, What::Deleted);
    }

    fn compact(&mut self, replica: Replica, name: &str) {
        let mailbox = self.world.mailbox(replica);
        let folder = mailbox.folder(&name.parse().unwrap()).unwrap().unwrap();
        folder.compact().unwrap();
        self.story.push(format!("{replica:?}: a journal anew"));
        if replica != Replica::Server {
            self.is_certain = false;
            self.anew.insert((replica, name.to_owned()));
            let server = &self.known[&Replica::Server];
            for number in self.known[&replica].difference(server) {
                self.history.forget(*number);
            }
        }
    }

    fn command(&self, device: Replica) -> Command {
        let config = self.world.place.file("devices.toml");
        let text = format!(
            "roots = [\"ca/ca.pem\"]\naddress = \"bob@b.test\"\ncertificate = \"bob.pem\"\n\
             key = \"bob.key\"\n[hosts]\n\"b.test\" = \"{}\"\n",
            self.world.relay.address
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(crate::site::program("fetch-mail"));
        command.arg("--config").arg(config);
        command.arg(self.world.directory(device));
        command.env_remove("EMEMO_CONFIG_DIR").stdin(Stdio::null());
        command
    }

    /// `is_whole`: it must come to its end.
    fn synchronise(&mut self, device: Replica, is_whole: Option<bool>) -> Result<(), String> {
        let output = self.command(device).output().unwrap();
        let well = code(&output) == 0 && output.stderr.is_empty();
        let cut = is_whole == Some(false) && code(&output) == 2;
        if !well && !cut {
            let code = code(&output);
            return Err(format!(
                "{device:?}: exit status {code}: {}",
                stderr(&output)
            ));
        }
        if code(&output) == 0 {
            self.anew.retain(|(replica, _)| *replica != device);
        }
        self.meet(device);
        Ok(())
    }

    /// What one knew, the other knows. Of what was cut off nobody can say: what may
    /// be known counts as known.
    fn meet(&mut self, device: Replica) {
        let server = &self.known[&Replica::Server];
        let both: BTreeSet<usize> = self.known[&device].union(server).copied().collect();
        let own = self.own.remove(&device).unwrap_or_default();
        self.history.meet(&own, server);
        self.ways.retain(|(replica, _), _| *replica != device);
        self.own.remove(&Replica::Server);
        let (one, server) = (
            self.world.mailbox(device),
            self.world.mailbox(Replica::Server),
        );
        let (one, server) = (brief(&one), brief(&server));
        self.story
            .push(format!("{device:?} synchronised: {one}; server {server}"));
        self.known.insert(device, both.clone());
        self.known.insert(Replica::Server, both);
    }

    fn kill(&mut self, device: Replica, octets: u64) {
        let relay = &self.world.relay;
        let until = relay.octets_back() + octets;
        let mut command = self.command(device);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            if relay.octets_back() >= until {
                child.kill().unwrap();
            }
            thread::yield_now();
        }
        self.story
            .push(format!("{device:?} was killed or came to its end"));
        self.meet(device);
    }

    /// All synchronise until it is quiet; then all must be the same, and nothing
    /// lost.
    fn end(&mut self) -> Result<(), String> {
        let all = |case: &Self| {
            [Replica::One, Replica::Two, Replica::Server]
                .map(|replica| contents(&case.world.mailbox(replica)))
        };
        let mut before = all(self);
        for _ in 0..ROUNDS {
            for device in [Replica::One, Replica::Two] {
                self.synchronise(device, None)?;
            }
            let now = all(self);
            if now == before {
                break;
            }
            before = now;
        }
        let [one, two, server] = before;
        if one != server || two != server {
            return Err(format!(
                "they differ:\none: {one:#?}\ntwo: {two:#?}\nserver: {server:#?}"
            ));
        }
        self.check_journals()?;
        let altered = self.history.altered(&server);
        match (self.history.lost(&server), altered) {
            (Some(digest), _) => Err(format!("{digest} is lost")),
            (None, Some(digest)) if self.is_certain => {
                Err(format!("{digest} is otherwise than it was left"))
            }
            _ => Ok(()),
        }
    }

    fn check_journals(&self) -> Result<(), String> {
        for replica in [Replica::One, Replica::Two, Replica::Server] {
            for name in FOLDERS {
                let folder = self.world.directory(replica).join(name);
                let output =
                    crate::site::run("ima-mailbox", &["check".as_ref(), folder.as_os_str()], b"");
                if code(&output) != 0 {
                    let said = String::from_utf8_lossy(&output.stdout).into_owned();
                    return Err(format!("{replica:?}, {name}: {said}{}", stderr(&output)));
                }
            }
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.server.child.kill();
    }
}
