//! The example configurations, their pages, and the programs that read them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{document, section};
use crate::site::{Host, Site, code, feed, letter, stderr};

const CONFIGURED: [&str; 5] = [
    "fetch-mail",
    "server-post-office",
    "server-receive",
    "server-send-mail",
    "server-handle-incoming-mail",
];

/// The keys of an example configuration with their values; a table is a key
/// without a value.
fn keys_of_example(text: &str) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    let mut is_top = true;
    for line in text.lines() {
        if line.starts_with('[') {
            keys.insert(line.to_owned(), String::new());
            is_top = false;
        }
        let line = line.strip_prefix("# ").unwrap_or(line);
        let Some((key, value)) = line.split_once(" = ").filter(|_| is_top) else {
            continue;
        };
        if key
            .bytes()
            .all(|octet| octet.is_ascii_lowercase() || octet == b'-')
        {
            keys.insert(key.to_owned(), value.to_owned());
        }
    }
    keys
}

/// The keys of a page with their defaults, as far as they have one.
fn keys_of_page(page: &str) -> BTreeMap<String, String> {
    let text = section(page, "DESCRIPTION").expect("DESCRIPTION");
    let first = text.split("\n.Ss ").next().expect("text");
    let items = first
        .lines()
        .filter_map(|line| line.strip_prefix(".It Ic "));
    items
        .map(|item| match item.split_once(" No = ") {
            Some((key, default)) => (key.to_owned(), value_of(default)),
            None => (item.trim_start_matches("No ").to_owned(), String::new()),
        })
        .collect()
}

/// A value in the macros of a page as it stands in the file; empty where it
/// names a placeholder.
fn value_of(macros: &str) -> String {
    let mut value = String::new();
    let mut is_quoted = false;
    for word in macros.trim_start_matches("No = ").split(' ') {
        let is_delimiter = matches!(word, "]" | ",");
        if is_quoted && (is_delimiter || word == "No") {
            value.push('"');
            is_quoted = false;
        }
        match word {
            "Ar" => return String::new(),
            "No" | "Ns" | "Li" | "=" => {}
            "Bq" => value.push('['),
            "Qo" | "Qc" => value.push('"'),
            "Qq" => {
                value.push('"');
                is_quoted = true;
            }
            text => value += text,
        }
    }
    if is_quoted {
        value.push('"');
    }
    value
}

#[test]
fn each_key_stands_in_the_page_and_in_the_example_with_one_default() {
    for name in CONFIGURED {
        let example = keys_of_example(&document(&format!("etc/{name}.toml")));
        let page = keys_of_page(&format!("{name}.toml.5"));
        let names = |keys: &BTreeMap<String, String>| keys.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&page), names(&example), "{name}");
        assert!(page.len() >= 4, "{name}");
        for (key, default) in page.iter().filter(|(_, default)| !default.is_empty()) {
            let shown = example[key].replace(' ', "");
            assert_eq!(&shown, &default.replace(' ', ""), "{name}: {key}");
        }
    }
}

/// What the section LIMITS of a server says of each limit that has a key: its
/// default.
fn limits_of_page(page: &str) -> BTreeMap<String, String> {
    let text = section(page, "LIMITS").expect("LIMITS");
    let rows = text.lines().filter_map(|line| line.strip_prefix(".It "));
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.split(" Ta ").collect();
        let [_, key, default, _] = cells[..] else {
            panic!("{page}: {row}");
        };
        let key = key.strip_prefix("Ic ")?;
        Some((key.to_owned(), default.replace(' ', "").replace("min", "m")))
    })
    .collect()
}

#[test]
fn each_key_of_a_limit_stands_among_the_limits_with_its_default() {
    for name in ["server-receive", "server-post-office"] {
        let limits = limits_of_page(&format!("{name}.8"));
        let keys = keys_of_page(&format!("{name}.toml.5"));
        let is_limit = |key: &str| key.starts_with("max-") || key.ends_with("-timeout");
        let wanted = keys
            .into_iter()
            .filter(|(key, _)| is_limit(key))
            .map(|(key, default)| (key, default.trim_matches('"').to_owned()));
        assert_eq!(limits, wanted.collect(), "{name}");
        assert!(limits.len() >= 7);
    }
}

