//! Aliases, tags, catch-alls and route files.

use super::site::{Site, header_of, message};

#[test]
fn an_exact_entry_then_one_without_the_tag_then_the_catch_all() {
    let site = Site::new(
        r#"
        "bob@b.test" = { inbox = "{dir}/mail/bob/inbox" }
        "bob+lists@b.test" = { inbox = "mail/lists/inbox" }
        "*@b.test" = { inbox = "mail/{localpart}/inbox" }
        "#,
    );
    ["bob", "lists", "eve"]
        .iter()
        .for_each(|name| site.inbox(name));
    site.delivers(
        &message("to: Bob+shop@b.test\n"),
        0,
        &["OK Bob+shop@b.test"],
    );
    site.delivers(
        &message("to: bob+Lists@b.test\nsubject: 2\n"),
        0,
        &["OK bob+Lists@b.test"],
    );
    site.delivers(
        &message("to: EVE+1@b.test\nsubject: 3\n"),
        0,
        &["OK EVE+1@b.test"],
    );
    assert_eq!(site.counts(&["bob", "lists", "eve"]), [1, 1, 1]);
}

#[test]
fn an_alias_answers_once_and_its_places_are_served_once() {
    let site = Site::new(
        r#"
        "bob@b.test" = { command = ["./note", "{address}"] }
        "dave@b.test" = { command = ["./note", "{address}"] }
        "info@b.test" = { alias = ["bob@b.test", "Dave@b.test"] }
        "all@b.test" = { alias = ["info@b.test", "bob@b.test"] }
        "#,
    );
    site.script("note", "echo \"$1 $2 $IMA_RECIPIENT\" >>{dir}/log");
    let lines =
        "to: Info@b.test\ncc: bob@b.test\ncc: all@b.test\ncc: all+x@b.test\ncc: ALL+y@b.test\n";
    let ok = [
        "OK Info@b.test",
        "OK bob@b.test",
        "OK all@b.test",
        "OK all+x@b.test",
        "OK ALL+y@b.test",
    ];
    site.delivers(&message(lines), 0, &ok);
    let log = site.read("log");
    let mut served: Vec<_> = log.lines().collect();
    served.sort_unstable();
    assert_eq!(
        served,
        [
            "bob@b.test bob@b.test bob@b.test",
            "dave@b.test Dave@b.test Dave@b.test"
        ]
    );
}

/// However many places there are, one that several lead to is served once.
#[test]
fn many_aliases_to_many_places_serve_each_once() {
    const PLACES: usize = 12;
    let all = |from: usize| -> Vec<String> {
        (from..PLACES).map(|n| format!("\"u{n}@b.test\"")).collect()
    };
    let mut routes = String::from("\"*@b.test\" = { command = [\"./note\", \"{address}\"] }\n");
    let mut lines = String::new();
    let mut ok = Vec::new();
    for n in 0..PLACES {
        let (alias, members) = (format!("from{n}@b.test"), all(n).join(", "));
        routes += &format!("\"{alias}\" = {{ alias = [{members}] }}\n");
        lines += &format!("to: {alias}\n");
        ok.push(format!("OK {alias}"));
    }
    let site = Site::new(&routes);
    site.script("note", "echo \"$1\" >>{dir}/log");
    let ok: Vec<&str> = ok.iter().map(String::as_str).collect();
    site.delivers(&message(&lines), 0, &ok);
    let log = site.read("log");
    let mut served: Vec<_> = log.lines().map(str::to_owned).collect();
    served.sort_unstable();
    let mut places: Vec<_> = (0..PLACES).map(|n| format!("u{n}@b.test")).collect();
    places.sort_unstable();
    assert_eq!(served, places);
}

#[test]
fn an_alias_is_ok_or_failed_where_all_are_and_deferred_otherwise() {
    let site = Site::new(
        r#"
        "ok@b.test" = { command = ["true"] }
        "no@b.test" = { command = ["false"] }
        "later@b.test" = { command = ["./later"] }
        "nobody@b.test" = { inbox = "mail/{localpart}/inbox" }
        "oks@b.test" = { alias = ["ok@b.test", "ok+2@b.test"] }
        "nos@b.test" = { alias = ["no@b.test", "no+2@b.test"] }
        "mixed@b.test" = { alias = ["ok@b.test", "no@b.test"] }
        "one@b.test" = { alias = ["later@b.test"] }
        "some@b.test" = { alias = ["ok@b.test", "later@b.test"] }
        "stale@b.test" = { alias = ["ok@b.test", "nobody@b.test"] }
        "#,
    );
    site.script("later", "echo DEFER later@b.test cookie-7 5 500 come again");
    site.delivers(&message("to: oks@b.test\n"), 0, &["OK oks@b.test"]);
    site.delivers(
        &message("to: nos@b.test\n"),
        1,
        &["FAIL nos@b.test refused"],
    );
    site.delivers(
        &message("to: mixed@b.test\n"),
        2,
        &["DEFER mixed@b.test - 60 86400 refused"],
    );
    site.delivers(
        &message("to: one@b.test\n"),
        2,
        &["DEFER one@b.test cookie-7 5 500 come again"],
    );
    site.delivers(
        &message("to: some@b.test\n"),
        2,
        &["DEFER some@b.test - 5 500 come again"],
    );
    // Whoever writes to an alias did not name the mailbox that is missing.
    let stale = "DEFER stale@b.test - 60 86400 the mailbox cannot take it now";
    site.delivers(&message("to: stale@b.test\n"), 2, &[stale]);
    site.run(&["--check"], &message("to: stale@b.test\n"))
        .is(2, &[stale]);
    site.delivers(
        &message("to: nobody@b.test\n"),
        1,
        &["NORECIPIENT nobody@b.test"],
    );
}

