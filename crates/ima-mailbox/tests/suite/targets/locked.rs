//! Folders that somebody else keeps locked meanwhile.

use super::*;

#[test]
fn who_keeps_a_folder_locked_keeps_nobody_from_another() {
    let users = Users::new(MANY);
    let letter = Letter::full("1");
    let lock = File::options()
        .read(true)
        .write(true)
        .open(users.inboxes[0].join("lock"))
        .unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let quota = users.inboxes[1].with_file_name("mailbox.toml");
    fs::write(&quota, "quota = \"1MiB\"\n").unwrap();
    let room = File::options().read(true).write(true).open(quota).unwrap();
    flock(&room, FlockOperation::LockExclusive).unwrap();
    thread::scope(|scope| {
        let folders = users.open();
        let letter = &letter;
        let delivery = scope.spawn(move || deliver_all(&folders, letter));
        for inbox in &users.inboxes[2..] {
            while live(inbox).is_empty() {
                assert!(!delivery.is_finished());
                thread::yield_now();
            }
        }
        for inbox in &users.inboxes[..2] {
            assert!(live_unlocked(inbox).is_empty());
        }
        drop((lock, room));
        all(delivery.join().unwrap(), Stored);
    });
    for inbox in &users.inboxes {
        holds(inbox, &letter);
    }
}

/// Once everybody's answer waited as long as the one whose folder was locked.
#[test]
fn those_who_have_it_are_told_before_others_are_waited_for() {
    let users = Users::new(5);
    let letter = Letter::full("1");
    let lock = File::options()
        .read(true)
        .write(true)
        .open(users.inboxes[2].join("lock"))
        .unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let targets = users.inboxes.iter().map(|path| PathTarget {
        path,
        folder: None,
        header: &letter.header,
    });
    let (mut lock, mut told) = (Some(lock), Vec::new());
    let mut early = |outcomes: Outcomes| {
        told.extend(outcomes.keys().copied());
        all(outcomes.into_values().collect(), Stored);
        lock.take();
    };
    let targets: Vec<_> = targets.collect();
    let rest = deliver_to_paths_early(&targets, &mut &*letter.data, &mut early);
    assert_eq!(told, [0, 1, 3, 4]);
    assert_eq!(rest.keys().collect::<Vec<_>>(), [&2]);
    all(rest.into_values().collect(), Stored);
    for inbox in &users.inboxes {
        holds(inbox, &letter);
    }
}

/// What a journal has, without its lock.
fn live_unlocked(inbox: &Path) -> Vec<String> {
    let journal = fs::read_to_string(inbox.join("journal")).unwrap();
    journal.lines().skip(1).map(str::to_owned).collect()
}