/// The example as it stands, but for where things lie, in b.test's folder.
fn installed(host: &Host, name: &str) -> PathBuf {
    let dir = host.dir.display().to_string();
    let text = document(&format!("etc/{name}.toml"));
    let text = text
        .replace("/etc/ememo/tls/", &format!("{dir}/tls/"))
        .replace("/etc/ememo/server-users.toml", &format!("{dir}/users"))
        .replace("/var/lib/ememo/mail/", &format!("{dir}/mail/"));
    let path = host.dir.join("example.toml");
    fs::write(&path, text).expect("written");
    path
}

/// A program with a configuration, on nothing that it could deliver or send.
fn started(host: &Host, name: &str, config: &Path) -> Command {
    let mut command = host.command(name);
    command.arg("--config").arg(config);
    // The operating system's store may be empty where tests are run.
    command.env(
        "SSL_CERT_FILE",
        host.dir.parent().expect("the site").join("ca/ca.pem"),
    );
    match name {
        "server-post-office" | "server-receive" => command.args(["--listen", "127.0.0.1:0"]),
        "server-send-mail" => command.arg("no-such-message"),
        "fetch-mail" => command.arg("no-such-directory/mail"),
        _ => command.arg("--check"),
    };
    command
}

#[test]
fn each_example_configuration_loads_in_its_program() {
    let site = Site::new();
    let host = site.host("b.test", &["bob"]);
    for name in CONFIGURED {
        let config = installed(&host, name);
        let command = started(&host, name, &config);
        match name {
            // It listens.
            "server-post-office" | "server-receive" => drop(host.start_with(command)),
            // Its configuration was right, and then there was no such file.
            "server-send-mail" => {
                let output = feed(command, b"");
                assert!(
                    stderr(&output).starts_with("server-send-mail: no-such-message: "),
                    "{}",
                    stderr(&output)
                );
            }
            // The same, and there was no place for the mailbox.
            "fetch-mail" => {
                let output = feed(command, b"");
                let said = "fetch-mail: cannot open no-such-directory: ";
                assert!(stderr(&output).starts_with(said), "{}", stderr(&output));
            }
            _ => assert_eq!(code(&feed(command, &letter(&["bob@b.test"], "Hello\n"))), 0),
        }
    }
}

#[test]
fn a_key_that_is_not_known_is_named_with_its_file_and_line() {
    let site = Site::new();
    let host = site.host("b.test", &["bob"]);
    for name in CONFIGURED {
        let config = installed(&host, name);
        let right = fs::read_to_string(&config).expect("the example");
        fs::write(&config, format!("# one\n# two\nmax-sise = 1\n{right}")).expect("written");
        let output = feed(
            started(&host, name, &config),
            &letter(&["bob@b.test"], "Hello\n"),
        );
        let said = stderr(&output);
        assert_eq!(code(&output), 2, "{name}: {said}");
        for part in [
            config.to_str().expect("UTF-8"),
            "line 3, column 1",
            "max-sise",
            "max-size, ",
        ] {
            let is_elsewhere = part == "max-size, " && name != "server-receive";
            assert!(
                is_elsewhere || said.replace('`', "").contains(part),
                "{name}: {part:?} in {said}"
            );
        }

        // In a table, too; the only one of fetch-mail has the keys of its user.
        if name == "fetch-mail" {
            continue;
        }
        fs::write(&config, format!("{right}\nkex = \"x\"\n")).expect("written");
        let output = feed(
            started(&host, name, &config),
            &letter(&["bob@b.test"], "Hello\n"),
        );
        let last = right.lines().count() + 2;
        let said = stderr(&output);
        assert_eq!(code(&output), 2, "{name}: {said}");
        assert!(
            said.contains("kex") && said.contains(&format!("line {last}, ")),
            "{name}: {said}"
        );
    }
}
