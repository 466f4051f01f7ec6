//! Each call that fetch-mail makes on its mailbox fails once with EIO.

use std::fs;
use std::path::Path;

use super::fetched::{There, fetch, letters};
use super::injected::{FAILING, some, turns};
use super::letter::Letter;
use super::order::{self, Acknowledgements};
use super::place::{Place, expect, state, stored};
use super::traced::{run, trace_of};
use super::{Build, copy, has, none, quick};
use crate::site::{code, stderr};

#[test]
fn no_call_of_a_fetch_fails_with_a_loss() {
    if !has(&["strace"]) {
        return;
    }
    let there = There::new();
    there.deliver(&letters("first", 2));
    let server = there.office.b.start_office();
    let dir = quick();
    let dir = fs::canonicalize(dir.path()).unwrap();
    let (template, root) = (dir.join("template"), dir.join("mail"));
    fs::create_dir(&template).unwrap();
    let fetch_into = |root: &Path| fetch(&there.office, server.address, &root.join("bob"), &[]);
    expect(0, &fetch_into(&template).output().unwrap());
    // A new message, and one that goes.
    let new = letters("second", 2);
    there.deliver(&new);
    there.delete(&Letter::full("deleted"));
    let before = there.place().journals();

    let trace = trace_of(&FAILING);
    copy(&template, &root);
    let (output, calls) = run(&fetch_into(&root), b"", &["-e", &trace]);
    expect(0, &output);
    let turns = some(turns(&calls, &root), 100);
    assert!(turns.len() > 20, "{turns:?}");
    let mut problems = Vec::new();
    for (name, number) in turns {
        fs::remove_dir_all(&root).unwrap();
        copy(&template, &root);
        let failing = format!("inject={name}:error=EIO:when={number}");
        let mut problem = |text: String| problems.push(format!("{name} {number}: {text}"));
        let (output, calls) = run(&fetch_into(&root), b"", &["-e", &trace, "-e", &failing]);
        let here = Place::at(&root, &Build::default());
        match code(&output) {
            0 => order::problems(&calls, &root, Acknowledgements::default())
                .into_iter()
                .for_each(&mut problem),
            2 => {}
            other => problem(format!("status {other}: {}", stderr(&output))),
        }
        here.damage().into_iter().for_each(&mut problem);
        let again = fetch_into(&root).output().unwrap();
        if code(&again) != 0 {
            problem(format!("the second run: {}", stderr(&again)));
        }
        here.damage().into_iter().for_each(&mut problem);
        let inbox = here.folder("bob/inbox");
        for letter in &new {
            if stored(&inbox, &letter.digest).as_ref() != Some(&letter.octets) {
                problem(format!("{} is not here", letter.digest));
            }
        }
        if state(&inbox) != state(&there.place().folder("bob/inbox")) {
            problem("the mailboxes differ".to_owned());
        }
        if there.place().journals() != before {
            problem("the server's mailbox has changed".to_owned());
            break;
        }
    }
    none(&problems);
}
