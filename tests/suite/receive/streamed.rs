//! The handler that server-receive runs where none is configured, which stays:
//! nothing is different from one that is started for each message.

use std::fs;

use super::Place;
use super::handlers::{is_gone, peak_kib};
use super::lasting::commands;
use crate::peer::{Cut, split};
use crate::process::{children, descriptors, network, processes};
use crate::site::{Server, code, letter, letter_octets, letter_with, run, stderr, wait_until};

/// The process ids of a server's handlers.
fn handlers(server: &Server) -> Vec<u32> {
    let network = network(server.child.id());
    let mut handlers = children(server.child.id());
    handlers.retain(|child| Some(*child) != network);
    handlers
}

/// Sets the whole routing table.
fn route(place: &Place, routes: &str) {
    let routes = routes.replace("{dir}", place.site.path().to_str().unwrap());
    place.b.edit("server-handle-incoming-mail.toml", |_| {
        format!("hosts = [\"b.test\"]\n{routes}")
    });
}

#[test]
fn a_thousand_messages_on_one_connection() {
    let place = Place::new();
    let server = place.b.start();
    let text = String::from_utf8(letter(&["bob@b.test"], "Hello\n")).unwrap();
    let (before, after) = text.split_once("\nid: ").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    let mut peer = place.dial(&server);
    let mut some = 0;
    for number in 0..1000 {
        let letter = format!("{before}\nid: {number}@a.test\n{after}");
        assert_eq!(peer.deliver(letter.as_bytes()), "OK");
        if number == 0 {
            some = descriptors(&server.child);
        }
    }
    assert_eq!(place.b.messages("bob").len(), 1000);
    assert!(commands(&server) <= 1);
    assert!(descriptors(&server.child) <= some);
}

#[test]
fn what_is_stored_is_what_was_sent() {
    let place = Place::new();
    let server = place.b.start();
    let attached = place.file("photo.jpg");
    let mut peer = place.dial(&server);
    let mut letters = Vec::new();
    // In memory; through the pipe; and with nothing at all.
    for size in [0, 1, 1000, 65_000, 200_000, 300_000, 3_000_000] {
        fs::write(&attached, vec![7; size]).unwrap();
        let options = ["--attach", attached.to_str().unwrap()];
        let letter = letter_with(&["bob@b.test"], &size.to_string(), &options);
        assert_eq!(peer.headers(&letter), ["ACCEPT"]);
        assert_eq!(peer.data(&letter), ["+ OK bob@b.test", "OK"]);
        letters.push(letter);
    }
    let empty = letter(&["bob@b.test"], "");
    assert_eq!(peer.deliver(&empty), "OK");
    letters.push(empty);
    let stored = place.b.messages("bob");
    assert_eq!(stored.len(), letters.len());
    for (digest, letter) in stored.iter().zip(&letters) {
        let message = place.b.message("bob", digest);
        assert!(letter_octets(&message) == letter_octets(letter));
    }
}

#[test]
fn a_peer_that_breaks_off_leaves_nothing_and_the_next_message_is_taken() {
    let place = Place::new();
    let server = place.b.start();
    for size in [6, 100_000, 2_000_000] {
        for cut in [Cut::CloseNotify, Cut::Fin, Cut::Reset] {
            let letter = letter(&["bob@b.test"], &"x".repeat(size));
            let (_, data) = split(&letter);
            let mut peer = place.dial(&server);
            assert_eq!(peer.headers(&letter), ["ACCEPT"]);
            let most = [format!("DATA {size}\n").as_bytes(), &data[..size - 1]].concat();
            peer.send(&most);
            let closed = server.log.text().matches("event=closed").count();
            peer.cut(cut);
            wait_until("its end", || {
                server.log.text().matches("event=closed").count() > closed
            });
            assert_eq!(place.b.messages("bob").len(), 0, "{size}, {cut:?}");
            wait_until("nothing half", || {
                fs::read_dir(place.b.inbox("bob").join("tmp"))
                    .unwrap()
                    .count()
                    == 0
            });
        }
    }
    let letter = letter(&["bob@b.test"], "Hello\n");
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
    assert_eq!(place.b.messages("bob").len(), 1);
    assert!(!server.log.text().contains("not-delivered"));
}

