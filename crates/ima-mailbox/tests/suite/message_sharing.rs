//! The file of one message is that of many folders.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use ima_mailbox::Delivered::{Duplicate, Stored};
use ima_mailbox::{
    Act, Delivered, Folder, Heading, MailboxError, PathTarget, Target, deliver_to_all,
    deliver_to_paths,
};
use ima_message::HeaderBlock;
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::letter::{Letter, Parts, octets};
use crate::place::{assert_modes, findings, inode, live, names};

/// More folders than have their turn at once.
const MANY: usize = 60;

fn inboxes(dir: &TempDir, count: usize) -> Vec<PathBuf> {
    let inbox = |number| dir.path().join(format!("user{number}/inbox"));
    let inboxes: Vec<_> = (0..count).map(inbox).collect();
    for inbox in &inboxes {
        Folder::create(inbox).unwrap();
    }
    inboxes
}

/// In memory where that can be.
fn quick() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn file(inbox: &Path, letter: &Letter) -> PathBuf {
    inbox.join("messages").join(letter.name())
}

/// The folder is in order and holds the letter, octet for octet.
fn holds(inbox: &Path, letter: &Letter) {
    assert!(findings(inbox).is_empty(), "{:?}", findings(inbox));
    let live = live(inbox);
    assert_eq!(
        live[&letter.header.digest()].octets,
        letter.whole().len() as u64
    );
    let mut whole = fs::read(file(inbox, letter)).unwrap();
    for (number, _) in letter.header.attachments() {
        let attachment = file(inbox, letter).with_extension(number.to_string());
        whole.extend(fs::read(attachment).unwrap());
    }
    assert!(whole == letter.whole(), "{}", inbox.display());
    assert!(names(&inbox.join("tmp")).is_empty());
    assert_modes(inbox);
}

fn deliver<'a>(inboxes: impl IntoIterator<Item = &'a PathBuf>, letter: &'a Letter) -> Vec<Outcome> {
    let target = |path: &'a PathBuf| PathTarget {
        path,
        folder: None,
        header: &letter.header,
    };
    let targets: Vec<_> = inboxes.into_iter().map(target).collect();
    deliver_to_paths(&targets, &mut &*letter.data)
}

type Outcome = Result<Delivered, MailboxError>;

fn all(outcomes: Vec<Outcome>, delivered: Delivered) {
    for outcome in outcomes {
        assert_eq!(outcome.unwrap(), delivered);
    }
}

fn inodes<'a>(inboxes: impl IntoIterator<Item = &'a PathBuf>, letter: &Letter) -> BTreeSet<u64> {
    let inodes = inboxes.into_iter().map(|inbox| inode(&file(inbox, letter)));
    inodes.collect()
}

/// A header block that is made for each who asks.
#[derive(Debug)]
struct Made<'a>(&'a HeaderBlock);

impl Heading for Made<'_> {
    fn header(&self) -> Cow<'_, HeaderBlock> {
        Cow::Owned(self.0.clone())
    }
}

#[test]
fn folders_with_the_same_header_block_have_one_file() {
    let letters = [
        Letter::plain("plain"),
        Letter::full("full"),
        Parts::default().letter("no-parts"),
        // It is synced before it has its names.
        Parts::default()
            .inline(&octets(7, 200_000))
            .letter("long-text"),
    ];
    for count in [2, 4, MANY] {
        let dir = quick();
        let inboxes = inboxes(&dir, count);
        for letter in &letters {
            all(deliver(&inboxes, letter), Stored);
            let links = fs::metadata(file(&inboxes[0], letter)).unwrap().nlink();
            assert_eq!((links, inodes(&inboxes, letter).len()), (count as u64, 1));
            all(deliver(&inboxes, letter), Duplicate);
            assert_eq!(inodes(&inboxes, letter).len(), 1);
        }
        for letter in &letters {
            inboxes.iter().for_each(|inbox| holds(inbox, letter));
        }
    }
}

#[test]
fn a_crowd_of_several_blocks_has_one_file() {
    let dir = quick();
    // Whatever number of descriptors this process may have.
    let inboxes = inboxes(&dir, 300);
    let letters = [Letter::full("1"), Letter::plain("2")];
    for letter in &letters {
        all(deliver(&inboxes, letter), Stored);
        all(deliver(&inboxes, letter), Duplicate);
        let links = fs::metadata(file(&inboxes[0], letter)).unwrap().nlink();
        assert_eq!((links, inodes(&inboxes, letter).len()), (300, 1));
    }
    for inbox in inboxes.iter().step_by(37).chain(inboxes.last()) {
        letters.iter().for_each(|letter| holds(inbox, letter));
    }
}

