//! server-user, from outside: what it writes is what logins go by, and nothing
//! else is lost.

mod certificates;
mod documents;
mod editing;
mod passwords;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ima_message::Address;
use ima_proto::users::{User, Users, key_of_file};

use crate::setup::place::{Answer, Place};

/// A place whose configuration names users, and with folders for mailboxes.
pub struct Office(pub Place);

impl Office {
    /// With a folder of users.
    pub fn new() -> Self {
        Self::with("users")
    }

    /// With a file or folder of this name, which is not there yet.
    pub fn with(users: &str) -> Self {
        let place = Place::new();
        fs::create_dir(place.path("mail")).unwrap();
        let config = format!("users = \"{users}\"\nmax-connections = 7\n");
        fs::write(place.path("server-post-office.toml"), config).unwrap();
        Self(place)
    }

    /// Runs a script whose server-user finds the configuration here.
    pub fn run(&self, script: &str) -> Answer {
        self.0.run(&format!("export EMEMO_CONFIG_DIR=.\n{script}"))
    }

    #[track_caller]
    pub fn succeeds(&self, script: &str) -> String {
        self.0
            .succeeds(&format!("export EMEMO_CONFIG_DIR=.\n{script}"))
    }

    /// Runs what must end with this status, say this on stderr alone, and change
    /// nothing.
    #[track_caller]
    pub fn fails(&self, code: i32, script: &str, says: &str) {
        let before = self.0.everything();
        let answer = self.run(script);
        let ended = (answer.code, &*answer.stdout);
        assert_eq!(ended, (Some(code), ""), "{script}\n{}", answer.stderr);
        assert!(answer.stderr.contains(says), "{script}\n{}", answer.stderr);
        assert_eq!(self.0.everything(), before, "{script}");
    }

    /// What a server would make of the users now.
    pub fn users(&self) -> Users {
        let named = self.0.read("server-post-office.toml");
        let name = named.split('"').nth(1).unwrap();
        Users::load(&self.0.path(name)).unwrap()
    }

    pub fn logs_in(&self, user: &str, password: &str) -> Option<Arc<User>> {
        let user = Address::parse(user).unwrap();
        self.users().by_password(&user, password.as_bytes()).ok()
    }

    pub fn logs_in_with(&self, user: &str, certificate: &str) -> Option<Arc<User>> {
        let key = key_of_file(&self.0.path(certificate)).unwrap();
        self.users()
            .by_certificate(&Address::parse(user).unwrap(), &key)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }
}

#[test]
fn somebody_comes_logs_in_and_goes() {
    for (name, file) in [
        ("users", "users/bob@b.test.toml"),
        ("users.toml", "users.toml"),
    ] {
        let office = Office::with(name);
        let said = office.succeeds("server-user add Bob@B.test --mailbox mail/bob");
        assert!(
            said.contains("set a password with `server-user password bob@b.test`"),
            "{said}"
        );
        let inbox = office.path("mail/bob/inbox");
        assert!(inbox.is_dir());
        assert_eq!(folders(&office.path("mail/bob")), PERSONAL);
        assert_eq!(
            [office.0.mode(file), office.0.mode("mail/bob")],
            [0o600, 0o700]
        );
        if name == "users" {
            assert_eq!(office.0.mode("users"), 0o700);
        }
        let mailbox = office.path("mail/bob").canonicalize().unwrap();
        let listed = |passwords: u8| {
            let mailbox = mailbox.display();
            format!("bob@b.test passwords={passwords} certificates=- mailbox={mailbox}\n")
        };
        assert_eq!(office.succeeds("server-user list"), listed(0));

        office.succeeds("echo 'correct horse' | server-user password bob@b.test");
        let bob = office.logs_in("bob@b.test", "correct horse").unwrap();
        assert_eq!(bob.mailbox(), mailbox);
        assert_eq!(office.succeeds("server-user list"), listed(1));
        assert!(!office.0.read(file).contains("horse"));

        office.succeeds("ima-mailbox check mail/bob");
        let said = office.succeeds("server-user remove bob@b.test");
        assert!(said.contains("is kept"), "{said}");
        assert_eq!(office.succeeds("server-user list"), "");
        assert!(office.logs_in("bob@b.test", "correct horse").is_none());
        assert!(inbox.is_dir());
        assert_eq!(office.path(file).exists(), name == "users.toml");
    }
}

