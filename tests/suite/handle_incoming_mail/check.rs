//! `--check`.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use super::site::{PROGRAM, Site, finish, header_of, message};

#[test]
fn a_header_block_is_enough_and_nothing_is_delivered() {
    let site = Site::new(
        "\"bob@b.test\" = { inbox = \"mail/bob/inbox\" }\n\"run@b.test\" = { command = [\"./touch\"] }\n",
    );
    site.inbox("bob");
    site.script("touch", "touch {dir}/was-run");
    let message = message("to: bob@b.test\nto: run@b.test\nto: x@c.test\n");
    site.run(&["--check"], header_of(&message)).is(0, &[]);
    site.run(&["--check"], &message).is(0, &[]);
    fs::write(site.path("header"), header_of(&message)).unwrap();
    site.run(&["--check", "header"], b"").is(0, &[]);
    assert_eq!(site.counts(&["bob"]), [0]);
    assert!(!site.path("was-run").exists());
}

#[test]
fn everyone_who_is_nobody_is_named() {
    let site = Site::new("\"*@b.test\" = { inbox = \"mail/{localpart}/inbox\" }");
    site.inbox("bob");
    let lines = "to: bob@b.test\nto: nobody@b.test\ncc: Noone@b.test\n";
    let nobody = ["NORECIPIENT nobody@b.test", "NORECIPIENT Noone@b.test"];
    site.run(&["--check"], header_of(&message(lines)))
        .is(1, &nobody);
    site.run(&["--check"], header_of(&message("to: x@c.test\n")))
        .is(1, &[])
        .explains("no recipient is of a host of ours");
    site.run(&["--check"], b"ima: 2\n\n")
        .is(1, &[])
        .explains("line 1, column 1");
    site.run(&["--check"], b"").is(2, &[]).explains("empty");
}

#[test]
fn an_inbox_is_asked_whether_it_can_take_so_much() {
    let site = Site::new(
        "\"bob@b.test\" = { inbox = \"mail/bob/inbox\" }\n\"eve@b.test\" = { inbox = \"mail/eve/inbox\" }\n",
    );
    ["bob", "eve"].iter().for_each(|name| site.inbox(name));
    let whole = String::from_utf8(message("to: bob@b.test\n")).unwrap();
    let octets = 1_u64 << 60;
    let huge = whole
        .replace("text/plain 6 ", &format!("text/plain {octets} "))
        .replace("size: 6", &format!("size: {octets}"));
    let line = "DEFER bob@b.test - 60 86400 the mailbox cannot take it now";
    site.run(&["--check"], header_of(huge.as_bytes()))
        .is(2, &[line])
        .explains("octets");

    fs::remove_dir_all(site.path("mail/eve/inbox")).unwrap();
    let line = "DEFER eve@b.test - 60 86400 the mailbox cannot take it now";
    site.run(
        &["--check"],
        header_of(&message("to: eve@b.test\nto: bob@b.test\n")),
    )
    .is(2, &[line])
    .explains("event=inbox-missing");
}

/// The processor time that so many checks of so many recipients take together.
fn time(site: &Site, checks: usize, recipients: usize, code: i32) -> Duration {
    let mut lines = String::new();
    for n in 0..recipients {
        writeln!(lines, "to: user{n:06}+tag@b.test").unwrap();
    }
    fs::write(site.path("header"), header_of(&message(&lines))).unwrap();
    let check = format!("\"$0\" --check header >lines; [ $? = {code} ] || exit 1\n");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &(check.repeat(checks) + "times"), PROGRAM])
        .env("EMEMO_CONFIG_DIR", site.path(""))
        .current_dir(site.path(""));
    let answer = finish(shell, b"");
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let named = if code == 1 { recipients } else { 0 };
    assert_eq!(site.read("lines").lines().count(), named);
    processor_time(&answer.stdout)
}

/// User and system time of a shell's children, as its `times` says: `0m0.05s 0m0.01s`.
fn processor_time(times: &str) -> Duration {
    let words = times.lines().nth(1).unwrap().split_whitespace();
    words
        .map(|word| {
            let (minutes, seconds) = word.trim_end_matches('s').split_once('m').unwrap();
            Duration::from_secs_f64(
                60.0 * minutes.parse::<f64>().unwrap() + seconds.parse::<f64>().unwrap(),
            )
        })
        .sum()
}

/// For ten thousand recipients. Two seconds are for the program as it is used; without
/// optimisation it takes many times as long.
const LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 2 });

#[test]
fn ten_thousand_recipients_take_linear_time() {
    let users: String = (0..20_000)
        .map(|n| format!("user{n:06}@b.test\t{{ command = [\"true\"] }}\n"))
        .collect();
    let of_route_file = Site::configured("hosts = [\"b.test\"]\nroute-files = [\"users\"]\n");
    of_route_file.write("users", &users);
    for (site, code) in [
        (
            Site::new("\"*@b.test\" = { command = [\"true\", \"{localpart}\"] }"),
            0,
        ),
        (
            Site::new("\"*@b.test\" = { inbox = \"mail/{localpart}/inbox\" }"),
            1,
        ),
        (of_route_file, 0),
    ] {
        // Processor time: other tests and strangers share this machine's clock. They share
        // its caches, too; but what is not linear, or too slow, is so in every round.
        let mut rounds = Vec::new();
        let kept = (0..5).any(|_| {
            // Both take about as long: the shell counts in hundredths of a second.
            let thousand_ten_times = time(&site, 10, 1000, code);
            let ten_thousand = time(&site, 1, 10_000, code);
            rounds.push((thousand_ten_times, ten_thousand));
            ten_thousand < LIMIT && ten_thousand < thousand_ten_times * 3 / 2
        });
        assert!(kept, "{rounds:?}");
    }
}