#[test]
fn each_other_header_block_has_a_file_of_its_own() {
    let dir = quick();
    let inboxes = inboxes(&dir, MANY);
    let letter = |transport: &str| {
        let parts = Parts::default().inline(b"text").attach(b"attached");
        parts.letter_with("1", transport)
    };
    let common = letter("");
    let own: Vec<Letter> = (0..MANY)
        .map(|user| letter(&format!("bcc: user{user}@b.test\n")))
        .collect();
    let made: Vec<Made<'_>> = own.iter().map(|own| Made(&own.header)).collect();
    let is_own = |user: usize| user % 3 == 1;
    let targets: Vec<PathTarget<'_>> = inboxes
        .iter()
        .enumerate()
        .map(|(user, path)| PathTarget {
            path,
            folder: None,
            header: match is_own(user) {
                true => &made[user],
                false => &common.header,
            },
        })
        .collect();
    all(deliver_to_paths(&targets, &mut &*common.data), Stored);
    for (user, inbox) in inboxes.iter().enumerate() {
        let letter = if is_own(user) { &own[user] } else { &common };
        holds(inbox, letter);
        let links = fs::metadata(file(inbox, letter)).unwrap().nlink();
        assert_eq!(links, if is_own(user) { 1 } else { MANY as u64 * 2 / 3 });
    }
}

#[test]
fn header_blocks_of_the_same_octets_are_the_same_wherever_they_are() {
    let dir = quick();
    let inboxes = inboxes(&dir, 3);
    let letters = [0; 3].map(|_| Letter::full("1"));
    let folders: Vec<Folder> = inboxes
        .iter()
        .map(|path| Folder::open(path).unwrap())
        .collect();
    let targets: Vec<Target<'_>> = folders
        .iter()
        .zip(&letters)
        .map(|(folder, letter)| Target {
            folder,
            header: &letter.header,
        })
        .collect();
    all(deliver_to_all(&targets, &mut &*letters[0].data), Stored);
    assert_eq!(inodes(&inboxes, &letters[0]).len(), 1);
    // Those of an alias, one behind the other.
    let letter = Letter::full("2");
    let made = Made(&letter.header);
    let target = |path| PathTarget {
        path,
        folder: None,
        header: &made,
    };
    let targets: Vec<_> = inboxes.iter().map(|path| target(path)).collect();
    all(deliver_to_paths(&targets, &mut &*letter.data), Stored);
    assert_eq!(inodes(&inboxes, &letter).len(), 1);
}

#[test]
fn folders_on_two_file_systems_have_a_file_each() {
    let (memory, disk) = (quick(), tempfile::tempdir().unwrap());
    let (here, there) = (inboxes(&memory, MANY), inboxes(&disk, 3));
    let device = |dir: &TempDir| fs::metadata(dir.path()).unwrap().dev();
    let is_one = device(&memory) == device(&disk);
    let letter = Letter::full("1");
    let mixed = here[..10].iter().chain(&there).chain(&here[10..]);
    all(deliver(mixed, &letter), Stored);
    for inbox in here.iter().chain(&there) {
        holds(inbox, &letter);
    }
    let (here, there) = (inodes(&here, &letter), inodes(&there, &letter));
    assert_eq!((here.len(), there.len()), (1, 1));
    assert_eq!(here == there, is_one);
}

#[test]
fn folders_of_two_owners_have_a_file_each() {
    if !geteuid().is_root() {
        // Nobody else can make folders of two.
        return;
    }
    let dir = quick();
    let inboxes = inboxes(&dir, 6);
    for inbox in &inboxes[3..] {
        chown(inbox.join("messages"), Some(12345), None).unwrap();
    }
    let letter = Letter::plain("1");
    all(deliver(&inboxes, &letter), Stored);
    let (ours, theirs) = inboxes.split_at(3);
    let (ours, theirs) = (inodes(ours, &letter), inodes(theirs, &letter));
    assert_eq!((ours.len(), theirs.len()), (1, 1));
    assert_ne!(ours, theirs);
}

