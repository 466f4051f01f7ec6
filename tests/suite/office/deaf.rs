//! Clients that ask for much and hear nothing, and servers that have nothing left to
//! accept with.

use std::time::Duration;

use super::{Place, bob};
use crate::peer::Caller;
use crate::post::PASSWORD;
use crate::process::{descriptors_of_network, kib, starved};
use crate::site::wait_until;

/// What waits in the sockets alone, in octets: more fits nowhere.
const ENOUGH: usize = 64 << 20;

#[test]
fn what_nobody_reads_takes_no_memory() {
    let place = Place::new();
    let large = vec![7; 8 << 20];
    place.deliver("Hello\n", &[&large]);
    let attachment = place.names("attachments").pop().unwrap();
    let server = place.b.start_office();
    // A password is checked with much memory.
    bob(&server).close();
    let before = kib(server.child.id(), "VmHWM");
    let questions = [
        format!("PART inbox {attachment} 0\n"),
        "SYNC inbox - messages\n".to_owned(),
        "FOLDERS\n".to_owned(),
    ];
    let deaf: Vec<Caller> = questions
        .iter()
        .cycle()
        .take(9)
        .map(|question| {
            let mut caller = bob(&server);
            // It asks until the server reads no more.
            caller.give_up_after(Duration::from_millis(500));
            let many = question.repeat(1000);
            let mut asked = 0;
            while caller.try_send(many.as_bytes()).is_ok() {
                asked += many.len();
                assert!(asked < ENOUGH, "{question}");
            }
            caller
        })
        .collect();
    let grown = kib(server.child.id(), "VmHWM") - before;
    // Less than 1 MiB for each.
    assert!(grown < 9 << 10, "{grown} KiB");
    // Others are served meanwhile.
    let mut carol = Caller::dial(server.address, None);
    assert_eq!(carol.log_in("carol@b.test", PASSWORD), "OK");
    assert_eq!(carol.lines("FOLDERS").len(), 2);
    drop(deaf);
    wait_until("all nine ends", || {
        server.log.text().matches("event=closed").count() == 10
    });
}

#[test]
fn without_descriptors_it_does_not_spin_and_serves_again() {
    let place = Place::new();
    let server = starved(&place.b, "server-post-office");
    wait_until("room", || descriptors_of_network(&server.child) < 20);
    assert_eq!(bob(&server).lines("FOLDERS").len(), 2);
    server.log.wait_for("event=accepting-again");
}
