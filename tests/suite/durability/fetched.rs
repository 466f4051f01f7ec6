//! What fetch-mail has brought, on a disk whose power is cut then.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::disk::{self, CUTS, Cut, Disk, KINDS, Kind, TOOLS};
use super::ground::{self, NotAllowed};
use super::letter::{Letter, octets};
use super::order::{self, Acknowledgements};
use super::place::{Place, expect};
use super::promise::Promises;
use super::served::Office;
use super::traced::{run, trace_of};
use super::{Build, has, none, quick};
use crate::peer::Identity;
use crate::peer::office::{self, Folder};
use crate::site::{code, run as run_program};

/// Letters that are fetched together: with more than 16 the file system is synced.
const MANY: usize = 20;

/// Letters of two attachments, of which they share one.
pub fn letters(name: &str, count: usize) -> Vec<Letter> {
    let one = |number| {
        let name = format!("{name} {number}");
        Letter::new(
            &["bob"],
            &name,
            &[octets(&name, 3000), octets("shared", 20_000)],
        )
    };
    (0..count).map(one).collect()
}

/// fetch-mail for bob into a mailbox, with what identifies him beside it.
pub fn fetch(office: &Office, server: SocketAddr, mailbox: &Path, options: &[&str]) -> Command {
    let dir = office.site.path();
    let config = dir.join("fetch-mail.toml");
    let text = format!(
        "roots = [\"ca/ca.pem\"]\naddress = \"bob@b.test\"\ncertificate = \"bob.pem\"\n\
         key = \"bob.key\"\n[hosts]\n\"b.test\" = \"{server}\"\n"
    );
    fs::write(&config, text).unwrap();
    fs::write(dir.join("bob.pem"), office.bob.certificate_pem()).unwrap();
    fs::write(dir.join("bob.key"), office.bob.key_pem()).unwrap();
    fs::set_permissions(dir.join("bob.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Build::default().command("fetch-mail", options);
    command.arg("--config").arg(config).arg(mailbox);
    command.env_remove("EMEMO_CONFIG_DIR");
    command
}

/// A server with a mailbox of its own.
pub struct There {
    dir: TempDir,
    pub office: Office,
}

impl There {
    pub fn new() -> There {
        let dir = quick();
        Place::furnished(dir.path(), &Build::default());
        let office = Office::new(dir.path());
        There { dir, office }
    }

    pub fn place(&self) -> Place {
        Place::at(self.dir.path(), &Build::default())
    }

    pub fn delete(&self, letter: &Letter) {
        let digest = [&*letter.digest];
        let mut delete = self.place().tool("delete", &["bob/inbox"], &digest);
        expect(0, &delete.output().unwrap());
    }

    pub fn deliver(&self, letters: &[Letter]) {
        let inbox = self.dir.path().join("bob/inbox");
        for letter in letters {
            expect(
                0,
                &run_program("server-give-recipient", &[&inbox], &letter.octets),
            );
        }
    }
}

#[test]
fn what_was_fetched_survives_a_power_cut() {
    let test = "what_was_fetched_survives_a_power_cut";
    ground::run(module_path!(), test, TOOLS, || {
        for kind in KINDS {
            for how in CUTS {
                fetch_and_cut(kind, how)?;
            }
        }
        Ok(())
    });
}

fn fetch_and_cut(kind: Kind, how: Cut) -> Result<(), NotAllowed> {
    let there = There::new();
    let server = there.office.b.start_office();
    let disk = Disk::new(kind)?;
    // In the place of a user's mailbox, so that it is looked at as one.
    let mailbox = disk.path().join("bob");
    let here = Place::at(&disk.path(), &Build::default());
    let mut promises = Promises::default();
    for round in ["first", "second", "third"] {
        let letters = letters(round, if round == "first" { MANY } else { 2 });
        there.deliver(&letters);
        let mut command = fetch(&there.office, server.address, &mailbox, &[]);
        expect(0, &command.output().unwrap());
        for letter in letters {
            promises.add_letter(mailbox.join("inbox"), letter);
        }
        promises.note(&here);
        let state = fs::read(mailbox.join(".fetch-mail/state")).unwrap();
        disk.cut(how);
        disk.start();
        none(&promises.broken(&here));
        let kept = fs::read(mailbox.join(".fetch-mail/state")).unwrap();
        assert!(
            kept == state,
            "{kind:?}, {how:?}, {round}: the state has changed"
        );
    }
    Ok(())
}

/// Whatever the server is told to delete is on the disk here by then.
#[test]
fn nothing_is_deleted_on_the_server_that_is_not_durable_here() {
    let test = "nothing_is_deleted_on_the_server_that_is_not_durable_here";
    ground::run(module_path!(), test, TOOLS, || {
        for kind in KINDS {
            for how in CUTS {
                for count in [3, MANY] {
                    delete_and_cut(kind, how, count)?;
                }
            }
        }
        Ok(())
    });
}

fn delete_and_cut(kind: Kind, how: Cut, count: usize) -> Result<(), NotAllowed> {
    let there = There::new();
    let disk = Disk::new(kind)?;
    let mailbox = disk.path().join("bob");
    let letters = letters("deleted", count);
    let folder = Folder {
        name: "inbox",
        letters: letters
            .iter()
            .map(|letter| office::Letter::new(&letter.octets))
            .collect(),
    };
    let is_cut = Arc::new(AtomicBool::new(false));
    let (path, was_cut) = (disk.path(), Arc::clone(&is_cut));
    let identity = Identity::made(&there.office.site, "b.test");
    let server = office::Office::start(&identity, &[folder], move |line, said| {
        if line.starts_with("DELETE ") && !was_cut.swap(true, Ordering::SeqCst) {
            disk::cut(&path, how);
        }
        said
    });
    let options = ["--delete-after-fetch"];
    let output = fetch(&there.office, server.address, &mailbox, &options)
        .output()
        .unwrap();
    assert!(
        is_cut.load(Ordering::SeqCst),
        "{output:?}\n{:?}",
        server.lines()
    );
    assert!([0, 2].contains(&code(&output)), "{output:?}");
    disk.start();
    let here = Place::at(&disk.path(), &Build::default());
    let mut promises = Promises::default();
    let lines = server.lines();
    for letter in letters {
        if lines.contains(&format!("DELETE inbox {}", letter.digest)) {
            promises.add_letter(mailbox.join("inbox"), letter);
        }
    }
    none(&promises.broken(&here));
    Ok(())
}

#[test]
fn a_fetch_is_on_the_disk_when_it_ends() {
    if !has(&["strace"]) {
        return;
    }
    let there = There::new();
    let server = there.office.b.start_office();
    let dir = quick();
    let root = fs::canonicalize(dir.path()).unwrap().join("mail");
    fs::create_dir(&root).unwrap();
    for (round, count) in [("first", MANY), ("second", 2), ("nothing", 0)] {
        there.deliver(&letters(round, count));
        let command = fetch(&there.office, server.address, &root.join("bob"), &[]);
        let (output, calls) = run(&command, b"", &["-e", &trace_of(&[])]);
        expect(0, &output);
        let problems = order::problems(&calls, &root, Acknowledgements::default());
        none(&problems);
    }
}
