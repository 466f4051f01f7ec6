//! The example configuration and the examples in the manual pages.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::site::{PROGRAM, Site, finish, header_of, message};

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The literal displays of a manual page, without its escapes.
fn displays(page: &str) -> Vec<String> {
    let page = document(page);
    let displays = page.split("\n.Bd -literal").skip(1);
    let bodies = displays.map(|display| {
        display
            .split_once('\n')
            .unwrap()
            .1
            .split_once("\n.Ed")
            .unwrap()
            .0
    });
    bodies
        .map(|body| format!("{}\n", body.replace("\\&", "").replace("\\e", "\\")))
        .collect()
}

#[test]
fn the_example_configuration_works_as_it_stands_and_shows_the_defaults() {
    let example = document("etc/server-handle-incoming-mail.toml");
    let uncommented: Vec<_> = example
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting)
                if ["parallel = ", "route-files = "]
                    .iter()
                    .any(|key| setting.starts_with(key)) =>
            {
                setting
            }
            _ => line,
        })
        .collect();
    assert_eq!(
        uncommented
            .iter()
            .filter(|line| ["parallel = 8", "route-files = []"].contains(line))
            .count(),
        2
    );
    for config in [example.clone(), uncommented.join("\n")] {
        let site = Site::configured(&config);
        // No such folder on a machine that only builds: a fault, and no refusal.
        site.run(&["--check"], &message("to: x@c.test\n"))
            .is(1, &[])
            .explains("no recipient is of a host of ours");
        let answer = site.run(&["--check"], &message("to: nobody-of-this-name@b.test\n"));
        assert!(
            answer.stdout.contains("nobody-of-this-name@b.test"),
            "{}",
            answer.stderr
        );
    }
}

#[test]
fn the_configurations_in_the_manual_are_right() {
    let configs: Vec<_> = displays("man/server-handle-incoming-mail.toml.5")
        .into_iter()
        .filter(|display| display.contains("hosts = "))
        .collect();
    assert!(!configs.is_empty());
    for config in configs {
        let site = Site::configured(&config);
        site.run(&["--check"], &message("to: x@elsewhere.test\n"))
            .is(1, &[])
            .explains("no recipient is of a host of ours");
    }
}

/// The script of ima-handler(7) with this first line behind `#!/bin/sh`.
fn script(beginning: &str) -> String {
    let displays = displays("man/ima-handler.7").into_iter();
    let mut scripts =
        displays.filter_map(|text| text.strip_prefix("#!/bin/sh\n").map(str::to_owned));
    scripts
        .find(|script| script.starts_with(beginning))
        .unwrap()
}

