//! One message for many folders.

mod locked;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use ima_mailbox::Delivered::{self, Duplicate, Stored};
use ima_mailbox::{
    Act, Folder, MailboxError, Outcomes, PathTarget, Target, deliver_to_all, deliver_to_paths,
    deliver_to_paths_early,
};
use ima_message::DataError;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::letter::{Letter, Parts, octets};
use crate::place::{assert_modes, findings, inode, live, names, tree};

/// More folders than have their turn at once.
const MANY: usize = 60;

/// Folders of users, and what is on their disk.
struct Users {
    dir: TempDir,
    inboxes: Vec<PathBuf>,
}

impl Users {
    /// In memory where that can be, for tests to which it does not matter what a sync
    /// brings where.
    fn new(count: usize) -> Self {
        let memory = tempfile::tempdir_in("/dev/shm");
        Self::in_dir(
            count,
            memory.unwrap_or_else(|_| tempfile::tempdir().unwrap()),
        )
    }

    /// On a disk, whose file system makes no file in a directory that was removed.
    fn on_disk(count: usize) -> Self {
        Self::in_dir(count, tempfile::tempdir().unwrap())
    }

    fn in_dir(count: usize, dir: TempDir) -> Self {
        let inbox = |number| dir.path().join(format!("user{number}/inbox"));
        let inboxes: Vec<_> = (0..count).map(inbox).collect();
        for inbox in &inboxes {
            Folder::create(inbox).unwrap();
        }
        Self { dir, inboxes }
    }

    fn open(&self) -> Vec<Folder> {
        let folders = self.inboxes.iter().map(|path| Folder::open(path));
        folders.map(Result::unwrap).collect()
    }
}

type Outcome = Result<Delivered, MailboxError>;

fn deliver(folders: &[Folder], letter: &Letter, data: &mut dyn Read) -> Vec<Outcome> {
    let header = &letter.header;
    let target = |folder| Target { folder, header };
    deliver_to_all(&folders.iter().map(target).collect::<Vec<_>>(), data)
}

fn deliver_all(folders: &[Folder], letter: &Letter) -> Vec<Outcome> {
    deliver(folders, letter, &mut &*letter.data)
}

fn all(outcomes: Vec<Outcome>, delivered: Delivered) {
    for outcome in outcomes {
        assert_eq!(outcome.unwrap(), delivered);
    }
}

/// The folder is in order and holds the letter, octet for octet.
fn holds(inbox: &Path, letter: &Letter) {
    assert!(findings(inbox).is_empty(), "{:?}", findings(inbox));
    assert!(live(inbox).contains_key(&letter.header.digest()));
    let message = inbox.join("messages").join(letter.name());
    let mut whole = fs::read(&message).unwrap();
    for (number, _) in letter.header.attachments() {
        whole.extend(fs::read(message.with_extension(number.to_string())).unwrap());
    }
    assert!(whole == letter.whole(), "{}", inbox.display());
    assert!(names(&inbox.join("tmp")).is_empty());
    assert_modes(inbox);
}

fn kept(inbox: &Path, letter: &Letter) -> PathBuf {
    let (_, part) = letter.header.attachments().next().unwrap();
    inbox.join("attachments").join(part.digest().to_string())
}

/// Says how often it was read to its end, and how many octets were read of it.
struct Counted<'a> {
    octets: &'a [u8],
    ends: usize,
    read: usize,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let octets = self.octets.read(buffer)?;
        self.read += octets;
        self.ends += usize::from(octets == 0);
        Ok(octets)
    }
}

fn letters() -> [Letter; 5] {
    let crowd = |parts: Parts, n| parts.attach(&octets(n, 100));
    [
        Letter::plain("plain"),
        Letter::full("full"),
        Parts::default().letter("no-parts"),
        Parts::default()
            .inline(&octets(7, 200_000))
            .attach(b"")
            .attach(b"twice")
            .attach(b"twice")
            .letter("long-text"),
        (0..100)
            .fold(Parts::default().inline(b"x"), crowd)
            .letter("crowd"),
    ]
}

