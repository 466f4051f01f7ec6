//! The routing table. Three pieces with a NUL between them: an address, the
//! table of a configuration file, and a route file.
#![no_main]

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};

use ima_message::{Address, Hostpart};
use ima_route::{Action, RoutesToml, RoutingTable};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static PLACE: RefCell<TempDir> = RefCell::new(TempDir::new().expect("a folder"));
}

fn hosts() -> Vec<Hostpart> {
    let hosts = ["b.test", "c.test", "пример.test"];
    hosts
        .map(|host| Hostpart::parse(host).expect("a host"))
        .into()
}

fn look_up(text: &str, address: &Address, route_file: Option<PathBuf>) {
    let Ok(routes) = toml::from_str::<RoutesToml>(text) else {
        return;
    };
    let files: Vec<_> = route_file.into_iter().collect();
    let Ok(table) = RoutingTable::new(&hosts(), routes, &files, Path::new("/etc/ememo")) else {
        return;
    };
    let Ok(found) = table.look_up(address) else {
        return;
    };
    assert_eq!(table.look_up(address).ok(), Some(found.clone()));
    if let Ok(canonical) = Address::parse(&address.canonical()) {
        let same = table.look_up(&canonical).ok().flatten();
        assert_eq!(same, found);
    }
    let Some(found) = found else {
        return;
    };
    assert!(table.is_ours(address.hostpart()));
    assert!(!found.is_empty());
    for (number, destination) in found.iter().enumerate() {
        assert!(table.is_ours(destination.address.hostpart()));
        assert!(!found[..number].contains(destination));
        match &destination.action {
            Action::Inbox {
                path,
                base,
                from_pattern,
            } => {
                let chosen = path
                    .strip_prefix(base)
                    .expect("the path begins with its base");
                // No address leads out of the base; what the table writes itself may.
                if !text.contains("..") && files.is_empty() {
                    assert!(
                        chosen
                            .components()
                            .all(|c| matches!(c, Component::Normal(_)))
                    );
                }
                assert!(*from_pattern || path == base);
            }
            Action::Command(words) => assert!(!words[0].is_empty()),
        }
    }
}

/// A search of a route file that is in order finds what reading all of it does.
fn search(octets: &[u8], address: &Address, path: &Path) {
    let Some(whole) = octets.strip_suffix(b"\n") else {
        return;
    };
    let mut lines = Vec::new();
    for line in whole.split(|&b| b == b'\n') {
        let Some(tab) = line.iter().position(|&b| b == b'\t') else {
            return;
        };
        if line.len() >= ima_route::MAX_LINE {
            return;
        }
        lines.push(line.split_at(tab));
    }
    if !lines.is_sorted_by(|a, b| a.0 < b.0) || address.without_tag().is_some() {
        return;
    }
    let key = address.canonical();
    let there = lines.iter().any(|(found, _)| *found == key.as_bytes());
    let catch_all = format!("*@{}", address.hostpart().ascii());
    let caught = lines
        .iter()
        .any(|(found, _)| *found == catch_all.as_bytes());
    let table = RoutingTable::new(
        &hosts(),
        RoutesToml::default(),
        &[path.to_owned()],
        Path::new("/"),
    )
    .expect("no entries");
    if !table.is_ours(address.hostpart()) {
        return;
    }
    match table.look_up(address) {
        Ok(Some(_)) => assert!(there || caught),
        Ok(None) => assert!(!there && !caught),
        Err(_) => {}
    }
}

fuzz_target!(|octets: &[u8]| {
    let mut pieces = octets.splitn(3, |&b| b == 0);
    let mut text = || {
        pieces
            .next()
            .and_then(|piece| std::str::from_utf8(piece).ok())
    };
    let Some(Ok(address)) = text().map(Address::parse) else {
        return;
    };
    let Some(routes) = text() else {
        return;
    };
    let Some(lines) = pieces.next() else {
        look_up(routes, &address, None);
        return;
    };
    PLACE.with_borrow(|place| {
        let path = place.path().join("routes");
        // Lines in their order are found by far more searches.
        let mut sorted: Vec<_> = lines.split_inclusive(|&b| b == b'\n').collect();
        sorted.sort_unstable();
        for octets in [lines.to_vec(), sorted.concat()] {
            fs::write(&path, &octets).expect("written");
            assert!(File::open(&path).is_ok());
            look_up(routes, &address, Some(path.clone()));
            search(&octets, &address, &path);
        }
    });
});
