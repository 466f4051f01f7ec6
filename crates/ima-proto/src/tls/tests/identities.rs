//! `[[identity]]` blocks: what loads, and what happens when files change.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

use super::lifetime::Nearing;
use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    identity: Vec<IdentityToml>,
}

/// A folder with `b.pem`, `b.key`, `c.pem` and `c.key`.
fn folder(root: &Authority) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["b", "c"] {
        let leaf = root.issue(Authority::leaf(&[&format!("{name}.test")]));
        put(&dir, name, &leaf);
    }
    dir
}

fn put(dir: &TempDir, name: &str, leaf: &Leaf) {
    write(dir.path(), &format!("{name}.pem"), &leaf.certificate_pem);
    write(dir.path(), &format!("{name}.key"), &leaf.key_pem);
}

fn blocks(dir: &TempDir, toml: &str) -> Result<Vec<IdentityToml>, String> {
    write(dir.path(), "test.toml", toml);
    let file: PathBuf = dir.path().join("test.toml");
    ima_program::config::load::<File>("test", Some(&file))
        .map(|loaded| loaded.value.identity)
        .map_err(|error| error.to_string())
}

const B: &str = "[[identity]]\nhosts = [\"b.test\"]\ncertificate = \"b.pem\"\nkey = \"b.key\"\n";
const C: &str = "[[identity]]\nhosts = [\"c.test\"]\ncertificate = \"c.pem\"\nkey = \"c.key\"\n";

