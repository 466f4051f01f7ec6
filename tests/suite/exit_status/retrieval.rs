//! The cells of the programs that give users their mail, and of those around.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use super::{Provoke, closed_port};
use crate::fetch::{Place, folder};
use crate::peer::office::Office;
use crate::peer::{Caller, Cut};
use crate::post::{Entry, PASSWORD};
use crate::process::{inetd, terminate, wait};
use crate::site::{Host, Site, code, feed, stderr};

pub const CELLS: &[(&str, i32, Provoke)] = &[
    ("fetch-mail", 0, || fetched(&Place::new())),
    ("fetch-mail", 1, a_certificate_that_is_not_enrolled),
    ("fetch-mail", 2, || code(&Place::new().fetch(closed_port()))),
    ("fetch-mail", 3, a_server_that_breaks_the_rules),
    ("server-post-office", 0, a_signal),
    ("server-post-office", 0, || one_connection(b"DONE\n", None)),
    ("server-post-office", 2, a_configuration_that_is_wrong),
    ("server-post-office", 2, || {
        one_connection(b"FOLD", Some(Cut::Fin))
    }),
    ("server-post-office", 3, || one_connection(b"HELO\n", None)),
    ("server-post-office", 3, one_connection_without_tls),
    ("server-user", 0, || user(&["list"])),
    ("server-user", 1, || user(&["remove", "carol@b.test"])),
    ("server-user", 2, || user(&["remove", "carol"])),
    ("server-user", 2, || user(&["list", "--config", "/nowhere"])),
    ("server-check", 0, || {
        let site = Site::new();
        let server = site.host("b.test", &["bob"]).start();
        looked_at(&site, server.address)
    }),
    ("server-check", 1, || looked_at(&Site::new(), closed_port())),
    ("server-check", 2, nobody_to_ask),
];

fn fetched(place: &Place) -> i32 {
    let office = place.b.start_office();
    code(&place.fetch(office.address))
}

fn a_certificate_that_is_not_enrolled() -> i32 {
    let place = Place::new();
    place.b.write_users(&[Entry::new("bob")]);
    fetched(&place)
}

fn a_server_that_breaks_the_rules() -> i32 {
    let place = Place::new();
    let inbox = folder("inbox", &[place.letter("Hello\n", &[])]);
    let nonsense = |line: &str, said: Vec<u8>| match line {
        "FOLDERS" => b"What?\n".to_vec(),
        _ => said,
    };
    let office = Office::start(&place.identity(), &[inbox], nonsense);
    code(&place.fetch(office.address))
}

fn a_signal() -> i32 {
    let place = Place::new();
    let mut office = place.b.start_office();
    terminate(&office.child);
    wait(&mut office.child).code().expect("no signal kills it")
}

fn a_configuration_that_is_wrong() -> i32 {
    let place = Place::new();
    place.b.set("server-post-office.toml", "users", "7");
    let output = place
        .b
        .command("server-post-office")
        .output()
        .expect("it ends");
    assert!(stderr(&output).contains("users"), "{}", stderr(&output));
    code(&output)
}

/// What a session under inetd ends with in which this is said after the login.
fn one_connection(said: &[u8], cut: Option<Cut>) -> i32 {
    let place = Place::new();
    let mut command = place.b.command("server-post-office");
    command.arg("--inetd");
    let (mut child, socket) = inetd(command);
    let mut caller = Caller::over(socket, None).expect("a handshake");
    assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
    caller.send(said);
    match cut {
        Some(cut) => caller.into_peer().cut(cut),
        None => drop(caller.rest()),
    }
    wait(&mut child).code().expect("no signal kills it")
}

fn one_connection_without_tls() -> i32 {
    let place = Place::new();
    let mut command = place.b.command("server-post-office");
    command.arg("--inetd");
    let (mut child, mut socket) = inetd(command);
    socket
        .write_all(b"LOGIN bob@b.test CERTIFICATE\n")
        .expect("written");
    socket.read_to_end(&mut Vec::new()).expect("the end");
    wait(&mut child).code().expect("no signal kills it")
}

/// server-user where bob is a user.
fn user(arguments: &[&str]) -> i32 {
    let place = Place::new();
    let mut command = place.b.command("server-user");
    command.args(arguments);
    code(&feed(command, b""))
}

/// What server-check says of b.test, were it there.
fn looked_at(site: &Site, address: SocketAddr) -> i32 {
    let a = site.host("a.test", &[]);
    a.knows("b.test", address);
    look(&a)
}

fn nobody_to_ask() -> i32 {
    let site = Site::new();
    let a = site.host("a.test", &[]);
    a.set(
        "server-send-mail.toml",
        "dns",
        &format!("[\"{}\"]", closed_port()),
    );
    look(&a)
}

fn look(a: &Host) -> i32 {
    let mut command = a.command("server-check");
    command.arg("b.test");
    code(&feed(command, b""))
}