#[test]
fn a_damaged_file_is_replaced_under_one_name_and_the_others_stay() {
    for letter in [
        Letter::full("1"),
        Parts::default().inline(&octets(1, 200_000)).letter("1"),
    ] {
        let dir = quick();
        let inboxes = inboxes(&dir, 6);
        all(deliver(&inboxes, &letter), Stored);
        let shared = inode(&file(&inboxes[0], &letter));
        // One user's name leads elsewhere.
        fs::remove_file(file(&inboxes[2], &letter)).unwrap();
        fs::write(file(&inboxes[2], &letter), "rotten").unwrap();
        all(deliver(&inboxes, &letter), Duplicate);
        for (user, inbox) in inboxes.iter().enumerate() {
            assert_eq!(inode(&file(inbox, &letter)) == shared, user != 2);
            assert_eq!(
                fs::read(file(inbox, &letter)).unwrap(),
                fs::read(file(&inboxes[0], &letter)).unwrap()
            );
        }
        // The disk has lost what all have.
        let length = fs::metadata(file(&inboxes[0], &letter)).unwrap().len();
        let rotten = vec![b'x'; usize::try_from(length).unwrap()];
        fs::write(file(&inboxes[0], &letter), &rotten).unwrap();
        all(deliver(&inboxes[1..2], &letter), Duplicate);
        for (user, inbox) in inboxes.iter().enumerate() {
            let is_healed = [1, 2].contains(&user);
            assert_eq!(inode(&file(inbox, &letter)) == shared, !is_healed);
            assert_eq!(
                fs::read(file(inbox, &letter)).unwrap() == rotten,
                !is_healed
            );
        }
        all(deliver(&inboxes, &letter), Duplicate);
        assert_eq!(
            inodes([&inboxes[0], &inboxes[3], &inboxes[4]], &letter).len(),
            1
        );
        inboxes
            .iter()
            .for_each(|inbox| holds_as_duplicate(inbox, &letter));
    }
}

/// As [`holds`], where a file that was put there by hand has another mode.
fn holds_as_duplicate(inbox: &Path, letter: &Letter) {
    assert!(findings(inbox).is_empty(), "{:?}", findings(inbox));
    assert!(live(inbox).contains_key(&letter.header.digest()));
    assert!(names(&inbox.join("tmp")).is_empty());
}

#[test]
fn what_one_folder_deletes_or_repairs_the_others_keep() {
    let dir = quick();
    let inboxes = inboxes(&dir, 4);
    let letter = Letter::full("1");
    all(deliver(&inboxes, &letter), Stored);
    let digest = letter.header.digest();
    let folder = Folder::open(&inboxes[0]).unwrap();
    folder.apply(&[Act::Delete { digest }]).unwrap();
    folder.compact().unwrap();
    assert!(names(&inboxes[0].join("messages")).is_empty());
    fs::remove_dir_all(&inboxes[1]).unwrap();
    let name = file(&inboxes[2], &letter);
    assert_eq!(fs::metadata(&name).unwrap().nlink(), 2);
    inboxes[2..].iter().for_each(|inbox| holds(inbox, &letter));
    // A message that is set aside is so in one folder alone.
    let other = Letter::full("2");
    all(deliver(&inboxes[2..], &other), Stored);
    fs::rename(file(&inboxes[2], &other), &name).unwrap();
    ima_mailbox::repair::directory(&inboxes[2], ima_mailbox::repair::Tokens::Kept, &mut |_| {})
        .unwrap();
    assert!(!name.exists());
    holds(&inboxes[3], &letter);
    holds(&inboxes[3], &other);
}

#[test]
fn a_folder_that_died_before_its_add_is_completed_from_what_all_share() {
    let dir = quick();
    let inboxes = inboxes(&dir, MANY);
    let letter = Letter::full("1");
    let before: Vec<_> = inboxes
        .iter()
        .map(|inbox| fs::read(inbox.join("journal")).unwrap())
        .collect();
    all(deliver(&inboxes, &letter), Stored);
    for (inbox, journal) in inboxes.iter().zip(&before).skip(1) {
        fs::write(inbox.join("journal"), journal).unwrap();
    }
    all(deliver(&inboxes, &letter), Duplicate);
    inboxes.iter().for_each(|inbox| holds(inbox, &letter));
    assert_eq!(inodes(&inboxes, &letter).len(), 1);
}
