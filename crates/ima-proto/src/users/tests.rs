//! The users of real files, and what a login costs.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use argon2::password_hash::PasswordHasher as _;
use argon2::{Argon2, Params};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

use super::*;

/// A hash that is made and checked at once.
fn quick(password: &str) -> String {
    let parameters = Params::new(8, 1, 1, None).unwrap();
    let argon2 = Argon2::from(parameters);
    argon2
        .hash_password(password.as_bytes())
        .unwrap()
        .to_string()
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn key(digit: char) -> KeyDigest {
    let digits = String::from(digit).repeat(64);
    format!("sha256:{digits}").parse().unwrap()
}

/// A folder for users, and what is written there.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        // As an editor does it: a new file under the old name.
        fs::write(self.path(".new"), text).unwrap();
        fs::set_permissions(self.path(".new"), Permissions::from_mode(0o600)).unwrap();
        fs::rename(self.path(".new"), self.path(name)).unwrap();
        self.path(name)
    }

    fn error(&self) -> String {
        let error = Users::load(self.0.path()).unwrap_err();
        let said = entries(self.0.path()).unwrap_err().to_string();
        assert_eq!(said, error.to_string());
        said
    }
}

fn names(users: &Users) -> Vec<String> {
    let mut names: Vec<_> = users
        .all()
        .iter()
        .map(|user| user.address().canonical())
        .collect();
    names.sort();
    names
}

#[test]
fn a_login_is_one_user_s_and_by_what_the_entry_says() {
    let place = Place::new();
    let (one, two) = (quick("one"), quick("two"));
    let file = place.write(
        "users.toml",
        &format!(
            "[\"bob@b.test\"]\nmailbox = \"m/bob\"\npassword = [\"{one}\", \"{two}\"]\n\
             certificates = [\"{0}\"]\n[\"carol@b.test\"]\nmailbox = \"m/carol\"\n\
             certificates = [\"{1}\"]\n",
            key('b'),
            key('c')
        ),
    );
    let users = Users::load(&file).unwrap();
    let (bob, carol, dave) = (
        address("Bob@B.test"),
        address("carol@b.test"),
        address("dave@b.test"),
    );
    for password in ["one", "two"] {
        let user = users.by_password(&bob, password.as_bytes()).unwrap();
        assert_eq!(user.mailbox(), place.path("m/bob"));
    }
    for (who, password) in [
        (&bob, "three"),
        (&bob, ""),
        (&carol, "one"),
        (&dave, "one"),
        (&carol, ""),
    ] {
        assert!(users.by_password(who, password.as_bytes()).is_err());
    }
    assert_eq!(
        users.by_certificate(&carol, &key('c')).unwrap().mailbox(),
        place.path("m/carol")
    );
    for (who, key) in [
        (&bob, key('c')),
        (&carol, key('b')),
        (&dave, key('b')),
        (&bob, key('0')),
    ] {
        assert!(users.by_certificate(who, &key).is_none());
    }
    let tagged = address("bob+x@b.test");
    assert!(users.by_password(&tagged, b"one").is_err());
}

#[test]
fn of_a_folder_the_toml_files_count() {
    let place = Place::new();
    place.write("one.toml", "[\"one@b.test\"]\nmailbox = \"m\"\n");
    place.write(
        "two.toml",
        "[\"two@b.test\"]\nmailbox = \"m\"\n[\"three@b.test\"]\nmailbox = \"m\"\n",
    );
    for other in [
        "one.toml~",
        ".one.toml",
        "one.toml.bak",
        "README",
        "#one.toml#",
    ] {
        place.write(other, "no TOML");
    }
    fs::create_dir(place.path("old")).unwrap();
    fs::write(place.path("old/four.toml"), "no TOML").unwrap();
    let users = Users::load(place.0.path()).unwrap();
    assert_eq!(names(&users), ["one@b.test", "three@b.test", "two@b.test"]);
    let listed = entries(place.0.path()).unwrap();
    let listed: Vec<_> = listed.iter().map(Entry::place).collect();
    let places = [("one", 1), ("two", 3), ("two", 1)].map(|(name, line)| {
        format!(
            "{}, line {line}",
            place.path(&format!("{name}.toml")).display()
        )
    });
    assert_eq!(listed, places);
    assert_eq!(names(&Users::load(Place::new().0.path()).unwrap()), [""; 0]);
}

#[test]
fn a_user_stands_once() {
    let place = Place::new();
    let file = place.write(
        "a.toml",
        "[\"Bob@b.test\"]\nmailbox = \"m\"\n\n[\"bob@B.TEST\"]\nmailbox = \"n\"\n",
    );
    let said = place.error();
    let twice = |first: &str, second: &str| {
        format!(
            "bob@b.test stands in {first} and in {second}, perhaps in two spellings: keep one of them"
        )
    };
    let at = |line: usize| format!("{}, line {line}", file.display());
    assert_eq!(said, twice(&at(1), &at(4)));

    place.write("a.toml", "[\"bob@b.test\"]\nmailbox = \"m\"\n");
    let other = place.write("b.toml", "# bob\n[\"bob@b.test\"]\nmailbox = \"m\"\n");
    assert_eq!(
        place.error(),
        twice(&at(1), &format!("{}, line 2", other.display()))
    );
}

