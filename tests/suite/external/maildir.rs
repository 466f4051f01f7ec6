//! neomutt and mblaze read and change the Maildirs that fetch-mail keeps.

use std::fs;
use std::process::{Command, Stdio};

use super::{has, tool};
use crate::maildir::Home;
use crate::pages::examples;
use crate::site::{code, feed, program, stderr, stdout};

/// A program of mblaze, which keeps its things where its user is at home.
fn mblaze(home: &Home, name: &str, arguments: &[&str]) -> String {
    let mut command = tool(name);
    command
        .args(arguments)
        .current_dir(home.place.site.path())
        .env("HOME", home.place.site.path())
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null());
    let output = command.output().expect("it runs");
    assert_eq!(code(&output), 0, "{name}: {}", stderr(&output));
    stdout(&output)
}

/// neomutt on a Maildir, at a terminal, with these keys pressed.
fn neomutt(home: &Home, folder: &str, keys: &str) {
    let config = home.place.file("neomuttrc");
    let root = home.place.file("Maildir");
    let root = root.display();
    let lines = format!(
        "set mbox_type=Maildir folder=\"{root}\" spoolfile=\"{root}/inbox\" sort=date-received\n\
         set header_cache=\"\" wait_key=no delete=yes confirmappend=no confirmcreate=no\n\
         set move=no record=\"\" postponed=\"{root}/drafts\" auto_tag=no maildir_trash=yes\n\
         push {keys}<sync-mailbox><exit>\n"
    );
    fs::write(&config, lines).expect("written");
    let typed = format!("neomutt -n -F {} -f {root}/{folder}", config.display());
    let output = tool("script")
        .args(["-qec", &typed, "/dev/null"])
        .env("TERM", "dumb")
        .env("HOME", home.place.site.path())
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert_eq!(
        code(&output),
        0,
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn mblaze_reads_and_marks_what_was_fetched() {
    if !has(&["minc", "mlist", "mshow", "mflag", "mrefile"]) {
        return;
    }
    let home = Home::new();
    let letter = home.place.letter("Grüße an alle\n", &[b"an attachment\n"]);
    home.place.deliver("inbox", &letter);
    let mail: Vec<String> = home.there("inbox").into_keys().collect();
    home.fetch_well();
    // What is new is looked at before it is marked.
    mblaze(&home, "minc", &["-q", "Maildir/inbox"]);
    let listed = mblaze(&home, "mlist", &["Maildir/inbox"]);
    let file = listed.trim_end();
    assert!(file.contains(&mail[0]), "{listed}");
    let shown = mblaze(&home, "mshow", &[file]);
    assert!(
        shown.contains("Subject: Lunch?") && shown.contains("Grüße an alle"),
        "{shown}"
    );
    let parts = mblaze(&home, "mshow", &["-t", file]);
    assert!(parts.contains("size=14 name=\"attached-0\""), "{parts}");
    mblaze(&home, "mflag", &["-S", "-F", file]);
    home.fetch_well();
    home.holds("inbox", &[(&mail[0], "flagged,seen")]);
    home.on_server("flag", &["inbox"], &["-flagged", "+answered", &mail[0]]);
    home.fetch_well();
    assert_eq!(mblaze(&home, "mlist", &["-F", "Maildir/inbox"]), "");
    assert!(mblaze(&home, "mlist", &["-R", "Maildir/inbox"]).contains(&mail[0]));
    // Moved as mrefile does it.
    let file = home.file("inbox", &mail[0]);
    mblaze(
        &home,
        "mrefile",
        &[file.to_str().expect("UTF-8"), "Maildir/archive"],
    );
    home.fetch_well();
    home.holds("inbox", &[]);
    home.holds("archive", &[(&mail[0], "answered,seen")]);
}

#[test]
fn neomutt_reads_marks_deletes_and_saves() {
    if !has(&["neomutt", "script"]) {
        return;
    }
    let home = Home::new();
    let mail = home.delivered(1);
    home.fetch_well();
    neomutt(&home, "inbox", "<first-entry><set-flag>!<set-flag>r");
    home.fetch_well();
    home.holds("inbox", &[(&mail[0], "answered,flagged,seen")]);
    neomutt(&home, "inbox", "<first-entry><clear-flag>!");
    home.fetch_well();
    home.holds("inbox", &[(&mail[0], "answered,seen")]);
    home.on_server("flag", &["inbox"], &["+flagged", &mail[0]]);
    home.fetch_well();
    // What it copies is written anew, under a name of its own.
    neomutt(&home, "inbox", "<first-entry><copy-message>=archive<enter>");
    home.fetch_well();
    home.holds("archive", &[(&mail[0], "answered,flagged,seen")]);
    home.holds("inbox", &[(&mail[0], "answered,flagged,seen")]);
    neomutt(
        &home,
        "archive",
        "<first-entry><save-message>=projects<enter>",
    );
    home.fetch_well();
    home.holds("archive", &[]);
    home.holds("projects", &[(&mail[0], "answered,flagged,seen")]);
    neomutt(&home, "inbox", "<first-entry><delete-message>");
    home.fetch_well();
    home.holds("inbox", &[]);
    home.holds("projects", &[(&mail[0], "answered,flagged,seen")]);
    home.place.check();
}

/// The last example of ima-mailbox(1).
#[test]
fn mblaze_reads_what_was_exported() {
    if !has(&["mlist"]) {
        return;
    }
    let home = Home::new();
    home.delivered(2);
    let folder = home.place.b.mailbox("bob");
    let examples = examples("ima-mailbox.1");
    let script = examples.last().expect("an example").replace("$ ", "");
    let beside = program("ima-mailbox");
    let path = format!(
        "{}:/usr/bin:/bin",
        beside.parent().expect("a folder").display()
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-ec", &script.replace("bob/inbox", "inbox")])
        .current_dir(folder)
        .env("HOME", home.place.site.path())
        .env("PATH", path);
    let output = feed(shell, b"");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(
        stdout(&output).matches("Lunch?").count(),
        2,
        "{}",
        stdout(&output)
    );
}
