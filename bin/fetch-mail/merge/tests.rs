#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use ima_message::{DateTime, Entry, Flag, FlagChange, MessageDigest};

use super::{BOTH, Deed, Side, Sides, merge};

const FOLDERS: [&str; 3] = ["A", "B", "C"];

fn flags(text: &str) -> BTreeSet<Flag> {
    text.split_whitespace()
        .map(|f| f.parse().unwrap())
        .collect()
}

/// `A< del` is a line that a user wrote here, `A>= +seen` one that fetch-mail
/// wrote on the server.
fn take(folders: &mut BTreeMap<usize, Sides>, line: &str) {
    let (place, what) = line.split_once(' ').unwrap();
    let at = FOLDERS.iter().position(|f| place.starts_with(f)).unwrap();
    let sides = folders.entry(at).or_default();
    let touch = match place.as_bytes()[1] {
        b'<' => &mut sides.here,
        b'>' => &mut sides.there,
        other => panic!("{other}"),
    };
    let digest: MessageDigest = "ab".repeat(32).parse().unwrap();
    let entry = match what {
        "missing" => {
            touch.is_missing = true;
            return;
        }
        "add" => Entry::Add {
            digest,
            time: DateTime::utc(0).unwrap(),
            octets: 1,
        },
        "del" => Entry::Del { digest },
        changes => Entry::Flag {
            digest,
            changes: changes
                .split(' ')
                .map(|change| FlagChange {
                    flag: change[1..].parse().unwrap(),
                    set: change.starts_with('+'),
                })
                .collect(),
        },
    };
    touch.take(&entry, |_| place.ends_with('='));
}

fn text(side: Side, deed: &Deed) -> String {
    let sign = match side {
        Side::Here => '<',
        Side::There => '>',
    };
    match deed {
        Deed::Put { at, flags } => {
            let flags: String = flags.iter().map(|f| format!(" {}", f.as_str())).collect();
            format!("{}{sign} put{flags}", FOLDERS[*at])
        }
        Deed::Move {
            from, to, changes, ..
        } => {
            let changes: String = changes.iter().map(|change| format!(" {change}")).collect();
            format!("{}{sign}{changes} to {}", FOLDERS[*from], FOLDERS[*to])
        }
        Deed::Flag { at, changes } => {
            let changes: String = changes.iter().map(|change| format!(" {change}")).collect();
            format!("{}{sign}{changes}", FOLDERS[*at])
        }
        Deed::Delete { at } => format!("{}{sign} del", FOLDERS[*at]),
    }
}

#[track_caller]
fn check(lines: &[&str], base: &[(&str, &str)], deeds: &[&str]) {
    let mut folders = BTreeMap::new();
    lines.iter().for_each(|line| take(&mut folders, line));
    let mut known = |at: usize| {
        let of = base.iter().find(|(folder, _)| *folder == FOLDERS[at]);
        Ok::<_, Infallible>(of.map(|(_, text)| flags(text)))
    };
    let mut found = merge(&folders, &mut known).unwrap();
    let mut said = Vec::new();
    for side in BOTH {
        said.extend(found.on(side).iter().map(|deed| text(side, deed)));
    }
    assert_eq!(said, deeds, "{lines:?}");
}

#[test]
fn what_changed_on_one_side_is_done_on_the_other() {
    for (lines, deeds) in [
        (&["A> +seen"][..], &["A< +seen"][..]),
        (&["A< +seen -junk"], &["A> -junk +seen"]),
        (&["A> +seen", "A> -seen"], &["A< -seen"]),
        (&["A> +seen", "A< +flagged"], &["A< +seen", "A> +flagged"]),
        (&["A> del"], &["A< del"]),
        (&["A< del"], &["A> del"]),
        (&["A> add"], &["A< put"]),
        (&["A> add", "A> +seen"], &["A< put seen"]),
        (
            &["A< add", "A< +seen", "A< +junk", "A< -junk"],
            &["A> put seen"],
        ),
        (&["A< del", "A> del"], &[]),
        (&["A> +seen", "A> del"], &["A< del"]),
    ] {
        check(lines, &[], deeds);
    }
}

#[test]
fn a_flag_that_one_of_two_set_is_set() {
    check(&["A< +seen", "A> -seen"], &[], &["A> +seen"]);
    check(&["A< -seen", "A> +seen"], &[], &["A< +seen"]);
    check(&["A< +seen", "A> +seen"], &[], &[]);
    check(&["A< -seen", "A> -seen"], &[], &[]);
    // New on both sides.
    let new = ["A< add", "A< +seen", "A> add", "A> +junk"];
    check(&new, &[], &["A< +junk", "A> +seen"]);
}

#[test]
fn what_one_deleted_and_the_other_changed_is_kept_with_all_its_flags() {
    let base = [("A", "flagged junk")];
    check(
        &["A< del", "A> +seen"],
        &base,
        &["A< put flagged junk seen"],
    );
    check(
        &["A< +seen -junk", "A> del"],
        &base,
        &["A> put flagged seen"],
    );
    // Deleted, and delivered or moved there again.
    check(&["A< del", "A> add"], &base, &["A< put flagged junk"]);
    check(&["A< del", "A> del", "A> add"], &base, &["A< put"]);
    check(&["A< add", "A> del"], &base, &["A> put flagged junk"]);
}

