//! What is written, and what is not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::place::Place;

#[test]
fn nothing_is_overwritten() {
    let files = [
        "d/server-receive.toml",
        "d/server-handle-incoming-mail.toml",
        "d/server-send-mail.toml",
        "d/server-post-office.toml",
        "d/fetch-mail.toml",
        "d/tls/b.test.pem",
        "d/tls/b.test.key",
        "d/users/bob@b.test.toml",
        "d/mail/b.test/bob/inbox",
    ];
    for file in files {
        let place = Place::new();
        fs::create_dir_all(place.path(file).parent().unwrap()).unwrap();
        // A link to nowhere is something too.
        std::os::unix::fs::symlink("nowhere", place.path(file)).unwrap();
        let folders = place.path(file).ancestors().count();
        let says = place.fails("server-setup d --host b.test --user bob", file);
        assert!(says.contains("nothing was written"), "{says}");
        assert!(
            says.contains("if a set-up that did not finish left that, remove it")
                && !says.contains("add a route"),
            "{says}"
        );
        assert!(
            files
                .iter()
                .filter(|other| says.contains(&format!("{other},"))
                    || says.contains(&format!("{other}:")))
                .eq([&file]),
            "{says}"
        );
        assert_eq!(
            fs::read_link(place.path(file)).unwrap(),
            Path::new("nowhere")
        );
        let left = walk(place.0.path());
        assert_eq!(
            left.len(),
            folders - place.0.path().ancestors().count(),
            "{left:?}"
        );
    }

    let place = Place::new();
    place.succeeds("server-setup d --host b.test --user bob");
    let before = place.everything();
    let says = place.fails(
        "server-setup d --host b.test --user carol",
        "server-user add",
    );
    assert!(files[..6].iter().all(|file| says.contains(file)), "{says}");
    assert_eq!(place.everything(), before);
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| {
        if path.is_dir() {
            [walk(&path), vec![path]].concat()
        } else {
            vec![path]
        }
    };
    entries.flat_map(below).collect()
}

#[test]
fn secrets_are_the_owners_alone_whatever_the_umask() {
    let place = Place::new();
    place.succeeds(
        "umask 0; server-setup d --host b.test --user bob; server-setup e --host e.test --ca ca",
    );
    for secret in [
        "d/tls/b.test.key",
        "d/ca/ca.key",
        "ca/ca.key",
        "d/mail/b.test/bob/inbox/journal",
        "d/users/bob@b.test.toml",
    ] {
        assert_eq!(place.mode(secret), 0o600, "{secret}");
    }
    for secret in [
        "d/tls",
        "d/users",
        "d/mail",
        "d/mail/b.test",
        "d/mail/b.test/bob",
        "d/mail/b.test/bob/inbox",
    ] {
        assert_eq!(place.mode(secret), 0o700, "{secret}");
    }
    for public in ["d/tls/b.test.pem", "d/ca/ca.pem", "d/server-receive.toml"] {
        assert_eq!(place.mode(public), 0o644, "{public}");
    }
    place.succeeds("umask 077; server-setup f --host b.test");
    assert_eq!(
        (place.mode("f"), place.mode("f/server-receive.toml")),
        (0o700, 0o600)
    );
    let names = place.everything();
    assert!(
        names
            .keys()
            .all(|name| !name.to_str().unwrap().contains(".new-")),
        "{:?}",
        names.keys()
    );
}

#[test]
fn what_a_fault_leaves_is_named() {
    let place = Place::new();
    place.succeeds("mkdir d; echo mine >d/mail");
    let says = place.fails(
        "server-setup d --host b.test",
        "d/mail: cannot make this folder",
    );
    for left in [
        "ca/ca.key",
        "ca/ca.pem",
        "tls/b.test.key",
        "tls/b.test.pem",
        "server-receive.toml",
    ] {
        let path = place.path("d").join(left);
        assert!(
            says.contains(path.to_str().unwrap()) && path.exists(),
            "{left}: {says}"
        );
    }
    assert_eq!(place.read("d/mail"), "mine\n");
    place.fails(
        "echo >f; server-setup f --host b.test",
        "f/server-receive.toml: cannot look",
    );
    place.fails(
        "server-setup e --host b.test >/dev/full",
        "everything is written in",
    );
    place.succeeds("ima-mailbox create e/mail/b.test/bob/inbox");
}

#[test]
fn wrong_usage_is_2_and_says_what_would_be_right() {
    let place = Place::new();
    for (options, says) in [
        ("", "--host <HOST>"),
        ("d", "--host <HOST>"),
        ("--host b.test", "<DIR>"),
        ("d --host localhost", "like b.test"),
        ("d --host b.test --host B.test", "given twice"),
        (
            "d --host b.test --user ../../etc",
            "cannot stand in a localpart",
        ),
        ("d --host b.test --user bob+x", "give --user bob"),
        ("d --host b.test --user bob@c.test", "--host c.test"),
        (
            "d --host b.test --listen localhost:1",
            "like 127.0.0.1:4025",
        ),
        (
            "d --host b.test --peer c.test",
            "like b.test=127.0.0.1:4025",
        ),
        (
            "d --host b.test --peer b.test=[::1]:1",
            "leave this --peer out",
        ),
        (
            "d --host b.test --ca ca --key k --certificate c",
            "cannot be used with",
        ),
        (
            "\"$(printf 'd\\033[2J')\" --host b.test",
            "no control characters",
        ),
        ("d --host b.test --sudo", "--sudo"),
    ] {
        let says = place.fails(&format!("server-setup {options}"), says);
        assert!(!says.contains('\u{1b}'), "{says}");
    }
    assert_eq!(place.everything(), BTreeMap::new());
}