#[test]
fn each_has_the_message_which_is_read_once() {
    for count in [1, 2, MANY] {
        let users = Users::new(count);
        let folders = users.open();
        for letter in &letters() {
            for delivered in [Stored, Duplicate] {
                let mut data = Counted {
                    octets: &letter.data,
                    ends: 0,
                    read: 0,
                };
                all(deliver(&folders, letter, &mut data), delivered);
                assert_eq!((data.read, data.ends), (letter.data.len(), 1));
            }
            for inbox in [&users.inboxes[0], &users.inboxes[count - 1]] {
                holds(inbox, letter);
            }
        }
        for inbox in &users.inboxes {
            assert_eq!(live(inbox).len(), 5);
            assert!(findings(inbox).is_empty());
        }
    }
}

#[test]
fn nobody_is_nobody() {
    assert!(deliver_to_all(&[], &mut io::empty()).is_empty());
    assert!(deliver_to_paths(&[], &mut io::empty()).is_empty());
}

#[test]
fn each_has_its_own_transport_fields_and_all_share_one_attachment() {
    let users = Users::new(20);
    let letters: Vec<Letter> = (0..20)
        .map(|number| {
            let transport = format!("deliver: user{number}@b.test\n");
            let parts = Parts::default().inline(b"text").attach(&octets(1, 300_000));
            parts.letter_with("1", &transport)
        })
        .collect();
    let targets: Vec<PathTarget<'_>> = users
        .inboxes
        .iter()
        .zip(&letters)
        .map(|(path, letter)| PathTarget {
            path,
            folder: None,
            header: &letter.header,
        })
        .collect();
    all(deliver_to_paths(&targets, &mut &*letters[0].data), Stored);
    let first = kept(&users.inboxes[0], &letters[0]);
    assert_eq!(fs::metadata(&first).unwrap().nlink(), 40);
    for (inbox, letter) in users.inboxes.iter().zip(&letters) {
        holds(inbox, letter);
        assert_eq!(inode(&kept(inbox, letter)), inode(&first));
    }
}

#[test]
fn folders_on_two_file_systems_have_a_copy_each() {
    let (users, mut folders) = (Users::new(5), Vec::new());
    let disk = tempfile::tempdir().unwrap();
    let others: Vec<_> = (0..5)
        .map(|n| disk.path().join(format!("other{n}/inbox")))
        .collect();
    for (here, there) in users.open().into_iter().zip(&others) {
        folders.extend([here, Folder::create(there).unwrap()]);
    }
    for letter in &letters() {
        all(deliver_all(&folders, letter), Stored);
        for inbox in users.inboxes.iter().chain(&others) {
            holds(inbox, letter);
        }
        if letter.header.attachments().next().is_some() {
            let inodes = |inboxes: &[PathBuf]| {
                let inodes = inboxes.iter().map(|inbox| inode(&kept(inbox, letter)));
                let mut inodes: Vec<_> = inodes.collect();
                inodes.dedup();
                inodes.len()
            };
            assert_eq!((inodes(&users.inboxes), inodes(&others)), (1, 1));
        }
    }
}

#[test]
fn data_that_are_refused_are_refused_for_all_and_leave_nothing() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let users = Users::new(MANY);
    let folders = users.open();
    let before = tree(users.dir.path());
    for letter in &letters() {
        let mut data = letter.data.clone();
        data.push(0);
        for outcome in deliver(&folders, letter, &mut &*data) {
            let error = outcome.unwrap_err();
            assert!(
                matches!(error, MailboxError::Data(DataError::Long)),
                "{error}"
            );
        }
        let Some(last) = letter.data.len().checked_sub(1) else {
            continue;
        };
        data.truncate(last);
        for outcome in deliver(&folders, letter, &mut &*data) {
            assert!(outcome.unwrap_err().is_refusal());
        }
        for outcome in deliver(&folders, letter, &mut (&*data).chain(Broken)) {
            let error = outcome.unwrap_err();
            assert!(matches!(error, MailboxError::Read(_)), "{error}");
        }
        assert_eq!(tree(users.dir.path()), before);
    }
}