/// Between the answer and the data, and while they come, an administrator puts the
/// mailbox elsewhere: whoever is told OK is in the one that is there now.
#[test]
fn a_mailbox_that_is_put_elsewhere_meanwhile_takes_no_mail() {
    let place = Place::new();
    let server = place.b.start();
    let inbox = place.b.inbox("bob");
    let mailbox = inbox.parent().unwrap();
    let aside = mailbox.with_extension("old");
    let is_put_elsewhere = || {
        let _ = fs::remove_dir_all(&aside);
        fs::rename(mailbox, &aside).unwrap();
        fs::create_dir(mailbox).unwrap();
        let made = run("ima-mailbox", &["create".as_ref(), inbox.as_os_str()], b"");
        assert_eq!(code(&made), 0, "{}", stderr(&made));
    };
    let small = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    assert_eq!(peer.headers(&small), ["ACCEPT"]);
    is_put_elsewhere();
    assert_eq!(peer.data(&small), ["+ OK bob@b.test", "OK"]);
    assert_eq!(place.b.messages("bob").len(), 1);

    let size = 2_000_000;
    let large = letter(&["bob@b.test"], &"x".repeat(size));
    let (_, data) = split(&large);
    assert_eq!(peer.headers(&large), ["ACCEPT"]);
    let (first, last) = data.split_at(size - 1000);
    peer.send(&[format!("DATA {size}\n").as_bytes(), first].concat());
    let tmp = inbox.join("tmp");
    let begun = || {
        let handlers = handlers(&server);
        let opened = handlers.iter().flat_map(|pid| {
            fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten()
        });
        let names = opened.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        names
            .into_iter()
            .any(|name| name.starts_with(&tmp) && name != tmp)
    };
    wait_until("the beginning of the message", begun);
    is_put_elsewhere();
    peer.send(last);
    let said = peer.answer();
    assert_eq!(said.last().unwrap(), "PARTIAL", "{said:?}");
    assert!(said[0].starts_with("+ DEFER bob@b.test "), "{said:?}");
    server.log.wait_for("event=inbox-moved");
    assert_eq!(place.dial(&server).deliver(&large), "OK");
    assert_eq!(place.b.messages("bob").len(), 1);
}

#[test]
fn a_large_message_takes_little_memory() {
    let place = Place::new();
    let server = place.b.start();
    let attached = place.file("film.mp4");
    fs::write(&attached, vec![7; 40 << 20]).unwrap();
    let options = ["--attach", attached.to_str().unwrap()];
    let letter = letter_with(&["bob@b.test"], "Hello\n", &options);
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
    for pid in handlers(&server)
        .into_iter()
        .chain(processes(server.child.id()))
    {
        let kib = peak_kib(pid);
        assert!(kib < 24 << 10, "{kib} KiB");
    }
}

#[test]
fn a_changed_routing_table_counts_from_the_next_message_on() {
    let place = Place::new();
    let server = place.b.start();
    let mut peer = place.dial(&server);
    let to = |name: &str| letter(&[&format!("{name}@b.test")], "Hello\n");
    let unknown = |name: &str| {
        vec![
            format!("+ NORECIPIENT {name}@b.test"),
            "REJECT recipient no such recipient here".to_owned(),
        ]
    };
    assert_eq!(peer.headers(&to("eve")), unknown("eve"));
    for round in 0..20 {
        let (new, old) = if round % 2 == 0 {
            ("eve", "dan")
        } else {
            ("dan", "eve")
        };
        route(
            &place,
            &format!("[routes]\n\"{new}@b.test\" = {{ inbox = \"mail/b.test/bob/inbox\" }}\n"),
        );
        assert_eq!(peer.deliver(&to(new)), "OK", "{round}");
        if round < 8 {
            assert_eq!(peer.headers(&to(old)), unknown(old), "{round}");
        }
    }

    // A route file, too, which is renamed into its place.
    let users = |name: &str| {
        let new = place.b.dir.join("users.new");
        let line = format!("{name}@b.test\t{{ inbox = \"mail/b.test/bob/inbox\" }}\n");
        fs::write(&new, line).unwrap();
        fs::rename(new, place.b.dir.join("users.routes")).unwrap();
    };
    users("ann");
    route(&place, "route-files = [\"users.routes\"]\n");
    assert_eq!(peer.deliver(&to("ann")), "OK");
    users("ian");
    assert_eq!(peer.deliver(&to("ian")), "OK");
    assert_eq!(peer.headers(&to("ann")), unknown("ann"));
    assert_eq!(place.b.messages("bob").len(), 22);
}

#[test]
fn a_wrong_configuration_defers_until_it_is_mended() {
    let place = Place::new();
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    assert_eq!(peer.deliver(&letter), "OK");
    let file = place.b.dir.join("server-handle-incoming-mail.toml");
    let right = fs::read_to_string(&file).unwrap();
    let wrong: [&dyn Fn(); 3] = [
        &|| fs::write(&file, format!("host = 1\n{right}")).unwrap(),
        &|| fs::remove_file(&file).unwrap(),
        &|| {
            route(
                &place,
                "[routes]\n\"bob@b.test\" = { alias = [\"eve@b.test\"] }\n",
            )
        },
    ];
    for spoil in wrong {
        spoil();
        for _ in 0..2 {
            assert_eq!(
                peer.headers(&letter),
                ["DEFER 300 a fault here; try again later"]
            );
        }
        fs::write(&file, &right).unwrap();
        assert_eq!(peer.deliver(&letter), "OK");
    }
    for reason in ["line 1, column 1", "there is no such file", "eve@b.test"] {
        server.log.wait_for_count(reason, 2);
    }
    assert_eq!(handlers(&server).len(), 1);
}

