//! What a post office acknowledges, on a disk whose power is cut then; and the
//! order of its calls.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::disk::{CUTS, Cut, Disk, KINDS, Kind, TOOLS};
use super::ground::{self, NotAllowed};
use super::letter::Letter;
use super::order::{self, Acknowledgements};
use super::place::{Place, stored};
use super::promise::Promises;
use super::trace::calls;
use super::traced::{trace_of, under_strace, whole_trace};
use super::{Build, has, none, quick};
use crate::peer::{Caller, Identity};
use crate::post::Entry;
use crate::site::{Host, Server, Site};

/// b.test, whose mailboxes are elsewhere.
pub struct Office {
    pub site: Site,
    pub b: Host,
    pub bob: Identity,
}

/// What is said to it, and the octets that follow.
struct Said {
    line: String,
    octets: Vec<u8>,
    /// A letter that is in a folder then, or is not.
    puts: Option<(&'static str, Letter)>,
    takes: Option<(&'static str, Letter)>,
}

fn say(line: String) -> Said {
    Said {
        line,
        octets: Vec::new(),
        puts: None,
        takes: None,
    }
}

/// Each command that changes something, and those that hand out a token.
fn all() -> Vec<Said> {
    let full = Letter::full;
    let digest = |name: &str| full(name).digest;
    let store = |letter: &Letter| Said {
        octets: letter.octets.clone(),
        puts: Some(("bob/inbox", letter.clone())),
        ..say(format!("STORE inbox {}", letter.octets.len()))
    };
    let (new, deleted) = (full("sent"), full("deleted"));
    vec![
        say("FOLDERS".to_owned()),
        say(format!("FLAG inbox {} +seen +flagged", digest("flagged"))),
        Said {
            takes: Some(("bob/inbox", deleted.clone())),
            ..say(format!("DELETE inbox {}", deleted.digest))
        },
        Said {
            takes: Some(("bob/inbox", full("moved"))),
            puts: Some(("bob/archive", full("moved"))),
            ..say(format!("MOVE inbox {} archive", digest("moved")))
        },
        store(&new),
        // It was deleted a moment ago, and is stored all the same.
        store(&deleted),
        say("CREATE plans".to_owned()),
        Said {
            puts: Some(("bob/plans", full("kept"))),
            takes: Some(("bob/inbox", full("kept"))),
            ..say(format!("MOVE inbox {} plans", digest("kept")))
        },
        say("CREATE nothing".to_owned()),
        say("REMOVE nothing".to_owned()),
        say("SYNC inbox - list".to_owned()),
    ]
}

impl Office {
    pub fn new(mailboxes: &Path) -> Office {
        let site = Site::new();
        let b = site.host("b.test", &["bob"]);
        let bob = Identity::self_signed("bob");
        b.open_office(&[Entry::new("bob").with(&bob)]);
        fs::remove_dir_all(b.dir.join("mail/b.test")).unwrap();
        symlink(mailboxes, b.dir.join("mail/b.test")).unwrap();
        Office { site, b, bob }
    }

    /// bob, logged in.
    pub fn caller(&self, server: &Server) -> Caller {
        let mut caller = Caller::dial(server.address, Some(&self.bob));
        assert_eq!(caller.log_in_by_certificate("bob@b.test"), "OK");
        caller
    }
}

impl Said {
    /// Says it; comes back when it was acknowledged.
    fn to(&self, caller: &mut Caller) {
        caller.say(&self.line);
        caller.send(&self.octets);
        let told = caller.told();
        let last = told.last().unwrap();
        assert!(last.line.starts_with("OK"), "{}: {}", self.line, last.line);
    }

    fn missing(&self, place: &Place) {
        if let Some((folder, letter)) = &self.puts {
            let stored = stored(&place.folder(folder), &letter.digest);
            assert!(stored.as_ref() == Some(&letter.octets), "{}", self.line);
        }
    }

    fn promise(&self, place: &Place, promises: &mut Promises) {
        if let Some((folder, letter)) = &self.puts {
            promises.add_letter(place.folder(folder), letter.clone());
        }
        if let Some((folder, letter)) = &self.takes {
            promises.take_letter(&place.folder(folder), letter);
        }
        promises.note(place);
    }
}

#[test]
fn what_a_post_office_acknowledged_survives_a_power_cut() {
    let test = "what_a_post_office_acknowledged_survives_a_power_cut";
    ground::run(module_path!(), test, TOOLS, || {
        for kind in KINDS {
            for how in CUTS {
                cut_after_each(kind, how)?;
            }
        }
        Ok(())
    });
}

fn cut_after_each(kind: Kind, how: Cut) -> Result<(), NotAllowed> {
    let disk = Disk::new(kind)?;
    let place = Place::furnished(&disk.path(), &Build::default());
    let office = Office::new(&disk.path());
    let mut promises = Promises::of(&place);
    for said in all() {
        disk.start();
        let server = office.b.start_office();
        let mut caller = office.caller(&server);
        said.to(&mut caller);
        said.missing(&place);
        said.promise(&place, &mut promises);
        disk.cut(how);
        drop((caller, server));
        disk.start();
        none(&promises.broken(&place));
    }
    Ok(())
}

#[test]
fn a_post_office_syncs_everything_before_it_answers() {
    if !has(&["strace"]) {
        return;
    }
    let dir = quick();
    let root = fs::canonicalize(dir.path()).unwrap().join("mail");
    fs::create_dir(&root).unwrap();
    let place = Place::furnished(&root, &Build::default());
    let office = Office::new(&root);
    let trace = dir.path().join("trace");
    let (server, text) = traced_office(&office, &trace);
    for said in all() {
        let mut caller = office.caller(&server);
        said.to(&mut caller);
        said.missing(&place);
    }
    drop(server);
    let told = Acknowledgements { on_sockets: true };
    let calls = calls(&text());
    assert!(calls.iter().any(|call| call.name == "fsync"));
    none(&order::problems(&calls, &root, told));
}

/// A post office under strace; and its trace, once it has ended.
fn traced_office(office: &Office, trace: &Path) -> (Server, impl FnOnce() -> String) {
    let command = office.b.command("server-post-office");
    // The tracer is the grandchild: who ends the child ends the server.
    let strace = under_strace(&command, trace, &["-D", "-e", &trace_of(&[])]);
    let server = office.b.start_with(strace);
    let (process, trace) = (server.child.id(), PathBuf::from(trace));
    (server, move || whole_trace(process, &trace))
}
