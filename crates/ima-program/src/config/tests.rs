#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::{ConfigError, ConfigPath, Loaded, Period, file_of, load, parse};
use ima_message::ByteSize;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    hosts: Vec<String>,
    #[serde(default)]
    max_size: Option<ByteSize>,
    #[serde(default)]
    idle_timeout: Option<Period>,
    #[serde(default)]
    parallel: Option<u16>,
    #[serde(default)]
    keys: Option<ConfigPath>,
    #[serde(default)]
    identity: Vec<Identity>,
    #[serde(default)]
    routes: BTreeMap<String, Route>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    key: ConfigPath,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    inbox: Option<String>,
}

fn wrong(text: impl AsRef<[u8]>) -> String {
    let error = parse::<Config>(text.as_ref(), Path::new("/e/x.toml")).unwrap_err();
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    text.strip_prefix("/e/x.toml, line ").unwrap().to_owned()
}

#[test]
fn a_whole_file() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("any.toml");
    fs::write(
        &file,
        "hosts = [\"b.test\"]\nmax-size = \"64MiB\"\nidle-timeout = \"10m\"\nparallel = 8\nkeys = \"keys\"\n\
         [[identity]]\nkey = \"/k\"\n[routes]\n\"bob@b.test\" = { inbox = \"in\" }\n",
    )
    .unwrap();
    let Loaded {
        value,
        dir: from,
        file: read,
    } = load::<Config>("server-receive", Some(&file)).unwrap();
    assert_eq!((from.as_path(), &read), (dir.path(), &file));
    assert_eq!(value.hosts, ["b.test"]);
    assert_eq!(value.max_size, Some(ByteSize(64 << 20)));
    assert_eq!(value.idle_timeout, Some(Period(Duration::from_secs(600))));
    assert_eq!(value.parallel, Some(8));
    assert_eq!(value.keys.unwrap().under(&from), dir.path().join("keys"));
    assert_eq!(
        value.identity.first().unwrap().key.under(&from),
        Path::new("/k")
    );
    assert_eq!(
        value.routes.get("bob@b.test").unwrap().inbox.as_deref(),
        Some("in")
    );
    assert_eq!(
        parse::<Config>(b"hosts=[]\nmax-size=4097", &file)
            .unwrap()
            .max_size,
        Some(ByteSize(4097))
    );
}

#[test]
fn the_option_wins_then_the_environment_then_etc() {
    let option = Some(Path::new("my.toml"));
    let dir = || Some("/srv/etc".into());
    assert_eq!(
        file_of("fetch-mail", option, dir()),
        PathBuf::from("my.toml")
    );
    assert_eq!(
        file_of("fetch-mail", None, dir()),
        PathBuf::from("/srv/etc/fetch-mail.toml")
    );
    for none in [None, Some("".into())] {
        assert_eq!(
            file_of("fetch-mail", None, none),
            PathBuf::from("/etc/ememo/fetch-mail.toml")
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_named_with_the_ways_to_choose() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("none.toml");
    let error = load::<Config>("fetch-mail", Some(&file)).unwrap_err();
    assert!(matches!(error, ConfigError::NotThere { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "{}: there is no such file; --config FILE or EMEMO_CONFIG_DIR=DIRECTORY choose another, and server-setup makes one",
            file.display()
        )
    );
    let error = load::<Config>("fetch-mail", Some(dir.path())).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
    assert!(crate::report::chain(&error).contains("directory"));
}

#[test]
fn unknown_keys_are_errors_that_list_the_known() {
    assert_eq!(
        wrong("hosts = []\nmax-sise = 1\n"),
        "2, column 1: `max-sise`: unknown field `max-sise`, expected one of `hosts`, `max-size`, `idle-timeout`, \
         `parallel`, `keys`, `identity`, `routes`"
    );
    assert_eq!(
        wrong("hosts = []\n[routes]\n\"bob@b.test\" = { inbocks = \"x\" }"),
        "3, column 18: `routes.bob@b.test.inbocks`: unknown field `inbocks`, expected `inbox`"
    );
}

#[test]
fn wrong_values_say_what_is_right() {
    for (text, message) in [
        (
            "max-size = 1",
            "1, column 1: missing field `hosts`, which has no default",
        ),
        (
            "",
            "1, column 1: missing field `hosts`, which has no default",
        ),
        (
            "hosts = []\n\n[[identity]]\nkey = \"a\"\n[[identity]]\n",
            "5, column 1: `identity[1]`: missing field `key`, which has no default",
        ),
        (
            "hosts = []\n[[identity]]\nkey = 5",
            "3, column 7: `identity[0].key`: invalid type: integer `5`, expected path string",
        ),
        (
            "hosts = [\"ä\", 1]",
            "1, column 15: `hosts[1]`: invalid type: integer `1`, expected a text, in quotes",
        ),
        (
            "hosts = \"b.test\"",
            "1, column 9: `hosts`: invalid type: string \"b.test\", expected a list, in [ ]",
        ),
        (
            "hosts = []\nparallel = -1",
            "2, column 12: `parallel`: invalid value: integer `-1`, expected a whole number from 0 to 65535",
        ),
        (
            "hosts = []\r\nmax-size = 1e3",
            "2, column 12: `max-size`: invalid type: floating point `1000.0`, expected a size such as \"64MiB\" or 65536",
        ),
        (
            "hosts = []\nidle-timeout = 60",
            "2, column 16: `idle-timeout`: invalid type: integer `60`, expected a length of time such as \"60s\" or \
             \"10m\", in quotes and with its unit",
        ),
    ] {
        assert_eq!(wrong(text), message, "{text}");
    }
    for (text, begin) in [
        (
            "hosts = []\nmax-size = \"64 MB\"",
            "2, column 12: `max-size`: `64 MB` is not a size: write a whole number",
        ),
        (
            "hosts = []\nmax-size = -1",
            "2, column 12: `max-size`: `-1` is not a size: write a whole number",
        ),
        (
            "hosts = []\nidle-timeout = \"1h30m\"",
            "2, column 16: `idle-timeout`: `1h30m` is not a length of time: ",
        ),
    ] {
        assert!(wrong(text).starts_with(begin), "{}", wrong(text));
    }
}

#[test]
fn what_is_not_toml() {
    for (text, message) in [
        (
            "hosts = [",
            "1, column 10: `hosts`: unclosed array, expected `]`",
        ),
        (
            "hosts = []\nhosts = []",
            "2, column 1: `hosts`: duplicate key",
        ),
        (
            "hosts = []\n[routes",
            "2, column 8: unclosed table, expected `]`",
        ),
        ("# a = 1\nx", "2, column 2: key with no value, expected `=`"),
    ] {
        assert_eq!(wrong(text), message, "{text}");
    }
    assert_eq!(
        wrong(b"hosts = []\n# \xc3\xa4 \xff"),
        "2, column 5: this is not UTF-8; write the file in UTF-8"
    );
}