#[test]
fn a_move_is_a_move_on_the_other_side_too() {
    let base = [("A", "junk")];
    check(&["A> del", "B> add", "B> +junk"], &base, &["A< to B"]);
    check(&["A< del", "B< add"], &[], &["A> to B"]);
    // Its flags were changed before, and after.
    let lines = ["A< -junk", "A< del", "B< add", "B< +seen"];
    check(&lines, &base, &["B< -junk", "A> -junk +seen to B"]);
    let lines = ["A< -junk", "A< del", "B< add"];
    check(&lines, &base, &["B< -junk", "A> -junk to B"]);
}

#[test]
fn flags_follow_what_the_other_side_has_moved() {
    let base = [("A", "junk")];
    // Junk is carried along, and was removed by the other meanwhile.
    let lines = ["A> del", "B> add", "B> +junk", "A< -junk +seen"];
    check(&lines, &base, &["A< to B", "B> -junk +seen"]);
    let lines = ["A< del", "B< add", "B< +junk", "A> +seen"];
    check(&lines, &base, &["B< +seen", "A> to B"]);
    // Both moved it to the same place.
    let lines = [
        "A< del", "B< add", "B< +junk", "A> -junk", "A> del", "B> add",
    ];
    check(&lines, &base, &["B< -junk", "B> -junk"]);
}

#[test]
fn what_is_moved_has_no_flags_but_those_that_the_other_side_has_there() {
    // It was deleted there, and came from elsewhere.
    let lines = ["A> del", "B> add", "B> +seen"];
    check(&lines, &[("A", "junk")], &["A< -junk +seen to B"]);
    // The other side has moved both: what changed here follows the one of C.
    let lines = ["A> del", "A> add", "B> add", "C> del", "C< +flagged"];
    check(
        &lines,
        &[("A", ""), ("C", "")],
        &["C< -flagged to B", "A< +flagged", "A> +flagged"],
    );
    // What an earlier run has done here by the server's word, or told it.
    let lines = ["A<= add", "A<= +junk", "A< -junk", "A< del", "B< add"];
    check(&lines, &[], &["B< -junk", "A> -junk to B"]);
}

#[test]
fn what_was_moved_to_two_places_is_in_both() {
    let lines = ["A< del", "B< add", "A> del", "C> add", "C> +seen"];
    check(&lines, &[], &["C< put seen", "B> put"]);
    // Moved on one side, and deleted on the other.
    check(&["A< del", "B< add", "A> del"], &[], &["B> put"]);
    check(&["A< del", "A> del", "B> add"], &[], &["B< put"]);
    // There is one to be moved, and two places that want it.
    let lines = ["A> del", "B> add", "C> add", "C> +seen"];
    check(&lines, &[], &["C< put seen", "A< to B"]);
}

#[test]
fn what_went_and_came_back_brings_the_flags_that_it_has_now() {
    let base = [("A", "junk flagged")];
    let lines = ["A< del", "A< add", "A< +junk +seen"];
    check(&lines, &base, &["A> -flagged +seen"]);
    check(&lines, &[], &["A> put junk seen"]);
    let lines = ["A> del", "A> add", "A< -junk"];
    check(&lines, &base, &["A< -flagged"]);
}

#[test]
fn what_came_back_when_it_was_deleted_on_the_other_side_already_is_put_there_again() {
    let base = [("A", "junk")];
    let lines = ["A> del", "A<= del", "A> add", "A> +seen"];
    check(&lines, &base, &["A< put seen"]);
    check(&["A< del", "A>= del", "A< add"], &base, &["A> put"]);
}

#[test]
fn what_is_missing_without_a_word_deletes_nothing() {
    let base = [("A", "junk")];
    check(&["A> missing"], &base, &["A> put junk"]);
    check(&["A> missing", "A< +seen"], &base, &["A> put junk seen"]);
    check(&["A> missing", "A< del"], &base, &[]);
}

#[test]
fn what_fetch_mail_wrote_is_no_news() {
    check(&["A<= add", "A<= +seen"], &[], &[]);
    check(&["A<= del"], &[], &[]);
    check(&["A>= +seen"], &[], &[]);
    // Told again, since a run was cut off.
    check(&["A> add", "A<= add"], &[], &[]);
    check(&["A> add", "A> +seen", "A<= add"], &[], &["A< +seen"]);
    check(&["A> add", "A<= add", "A< del"], &[], &["A> del"]);
    check(&["A> +seen", "A<= +seen", "A< -seen"], &[], &["A> -seen"]);
    check(&["A< -seen", "A>= -seen", "A> +seen"], &[], &["A< +seen"]);
    check(&["A> del", "A<= del"], &[], &[]);
    check(&["A> del", "A<= del", "A< add"], &[], &["A> put"]);
    // Somebody was quicker than we.
    check(&["A> +seen", "A>= -seen"], &[], &["A< +seen", "A> +seen"]);
    check(&["A< del", "A<= add"], &[], &["A> put"]);
}

#[test]
fn flags_that_a_move_carries_to_where_the_other_side_has_put_it_too_are_united() {
    check(
        &[
            "A< del",
            "B< add",
            "B< +flagged +junk",
            "B> add",
            "B> +flagged +seen",
        ],
        &[("A", "flagged junk")],
        &["B< +seen", "B> +junk", "A> del"],
    );
}
