//! What a mailbox may hold.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::thread;

use ima_mailbox::{Act, Delivered, Folder, MailboxError, Moved, Settings, SettingsError};
use ima_message::DateTime;

use crate::letter::{Letter, Parts, octets};
use crate::place::{Place, damage, deliver, flags, inbox, live};

fn size(letter: &Letter) -> u64 {
    letter.whole().len() as u64
}

fn set(place: &Place, quota: u64) {
    let path = place.dir.path().join("bob/mailbox.toml");
    fs::write(&path, format!("quota = {quota}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn is_full(error: &MailboxError) -> bool {
    assert!(!error.is_refusal());
    matches!(error, MailboxError::Quota { .. })
}

#[test]
fn a_message_beyond_the_quota_is_a_fault_and_leaves_nothing() {
    let place = Place::new();
    let (first, second) = (Letter::full("1"), Letter::full("2"));
    set(&place, size(&first) + size(&second) - 1);
    assert_eq!(place.deliver(&first).unwrap(), Delivered::Stored);
    let folder = place.open();
    let free = size(&second) - 1;
    folder.can_take(free).unwrap();
    assert!(is_full(&folder.can_take(free + 1).unwrap_err()));
    let before = place.tree();
    let error = place.deliver(&second).unwrap_err();
    let said = error.to_string();
    assert!(is_full(&error));
    for figure in [size(&first) + free, size(&first), size(&second)] {
        assert!(said.contains(&figure.to_string()), "{said}");
    }
    assert!(said.contains("quota"), "{said}");
    assert_eq!(place.tree(), before);
    // One that is there needs no room, and takes none.
    assert_eq!(place.deliver(&first).unwrap(), Delivered::Duplicate);
    assert_eq!(place.mailbox().used().unwrap(), size(&first));
    // What is deleted makes room.
    let digest = first.header.digest();
    place.open().apply(&[Act::Delete { digest }]).unwrap();
    assert_eq!(place.mailbox().used().unwrap(), 0);
    assert_eq!(place.deliver(&second).unwrap(), Delivered::Stored);
    // A late repetition of what was deleted is a duplicate, however full it is.
    assert_eq!(place.deliver(&first).unwrap(), Delivered::Duplicate);
}

#[test]
fn all_folders_count_and_a_move_needs_no_room() {
    let place = Place::new();
    let (archive, path) = place.folder("archive");
    let (first, second) = (Letter::full("1"), Letter::plain("2"));
    place.deliver(&first).unwrap();
    deliver(&path, &second, None).unwrap();
    let mailbox = place.mailbox();
    let used = size(&first) + size(&second);
    assert_eq!(mailbox.used().unwrap(), used);
    set(&place, used);
    for path in [&place.inbox, &path] {
        let more = Letter::plain("3");
        assert!(is_full(&deliver(path, &more, None).unwrap_err()));
    }
    let digest = first.header.digest();
    let error = mailbox
        .copy_message(&inbox(), digest, &archive)
        .unwrap_err();
    assert!(is_full(&error));
    assert!(!live(&path).contains_key(&digest));
    let moved = mailbox.move_message(&inbox(), digest, &archive).unwrap();
    assert!(matches!(moved, Moved::Done { .. }));
    assert_eq!(mailbox.used().unwrap(), used);
}

#[test]
fn a_batch_has_room_as_a_whole_or_not_at_all() {
    let place = Place::new();
    let letters: Vec<Letter> = (0..20).map(|n| Letter::plain(&n.to_string())).collect();
    let whole: u64 = letters.iter().map(size).sum();
    let commit = |letters: &[Letter]| {
        let folder = place.open();
        let mut batch = folder.batch_of_user().unwrap();
        for letter in letters.iter().chain(&letters[..1]) {
            let time = DateTime::utc(0).unwrap();
            batch
                .stage(&letter.header, &mut &*letter.data, time)
                .unwrap();
        }
        batch.commit()
    };
    set(&place, whole - 1);
    place.open().status().unwrap();
    let before = place.tree();
    assert!(is_full(&commit(&letters).unwrap_err()));
    assert_eq!(place.tree(), before);
    set(&place, whole);
    assert_eq!(commit(&letters).unwrap().new, 20);
    assert_eq!(commit(&letters).unwrap().new, 0);
    place.holds_exactly(&letters.iter().collect::<Vec<_>>());
}

#[test]
fn fifty_writers_into_two_folders_stay_within_it() {
    let place = Place::new();
    let (_, path) = place.folder("archive");
    let letters: Vec<Letter> = (0..50)
        .map(|n: u64| {
            Parts::default()
                .inline(format!("{n:04}").as_bytes())
                .attach(&octets(n, 1000))
                .letter(&format!("{n:04}"))
        })
        .collect();
    let each = size(&letters[0]);
    set(&place, each * 20 + each / 2);
    let stored: usize = thread::scope(|scope| {
        let writers: Vec<_> = letters
            .iter()
            .enumerate()
            .map(|(n, letter)| {
                let path = match n % 2 {
                    0 => &place.inbox,
                    _ => &path,
                };
                scope.spawn(move || match deliver(path, letter, None) {
                    Ok(_) => 1,
                    Err(error) => {
                        assert!(is_full(&error), "{error}");
                        0
                    }
                })
            })
            .collect();
        writers.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(stored, 20);
    assert_eq!(place.mailbox().used().unwrap(), each * 20);
    assert_eq!(live(&place.inbox).len() + live(&path).len(), 20);
}

#[test]
fn a_delivery_reads_no_journal_where_the_summaries_hold() {
    let place = Place::new();
    let (_, path) = place.folder("archive");
    set(&place, 1 << 40);
    deliver(&path, &Letter::plain("1"), None).unwrap();
    place.deliver(&Letter::plain("2")).unwrap();
    // What nobody reads can be wrong.
    let summary = fs::read_to_string(path.join("summary")).unwrap();
    let forged = summary.replace(" 1 1 ", " 9 9 ");
    assert_ne!(summary, forged);
    fs::write(path.join("summary"), &forged).unwrap();
    deliver(&path, &Letter::plain("3"), None).unwrap();
    let status = Folder::open(&path).unwrap().status().unwrap();
    assert_eq!((status.messages, status.unseen), (10, 10));
    // A journal that is damaged elsewhere keeps no mail out.
    fs::remove_file(path.join("summary")).unwrap();
    let journal = fs::read_to_string(path.join("journal")).unwrap();
    fs::write(path.join("journal"), format!("{journal}nonsense\n")).unwrap();
    place.deliver(&Letter::plain("4")).unwrap();
    assert!(Folder::open(&path).unwrap().status().is_err());
}

#[test]
fn settings_that_are_wrong_are_a_fault_that_says_where() {
    let place = Place::new();
    assert_eq!(place.mailbox().settings().unwrap(), Settings::default());
    let path = place.dir.path().join("bob/mailbox.toml");
    let said = |text: &str| {
        fs::write(&path, text).unwrap();
        let error = place.deliver(&Letter::plain("1")).unwrap_err();
        assert!(!error.is_refusal());
        assert!(place.open().can_take(1).is_err());
        assert!(damage(&place.dir.path().join("bob")) > 0);
        error
    };
    let error = said("owner = \"bob@b.test\"\nqouta = \"1GiB\"\n");
    let MailboxError::Settings { path: at, source } = &error else {
        panic!("{error}")
    };
    assert_eq!(at, &path);
    assert!(matches!(source, SettingsError::Wrong { line: 2, .. }));
    assert!(matches!(
        said("quota = \"1GB\""),
        MailboxError::Settings { .. }
    ));
    fs::write(&path, "quota = \"1GiB\"\nowner = \"bob@b.test\"\n").unwrap();
    let settings = place.mailbox().settings().unwrap();
    assert_eq!(settings.quota, Some(1 << 30));
    assert_eq!(settings.owner.unwrap().to_string(), "bob@b.test");
    place.deliver(&Letter::plain("1")).unwrap();
    assert_eq!(damage(&place.dir.path().join("bob")), 0);
    // It is no way out of the mailbox.
    let outside = place.dir.path().join("outside");
    fs::rename(&path, &outside).unwrap();
    symlink(&outside, &path).unwrap();
    let error = place.deliver(&Letter::plain("2")).unwrap_err();
    assert!(matches!(error, MailboxError::Kind { .. }), "{error}");
}

#[test]
fn a_summary_says_what_is_so_whatever_was_stored() {
    let place = Place::new();
    set(&place, 1 << 40);
    let letters = [Letter::full("1"), Letter::plain("2"), Letter::plain("3")];
    let folder = place.open();
    folder.status().unwrap();
    for (n, letter) in [0, 1, 0, 2].map(|n| (n, &letters[n])) {
        let mut batch = folder.batch_of_user().unwrap();
        let brought = flags(if n == 1 { "+seen" } else { "+x" });
        let brought = brought.into_iter().map(|change| change.flag).collect();
        let time = DateTime::utc(0).unwrap();
        batch
            .stage_flagged(&letter.header, &mut &*letter.data, time, brought)
            .unwrap();
        batch.commit().unwrap();
        place.deliver(&Letter::plain("each-time")).unwrap();
    }
    // Its files were here, and its add was not.
    let lost = &letters[2];
    let journal = place.journal();
    let kept: Vec<&str> = journal
        .lines()
        .filter(|line| !line.contains(&lost.name()))
        .collect();
    fs::write(place.path("journal"), kept.join("\n") + "\n").unwrap();
    fs::remove_file(place.path("summary")).unwrap();
    folder.status().unwrap();
    place.deliver(lost).unwrap();
    let status = folder.status().unwrap();
    assert_eq!((status.messages, status.unseen), (4, 3));
    let whole: u64 = letters.iter().map(size).sum();
    assert_eq!(status.octets, whole + size(&Letter::plain("each-time")));
    assert_eq!(place.mailbox().used().unwrap(), status.octets);
}

#[test]
fn a_message_that_is_here_needs_no_room() {
    let place = Place::new();
    let (letter, other) = (Letter::full("1"), Letter::full("2"));
    place.deliver(&letter).unwrap();
    set(&place, size(&letter));
    let folder = place.open();
    let header = &letter.header;
    folder.can_deliver(header).unwrap();
    folder.can_store(header).unwrap();
    assert!(is_full(&folder.can_deliver(&other.header).unwrap_err()));
    assert!(is_full(&folder.can_store(&other.header).unwrap_err()));
    // One that was deleted comes back by its user alone.
    let digest = header.digest();
    folder.apply(&[Act::Delete { digest }]).unwrap();
    set(&place, 1);
    folder.can_deliver(header).unwrap();
    assert!(is_full(&folder.can_store(header).unwrap_err()));
}

#[test]
fn a_damaged_folder_counts_by_its_last_summary_and_stops_no_mail() {
    let place = Place::new();
    let (name, trash) = place.folder("trash");
    let first = Letter::full("1");
    deliver(&trash, &first, None).unwrap();
    Folder::open(&trash).unwrap().status().unwrap();
    let second = Letter::plain("2");
    set(&place, size(&first) + size(&second));
    let journal = trash.join("journal");
    fs::write(&journal, "nonsense\n").unwrap();
    assert_eq!(place.mailbox().used().unwrap(), size(&first));
    assert_eq!(place.deliver(&second).unwrap(), Delivered::Stored);
    let used = size(&first) + size(&second);
    assert_eq!(place.mailbox().used().unwrap(), used);
    fs::remove_dir(trash.join("gone")).unwrap();
    assert_eq!(place.mailbox().used().unwrap(), used);
    fs::remove_file(&journal).unwrap();
    symlink("elsewhere", &journal).unwrap();
    assert_eq!(place.mailbox().used().unwrap(), used);
    fs::remove_file(trash.join("summary")).unwrap();
    assert_eq!(place.mailbox().used().unwrap(), size(&second));
    // It is one of the mailbox's folders still, for whoever makes one of its name.
    assert_eq!(place.mailbox().names().unwrap(), [inbox(), name]);
    let third = Letter::plain("3");
    assert_eq!(place.deliver(&third).unwrap(), Delivered::Stored);
    // The inbox itself must be in order.
    fs::write(place.path("journal"), "nonsense\n").unwrap();
    assert!(!place.deliver(&Letter::plain("4")).unwrap_err().is_refusal());
}
