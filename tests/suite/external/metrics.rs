//! node_exporter, who collects what servers count.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use super::{Pair, Talk, free_address, has, tool, wait_for_listener};
use crate::pages::examples;
use crate::peer::Caller;
use crate::post::{Entry, PASSWORD};
use crate::site::{code, letter, stderr, stdout, wait_until};

const FOLDER: &str = "/var/lib/ememo-metrics";

/// What a node_exporter has collected.
fn collected(address: SocketAddr) -> String {
    let mut socket = TcpStream::connect(address).expect("it listens");
    let request = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
    socket.write_all(request.as_bytes()).expect("written");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    answer
}

/// The example of server-receive(8), in a folder and at an address of the test's.
#[test]
fn node_exporter_collects_what_both_servers_count() {
    if !has(&["prometheus-node-exporter"]) {
        return;
    }
    let pair = Pair::new();
    pair.b.open_office(&[Entry::new("bob")]);
    let folder = pair.file("metrics");
    let examples = examples("server-receive.8");
    let example = examples.iter().find(|text| text.contains(FOLDER));
    let user = Command::new("id").arg("-un").output().expect("id runs");
    let example = example
        .expect("the example")
        .replace(FOLDER, &folder)
        .replace("-o ememo ", &format!("-o {} ", stdout(&user).trim()));
    let (install, collect) = example.split_once('\n').expect("two lines");
    let installed = Command::new("sh").args(["-ec", install]).output();
    let installed = installed.expect("sh runs");
    assert_eq!(code(&installed), 0, "{}", stderr(&installed));
    for name in ["server-receive", "server-post-office"] {
        let file = format!("\"{folder}/{name}.prom\"");
        pair.b.set(&format!("{name}.toml"), "metrics", &file);
    }
    let receiver = pair.b.start();
    let office = pair.b.start_office();
    pair.a.knows("b.test", receiver.address);
    let sent = pair.a.send(&letter(&["bob@b.test"], "Hello\n"), &[]);
    assert_eq!(code(&sent), 0, "{}", stderr(&sent));
    let mut caller = Caller::dial(office.address, None);
    assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");

    let address = free_address();
    let mut words = collect.split_whitespace();
    let mut exporter = tool(words.next().expect("a program"));
    exporter
        .args(words)
        .args(["--collector.disable-defaults", "--collector.textfile"])
        .arg(format!("--web.listen-address={address}"))
        .stderr(Stdio::null());
    let _collecting = Talk::new(exporter);
    wait_for_listener(address);
    // What the servers have written by now.
    wait_until("both have told of it", || {
        let text = collected(address);
        [
            "\nememo_receive_data_total{answer=\"OK\"} 1\n",
            "\nememo_post_office_sessions_open 1\n",
        ]
        .iter()
        .all(|line| text.contains(line))
    });
    let text = collected(address);
    for line in [
        "\nnode_textfile_scrape_error 0\n",
        "\n# TYPE ememo_receive_data_handler_seconds histogram\n",
        "\n# HELP ememo_post_office_login_seconds How long logins took that were granted.\n",
        "\nememo_post_office_login_seconds_bucket{by=\"password\",le=\"+Inf\"} 1\n",
        "\nememo_receive_headers_total{answer=\"ACCEPT\",keyword=\"\"} 1\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
