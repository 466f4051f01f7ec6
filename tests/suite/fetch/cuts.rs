//! A transfer that is cut at any octet, and run again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{Contents, Place, contents, folder};
use crate::peer::office::{Folder, Office};
use crate::peer::{Cut, Identity, Relay};
use crate::site::{code, stderr};

const CUTS: [Cut; 3] = [Cut::CloseNotify, Cut::Fin, Cut::Reset];

/// Letters with and without attachments, which some of them share.
fn folders(place: &Place) -> [Folder; 2] {
    let letters = [
        place.letter("one\n", &[]),
        place.letter("two\n", &[b"attached to two of them", b"to one"]),
        place.letter("three\n", &[b"attached to two of them"]),
    ];
    let other = [place.letter("four\n", &[b"another"])];
    [folder("inbox", &letters), folder("archive", &other)]
}

/// Every so many octets: `EMEMO_STRIDE` says how many, or else it is a prime, and
/// each run of the tests begins at another octet.
fn octets(total: usize) -> impl Iterator<Item = usize> {
    let stride = std::env::var("EMEMO_STRIDE").map_or(211, |text| text.parse().unwrap());
    let begin = usize::try_from(std::process::id()).unwrap() % stride;
    (begin..total).step_by(stride)
}

/// Cut by the server after so many octets of its answers.
#[test]
fn cut_at_any_octet_of_the_answers_it_goes_on_and_fetches_nothing_twice() {
    let place = Place::new();
    let (identity, folders) = (place.identity(), folders(&place));
    let whole = Office::start(&identity, &folders, |_, said| said);
    place.fetch_well(whole.address);
    let expected: Vec<_> = ["inbox", "archive"]
        .map(|name| contents(&place.mail().join(name)))
        .into();
    let told: Vec<u8> = whole
        .answered()
        .iter()
        .flat_map(|line| crate::peer::office::answer(&folders, &|_, said| said, line))
        .collect();
    assert!(told.len() > 2000, "{}", told.len());
    for (number, octets) in octets(told.len()).enumerate() {
        let cut = (octets, CUTS[number % CUTS.len()]);
        let come = come_whole(&folders, &told[..octets]);
        cut_and_go_on(&place, &identity, &folders, cut, (&expected, &come));
    }
}

/// The messages, but for their attachments, that are in what a server has said.
fn come_whole(folders: &[Folder], said: &[u8]) -> BTreeSet<String> {
    let letters = folders.iter().flat_map(|folder| &folder.letters);
    let come = letters.filter(|letter| {
        let mut places = said.windows(letter.body.len());
        places.any(|place| place == letter.body)
    });
    come.map(|letter| letter.digest.to_string()).collect()
}

fn cut_and_go_on(
    place: &Place,
    identity: &Identity,
    folders: &[Folder],
    cut: (usize, Cut),
    (expected, come): (&[Contents], &BTreeSet<String>),
) {
    fs::remove_dir_all(place.mail()).unwrap();
    let office = Office::start_cut(identity, folders, |_, said| said, &[cut]);
    let output = place.fetch(office.address);
    assert_eq!(code(&output), 2, "{cut:?}: {}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1, "{cut:?}");
    let first: BTreeSet<String> = office.answered().into_iter().collect();
    let before = office.lines().len();
    place.check();
    let kept = place.partials();
    let size = |name: &str| {
        let path = place.mail().join(".fetch-mail/partial").join(name);
        fs::metadata(path).map_or(0, |data| data.len())
    };
    let sizes: BTreeMap<String, u64> = kept.iter().map(|n| (n.clone(), size(n))).collect();
    let messages = ["inbox", "archive"].map(|name| place.mail().join(name).join("messages"));
    let stored: BTreeSet<String> = messages
        .iter()
        .flat_map(|path| fs::read_dir(path).into_iter().flatten())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();

    place.fetch_well(office.address);
    let again = office.lines()[before..].to_vec();
    let is_first = again.iter().any(|line| line.ends_with(" messages"));
    assert!(
        !is_first || (stored.is_empty() && kept.is_empty()),
        "{cut:?}: all of it again"
    );
    // A reset throws away what the other has not read: what had come, only what lies
    // here can tell.
    let is_read = !matches!(cut.1, Cut::Reset);
    assert!(
        !(is_read && is_first) || come.is_empty(),
        "{cut:?}: {come:?} again"
    );
    for (name, expected) in ["inbox", "archive"].iter().zip(expected) {
        assert!(
            contents(&place.mail().join(name)) == *expected,
            "{cut:?}: {name}"
        );
    }
    assert_eq!(place.partials(), [""; 0], "{cut:?}");
    for line in &again {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["FETCH", _, digest] => {
                assert!(!stored.contains(digest), "{cut:?}: {line}, and it is there");
                assert!(!(is_read && come.contains(digest)), "{cut:?}: {line} again");
                let begun = format!("{digest}.message");
                let body = sizes.get(&begun).copied().unwrap_or(0);
                assert!(
                    body < length(folders, digest),
                    "{cut:?}: {line}, and it is whole"
                );
            }
            ["PART", _, digest, from] => {
                let is_here = sizes.get(digest).copied().unwrap_or(0);
                assert_eq!(from, is_here.to_string(), "{cut:?}: {line}");
            }
            _ => continue,
        }
        let is_told = is_read && first.contains(line);
        assert!(!is_told, "{cut:?}: {line} again");
    }
    // Of an attachment that was cut, only the rest was asked for.
    let mut parts: Vec<(String, usize)> = Vec::new();
    for line in office
        .lines()
        .iter()
        .filter(|line| line.starts_with("PART"))
    {
        let (digest, from) = line["PART ".len()..].rsplit_once(' ').unwrap();
        parts.push((digest.to_owned(), from.parse().unwrap()));
    }
    let digests: BTreeSet<_> = parts.iter().map(|(digest, _)| digest).collect();
    assert_eq!(digests.len(), 3, "{cut:?}: {parts:?}");
}

/// How long a message is without its attachments.
fn length(folders: &[Folder], digest: &str) -> u64 {
    let letters = folders.iter().flat_map(|folder| &folder.letters);
    let mut letters = letters.filter(|letter| letter.digest.to_string() == digest);
    letters.next().unwrap().body.len() as u64
}

/// Cut between the programs after so many octets of TLS: in the handshake too.
#[test]
fn cut_at_any_octet_of_the_connection_it_goes_on() {
    let place = Place::new();
    let photo = vec![7; 1000];
    place.deliver("inbox", &place.letter("one\n", &[&photo]));
    place.deliver("inbox", &place.letter("two\n", &[&photo, b"short"]));
    place.deliver("archive", &place.letter("three\n", &[]));
    let server = place.b.start_office();
    let relay = Relay::to(server.address);
    place.fetch_well(relay.address);
    let total = usize::try_from(relay.octets_back()).unwrap();
    for octets in octets(total - 64) {
        fs::remove_dir_all(place.mail()).unwrap();
        relay.cut_after(octets as u64 + 1);
        let output = place.fetch(relay.address);
        assert_eq!(code(&output), 2, "{octets}: {}", stderr(&output));
        relay.cut_after(u64::MAX);
        place.fetch_well(relay.address);
        for name in ["inbox", "archive"] {
            let (here, there) = (place.mail().join(name), place.b.mailbox("bob").join(name));
            let (here, there) = (contents(&here), contents(&there));
            assert_eq!(here.1, there.1, "{octets}: {name}");
            assert!(here == there, "{octets}: {name}");
        }
        assert_eq!(place.partials(), [""; 0], "{octets}");
    }
}