#[test]
fn a_header_block_of_other_parts_is_refused_and_the_others_get_theirs() {
    let users = Users::new(2);
    let folders = users.open();
    let (one, other) = (Letter::full("1"), Letter::plain("2"));
    let targets = [(&folders[0], &one.header), (&folders[1], &other.header)];
    let targets = targets.map(|(folder, header)| Target { folder, header });
    let outcomes = deliver_to_all(&targets, &mut &*one.data);
    assert_eq!(*outcomes[0].as_ref().unwrap(), Stored);
    let error = outcomes[1].as_ref().unwrap_err();
    assert!(matches!(
        error,
        MailboxError::Data(DataError::Digest { part: 1 })
    ));
    holds(&users.inboxes[0], &one);
    assert!(live(&users.inboxes[1]).is_empty());
}

#[test]
fn a_folder_in_which_something_is_wrong_has_the_fault_for_itself() {
    for letter in &letters() {
        let users = Users::on_disk(8);
        let folders = users.open();
        let inbox = |place: usize| &users.inboxes[place];
        fs::remove_dir(inbox(0).join("tmp")).unwrap();
        fs::remove_dir(inbox(1).join("messages")).unwrap();
        fs::remove_file(inbox(2).join("lock")).unwrap();
        fs::write(inbox(3).join("journal"), "nonsense\n").unwrap();
        fs::rename(inbox(4), inbox(4).with_file_name("moved")).unwrap();
        let quota = inbox(5).with_file_name("mailbox.toml");
        fs::write(quota, "quota = 10\n").unwrap();
        for (number, outcome) in deliver_all(&folders, letter).into_iter().enumerate() {
            if number > 5 {
                assert_eq!(outcome.unwrap(), Stored, "{number}");
                holds(&users.inboxes[number], letter);
                continue;
            }
            let error = outcome.unwrap_err();
            assert!(!error.is_refusal(), "{error}");
            match number {
                4 => assert!(matches!(error, MailboxError::NoFolder(_)), "{error}"),
                5 => assert!(matches!(error, MailboxError::Quota { .. }), "{error}"),
                _ => {}
            }
            if [2, 3, 5].contains(&number) {
                for directory in ["messages", "attachments", "tmp"] {
                    assert!(names(&inbox(number).join(directory)).is_empty(), "{number}");
                }
            }
        }
    }
}

#[test]
fn a_path_that_leads_to_no_folder_is_one_target_s() {
    let users = Users::new(2);
    let letter = Letter::full("1");
    let missing = users.dir.path().join("nobody/inbox");
    let paths = [&missing, &users.inboxes[0], &missing, &users.inboxes[1]];
    let targets = paths.map(|path| PathTarget {
        path,
        folder: None,
        header: &letter.header,
    });
    let outcomes = deliver_to_paths(&targets, &mut &*letter.data);
    for (path, outcome) in paths.iter().zip(outcomes) {
        match *path == &missing {
            true => assert!(matches!(outcome, Err(MailboxError::NoFolder(at)) if at == missing)),
            false => {
                assert_eq!(outcome.unwrap(), Stored);
                holds(path, &letter);
            }
        }
    }
    let nobody = [PathTarget {
        path: &missing,
        folder: None,
        header: &letter.header,
    }; 3];
    for outcome in deliver_to_paths(&nobody, &mut &*letter.data) {
        assert!(matches!(outcome, Err(MailboxError::NoFolder(_))));
    }
}

#[test]
fn a_folder_that_is_named_twice_has_it_once() {
    let users = Users::new(2);
    let letter = Letter::full("1");
    let (one, other) = (&users.inboxes[0], &users.inboxes[1]);
    let paths = [one, one, other, one];
    let targets = paths.map(|path| PathTarget {
        path,
        folder: None,
        header: &letter.header,
    });
    let outcomes = deliver_to_paths(&targets, &mut &*letter.data);
    let stored = outcomes.iter().map(|outcome| *outcome.as_ref().unwrap());
    let stored: Vec<_> = stored.collect();
    assert_eq!(stored, [Stored, Duplicate, Stored, Duplicate]);
    for inbox in &users.inboxes {
        holds(inbox, &letter);
    }
}

