#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fmt::Write as _;
use std::fs;

use rustix::time::{ClockId, clock_gettime};

use crate::LineError;

use super::*;

const HOSTS: &[&str] = &["b.test", "пример.test"];

fn table_with(routes: &str, files: &[PathBuf]) -> Result<RoutingTable, RouteError> {
    let hosts: Vec<_> = HOSTS
        .iter()
        .map(|host| Hostpart::parse(host).unwrap())
        .collect();
    RoutingTable::new(
        &hosts,
        toml::from_str(routes).unwrap(),
        files,
        Path::new("/etc/ememo"),
    )
}

fn table(routes: &str) -> RoutingTable {
    table_with(routes, &[]).unwrap()
}

fn fault(routes: &str) -> String {
    table_with(routes, &[]).unwrap_err().to_string()
}

/// What an address leads to, in a short form: `who: path`, `who! words`.
fn leads_to(table: &RoutingTable, address: &str) -> Vec<String> {
    let destinations = table.look_up(&Address::parse(address).unwrap()).unwrap();
    let show = |destination: &Destination| match &destination.action {
        Action::Inbox { path, .. } => format!("{}: {}", destination.address, path.display()),
        Action::Command(words) => format!("{}! {}", destination.address, words.join(" ")),
    };
    destinations.map_or_else(Vec::new, |all| all.iter().map(show).collect())
}

fn inbox(table: &RoutingTable, address: &str) -> (PathBuf, PathBuf, bool) {
    let destinations = table
        .look_up(&Address::parse(address).unwrap())
        .unwrap()
        .unwrap();
    match &destinations[0].action {
        Action::Inbox {
            path,
            base,
            from_pattern,
        } => (path.clone(), base.clone(), *from_pattern),
        Action::Command(words) => panic!("{words:?}"),
    }
}

#[test]
fn an_exact_entry_wins_then_one_without_the_tag_then_the_catch_all() {
    let table = table(
        r#"
        "Bob@b.test" = { inbox = "/bob" }
        "bob+lists@b.test" = { inbox = "/lists" }
        "*@b.test" = { command = ["give", "{localpart}", "{address}"] }
        "#,
    );
    assert_eq!(leads_to(&table, "bob@B.test"), ["bob@B.test: /bob"]);
    assert_eq!(leads_to(&table, "bob+x@b.test"), ["bob+x@b.test: /bob"]);
    assert_eq!(
        leads_to(&table, "BOB+Lists@b.test"),
        ["BOB+Lists@b.test: /lists"]
    );
    assert_eq!(
        leads_to(&table, "bob+lists+x@b.test"),
        ["bob+lists+x@b.test: /bob"]
    );
    assert_eq!(
        leads_to(&table, "Eve+1@b.test"),
        ["Eve+1@b.test! give eve eve+1@b.test"]
    );
    assert_eq!(leads_to(&table, "*@b.test"), ["*@b.test! give * *@b.test"]);
    assert!(leads_to(&table, "bob@c.test").is_empty());
    assert!(leads_to(&table, "bob@пример.test").is_empty());
}

