//! The main job: a letter with a large attachment reaches everybody it is for,
//! or nobody.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::peer::Relay;
use crate::site::{Host, Server, Site, code, letter_octets, letter_with, stderr, stdout};

struct World {
    _site: Site,
    a: Host,
    b: Host,
    c: Host,
    relays: [Relay; 2],
    _servers: [Server; 2],
    attached: u64,
    letter: Vec<u8>,
}

const OK: [&str; 3] = ["OK bob@b.test", "OK carol@c.test", "OK dave@c.test"];

/// Three domains; the way to two of them is counted.
fn world() -> World {
    let site = Site::new();
    let (a, b) = (
        site.host("a.test", &["alice"]),
        site.host("b.test", &["bob"]),
    );
    let c = site.host("c.test", &["carol", "dave"]);
    let servers = [b.start(), c.start()];
    let relays = [Relay::to(servers[0].address), Relay::to(servers[1].address)];
    a.knows("b.test", relays[0].address);
    a.knows("c.test", relays[1].address);
    // Octets that no compression makes fewer.
    let mut state = 1_u64;
    let photo: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    })
    .take((4 << 20) / 8)
    .flatten()
    .collect();
    let path = site.path().join("photo.jpg");
    fs::write(&path, &photo).unwrap();
    let letter = letter_with(
        &["bob@b.test", "carol@c.test"],
        "Shall we have lunch?\n",
        &[
            "--cc",
            "dave@c.test Dave",
            "--attach",
            path.to_str().unwrap(),
        ],
    );
    World {
        _site: site,
        a,
        b,
        c,
        relays,
        _servers: servers,
        attached: photo.len() as u64,
        letter,
    }
}

impl World {
    #[track_caller]
    fn send(&self, exit: i32) -> Vec<String> {
        let output = self.a.send(&self.letter, &[]);
        assert_eq!(
            code(&output),
            exit,
            "{}{}",
            stdout(&output),
            stderr(&output)
        );
        let mut lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

#[test]
fn a_letter_reaches_everybody_octet_for_octet() {
    let world = world();
    assert_eq!(world.send(0), OK);
    for (host, user) in [(&world.b, "bob"), (&world.c, "carol"), (&world.c, "dave")] {
        let stored = host.messages(user);
        assert_eq!(stored.len(), 1, "{user}");
        let message = host.message(user, &stored[0]);
        assert!(
            letter_octets(&message) == letter_octets(&world.letter),
            "{user}"
        );
        let block = message
            .split(|octet| *octet == b'\n')
            .take_while(|line| !line.is_empty());
        let last = String::from_utf8(block.last().unwrap().to_vec()).unwrap();
        assert!(
            last.starts_with(&format!("received: {} ", host.name)),
            "{last}"
        );
        assert!(
            last.ends_with(" from=a.test address=127.0.0.1 tls=TLSv1.3 author=host"),
            "{last}"
        );
    }
}

#[test]
fn an_attachment_crosses_the_wire_and_is_stored_once_for_each_host() {
    let world = world();
    assert_eq!(world.send(0), OK);
    let attachment = |host: &Host, user: &str| {
        let digest = &host.messages(user)[0];
        fs::metadata(
            host.inbox(user)
                .join("messages")
                .join(format!("{digest}.2")),
        )
        .unwrap()
    };
    let (bob, carol) = (attachment(&world.b, "bob"), attachment(&world.c, "carol"));
    let dave = attachment(&world.c, "dave");
    assert_eq!([bob.len(), carol.len(), dave.len()], [world.attached; 3]);
    assert_eq!((carol.ino(), carol.dev()), (dave.ino(), dave.dev()));
    // Each folder has it under the message's name and under its own digest.
    assert_eq!((bob.nlink(), carol.nlink()), (2, 4));
    for relay in &world.relays {
        let (size, sent) = (world.letter.len() as u64, relay.octets());
        assert!(
            (size..size + size / 100 + (16 << 10)).contains(&sent),
            "{sent} octets for {size}"
        );
    }
}

#[test]
fn the_same_letter_twice_is_one() {
    let world = world();
    assert_eq!(world.send(0), OK);
    assert_eq!(world.send(0), OK);
    for (host, user) in [(&world.b, "bob"), (&world.c, "carol"), (&world.c, "dave")] {
        assert_eq!(host.messages(user).len(), 1, "{user}");
    }
}

#[test]
fn nobody_gets_it_where_one_is_nobody() {
    let mut world = world();
    let text_end = world
        .letter
        .windows(2)
        .position(|two| two == b"\n\n")
        .unwrap();
    world
        .letter
        .splice(text_end..text_end, b"\nbcc: nobody@c.test".iter().copied());
    let lines = world.send(1);
    assert_eq!(lines.len(), 4);
    assert!(
        lines.iter().all(|line| line.starts_with("FAIL ")),
        "{lines:?}"
    );
    assert!(
        lines.contains(&"FAIL nobody@c.test no such recipient".to_owned()),
        "{lines:?}"
    );
    for (host, user) in [(&world.b, "bob"), (&world.c, "carol"), (&world.c, "dave")] {
        assert!(host.messages(user).is_empty(), "{user}");
    }
    assert!(world.relays.iter().all(|relay| relay.octets() < 16 << 10));
}
