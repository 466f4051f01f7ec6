//! A post office that holds letters, and says of them what a test wants.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use ima_message::{HeaderBlock, MessageDigest, PartDigest};

use super::{Cut, Ending, Identity, Peer, Receiver, server_config};

/// The generation of every journal.
pub const GENERATION: &str = "6f0c9a1b2d3e4f50";
/// In the place of the answer to a STORE, as long as its digest is not known.
const STORED: &[u8] = b"OK stored\n";
/// Octets of a journal's first line.
const FIRST_LINE: usize = 31;

/// A letter, taken to pieces.
#[derive(Clone)]
pub struct Letter {
    pub digest: MessageDigest,
    /// Header block and inline parts.
    pub body: Vec<u8>,
    pub attachments: Vec<(PartDigest, Vec<u8>)>,
    pub octets: usize,
}

impl Letter {
    pub fn new(octets: &[u8]) -> Letter {
        let mut data = octets;
        let header = HeaderBlock::read(&mut data).unwrap();
        let inline: u64 = header.inline_parts().map(|part| part.length()).sum();
        let (inline, mut rest) = data.split_at(usize::try_from(inline).unwrap());
        let mut attachments = Vec::new();
        for (_, part) in header.attachments() {
            let (octets, behind) = rest.split_at(usize::try_from(part.length()).unwrap());
            attachments.push((part.digest(), octets.to_vec()));
            rest = behind;
        }
        Letter {
            digest: header.digest(),
            body: [header.as_bytes(), inline].concat(),
            attachments,
            octets: octets.len(),
        }
    }

    /// Its line in a journal.
    fn line(&self) -> String {
        format!("add {} 2026-11-22T09:30:02Z {}", self.digest, self.octets)
    }
}

/// A folder of letters.
#[derive(Clone)]
pub struct Folder {
    pub name: &'static str,
    pub letters: Vec<Letter>,
}

impl Folder {
    /// The end of its journal behind so many letters.
    fn offset(&self, letters: usize) -> usize {
        let lines = self.letters[..letters].iter();
        FIRST_LINE + lines.map(|letter| letter.line().len() + 1).sum::<usize>()
    }

    pub fn token(&self, letters: usize) -> String {
        format!("{GENERATION}.{}", self.offset(letters))
    }

    /// What an honest server says; `block` is what follows the `add` of a letter, or
    /// `None` where that is left out.
    fn list(&self, since: &str, block: impl Fn(&Letter) -> Option<Vec<u8>>) -> Vec<u8> {
        let mut said = Vec::new();
        let all = self.letters.len();
        let from = match since {
            "-" => 0,
            token => match (0..=all).find(|count| self.token(*count) == token) {
                Some(from) => from,
                None => return format!("RESET {}\n", self.token(all)).into_bytes(),
            },
        };
        for (index, letter) in self.letters.iter().enumerate().skip(from) {
            if let Some(block) = block(letter) {
                let line = format!("+ {} {}\n", letter.line(), self.token(index + 1));
                said.extend([line.into_bytes(), block].concat());
            }
        }
        said.extend(format!("OK {}\n", self.token(all)).into_bytes());
        said
    }
}

/// What `twist` makes of the honest answers to a command: of messages that come with
/// a list, what it makes of the answer to a FETCH of each.
pub fn answer(
    folders: &[Folder],
    twist: &impl Fn(&str, Vec<u8>) -> Vec<u8>,
    line: &str,
) -> Vec<u8> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["SYNC", name, since, "messages"] = words[..] else {
        return twist(line, honest(folders, line));
    };
    let folder = folders.iter().find(|folder| folder.name == name).unwrap();
    let said = folder.list(since, |letter| {
        let fetch = format!("FETCH {name} {}", letter.digest);
        let mut said = twist(&fetch, honest(folders, &fetch));
        if said.ends_with(b"OK\n") {
            said.truncate(said.len() - 3);
        }
        (!said.starts_with(b"FAIL")).then_some(said)
    });
    twist(line, said)
}

