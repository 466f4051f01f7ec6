//! A mailbox with a quota: an octet too many is a fault, and nothing is visible.

use std::fs;

use super::act::{self, Act};
use super::place::{Place, expect, state, stored};
use super::{Build, none, quick};
use crate::site::feed;

/// Octets of all messages of bob's.
fn held(place: &Place) -> u64 {
    let mut octets = 0;
    for folder in ["bob/inbox", "bob/archive"].map(|name| place.folder(name)) {
        for digest in state(&folder).keys() {
            octets += stored(&folder, digest).unwrap().len() as u64;
        }
    }
    octets
}

/// Octets that an act brings to bob.
fn brought(place: &Place, act: &Act) -> u64 {
    let known = |digest: &String| {
        let folders = ["bob/inbox", "bob/archive"].map(|name| place.folder(name));
        folders
            .iter()
            .any(|folder| state(folder).contains_key(digest))
    };
    let new = act
        .puts
        .iter()
        .filter(|(folder, letter)| folder.starts_with("bob/") && !known(&letter.digest));
    new.map(|(_, letter)| letter.octets.len() as u64).sum()
}

#[test]
fn a_quota_is_held_to_the_octet_and_hinders_nobody_who_brings_nothing() {
    let dir = quick();
    let place = Place::furnished(dir.path(), &Build::default());
    for act in act::all() {
        let (held, brought) = (held(&place), brought(&place, &act));
        let quota = |octets: u64| {
            let text = format!("quota = {octets}\n");
            fs::write(place.folder("bob/mailbox.toml"), text).unwrap();
            let (command, octets) = (act.command)(&place);
            feed(command, &octets)
        };
        if brought > 0 {
            let before = place.journals();
            expect(2, &quota(held + brought - 1));
            let inbox = place.folder("bob/inbox");
            assert_eq!(place.journals()[&inbox], before[&inbox], "{}", act.name);
            none(&place.damage());
            expect(0, &quota(held + brought));
        } else {
            expect(0, &quota(1));
        }
        none(&act.missing(&place));
        none(&place.damage());
    }
}
