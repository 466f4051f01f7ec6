//! LIMITS of the servers' pages, against the numbers that the servers have.

use std::time::Duration;

use ima_program::child::MOST_LEFT;
use ima_proto::handlers::{CHECK_TIME, PATIENCE};
use ima_proto::listen;
use ima_proto::tls::HANDSHAKE_TIME;

use super::document;

#[path = "../../../bin/server-post-office/limits.rs"]
#[allow(dead_code, reason = "it is the server's")]
mod office;
#[path = "../../../bin/server-receive/limits.rs"]
#[allow(dead_code, reason = "it is the server's")]
mod receive;

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

fn minutes(time: Duration) -> String {
    format!("{} min", time.as_secs() / 60)
}

fn mebibytes(octets: u64) -> String {
    format!("{}MiB", octets >> 20)
}

/// 1040384 as 1,040,384.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<&str> = groups.map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// The rows of the table in LIMITS: the key, or what has none, and the default.
fn rows(page: &str) -> Vec<(&str, String)> {
    let (_, section) = page.split_once("\n.Sh LIMITS\n").unwrap();
    let (section, _) = section.split_once("\n.Sh ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix(".It "));
    rows.skip(1)
        .map(|row| {
            let cells: Vec<&str> = row.split(" Ta ").collect();
            let [limit, key, default, _] = cells[..] else {
                panic!("{row}")
            };
            let name = key.strip_prefix("Ic ").unwrap_or(limit);
            (name, default.trim_matches('"').to_owned())
        })
        .collect()
}

fn has_descriptors(page: &str, number: u64) {
    let files = format!("and 64: {} with the defaults", thousands(number));
    assert!(page.contains(&files), "{files}");
}

#[test]
fn of_server_receive() {
    let page = document("man/server-receive.8");
    let limits = receive::Limits::default();
    let said = [
        ("max-connections", limits.connections.to_string()),
        (
            "max-connections-per-address",
            limits.connections_per_address.to_string(),
        ),
        (
            "max-connections-per-domain",
            limits.connections_per_domain.to_string(),
        ),
        ("max-handshakes", limits.handshakes.to_string()),
        ("a handshake", seconds(HANDSHAKE_TIME)),
        ("max-handlers", limits.handlers.to_string()),
        ("those killed and not gone", MOST_LEFT.to_string()),
        (
            "header block",
            format!("{} octets", thousands(limits.imdp().header_block)),
        ),
        ("max-size", mebibytes(limits.data)),
        ("max-messages-per-connection", limits.messages.to_string()),
        ("idle-timeout", seconds(limits.idle)),
        ("from ACCEPT to DATA", seconds(limits.imdp().decision)),
        ("message-timeout", minutes(limits.message)),
        ("a check", seconds(CHECK_TIME)),
        (
            "unknown recipients in an hour",
            limits.unknown_recipients.to_string(),
        ),
        ("to finish after a signal", seconds(listen::FINISH)),
        (
            "memory of a connection",
            mebibytes(receive::MEMORY_PER_CONNECTION as u64),
        ),
    ];
    assert_eq!(rows(&page), said);
    has_descriptors(&page, limits.descriptors());
    let waits = format!("DEFER after {}", seconds(PATIENCE));
    assert!(page.contains(&waits));
    assert_eq!(limits.children(), 314);
}

#[test]
fn of_server_post_office() {
    let page = document("man/server-post-office.8");
    let limits = office::Limits::default();
    let said = [
        ("max-connections", limits.connections.to_string()),
        (
            "max-connections-per-address",
            limits.connections_per_address.to_string(),
        ),
        ("max-handshakes", limits.handshakes.to_string()),
        ("a handshake", seconds(HANDSHAKE_TIME)),
        ("login-timeout", seconds(limits.login)),
        ("max-failed-logins", limits.failed_logins.to_string()),
        ("idle-timeout", minutes(limits.idle)),
        ("max-size", mebibytes(limits.message)),
        (
            "messages of a user on their way",
            office::STORES.to_string(),
        ),
        ("folders of a user", thousands(office::FOLDERS as u64)),
        ("deleted messages in 10 days", thousands(office::REMOVALS)),
        ("to finish after a signal", seconds(listen::FINISH)),
        (
            "memory of a connection",
            mebibytes(office::MEMORY_PER_CONNECTION as u64),
        ),
    ];
    assert_eq!(rows(&page), said);
    has_descriptors(&page, limits.descriptors());
}
