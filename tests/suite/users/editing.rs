//! What an edit keeps, and what it leaves when it is not alone or does not end.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::thread;

use super::Office;

const BEFORE: &str = "\
# Staff of b.test. Ask Carol before you change anything.

# Since 2019
[\"Bob@b.test\"]   # the boss
mailbox = \"mail/bob\" # on the big disk
password = \"$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\" # in the safe

[\"carol@b.test\"]
mailbox = \"mail/carol\"
# The end
";

fn office(text: &str) -> Office {
    let office = Office::with("users.toml");
    fs::write(office.path("users.toml"), text).unwrap();
    office.succeeds("chmod 640 users.toml; mkdir mail/bob mail/carol");
    office
}

#[test]
fn comments_and_permissions_stay() {
    let office = office(BEFORE);
    office.succeeds("echo one | server-user password bob@b.test");
    let after = office.0.read("users.toml");
    let (old, new): (Vec<_>, Vec<_>) = (BEFORE.lines().collect(), after.lines().collect());
    assert_eq!(old.len(), new.len());
    for (old, new) in old.iter().zip(&new) {
        if old.starts_with("password") {
            assert!(
                new.starts_with("password = \"$argon2id$v=19$m=19456,t=2,p=1$"),
                "{new}"
            );
            assert!(new.ends_with("\" # in the safe"), "{new}");
        } else {
            assert_eq!(old, new);
        }
    }
    assert_eq!(office.0.mode("users.toml"), 0o640);

    office.succeeds(
        "server-user add dave@b.test --mailbox mail/dave; server-user remove carol@b.test",
    );
    let text = office.0.read("users.toml");
    for kept in [
        "# Staff of b.test",
        "# Since 2019\n[\"Bob@b.test\"]   # the boss\n",
        "# on the big disk",
        "\n[\"dave@b.test\"]\nmailbox = ",
    ] {
        assert!(text.contains(kept), "{kept:?} in {text}");
    }
    assert!(!text.contains("carol"), "{text}");
    assert!(office.logs_in("bob@b.test", "one").is_some());

    office.succeeds("server-user password bob@b.test --remove");
    assert!(!office.0.read("users.toml").contains("argon2id"));
}

#[test]
fn the_owner_stays() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let office = office(BEFORE);
    office.succeeds("chown 12345:12346 users.toml; echo one | server-user password bob@b.test");
    assert_eq!(
        office.succeeds("stat -c '%u:%g %a' users.toml"),
        "12345:12346 640\n"
    );
}

#[test]
fn a_file_that_would_change_hands_is_not_changed() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let office = office(BEFORE);
    office.succeeds("chown 12345 . mail/*; chmod 755 . mail; chmod 644 users.toml");
    office.fails(
        2,
        "echo one | setpriv --reuid=12345 --clear-groups -- server-user password bob@b.test",
        "belongs to user id 0 and group id 0",
    );
}

#[test]
fn a_link_stays_a_link() {
    let office = office(BEFORE);
    fs::create_dir(office.path("real")).unwrap();
    fs::rename(office.path("users.toml"), office.path("real/u.toml")).unwrap();
    symlink("real/u.toml", office.path("users.toml")).unwrap();
    office.succeeds(
        "server-user add dave@b.test --mailbox mail/dave; server-user remove carol@b.test",
    );
    assert!(office.path("users.toml").is_symlink());
    assert!(office.0.read("real/u.toml").contains("dave@b.test"));
    assert_eq!(fs::read_dir(office.path("real")).unwrap().count(), 1);
}

#[test]
fn other_forms_of_a_table_are_edited_and_a_file_of_many_keeps_the_others() {
    let office = Office::new();
    fs::create_dir(office.path("users")).unwrap();
    office.succeeds("mkdir mail/m");
    let inline = "# Many\n\"bob@b.test\" = { mailbox = \"../mail/m\" }\n\"eve@b.test\".mailbox = \"../mail/m\"\n";
    fs::write(office.path("users/many.toml"), inline).unwrap();
    office.succeeds(
        "echo one | server-user password bob@b.test; echo two | server-user password eve@b.test",
    );
    assert!(office.logs_in("bob@b.test", "one").is_some());
    assert!(office.logs_in("eve@b.test", "two").is_some());
    office.succeeds("server-user remove bob@b.test");
    let text = office.0.read("users/many.toml");
    assert!(
        text.contains("eve@b.test") && !text.contains("bob@b.test"),
        "{text}"
    );

    // The name is taken by a file of somebody else.
    fs::write(
        office.path("users/dave@b.test.toml"),
        "[\"mallory@b.test\"]\nmailbox = \"m\"",
    )
    .unwrap();
    office.succeeds("server-user add dave@b.test --mailbox mail/dave");
    let listed = office.succeeds("server-user list | cut -d ' ' -f 1");
    assert_eq!(listed, "dave@b.test\neve@b.test\nmallory@b.test\n");
}

#[test]
fn administrators_at_once_lose_nothing() {
    for users in ["users", "users.toml"] {
        let office = Office::with(users);
        let started = (0..8).map(|number| {
            let script = format!(
                "export EMEMO_CONFIG_DIR=.\nserver-user add u{number}@b.test --mailbox mail/u{number} &&\n\
                 echo p{number} | server-user password u{number}@b.test &&\n\
                 server-user certificate u{number}@b.test --make keys{number}"
            );
            office.0.shell(&script).stdout(Stdio::null()).spawn().unwrap()
        });
        for mut child in started.collect::<Vec<_>>() {
            assert!(child.wait().unwrap().success());
        }
        for number in 0..8 {
            let user = format!("u{number}@b.test");
            assert!(
                office.logs_in(&user, &format!("p{number}")).is_some(),
                "{user}"
            );
            let certificate = format!("keys{number}/{user}.pem");
            assert!(office.logs_in_with(&user, &certificate).is_some(), "{user}");
        }
    }
}

#[test]
fn one_that_is_killed_leaves_the_old_or_the_new() {
    let office = office(BEFORE);
    // What a killed one can leave is no user, and in nobody's way.
    fs::write(
        office.path(".users.toml.new"),
        "[\"mallory@b.test\"]\nmailbox",
    )
    .unwrap();
    office.succeeds("echo one | server-user password bob@b.test");
    assert!(!office.path(".users.toml.new").exists());

    let mut passwords = 1;
    for _ in 0..30 {
        let mut command = office.0.shell("exec server-user password bob@b.test --add");
        command.env("EMEMO_CONFIG_DIR", office.0.0.path());
        command.stdin(fs::File::open(office.path("server-post-office.toml")).unwrap());
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        // While it is at its writing, as far as that can be met.
        while !office.path(".users.toml.new").exists() && child.try_wait().unwrap().is_none() {
            thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap();
        let users = office.users();
        let bob = users
            .all()
            .into_iter()
            .find(|user| user.senders()[0].canonical() == "bob@b.test");
        let now = bob.unwrap().passwords().len();
        assert!(
            now == passwords || now == passwords + 1,
            "{now} after {passwords}"
        );
        assert_eq!(users.all().len(), 2);
        passwords = now;
    }
    office.succeeds("echo two | server-user password bob@b.test");
    assert!(office.logs_in("bob@b.test", "two").is_some());
    assert!(!office.path(".users.toml.new").exists());
}