/// The folders that a person expects, in a mailbox that was made for them.
const PERSONAL: [&str; 6] = ["archive", "drafts", "inbox", "junk", "sent", "trash"];

fn folders(mailbox: &Path) -> Vec<String> {
    let names = ima_mailbox::Mailbox::open(mailbox).unwrap().names();
    let names = names.unwrap().into_iter().map(|name| name.to_string());
    names.collect()
}

#[test]
fn what_a_mailbox_lacks_is_made_and_the_rest_left_as_it_is() {
    let office = Office::new();
    office.succeeds("mkdir mail/bob mail/carol; ima-mailbox create mail/bob/inbox");
    let before = fs::read(office.path("mail/bob/inbox/journal")).unwrap();
    let said = office.succeeds("server-user add bob@b.test --mailbox mail/bob");
    assert!(said.contains("was there already"), "{said}");
    assert_eq!(
        fs::read(office.path("mail/bob/inbox/journal")).unwrap(),
        before
    );
    office.succeeds("server-user add carol@b.test --mailbox mail/carol");
    for user in ["bob", "carol"] {
        assert_eq!(folders(&office.path("mail").join(user)), PERSONAL);
    }
}

#[test]
fn the_list_is_for_people_and_for_programs() {
    let office = Office::new();
    office.succeeds(
        "server-user add carol@b.test --mailbox mail/carol\n\
         server-user add bob@b.test --mailbox 'mail/it is' --sender Info@b.test --sender bob@B.test\n\
         server-user certificate bob@b.test --make keys",
    );
    let key = key_of_file(&office.path("keys/bob@b.test.pem")).unwrap();
    let root = office.0.0.path().canonicalize().unwrap();
    let listed = office.succeeds("server-user list");
    let lines: Vec<_> = listed.lines().collect();
    let bob = format!(
        "bob@b.test passwords=0 certificates={key} mailbox={}/mail/it is",
        root.display()
    );
    assert_eq!((lines.len(), lines[0]), (2, &*bob));

    let objects = office.succeeds("server-user list --json");
    let objects: Vec<serde_json::Value> = objects
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        objects[0],
        serde_json::json!({
            "address": "bob@b.test",
            "mailbox": root.join("mail/it is"),
            "passwords": 0,
            "certificates": [key.to_string()],
            "senders": ["info@b.test", "bob@b.test"],
            "file": root.join("users/bob@b.test.toml"),
            "line": 1,
        })
    );
    assert_eq!(objects[1]["senders"], serde_json::json!(["carol@b.test"]));
}

#[test]
fn what_the_users_do_not_allow_is_1() {
    let office = Office::new();
    office.succeeds("server-user add bob@b.test --mailbox mail/bob; server-user certificate bob@b.test --make keys");
    for (script, says) in [
        (
            "server-user add BOB@b.test --mailbox mail/other",
            "is a user already, in ./users/bob@b.test.toml, line 1",
        ),
        (
            "server-user remove dave@b.test",
            "dave@b.test is no user; `server-user list`",
        ),
        (
            "server-user password dave@b.test </dev/null",
            "dave@b.test is no user",
        ),
        (
            "server-user certificate dave@b.test --make keys",
            "dave@b.test is no user",
        ),
        (
            "server-user certificate bob@b.test --withdraw sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "is not enrolled for bob@b.test",
        ),
    ] {
        let says = says.replace(
            "./",
            &format!("{}/", office.0.0.path().canonicalize().unwrap().display()),
        );
        office.fails(1, script, &says);
    }
}