#[test]
fn a_routed_command_has_its_message_and_its_environment() {
    let place = Place::new();
    route(
        &place,
        "[routes]\n\"bob@b.test\" = { inbox = \"mail/b.test/bob/inbox\" }\n\
         \"*@b.test\" = { command = [\"/bin/sh\", \"-c\", \"cat >{dir}/message; env >{dir}/env; echo kept\"] }\n",
    );
    let server = place.b.start();
    let mut peer = place.dial(&server);
    for size in [6, 100_000, 1_000_000] {
        let letter = letter(&["eve@b.test", "bob@b.test"], &"x".repeat(size));
        assert_eq!(peer.headers(&letter), ["ACCEPT"]);
        let mut answer = peer.data(&letter);
        assert_eq!(answer.pop().unwrap(), "OK");
        answer.sort_unstable();
        assert_eq!(answer, ["+ OK bob@b.test", "+ OK eve@b.test", "+ kept"]);
        let message = fs::read(place.file("message")).unwrap();
        assert!(letter_octets(&message) == letter_octets(&letter));
        assert!(message.windows(11).any(|octets| octets == b"\nreceived: "));
        let environment = place.read("env");
        for line in [
            format!("IMA_DIGEST={}", super::digest(&letter)),
            "IMA_RECIPIENT=eve@b.test".into(),
            "IMA_PEER_DOMAIN=a.test".into(),
            "IMA_PEER_ADDRESS=127.0.0.1".into(),
            "IMA_AUTHOR=host".into(),
        ] {
            assert!(environment.lines().any(|other| other == line), "{line}");
        }
    }
    assert_eq!(handlers(&server).len(), 1, "one for all of them");
    assert_eq!(place.b.messages("bob").len(), 3);
}

#[test]
fn what_a_routed_command_leaves_behind_is_killed() {
    let place = Place::new();
    route(
        &place,
        "[routes]\n\"*@b.test\" = { command = [\"/bin/sh\", \"-c\", \"sleep 1000 & echo $!\"] }\n",
    );
    let server = place.b.start();
    let letter = letter(&["eve@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    for _ in 0..3 {
        assert_eq!(peer.headers(&letter), ["ACCEPT"]);
        let answer = peer.data(&letter);
        assert_eq!(answer[1..], ["+ OK eve@b.test", "OK"]);
        let pid = answer[0].strip_prefix("+ ").unwrap();
        wait_until("its end", || is_gone(pid));
    }
    wait_until("nobody is left", || commands(&server) == 0);
}

#[test]
fn a_routed_command_drops_the_connection() {
    let place = Place::new();
    route(
        &place,
        "[routes]\n\"*@b.test\" = { command = [\"/bin/sh\", \"-c\", \"exit 3\"] }\n",
    );
    let server = place.b.start();
    let letter = letter(&["eve@b.test"], "Hello\n");
    for _ in 0..2 {
        let mut peer = place.dial(&server);
        assert_eq!(peer.headers(&letter), ["ACCEPT"]);
        peer.send_data(&letter);
        assert!(peer.try_answer().is_err());
    }
    server.log.wait_for("reason=dropped");
}

#[test]
fn a_server_that_is_killed_leaves_no_handler() {
    let place = Place::new();
    let mut server = place.b.start();
    let small = letter(&["bob@b.test"], "Hello\n");
    let mut idle = place.dial(&server);
    assert_eq!(idle.deliver(&small), "OK");
    let large = letter(&["bob@b.test"], &"x".repeat(500_000));
    let mut peer = place.dial(&server);
    assert_eq!(peer.headers(&large), ["ACCEPT"]);
    peer.send(b"DATA 500000\n");
    peer.send(&split(&large).1[..400_000]);
    let pids = handlers(&server);
    assert!(!pids.is_empty());
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    for pid in pids {
        wait_until("its end", || is_gone(&pid.to_string()));
    }
    assert_eq!(place.b.messages("bob").len(), 1);
}

#[test]
fn a_mailbox_that_cannot_take_it_defers_that_recipient_alone() {
    let place = Place::new();
    route(
        &place,
        "[routes]\n\"bob@b.test\" = { inbox = \"mail/b.test/bob/inbox\" }\n\
         \"eve@b.test\" = { inbox = \"mail/b.test/eve/inbox\" }\n",
    );
    let server = place.b.start();
    let mut peer = place.dial(&server);
    let both = letter(&["bob@b.test", "eve@b.test"], "Hello\n");
    let line = "+ DEFER eve@b.test - 60 86400 the mailbox cannot take it now";
    assert_eq!(
        peer.headers(&both),
        [line, "DEFER 300 not now; try again later"]
    );
    let bob = place.b.inbox("bob");
    let eve = place.b.inbox("eve");
    ima_mailbox::Folder::create(&eve).unwrap();
    // It goes between the two questions.
    assert_eq!(peer.headers(&both), ["ACCEPT"]);
    fs::remove_dir_all(&eve).unwrap();
    let mut answer = peer.data(&both);
    assert_eq!(answer.pop().unwrap(), "PARTIAL");
    answer.sort_unstable();
    assert_eq!(answer, [line, "+ OK bob@b.test"]);
    assert_eq!(fs::read_dir(bob.join("messages")).unwrap().count(), 1);
}