/// What an honest server says to a command.
fn honest(folders: &[Folder], line: &str) -> Vec<u8> {
    let words: Vec<&str> = line.split(' ').collect();
    let folder = |name: &str| folders.iter().find(|folder| folder.name == name).unwrap();
    let block = |line: String, octets: &[u8]| [line.as_bytes(), octets, b"OK\n"].concat();
    match words[..] {
        ["FOLDERS"] => {
            let mut text = String::new();
            for folder in folders {
                let (name, count) = (folder.name, folder.letters.len());
                let octets: usize = folder.letters.iter().map(|letter| letter.octets).sum();
                let token = folder.token(count);
                text += &format!("+ {name} {count} {count} {octets} {token}\n");
            }
            (text + "OK\n").into_bytes()
        }
        ["SYNC", name, since, "list"] => folder(name).list(since, |_| Some(Vec::new())),
        ["SYNC", name, since, "headers"] => folder(name).list(since, |letter| {
            let end = letter
                .body
                .windows(2)
                .position(|two| two == b"\n\n")
                .unwrap()
                + 2;
            Some([format!("+ header {end}\n").as_bytes(), &letter.body[..end]].concat())
        }),
        ["FETCH", name, digest] => {
            let mut letters = folder(name).letters.iter();
            match letters.find(|letter| letter.digest.to_string() == digest) {
                Some(letter) => block(format!("+ message {}\n", letter.body.len()), &letter.body),
                None => b"FAIL no such message\n".to_vec(),
            }
        }
        ["PART", name, digest, from] => {
            let attachments = folder(name).letters.iter().flat_map(|l| &l.attachments);
            let octets = attachments
                .clone()
                .find(|(sha, _)| sha.to_string() == digest);
            match octets {
                Some((_, octets)) => {
                    let rest = &octets[from.parse::<usize>().unwrap()..];
                    block(format!("+ attachment {digest} {}\n", rest.len()), rest)
                }
                None => b"FAIL no such attachment\n".to_vec(),
            }
        }
        ["STORE", ..] => STORED.to_vec(),
        _ => b"OK\n".to_vec(),
    }
}

/// A running post office.
pub struct Office {
    pub address: SocketAddr,
    heard: Receiver,
    whole: Arc<Mutex<Vec<String>>>,
}

impl Office {
    /// Says to each command what `twist` makes of the honest answer to its line.
    pub fn start(
        identity: &Identity,
        folders: &[Folder],
        twist: impl Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) -> Office {
        Office::start_cut(identity, folders, twist, &[])
    }

    /// The same; and of each of the first connections no more than so many octets
    /// of its answers are sent before it is cut.
    pub fn start_cut(
        identity: &Identity,
        folders: &[Folder],
        twist: impl Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
        cuts: &[(usize, Cut)],
    ) -> Office {
        let mut config = server_config(identity);
        config.alpn_protocols = vec![b"imrp/1".to_vec()];
        let (folders, cuts) = (folders.to_vec(), cuts.to_vec());
        let whole = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&whole);
        let heard = Receiver::start_with(config, move |number, peer| {
            let cut = cuts.get(number).copied();
            serve(peer, cut, &told, |line| answer(&folders, &twist, line));
        });
        Office {
            address: heard.address,
            heard,
            whole,
        }
    }

    /// The commands so far.
    pub fn lines(&self) -> Vec<String> {
        self.heard.lines()
    }

    /// The commands whose answers were sent to their last octet.
    pub fn answered(&self) -> Vec<String> {
        self.whole.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.heard.connections()
    }
}

fn serve(
    mut peer: Peer,
    cut: Option<(usize, Cut)>,
    told: &Mutex<Vec<String>>,
    answer: impl Fn(&str) -> Vec<u8>,
) {
    let mut left = cut.map(|(octets, _)| octets);
    loop {
        let (line, stored) = match peer.command() {
            Ok(said) => (said.line, said.octets),
            Err(Ending::Proper | Ending::Truncated | Ending::Reset) => return,
            Err(ending) => panic!("{ending:?}"),
        };
        if line == "DONE" {
            peer.close();
            return;
        }
        let octets = match answer(&line) {
            said if said == STORED && !stored.is_empty() => {
                format!("OK {}\n", Letter::new(&stored).digest).into_bytes()
            }
            said => said,
        };
        match (left, cut) {
            (Some(room), Some((_, how))) if octets.len() > room => {
                // A client that has seen enough is gone.
                let _ = peer.try_send(&octets[..room]);
                peer.cut(how);
                return;
            }
            (Some(room), _) => left = Some(room - octets.len()),
            (None, _) => {}
        }
        told.lock().unwrap().push(line);
        if peer.try_send(&octets).is_err() {
            return;
        }
    }
}
