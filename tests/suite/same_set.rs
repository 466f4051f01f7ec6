//! What server-receive accepts is what server-give-recipient accepts, over all the
//! test vectors. The fuzz target of this name does it in memory.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ima_mailbox::Folder;
use ima_message::HeaderBlock;

use crate::pages::root;
use crate::peer::{Identity, Peer};
use crate::site::{Host, Site, code, program, run, stderr};

/// Good messages that did not come on a good way, and what is said of that: where
/// a message came from is said by a server and not by its sender, and whose mail
/// comes from another host needs a signature that cannot be checked yet.
const OF_THE_WAY: [(&str, &str); 2] = [
    ("accept/received.ima", "REJECT format "),
    ("accept/only-deliver.ima", "DEFER 3600 "),
];

/// Every vector, good or not.
fn vectors() -> Vec<(PathBuf, Vec<u8>)> {
    let mut vectors = Vec::new();
    for kind in ["accept", "reject"] {
        let folder = root().join("tests/data/vectors").join(kind);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|suffix| suffix == "ima") {
                let octets = fs::read(&path).unwrap();
                vectors.push((path, octets));
            }
        }
    }
    vectors
}

/// Header block and data, as a sender would part them.
fn parted(message: &[u8]) -> (&[u8], &[u8]) {
    let end = message.windows(2).position(|two| two == b"\n\n");
    message.split_at(end.map_or(message.len(), |end| end + 2))
}

/// The digests of the messages in a folder.
fn journal(inbox: &Path) -> BTreeSet<String> {
    let journal = fs::read_to_string(inbox.join("journal")).unwrap();
    let digest = |line: &str| Some(line.strip_prefix("add ")?.split(' ').next()?.to_owned());
    journal.lines().filter_map(digest).collect()
}

fn inbox(site: &Site, name: &str) -> PathBuf {
    let mailbox = site.path().join(name);
    fs::create_dir(&mailbox).unwrap();
    Folder::create(&mailbox.join("inbox")).unwrap();
    mailbox.join("inbox")
}

/// b.test, which gives all that it receives to one inbox.
fn all_for_one(site: &Site, inbox: &Path) -> Host {
    let b = site.host("b.test", &["bob"]);
    let handler = format!(
        "{:?}",
        [&program("server-give-recipient"), inbox, Path::new("-")]
    );
    b.set("server-receive.toml", "check", "[\"true\"]");
    b.set("server-receive.toml", "handler", &handler);
    b
}

#[test]
fn a_message_that_is_received_is_one_that_a_mailbox_takes_and_none_else() {
    let site = Site::new();
    let (received, given) = (inbox(&site, "received"), inbox(&site, "given"));
    let server = all_for_one(&site, &received).start();
    let vectors = vectors();
    // One who speaks for every author.
    let author = |(_, octets): &(PathBuf, Vec<u8>)| {
        let header = HeaderBlock::parse(parted(octets).0).ok()?;
        Some(header.return_path().hostpart().ascii().to_owned())
    };
    let authors: BTreeSet<String> = vectors.iter().filter_map(author).collect();
    let peer = Identity::adjusted(&site, "a.test", |params| {
        *params = rcgen::CertificateParams::new(Vec::from_iter(authors)).unwrap();
    });
    for (path, message) in &vectors {
        let mut peer = Peer::dial(server.address, &peer);
        let (block, data) = parted(message);
        peer.send(&[format!("HEADERS {}\n", block.len()).as_bytes(), block].concat());
        let mut answer = peer.answer();
        if answer == ["ACCEPT"] {
            peer.send(&[format!("DATA {}\n", data.len()).as_bytes(), data].concat());
            answer = peer.answer();
        }
        if let Some((_, said)) = OF_THE_WAY.iter().find(|(name, _)| path.ends_with(name)) {
            assert!(answer[0].starts_with(said), "{answer:?}");
            continue;
        }
        let output = run("server-give-recipient", &[&given], message);
        let is_given = code(&output) == 0;
        assert!(is_given || code(&output) == 1, "{}", path.display());
        let is_good = path.parent().unwrap().ends_with("accept");
        let name = path.display();
        assert_eq!(is_given, is_good, "{name}: {}", stderr(&output));
        let is_received = answer.last().unwrap() == "OK";
        assert_eq!(is_received, is_given, "{name}: {answer:?}");
    }
    assert_eq!(journal(&received), journal(&given));
    assert!(journal(&given).len() > 15, "all that are good");
}