#[test]
fn a_blind_copy_to_an_alias_is_seen_by_its_members_alone() {
    let site = Site::new(
        r#"
        "info@b.test" = { alias = ["bob@b.test"] }
        "*@b.test" = { inbox = "mail/{localpart}/inbox" }
        "#,
    );
    ["bob", "eve"].iter().for_each(|name| site.inbox(name));
    site.delivers(
        &message("to: eve@b.test\nbcc: info@b.test\n"),
        0,
        &["OK eve@b.test", "OK info@b.test"],
    );
    assert!(site.messages("bob")[0].contains("\nbcc: info@b.test\n"));
    assert!(!site.messages("eve")[0].contains("bcc"));
}

#[test]
fn a_tag_does_not_multiply_the_members_of_an_alias() {
    let members: Vec<_> = (0..300).map(|n| format!("\"m{n}@b.test\"")).collect();
    let site = Site::new(&format!(
        "\"staff@b.test\" = {{ alias = [{}] }}\n\"*@b.test\" = {{ inbox = \"mail/all/inbox\" }}\n",
        members.join(", ")
    ));
    site.inbox("all");
    let lines: String = (0..2000)
        .map(|n| format!("to: staff+{n}@b.test\n"))
        .collect();
    let answer = site.run(&[], &message(&lines));
    assert_eq!(
        (answer.code, answer.stdout.lines().count()),
        (Some(0), 2000),
        "{}",
        answer.stderr
    );
    assert_eq!(
        answer.stderr.matches("event=delivered").count(),
        1,
        "one inbox is served once"
    );
}

#[test]
fn route_files_are_looked_up_beside_the_configuration() {
    let site = Site::configured(
        "hosts = [\"b.test\"]\nroute-files = [\"users\"]\n[routes]\n\"known@b.test\" = { command = [\"true\"] }\n",
    );
    site.inbox("bob");
    site.write(
        "users",
        "*@b.test\t{ command = [\"false\"] }\nbob@b.test\t{ inbox = \"mail/bob/inbox\" }\n",
    );
    site.delivers(&message("to: Bob+x@b.test\n"), 0, &["OK Bob+x@b.test"]);
    site.delivers(
        &message("to: else@b.test\n"),
        1,
        &["FAIL else@b.test refused"],
    );
    assert_eq!(site.counts(&["bob"]), [1]);

    site.write(
        "users",
        "*@b.test\t{ command = [\"false\"] }\nbob@b.test { inbox = \"mail/bob/inbox\" }\n",
    );
    let lines = [
        "OK known@b.test",
        "DEFER bob@b.test - 60 86400 the address cannot be looked up now",
    ];
    let both = message("to: bob@b.test\nto: known@b.test\nsubject: 2\n");
    site.delivers(&both, 2, &lines)
        .explains("users, at octet 33: a line is an address, one TAB");
    site.run(&["--check"], &both).is(2, &lines[1..]);
}

/// What is held is found by the digest of the message, whatever holds it.
#[test]
fn what_holds_a_message_names_it_by_its_digest() {
    let site = Site::configured(
        "hosts = [\"b.test\"]\nroute-files = [\"users\"]\n[routes]\n\
         \"missing@b.test\" = { inbox = \"mail/missing/inbox\" }\n\
         \"odd@b.test\" = { inbox = \"mail/odd/inbox\" }\n\
         \"run@b.test\" = { command = [\"no-such-program\"] }\n",
    );
    std::fs::create_dir_all(site.path("mail/odd/inbox")).unwrap();
    site.write("users", "what is no line of a route file\n");
    for (name, event) in [
        ("missing", "inbox-missing"),
        ("odd", "not-delivered"),
        ("run", "command-not-started"),
        ("else", "look-up-failed"),
    ] {
        let message = message(&format!("to: {name}@b.test\n"));
        let block = ima_message::HeaderBlock::parse(header_of(&message)).unwrap();
        let says = format!(
            " event={event} digest={} recipient={name}@b.test ",
            block.digest()
        );
        let answer = site.run(&[], &message);
        assert_eq!(answer.code, Some(2), "{answer:?}");
        answer.explains(&says);
    }
}
