//! The pages, the example, and what they say.

use std::fs;

use super::Office;
use crate::pages::examples;
use crate::setup::place::document;

#[test]
fn the_examples_of_server_user_work() {
    let examples = examples("server-user.8");
    let [somebody, random, certificate, who] = &examples[..] else {
        panic!("four examples");
    };
    let office = Office::new();
    office.succeeds("server-user add bob@b.test --mailbox mail/bob; mkdir mail/b.test");
    let somebody = somebody.replace("/var/lib/ememo/mail", "mail").replace(
        "password dave@b.test",
        "password dave@b.test </dev/null || true",
    );
    office.succeeds(&somebody);
    assert_eq!(office.succeeds(who), "bob@b.test\ndave@b.test\n");

    office.succeeds(random);
    let password = office.0.read("bob.password");
    assert_eq!(password.trim_end().len(), 24);
    assert!(office.logs_in("bob@b.test", password.trim_end()).is_some());
    office.succeeds(certificate);
    assert!(office.logs_in("bob@b.test", password.trim_end()).is_none());
    assert!(
        office
            .logs_in_with("bob@b.test", "bob/bob@b.test.pem")
            .is_some()
    );
    assert_eq!(office.succeeds(who), "dave@b.test\n");
}

#[test]
fn the_example_of_the_users_file_works() {
    let office = Office::with("users.toml");
    let [example] = &examples("server-users.toml.5")[..] else {
        panic!("one example");
    };
    fs::write(office.path("users.toml"), example).unwrap();
    for password in ["password", "another"] {
        let carol = office.logs_in("carol@b.test", password).unwrap();
        let senders: Vec<_> = carol.senders().iter().map(ToString::to_string).collect();
        assert_eq!(senders, ["carol@b.test", "info@b.test"]);
    }
    let listed = office.succeeds("server-user list");
    assert!(
        listed.starts_with("bob@b.test passwords=0 certificates=sha256:c8f5"),
        "{listed}"
    );
}

#[test]
fn the_commented_example_has_the_keys_of_the_page_and_is_edited() {
    let office = Office::with("users.toml");
    let example = document("etc/server-users.toml");
    fs::write(office.path("users.toml"), &example).unwrap();
    let users = office.users().all();
    let [bob] = &users[..] else {
        panic!("one user");
    };
    assert_eq!(
        (
            bob.passwords().len(),
            bob.certificates().len(),
            bob.senders().len()
        ),
        (1, 1, 2)
    );
    let keys = example.lines().filter_map(|line| line.split_once(" = "));
    let keys: Vec<_> = keys.map(|(key, _)| key).collect();
    let page = document("man/server-users.toml.5");
    let described = page.lines().filter_map(|line| line.strip_prefix(".It Ic "));
    let described: Vec<_> = described
        .map(|item| item.split(' ').next().unwrap())
        .collect();
    assert_eq!(keys, described);

    office.succeeds("echo one | server-user password bob@b.test");
    let edited = office.0.read("users.toml");
    for comment in example.lines().filter(|line| line.starts_with('#')) {
        assert!(edited.contains(comment), "{comment}");
    }
    assert!(office.logs_in("bob@b.test", "one").is_some());
}