#[test]
fn an_address_is_one_literal_word() {
    let table = table(r#""*@b.test" = { command = ["give", "/mail/{localpart}/inbox", "-"] }"#);
    for localpart in [
        ";touch",
        "$(touch)",
        "`x`",
        "{address}",
        "%s",
        "*",
        "&&",
        "|",
        "'",
        "~",
        "$ifs",
    ] {
        assert_eq!(
            leads_to(&table, &format!("{localpart}@b.test")),
            [format!(
                "{localpart}@b.test! give /mail/{localpart}/inbox -"
            )]
        );
    }
}

#[test]
fn paths_begin_at_the_configuration_and_bases_end_before_placeholders() {
    let table = table(
        r#"
        "a@b.test" = { inbox = "mail/a" }
        "b@b.test" = { inbox = "/mail/b" }
        "c@b.test" = { inbox = "/mail/x-{localpart}/inbox" }
        "d@b.test" = { inbox = "{localpart}" }
        "e@b.test" = { inbox = "/{localpart}" }
        "f@b.test" = { inbox = "mail/{hostpart}/{localpart}" }
        "#,
    );
    let all = |address: &str| {
        let (path, base, from_pattern) = inbox(&table, address);
        (
            path.to_str().unwrap().to_owned(),
            base.components().collect::<PathBuf>(),
            from_pattern,
        )
    };
    let want =
        |path: &str, base: &str, from_pattern| (path.to_owned(), PathBuf::from(base), from_pattern);
    assert_eq!(
        all("a@b.test"),
        want("/etc/ememo/mail/a", "/etc/ememo/mail/a", false)
    );
    assert_eq!(all("b@b.test"), want("/mail/b", "/mail/b", false));
    assert_eq!(all("c@b.test"), want("/mail/x-c/inbox", "/mail", true));
    assert_eq!(all("d@b.test"), want("/etc/ememo/d", "/etc/ememo", true));
    assert_eq!(all("e@b.test"), want("/e", "/", true));
    assert_eq!(
        all("f@b.test"),
        want("/etc/ememo/mail/b.test/f", "/etc/ememo/mail", true)
    );
}

#[test]
fn aliases_lead_to_each_place_once() {
    let table = table(
        r#"
        "bob@b.test" = { inbox = "/bob" }
        "eve@b.test" = { command = ["give"] }
        "info@b.test" = { alias = ["bob@b.test", "bob+info@b.test", "Eve@b.test"] }
        "all@b.test" = { alias = ["info@b.test", "eve@b.test", "info@b.test", "eve+x@b.test"] }
        "#,
    );
    assert_eq!(
        leads_to(&table, "info@b.test"),
        ["bob@b.test: /bob", "Eve@b.test! give"]
    );
    assert_eq!(
        leads_to(&table, "all+x@b.test"),
        ["bob@b.test: /bob", "Eve@b.test! give", "eve+x@b.test! give"]
    );
    let look_up = |address| {
        table
            .look_up(&Address::parse(address).unwrap())
            .unwrap()
            .unwrap()
    };
    assert!(Arc::ptr_eq(
        &look_up("info@b.test"),
        &look_up("info+tag@b.test")
    ));
}

#[test]
fn a_table_that_cannot_work_is_refused_by_name() {
    let routes = |lines: &[&str]| fault(&lines.join("\n"));
    assert_eq!(
        routes(&[r#""Bob@c.test" = { inbox = "x" }"#]),
        "the route \"Bob@c.test\" is for a host that is not in `hosts`: add c.test there, or take the route away"
    );
    assert!(
        routes(&[r#""*@c.test" = { inbox = "x" }"#])
            .contains("the route \"*@c.test\" is for a host")
    );
    assert!(
        routes(&[r#""a@b.test" = { alias = ["bob@c.test"] }"#])
            .contains("\"a@b.test\" leads to bob@c.test, whose host")
    );
    assert!(
        routes(&[r#""a@b.test" = { alias = ["bob@b.test"] }"#])
            .contains("\"a@b.test\" leads to bob@b.test, which has no route")
    );
    let way = |lines: &[&str]| {
        let error = routes(lines);
        let (_, way) = error.split_once("itself: ").unwrap();
        way.split_once(';').unwrap().0.to_owned()
    };
    assert_eq!(
        way(&[r#""a@b.test" = { alias = ["a@b.test"] }"#]),
        "a@b.test → a@b.test"
    );
    assert_eq!(
        way(&[r#""a@b.test" = { alias = ["a+tag@b.test"] }"#]),
        "a@b.test → a@b.test"
    );
    assert_eq!(
        way(&[r#""*@b.test" = { alias = ["postmaster@b.test"] }"#]),
        "*@b.test → *@b.test"
    );
    assert_eq!(
        way(&[
            r#""a@b.test" = { alias = ["x@b.test", "B@b.test"] }"#,
            r#""B@b.test" = { alias = ["c@b.test"] }"#,
            r#""c@b.test" = { alias = ["x@b.test", "b@b.test"] }"#,
            r#""x@b.test" = { inbox = "x" }"#,
        ]),
        "B@b.test → c@b.test → B@b.test"
    );
}

#[test]
fn a_long_chain_of_aliases_is_no_loop() {
    let mut routes = "\"a0@b.test\" = { inbox = \"x\" }\n".to_owned();
    for n in 1..20_000 {
        writeln!(
            routes,
            "\"a{n}@b.test\" = {{ alias = [\"a{}@b.test\", \"a0@b.test\"] }}",
            n - 1
        )
        .unwrap();
    }
    assert_eq!(
        leads_to(&table(&routes), "a19999@b.test"),
        ["a0@b.test: /etc/ememo/x"]
    );
}

#[test]
fn route_files_are_asked_after_the_table_for_each_key() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
    fs::write(
        &first,
        "*@b.test\t{ inbox = \"/all/{localpart}\" }\nbob@b.test\t{ inbox = \"/bob\" }\n",
    )
    .unwrap();
    fs::write(&second, "bob@b.test\t{ inbox = \"/never\" }\nteam@b.test\t{ alias = [\"bob@b.test\", \"x@b.test\"] }\nzoe@xn--e1afmkfd.test\t{ command = ['z'] }\n").unwrap();
    let table = table_with(
        r#"
        "bob+x@b.test" = { inbox = "/tagged" }
        "both@b.test" = { alias = ["team@b.test", "bob+x@b.test"] }
        "#,
        &[first, second],
    )
    .unwrap();
    assert_eq!(leads_to(&table, "bob@b.test"), ["bob@b.test: /bob"]);
    assert_eq!(leads_to(&table, "bob+x@b.test"), ["bob+x@b.test: /tagged"]);
    assert_eq!(leads_to(&table, "bob+y@b.test"), ["bob+y@b.test: /bob"]);
    assert_eq!(leads_to(&table, "zoe@пример.test"), ["zoe@пример.test! z"]);
    assert_eq!(leads_to(&table, "x@b.test"), ["x@b.test: /all/x"]);
    assert_eq!(
        leads_to(&table, "both@b.test"),
        [
            "bob@b.test: /bob",
            "x@b.test: /all/x",
            "bob+x@b.test: /tagged"
        ]
    );
}

#[test]
fn what_is_wrong_in_a_route_file_is_a_fault_of_the_look_up() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("users");
    let fault = |text: &str, address: &str| {
        fs::write(&file, text).unwrap();
        let table = table_with(
            r#""known@b.test" = { inbox = "/known" }"#,
            std::slice::from_ref(&file),
        )
        .unwrap();
        assert_eq!(leads_to(&table, "known@b.test"), ["known@b.test: /known"]);
        table
            .look_up(&Address::parse(address).unwrap())
            .unwrap_err()
    };
    let is_line = |error: RouteError, at: u64, why: &str| match error {
        RouteError::Line {
            file: named,
            offset,
            source,
        } => {
            assert_eq!((named, offset), (file.clone(), at));
            assert!(source.to_string().contains(why), "{source}");
        }
        error => panic!("{error}"),
    };
    is_line(fault("a@b.test\t{}\n", "a@b.test"), 0, "exactly one of");
    is_line(
        fault("a@b.test\tinbox\n", "a@b.test"),
        0,
        "the value is no route",
    );
    is_line(
        fault("a@b.test\t{ inbox = \"/{x}\" }\n", "a@b.test"),
        0,
        "no placeholder {x}",
    );
    is_line(
        fault("a@b.test\t{ inbox = \"/a\" }", "z@b.test"),
        24,
        "has the file been written whole",
    );
    is_line(
        fault(
            "a@b.test\t{}\nb@b.test\t{ inbox = \"/\u{0}\" }\n",
            "b@b.test",
        ),
        12,
        "the value is no route",
    );
    assert!(matches!(
        fault("b@b.test\t1\na@b.test\t1\n", "x@b.test"),
        RouteError::Line {
            source: LineError::NotSorted,
            ..
        }
    ));
    assert!(matches!(
        fault("a@b.test\t{ alias = [\"x@c.test\"] }\n", "a@b.test"),
        RouteError::AliasHost { .. }
    ));
    assert!(matches!(
        fault("a@b.test\t{ alias = [\"x@b.test\"] }\n", "a@b.test"),
        RouteError::AliasWithoutRoute { .. }
    ));
    let loop_of_two =
        "a@b.test\t{ alias = [\"b@b.test\"] }\nb@b.test\t{ alias = [\"a@b.test\"] }\n";
    let RouteError::AliasLoop { entries } = fault(loop_of_two, "a+x@b.test") else {
        panic!("no loop")
    };
    assert_eq!(entries, ["a@b.test", "b@b.test", "a@b.test"]);

    let missing = table_with("", &[dir.path().join("none")]).unwrap();
    let error = missing
        .look_up(&Address::parse("a@b.test").unwrap())
        .unwrap_err();
    assert!(matches!(error, RouteError::File { .. }));
    let folder = table_with("", &[dir.path().to_owned()]).unwrap();
    assert!(matches!(
        folder.look_up(&Address::parse("a@b.test").unwrap()),
        Err(RouteError::File { .. })
    ));
}

#[test]
fn ten_thousand_look_ups_in_many_lines_are_fast() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("users");
    let mut text = "*@b.test\t{ inbox = \"/all/{localpart}\" }\n".to_owned();
    for n in 0..200_000 {
        writeln!(text, "user{n:07}@b.test\t{{ inbox = \"/mail/{n}\" }}").unwrap();
    }
    fs::write(&file, text).unwrap();
    let table = table_with("", &[file]).unwrap();
    let addresses: Vec<_> = (0..10_000)
        .map(|n| {
            Address::parse(&format!(
                "user{:07}{}@b.test",
                n * 20,
                ["", "+tag", "x"][n % 3]
            ))
            .unwrap()
        })
        .collect();
    // Processor time of this test alone, on machines that others use, too.
    let begin = clock_gettime(ClockId::ThreadCPUTime);
    for (n, address) in addresses.iter().enumerate() {
        let destinations = table.look_up(address).unwrap().unwrap();
        let Action::Inbox { path, .. } = &destinations[0].action else {
            panic!()
        };
        let wanted = if n % 3 == 2 {
            format!("/all/user{:07}x", n * 20)
        } else {
            format!("/mail/{}", n * 20)
        };
        assert_eq!(path.to_str(), Some(wanted.as_str()));
    }
    let took = clock_gettime(ClockId::ThreadCPUTime) - begin;
    assert!(took.tv_sec < 5, "{took:?}");
}