#[test]
fn many_at_once_each_in_another_order_get_all() {
    let users = Users::new(30);
    let letters: Vec<Letter> = (0..6).map(|n| Letter::full(&n.to_string())).collect();
    for inbox in &users.inboxes {
        fs::write(inbox.with_file_name("mailbox.toml"), "quota = \"1GiB\"\n").unwrap();
    }
    thread::scope(|scope| {
        for (number, letter) in letters.iter().enumerate() {
            let mut folders = users.open();
            folders.rotate_left(number * 5);
            if number % 2 == 1 {
                folders.reverse();
            }
            scope.spawn(move || all(deliver_all(&folders, letter), Stored));
        }
    });
    for inbox in &users.inboxes {
        letters.iter().for_each(|letter| holds(inbox, letter));
        let status = Folder::open(inbox).unwrap().status().unwrap();
        assert_eq!(status.messages, 6);
    }
}

#[test]
fn what_was_deleted_does_not_come_back() {
    let users = Users::new(3);
    let folders = users.open();
    let letter = Letter::full("1");
    all(deliver_all(&folders, &letter), Stored);
    let digest = letter.header.digest();
    folders[1].apply(&[Act::Delete { digest }]).unwrap();
    all(deliver_all(&folders, &letter), Duplicate);
    assert!(live(&users.inboxes[1]).is_empty());
    assert_eq!(live(&users.inboxes[2]).len(), 1);
}

#[test]
fn an_attachment_that_folders_have_is_taken_unless_it_is_damaged() {
    let users = Users::new(6);
    let folders = users.open();
    let parts = |text: &[u8]| Parts::default().inline(text).attach(&octets(1, 300_000));
    let (first, second) = (parts(b"one").letter("1"), parts(b"two").letter("2"));
    // Two share it, one has its own, and two have one that has rotted.
    all(deliver_all(&folders[..2], &first), Stored);
    for folder in &folders[2..5] {
        all(deliver_all(std::slice::from_ref(folder), &first), Stored);
    }
    let file = |user: usize| kept(&users.inboxes[user], &first);
    let before: Vec<u64> = (0..5).map(|user| inode(&file(user))).collect();
    for user in [3, 4] {
        let mut rotten = fs::read(file(user)).unwrap();
        rotten[299_999] ^= 1;
        fs::write(file(user), rotten).unwrap();
    }
    all(deliver_all(&folders, &second), Stored);
    for (user, before) in before.iter().enumerate().take(3) {
        assert_eq!(inode(&file(user)), *before);
        holds(&users.inboxes[user], &second);
    }
    for user in [3, 4, 5] {
        let inbox = &users.inboxes[user];
        let (_, part) = second.header.attachments().next().unwrap();
        let name = inbox.join("messages").join(second.name());
        let octets = fs::read(name.with_extension("2")).unwrap();
        assert_eq!(crate::letter::sha256(&octets), part.digest());
        assert_eq!(inode(&file(user)), inode(&file(5)));
    }
}

#[test]
fn a_delivery_that_died_before_its_line_is_completed() {
    let users = Users::new(4);
    let folders = users.open();
    for letter in &letters() {
        let before = |inbox: &PathBuf| fs::read(inbox.join("journal")).unwrap();
        let journals: Vec<_> = users.inboxes.iter().map(before).collect();
        all(deliver_all(&folders, letter), Stored);
        for (inbox, journal) in users.inboxes.iter().zip(&journals) {
            fs::write(inbox.join("journal"), journal).unwrap();
        }
        // What a power cut left of it, too.
        let message = users.inboxes[1].join("messages").join(letter.name());
        fs::write(message, "").unwrap();
        all(deliver_all(&folders, letter), Duplicate);
        users.inboxes.iter().for_each(|inbox| holds(inbox, letter));
    }
}