#[test]
fn a_host_has_its_certificate() {
    let dir = folder(&Authority::root("root"));
    let blocks = blocks(&dir, &format!("{B}{C}")).unwrap();
    let identities = Identities::load(&blocks, dir.path()).unwrap();
    let b = identities.for_host(&host("B.test")).unwrap();
    let c = identities.for_host(&host("c.test")).unwrap();
    assert_ne!(b.cert, c.cert);
    assert!(identities.for_host(&host("d.test")).is_none());
    identities
        .require([&host("b.test"), &host("c.test")], Path::new("x.toml"))
        .unwrap();
    let error = identities
        .require([&host("d.test")], Path::new("x.toml"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "x.toml: no [[identity]] for d.test: its hosts must list it"
    );
}

#[test]
fn a_wildcard_certificate_serves_its_hosts() {
    let root = Authority::root("root");
    let dir = folder(&root);
    put(
        &dir,
        "b",
        &root.issue(Authority::leaf(&["*.test", "e.d.test"])),
    );
    let listed = B.replace("\"b.test\"", "\"b.test\", \"c.test\", \"e.d.test\"");
    let listed = blocks(&dir, &listed).unwrap();
    let identities = Identities::load(&listed, dir.path()).unwrap();
    assert!(identities.for_host(&host("c.test")).is_some());
    // Only what is listed, whatever else the certificate covers.
    assert!(identities.for_host(&host("f.test")).is_none());
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let dir = folder(&Authority::root("root"));
    write(dir.path(), "empty.pem", "");
    write(dir.path(), "cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let encrypted = "ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = format!("-----BEGIN {encrypted}AAAA\n-----END {encrypted}");
    write(dir.path(), "encrypted.key", &encrypted);
    let file = |name: &str| dir.path().join(name).display().to_string();
    for (toml, sentence) in [
        (
            B.replace("b.key", "c.key"),
            format!("{} and {} do not make a pair", file("b.pem"), file("c.key")),
        ),
        (
            B.replace("b.test", "c.test"),
            format!("{} is for b.test, and not for c.test", file("b.pem")),
        ),
        (
            B.replace("\"b.test\"", ""),
            format!("the [[identity]] with {} lists no hosts", file("b.pem")),
        ),
        (
            format!("{B}{B}"),
            "b.test stands in two [[identity]] blocks".to_owned(),
        ),
        (
            B.replace("b.pem", "no.pem"),
            format!("{}: No such file", file("no.pem")),
        ),
        (
            B.replace("b.pem", "empty.pem"),
            format!("{} holds no certificate", file("empty.pem")),
        ),
        (
            B.replace("b.key", "b.pem"),
            format!("{} holds no private key", file("b.pem")),
        ),
        (
            B.replace("b.key", "encrypted.key"),
            format!("{} holds an encrypted private key", file("encrypted.key")),
        ),
        (
            B.replace("b.pem", "cut.pem"),
            format!(
                "{} is broken PEM: the -----END line of a section is missing",
                file("cut.pem")
            ),
        ),
    ] {
        let blocks = blocks(&dir, &toml).unwrap();
        let error = Identities::load(&blocks, dir.path()).unwrap_err();
        assert!(error.to_string().starts_with(&sentence), "{error}");
    }
}

#[test]
fn a_block_is_read_strictly() {
    let dir = folder(&Authority::root("root"));
    for (toml, part) in [
        (format!("{B}colour = \"red\"\n"), "colour"),
        (B.replace("b.test", "b_.test"), "b_.test"),
        (B.replace("key = \"b.key\"", ""), "key"),
    ] {
        let error = blocks(&dir, &toml).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn an_expired_certificate_still_loads() {
    let root = Authority::root("root");
    let dir = folder(&root);
    let mut params = Authority::leaf(&["b.test"]);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    put(&dir, "b", &root.issue(params));
    let blocks = blocks(&dir, B).unwrap();
    let identities = Identities::load(&blocks, dir.path()).unwrap();
    assert!(identities.for_host(&host("b.test")).is_some());
}

#[test]
fn files_that_change_are_read_again_and_bad_ones_are_not_used() {
    let root = Authority::root("root");
    let dir = folder(&root);
    let blocks = blocks(&dir, B).unwrap();
    let identities = Identities::looking_always(&blocks, dir.path()).unwrap();
    let now = || identities.for_host(&host("b.test")).unwrap().cert.clone();
    let first = now();

    // A new certificate, whose key has not arrived yet.
    let renewed = root.issue(Authority::leaf(&["b.test"]));
    write(dir.path(), "b.pem", &renewed.certificate_pem);
    assert_eq!(now(), first);
    write(dir.path(), "b.key", &renewed.key_pem);
    assert_eq!(now(), renewed.chain);

    for broken in ["", "-----BEGIN CERTIFICATE-----\n"] {
        write(dir.path(), "b.pem", broken);
        assert_eq!(now(), renewed.chain);
    }
    std::fs::remove_file(dir.path().join("b.pem")).unwrap();
    assert_eq!(now(), renewed.chain);
    put(&dir, "b", &root.issue(Authority::leaf(&["other.test"])));
    assert_eq!(now(), renewed.chain);

    let last = root.issue(Authority::leaf(&["b.test"]));
    put(&dir, "b", &last);
    assert_eq!(now(), last.chain);
}

#[test]
fn a_broken_pair_does_not_keep_others_from_being_renewed() {
    let root = Authority::root("root");
    let dir = folder(&root);
    let blocks = blocks(&dir, &format!("{B}{C}")).unwrap();
    let identities = Identities::looking_always(&blocks, dir.path()).unwrap();
    let now = |name: &str| identities.for_host(&host(name)).unwrap().cert.clone();
    let old = now("b.test");
    write(dir.path(), "b.pem", "broken");
    let renewed = root.issue(Authority::leaf(&["c.test"]));
    put(&dir, "c", &renewed);
    assert_eq!(now("b.test"), old);
    assert_eq!(now("c.test"), renewed.chain);
}

#[test]
fn an_end_is_warned_of_once_a_day_until_there_is_a_new_certificate() {
    const DAY: i64 = 86_400;
    let root = Authority::root("root");
    let dir = folder(&root);
    let lasting = |year| {
        let mut params = Authority::leaf(&["b.test"]);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        root.issue(params)
    };
    put(&dir, "b", &lasting(2021));
    let blocks = blocks(&dir, &format!("{B}{C}")).unwrap();
    let identities = Identities::looking_always(&blocks, dir.path()).unwrap();
    let due = |now: i64| -> Vec<Nearing> {
        let due = identities.due(now).into_iter();
        due.map(|(_, nearing)| nearing).collect()
    };
    // 2020-06-01, 2020-12-01 and 2021-01-02: of the year, less than a third is left.
    let [far, near, over] = [1_590_969_600, 1_606_780_800, 1_609_545_600];
    assert_eq!(due(far), []);
    assert_eq!(due(near), [Nearing::Expires(31)]);
    assert_eq!(due(near + DAY - 1), []);
    assert_eq!(due(near + DAY), [Nearing::Expires(30)]);
    assert_eq!(due(over), [Nearing::Expired]);
    assert_eq!(due(over + 1), []);
    put(&dir, "b", &lasting(2025));
    assert_eq!(due(over + 2 * DAY), []);
}