#[test]
fn the_routed_command_in_the_manual_keeps_each_message_once() {
    let site = Site::new("\"bob@b.test\" = { command = [\"./keep\", \"kept\"] }");
    site.script("keep", &script("# keep FOLDER ADDRESS\n"));
    fs::create_dir(site.path("kept")).unwrap();
    let mail = message("to: bob@b.test\n");
    for _ in 0..2 {
        site.delivers(&mail, 0, &["OK bob@b.test"]);
    }
    let kept: Vec<_> = fs::read_dir(site.path("kept"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(fs::read(&kept[0]).unwrap(), mail);
    fs::remove_dir_all(site.path("kept")).unwrap();
    site.delivers(&mail, 2, &["DEFER bob@b.test - 60 86400 not delivered yet"]);
}

#[test]
fn the_check_in_the_manual_lets_unknown_authors_wait() {
    let site = Site::new("\"bob@b.test\" = { command = [\"true\"] }");
    site.script("known-authors", &script("# known-authors\n"));
    let beside = Path::new(PROGRAM).parent().unwrap().display();
    let check = |author: &str, to: &str| {
        let mut command = Command::new(site.path("known-authors"));
        command
            .env("PATH", format!("{beside}:/usr/bin:/bin"))
            .env("IMA_AUTHOR", author)
            .env("EMEMO_CONFIG_DIR", site.path(""));
        finish(command, header_of(&message(&format!("to: {to}\n"))))
    };
    check("none", "bob@b.test").is(2, &["DEFER 3600 come again in an hour"]);
    check("valid", "bob@b.test").is(0, &[]);
    check("host", "eve@b.test").is(1, &["NORECIPIENT eve@b.test"]);
}

#[test]
fn the_handler_in_the_manual_serves_one_user() {
    let site = Site::new("");
    site.script("one-user", &script("# one-user: "));
    let handle = |lines: &str| {
        let mut command = Command::new(site.path("one-user"));
        command
            .env("IMA_DIGEST", "0123")
            .env("FOLDER", site.path("mail"));
        finish(command, &message(lines))
    };
    handle("to: Bob+x@b.test\nto: eve@b.test\n").is(1, &["NORECIPIENT eve@b.test"]);
    handle("to: bob@b.test\ndeliver: x@c.test\n").is(1, &[]);
    assert_eq!(fs::read_dir(site.path("mail")).unwrap().count(), 0);
    handle("to: Bob@b.test Bob Ng\ncc: *@c.test\n").is(0, &[]);
    assert_eq!(
        fs::read(site.path("mail/0123")).unwrap(),
        message("to: Bob@b.test Bob Ng\ncc: *@c.test\n")
    );
    assert_eq!(fs::read_dir(site.path("mail")).unwrap().count(), 1);
    fs::remove_dir_all(site.path("mail")).unwrap();
    handle("to: bob@b.test\n").is(2, &[]);
}

#[test]
fn the_pipes_in_the_manual_work() {
    let site = Site::new("\"bob@b.test\" = { inbox = \"mail/bob/inbox\" }");
    site.inbox("bob");
    fs::copy(
        site.path("server-handle-incoming-mail.toml"),
        site.path("new.toml"),
    )
    .unwrap();
    fs::write(site.path("message.ima"), message("to: bob@b.test\n")).unwrap();
    site.script("keep", &script("# keep FOLDER ADDRESS\n"));
    let run = |pipe: &str| {
        let beside = Path::new(PROGRAM).parent().unwrap().display();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", pipe])
            .env("PATH", format!("{beside}:/usr/bin:/bin"));
        finish(
            shell
                .env("EMEMO_CONFIG_DIR", site.path(""))
                .current_dir(site.path("")),
            b"",
        )
    };
    let said = |pipe: &str| match pipe {
        pipe if pipe.contains("./keep") => "0",
        pipe if pipe.contains("&& echo yes") => "yes",
        pipe if pipe.contains("--check") => "",
        _ => "OK bob@b.test",
    };
    let mut pipes = displays("man/server-handle-incoming-mail.8");
    pipes.extend(displays("man/ima-handler.7"));
    let is_other = |text: &str| {
        let others = ["OK ", "#", "\"", "question ", "> HEADERS", "stream = "];
        others.iter().any(|begin| text.starts_with(begin))
    };
    pipes.retain(|display| !is_other(display));
    assert_eq!(pipes.len(), 4, "{pipes:?}");
    for pipe in pipes {
        run(&pipe).is(0, said(&pipe).lines().collect::<Vec<_>>().as_slice());
    }
    assert_eq!(site.counts(&["bob"]), [1]);
    assert!(site.path("try").exists());

    let pipe = displays("man/server-handle-incoming-mail.toml.5")
        .into_iter()
        .find(|display| display.starts_with("while "))
        .unwrap();
    site.write("list", "bob\nalice\nbob-2\n");
    run(&pipe).is(0, &[]);
    site.write(
        "server-handle-incoming-mail.toml",
        "hosts = [\"b.test\"]\nroute-files = [\"users\"]\n",
    );
    for user in ["bob", "alice", "bob-2"] {
        let line = format!("DEFER {user}@b.test - 60 86400 the mailbox cannot take it now");
        site.delivers(&message(&format!("to: {user}@b.test\n")), 2, &[&line])
            .explains(&format!("/srv/mail/b.test/{user}/inbox"));
    }
}

#[test]
fn help_and_manual_name_the_same_options() {
    let output = Command::new(PROGRAM).arg("--help").output().unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    let page = document("man/server-handle-incoming-mail.8");
    let in_help: Vec<_> = help
        .lines()
        .filter_map(|line| line.split_once("--"))
        .map(|(_, rest)| {
            rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .next()
                .unwrap()
                .to_owned()
        })
        .filter(|option| !["help", "version"].contains(&option.as_str()))
        .collect();
    let in_page: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix(".It Fl Fl "))
        .map(|rest| rest.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(in_help, ["check", "config", "stream"]);
    assert_eq!(in_page, in_help);
}
