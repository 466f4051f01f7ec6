//! Names that were replaced by something that does not belong there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use ima_mailbox::{Folder, MailboxError};
use rustix::fs::{CWD, Mode, mkfifoat};

use crate::letter::Letter;
use crate::place::{Place, damage, tree};

/// Every name that a delivery of this message looks at.
fn names(letter: &Letter) -> Vec<String> {
    let name = letter.name();
    let kept = letter.header.attachments().next().unwrap().1.digest();
    let mut names: Vec<_> = ["journal", "lock", "messages", "attachments", "gone", "tmp"]
        .map(str::to_owned)
        .into();
    names.push(format!("messages/{name}"));
    names.push(format!("messages/{name}.3"));
    names.push(format!("attachments/{kept}"));
    names.push(format!("gone/{name}"));
    names
}

/// Something of the same kind outside the mailbox, to which a link would lead.
fn make_target(path: &Path, letter: &Letter) {
    let name = path.file_name().unwrap().to_str().unwrap();
    match name {
        "journal" => fs::write(path, "ima-mailbox 1 0123456789abcdef\n").unwrap(),
        "messages" | "attachments" | "gone" | "tmp" => fs::create_dir(path).unwrap(),
        name if name == letter.name() => fs::write(path, letter.header.as_bytes()).unwrap(),
        _ => fs::write(path, "").unwrap(),
    }
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir(path).unwrap();
    } else if path.exists() {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_symbolic_link_in_place_of_any_name_is_refused_and_not_followed() {
    let letter = Letter::full("1");
    for name in names(&letter) {
        let place = Place::new();
        let outside = place.dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let target = outside.join(Path::new(&name).file_name().unwrap());
        make_target(&target, &letter);
        let path = place.path(&name);
        remove(&path);
        symlink(&target, &path).unwrap();
        let before = place.tree();
        let error = place.deliver(&letter).unwrap_err();
        assert!(
            matches!(error, MailboxError::Kind { .. }),
            "{name}: {error}"
        );
        assert_eq!(place.tree(), before, "{name}");
        assert!(damage(&place.inbox) > 0, "{name}");
    }
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_does_not_block() {
    let letter = Letter::full("1");
    for name in names(&letter) {
        let place = Place::new();
        let path = place.path(&name);
        remove(&path);
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let before = place.tree();
        let error = place.deliver(&letter).unwrap_err();
        assert!(
            matches!(error, MailboxError::Kind { .. }),
            "{name}: {error}"
        );
        assert_eq!(place.tree(), before, "{name}");
        assert!(damage(&place.inbox) > 0, "{name}");
    }
}

#[test]
fn the_inbox_itself_may_be_no_link_but_the_way_to_it_may() {
    let place = Place::new();
    let dir = place.dir.path();
    symlink(&place.inbox, dir.join("inbox")).unwrap();
    for path in [dir.join("inbox"), dir.join("inbox/"), dir.join("inbox/.")] {
        let error = Folder::open(&path).unwrap_err();
        assert!(matches!(error, MailboxError::Kind { .. }), "{error}");
    }
    symlink("bob", dir.join("robert")).unwrap();
    let letter = Letter::plain("1");
    let folder = Folder::open(&dir.join("robert/inbox")).unwrap();
    folder
        .deliver(&letter.header, &mut &*letter.data, None)
        .unwrap();
    place.holds_exactly(&[&letter]);
    assert!(Folder::open(&dir.join("bob/inbox/journal")).is_err());
    assert!(!tree(dir).is_empty());
}
