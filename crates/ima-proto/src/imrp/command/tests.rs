//! Commands, written and read.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

const D: &str = "3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f";

#[test]
fn what_is_read_is_written() {
    for line in [
        "LOGIN bob@b.test PASSWORD 1",
        "LOGIN bob@b.test PASSWORD 1024",
        "LOGIN bob@b.test CERTIFICATE",
        "FOLDERS",
        "SYNC inbox - messages",
        "SYNC inbox 6f0c9a1b2d3e4f50.256 list",
        "SYNC Entwürfe - headers",
        "SYNC . - list",
        &format!("FETCH inbox {D}"),
        &format!("PART inbox {D} 0"),
        &format!("PART inbox {D} 9223372036854775807"),
        &format!("FLAG inbox {D} +seen"),
        &format!("FLAG inbox {D} +seen -flagged +my-own-1 -seen"),
        &format!("FLAG . {D}{}", " -x".repeat(64)),
        &format!("MOVE inbox {D} archive"),
        &format!("MOVE . {D} ."),
        &format!("DELETE inbox {D}"),
        "STORE sent 0",
        "STORE sent 9223372036854775807",
        "CREATE Entwürfe",
        "CREATE .",
        "REMOVE archive",
        "WATCH inbox 6f0c9a1b2d3e4f50.256",
        "WATCH inbox 6f0c9a1b2d3e4f50.256 . 0000000000000000.0",
        "DONE",
    ] {
        assert_eq!(Command::parse(line).unwrap().to_string(), line);
    }
}

#[test]
fn what_can_be_no_folder_is_no_folder() {
    for name in [
        "../x",
        ".",
        "..",
        "/etc",
        "-x",
        &"x".repeat(300),
        "e\u{301}",
    ] {
        for line in [
            format!("SYNC {name} - list"),
            format!("FETCH {name} {D}"),
            format!("PART {name} {D} 0"),
            format!("FLAG {name} {D} +seen"),
            format!("MOVE {name} {D} {name}"),
            format!("DELETE {name} {D}"),
            format!("STORE {name} 1"),
            format!("CREATE {name}"),
            format!("REMOVE {name}"),
            format!("WATCH {name} 6f0c9a1b2d3e4f50.256"),
        ] {
            let command = Command::parse(&line).unwrap().to_string();
            assert_eq!(command, line.replace(name, "."));
        }
    }
}

#[test]
fn anything_else_is_refused() {
    for line in [
        "",
        " ",
        "login bob@b.test CERTIFICATE",
        "LOGIN",
        "LOGIN bob CERTIFICATE",
        "LOGIN bob@b.test",
        "LOGIN bob@b.test PASSWORD",
        "LOGIN bob@b.test PASSWORD 0",
        "LOGIN bob@b.test PASSWORD 1025",
        "LOGIN bob@b.test PASSWORD 007",
        "LOGIN bob@b.test PASSWORD -1",
        "LOGIN bob@b.test CERTIFICATE x",
        "FOLDERS x",
        "SYNC inbox -",
        "SYNC inbox - all",
        "SYNC inbox 1 list",
        "SYNC  - list",
        "SYNC in box - list",
        "FETCH inbox",
        "FETCH inbox 3b1f",
        &format!("FETCH  {D}"),
        &format!("FETCH inbox {}", D.to_uppercase()),
        &format!("PART inbox {D}"),
        &format!("PART inbox {D} -1"),
        &format!("PART inbox {D} 01"),
        &format!("PART inbox {D} 9223372036854775808"),
        &format!("FLAG inbox {D}"),
        &format!("FLAG inbox {D} "),
        &format!("FLAG inbox {D} seen"),
        &format!("FLAG inbox {D} +Seen"),
        &format!("FLAG inbox {D} +"),
        &format!("FLAG inbox {D} +{}", "x".repeat(33)),
        &format!("FLAG inbox {D}{}", " +x".repeat(65)),
        &format!("FLAG  {D} +seen"),
        "FLAG inbox +seen",
        "FLAG inbox",
        "FLAG",
        &format!("MOVE inbox {D}"),
        &format!("MOVE inbox {D} "),
        &format!("MOVE inbox {D} archive x"),
        "MOVE inbox archive",
        "DELETE inbox",
        &format!("DELETE inbox {D} {D}"),
        "STORE sent",
        "STORE sent -1",
        "STORE sent 01",
        "STORE sent 9223372036854775808",
        "STORE sent 1 x",
        "CREATE",
        "CREATE ",
        "CREATE a b",
        "REMOVE",
        "REMOVE a b",
        "WATCH",
        "WATCH inbox",
        "WATCH inbox -",
        "WATCH inbox 1",
        "WATCH inbox 6f0c9a1b2d3e4f50.256 archive",
        "WATCH  6f0c9a1b2d3e4f50.256",
        "DONE x",
        "HEADERS 1",
    ] {
        assert!(Command::parse(line).is_err(), "{line}");
    }
}