#[test]
fn what_cannot_be_taken_is_told() {
    let place = Place::new();
    let nowhere = Users::load(&place.path("nowhere")).unwrap_err().to_string();
    assert!(
        nowhere.contains("/nowhere: there are no users here; `server-user add`"),
        "{nowhere}"
    );

    let file = place.write("a.toml", "[\"bob@b.test\"]\n");
    let said = place.error();
    assert!(
        said.contains("/a.toml, line 1, column 1: ") && said.contains("`mailbox`"),
        "{said}"
    );

    fs::write(&file, "[\"bob@b.test\"]\nmailbox = \"m\"\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o646)).unwrap();
    assert!(place.error().contains("/a.toml`"), "{}", place.error());
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(place.0.path(), Permissions::from_mode(0o777)).unwrap();
    assert!(place.error().contains("chmod o-w"), "{}", place.error());
    fs::set_permissions(place.0.path(), Permissions::from_mode(0o700)).unwrap();
    Users::load(place.0.path()).unwrap();

    symlink("nowhere", place.path("b.toml")).unwrap();
    assert!(
        place
            .error()
            .contains("/b.toml: these users cannot be read"),
        "{}",
        place.error()
    );
    fs::remove_file(place.path("b.toml")).unwrap();
    fs::create_dir(place.path("b.toml")).unwrap();
    assert!(
        place.error().contains("this is neither"),
        "{}",
        place.error()
    );
    let device = Users::load(Path::new("/dev/null")).unwrap_err();
    assert!(matches!(device, UsersError::Kind { .. }), "{device}");
}

#[test]
fn changes_are_seen_and_what_is_wrong_takes_nothing_away() {
    let place = Place::new();
    let entry = |name: &str| format!("[\"{name}@b.test\"]\nmailbox = \"m\"\n");
    place.write("a.toml", &entry("a"));
    place.write("b.toml", &entry("b"));
    let users = Users::load(place.0.path()).unwrap().looking_always();
    assert_eq!(names(&users), ["a@b.test", "b@b.test"]);

    place.write("c.toml", &entry("c"));
    assert_eq!(names(&users), ["a@b.test", "b@b.test", "c@b.test"]);
    fs::remove_file(place.path("c.toml")).unwrap();
    assert_eq!(names(&users), ["a@b.test", "b@b.test"]);

    // The one that is wrong says what it said; the others are heard.
    place.write("a.toml", "[\"a@b.test\"]\n");
    place.write("b.toml", &entry("other"));
    assert_eq!(names(&users), ["a@b.test", "other@b.test"]);
    place.write("d.toml", &entry("other"));
    assert_eq!(names(&users), ["a@b.test", "other@b.test"]);
    place.write("d.toml", &entry("d"));
    assert_eq!(names(&users), ["a@b.test", "d@b.test", "other@b.test"]);
    place.write("a.toml", &entry("new"));
    assert_eq!(names(&users), ["d@b.test", "new@b.test", "other@b.test"]);

    let away = place.0.path().with_extension("away");
    fs::rename(place.0.path(), &away).unwrap();
    assert_eq!(names(&users).len(), 3);
    fs::rename(&away, place.0.path()).unwrap();
    place.write("a.toml", "");
    assert_eq!(names(&users), ["d@b.test", "other@b.test"]);
}

#[test]
fn every_wrong_password_is_the_same_work() {
    let place = Place::new();
    let hash = |text: &str| quick("right").replace("m=8,t=1", text);
    let light = quick("right");
    // The parameters of users' passwords, and the work of each wrong one.
    for (others, most) in [
        (&[][..], 8),
        (&[&["m=8,t=1"; 3][..]][..], 24),
        (&[&["m=64,t=3"]], 3 * 64),
        // The light one fits into what the heavy one leaves, many times or not
        // at all; and the costliest in all is not the one with most memory.
        (&[&["m=4096,t=3"], &["m=1031,t=1"], &["m=96,t=7"]], 3 * 4096),
        (
            &[&["m=512,t=9", "m=31,t=2"], &["m=4096,t=1"]],
            512 * 9 + 31 * 2,
        ),
    ] {
        let mut text = format!(
            "[\"none@b.test\"]\nmailbox = \"m\"\n\
             [\"one@b.test\"]\nmailbox = \"m\"\npassword = \"{light}\"\n"
        );
        for (number, parameters) in others.iter().enumerate() {
            let hashes: Vec<String> = parameters.iter().map(|text| hash(text)).collect();
            text +=
                &format!("[\"other{number}@b.test\"]\nmailbox = \"m\"\npassword = {hashes:?}\n");
        }
        let file = place.write("users.toml", &text);
        let users = Users::load(&file).unwrap();
        let table = users.source.current();
        let wrong = |user: Option<&User>| {
            let (is_right, work) = table.check(user, b"wrong", &mut Memory::default());
            assert!(!is_right);
            work
        };
        assert_eq!(wrong(None), most);
        for user in table.by_address.values() {
            let work = wrong(Some(user));
            assert!(work.abs_diff(most) < 8, "{user:?}: {work} of {most}");
        }
    }
    let nobody = place.write("users.toml", "");
    let (is_right, work) =
        Users::load(&nobody)
            .unwrap()
            .source
            .current()
            .check(None, b"x", &mut Memory::default());
    assert_eq!((is_right, work), (false, 2 * 19456));
}

/// What is filled is what is counted: an unknown user takes as long as one with
/// other parameters than the costliest, also where neither is a default.
#[test]
fn unequal_parameters_take_equal_time() {
    let place = Place::new();
    let hash = |text: &str| quick("right").replace("m=8,t=1", text);
    let file = place.write(
        "users.toml",
        &format!(
            "[\"bob@b.test\"]\nmailbox = \"m\"\npassword = \"{}\"\n\
             [\"heavy@b.test\"]\nmailbox = \"m\"\npassword = \"{}\"\n",
            hash("m=19456,t=2"),
            hash("m=65536,t=3")
        ),
    );
    let users = Users::load(&file).unwrap();
    let fastest = |who: &str| {
        let took = (0..5).map(|_| {
            let asked = Instant::now();
            assert!(users.by_password(&address(who), b"wrong").is_err());
            asked.elapsed()
        });
        took.min().unwrap().as_secs_f64()
    };
    // Others on this machine may disturb one measurement, but not each of them.
    let agree = || {
        let unknown = fastest("nobody@b.test");
        ["bob@b.test", "heavy@b.test"]
            .iter()
            .all(|who| (0.7..1.4).contains(&(fastest(who) / unknown)))
    };
    assert!((0..5).any(|_| agree()));
}

#[test]
fn unknown_users_and_wrong_passwords_are_answered_at_the_same_moment() {
    let place = Place::new();
    let right = PasswordHash::make(b"right").unwrap();
    let file = place.write(
        "users.toml",
        &format!(
            "[\"bob@b.test\"]\nmailbox = \"m\"\npassword = [\"{right}\", \"{right}\"]\n\
             [\"carol@b.test\"]\nmailbox = \"m\"\n"
        ),
    );
    let users = Users::load(&file).unwrap();
    let median = |who: &str| {
        let who = address(who);
        let mut times: Vec<Duration> = (0..7)
            .map(|_| {
                let asked = Instant::now();
                assert!(users.by_password(&who, b"wrong").is_err());
                moment_of_failure(asked, Instant::now(), Duration::ZERO) - asked
            })
            .collect();
        times.sort();
        times.into_iter().nth(3).unwrap()
    };
    // What others do on this machine may make one of them late, but not each time.
    let agree = || {
        let wrong = median("bob@b.test");
        median("nobody@b.test") == wrong && median("carol@b.test") == wrong
    };
    assert!((0..5).any(|_| agree()));
}

#[test]
fn ten_thousand_users_are_read_once() {
    let place = Place::new();
    let hash = quick("right");
    let tables = (0..10_000).map(|number| {
        format!(
            "[\"user{number}@b.test\"]\nmailbox = \"/var/lib/ememo/mail/b.test/user{number}\"\n\
             password = \"{hash}\"\ncertificates = [\"{}\"]\n",
            key('0')
        )
    });
    let file = place.write("users.toml", &tables.collect::<String>());
    let processor_time = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let begin = processor_time();
    let users = Users::load(&file).unwrap();
    let loaded = processor_time();
    for number in 0..10_000 {
        let who = address(&format!("user{number}@b.test"));
        assert!(users.by_certificate(&who, &key('0')).is_some());
    }
    let (load, logins) = (loaded - begin, processor_time() - loaded);
    assert!(
        logins < load * 5,
        "10,000 users are read in {load:?}; as many logins take {logins:?}"
    );
}

/// Once whoever was enrolled within the last second was refused.
#[test]
fn whoever_was_just_added_is_not_refused() {
    let place = Place::new();
    place.write("bob.toml", "");
    let users = Users::load(place.0.path()).unwrap();
    let bob = address("bob@b.test");
    assert!(users.by_certificate(&bob, &key('a')).is_none());
    let entry = format!(
        "[\"bob@b.test\"]\nmailbox = \"m\"\npassword = \"{}\"\ncertificates = [\"{}\"]\n",
        quick("open sesame"),
        key('a')
    );
    for (round, written) in [entry.clone(), String::new(), entry].iter().enumerate() {
        place.write("bob.toml", written);
        // For as long as a look is not worth its while yet.
        let begin = Instant::now();
        let is_in = |users: &Users| match round {
            0 => users.by_certificate(&bob, &key('a')).is_some(),
            _ => users.by_password(&bob, b"open sesame").is_ok(),
        };
        while is_in(&users) != (round != 1) {
            let limit = Duration::from_millis(if round == 1 { 5000 } else { 900 });
            assert!(begin.elapsed() < limit, "{round}");
            std::thread::yield_now();
        }
    }
}