#[test]
fn wrong_usage_is_2_and_says_what_would_be_right() {
    let office = Office::new();
    office.succeeds("server-user add bob@b.test --mailbox mail/bob");
    for (script, says) in [
        ("server-user", "Commands:"),
        ("server-user add", "--mailbox <DIR>"),
        ("server-user add bob --mailbox m", "an address has an @"),
        (
            "server-user add bob+x@b.test --mailbox m",
            "give bob@b.test",
        ),
        ("server-user remove bob+x@b.test", "give bob@b.test"),
        (
            "server-user add dave@b.test --mailbox m --sender dave",
            "an address has an @",
        ),
        (
            "server-user add dave@b.test --mailbox mail/no/dave",
            "make it with mkdir",
        ),
        (
            "server-user add dave@b.test --mailbox server-post-office.toml",
            "Not a directory",
        ),
        (
            "server-user add dave@b.test --mailbox \"$(printf 'mail/\\033[2J')\"",
            "no control characters",
        ),
        (
            "server-user password bob@b.test --add --remove",
            "cannot be used with",
        ),
        ("server-user certificate bob@b.test", "--enrol <FILE>"),
        (
            "server-user certificate bob@b.test --make a --enrol b",
            "cannot be used with",
        ),
        (
            "server-user list --config nowhere.toml",
            "nowhere.toml: there is no such file",
        ),
        (
            "echo >a.toml; server-user list --config a.toml; s=$?; rm a.toml; exit $s",
            "missing field `users`",
        ),
        (
            "echo 'users = \"other\"' >a.toml; server-user list --config a.toml; s=$?; rm a.toml; exit $s",
            "other: there are no users here",
        ),
        ("server-user list --sudo", "--sudo"),
    ] {
        office.fails(2, script, says);
    }
    let answer = office.run("server-user list >/dev/full");
    assert_eq!(answer.code, Some(2), "{}", answer.stderr);
    assert!(
        answer.stderr.contains("cannot be printed"),
        "{}",
        answer.stderr
    );
}

#[test]
fn users_that_are_wrong_are_not_touched() {
    let office = Office::new();
    office.succeeds("server-user add bob@b.test --mailbox mail/bob");
    fs::write(
        office.path("users/carol.toml"),
        "[\"carol@b.test\"]\nmailbox = 7\n",
    )
    .unwrap();
    for command in [
        "list",
        "add dave@b.test --mailbox mail/dave",
        "remove bob@b.test",
        "certificate bob@b.test --make keys",
        "password bob@b.test --remove",
    ] {
        office.fails(
            2,
            &format!("server-user {command}"),
            "/users/carol.toml, line 2, column 11",
        );
    }
}

/// Root's own mailbox would be of no use to a server that is not root's.
#[test]
fn root_makes_nothing_in_another_s_folder() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let office = Office::new();
    office.succeeds("mkdir mail/b.test users; chown 12345:12346 mail/b.test users");
    let add = "server-user add bob@b.test --mailbox mail/b.test/bob";
    office.fails(2, add, "belongs to user id 12345");
    office.fails(2, add, "as that user run `ima-mailbox create ");
    office.succeeds("ima-mailbox create mail/b.test/bob/inbox");
    office.succeeds(add);
    let owner = office.succeeds("stat -c '%u:%g %a' users/bob@b.test.toml");
    assert_eq!(owner, "12345:12346 600\n", "as the folder that it is in");
}

/// The mistyped domain of somebody who could never log in.
#[test]
fn a_user_of_a_mail_domain_without_a_certificate_is_remarked() {
    let office = Office::new();
    let file = office.path("server-post-office.toml");
    let config = fs::read_to_string(&file).unwrap();
    let config = format!("{config}[[identity]]\nhosts = [\"B.test\", \"c.test\"]\n");
    fs::write(&file, config).unwrap();
    let said = office.succeeds("server-user add bob@b.test --mailbox mail/bob");
    assert!(!said.contains("[[identity]]"), "{said}");
    let said = office.succeeds("server-user add carol@b.tset --mailbox mail/carol");
    assert!(
        said.contains("server-post-office.toml lists b.tset"),
        "{said}"
    );
    assert!(office.logs_in("carol@b.tset", "x").is_none());
}

#[test]
fn a_folder_that_is_missing_above_a_mailbox_is_said_once() {
    let office = Office::new();
    let answer = office.run("server-user add bob@b.test --mailbox nowhere/bob");
    assert_eq!(answer.code, Some(2), "{}", answer.stderr);
    let said = &answer.stderr;
    assert!(said.contains("make it with mkdir"), "{said}");
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
}
