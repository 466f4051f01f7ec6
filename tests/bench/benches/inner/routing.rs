//! The routing table.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use divan::{Bencher, black_box};
use ima_message::{Address, Hostpart};
use ima_route::{RoutesToml, RoutingTable};
use tempfile::TempDir;

/// Addresses that a table knows.
const ADDRESSES: usize = 10_000;

fn hosts() -> Vec<Hostpart> {
    vec![Hostpart::parse("b.test").unwrap()]
}

/// The entries of a configuration file.
fn entries() -> RoutesToml {
    let mut text = String::new();
    for number in 0..ADDRESSES {
        let _ = writeln!(
            text,
            "\"user{number}@b.test\" = {{ inbox = \"mail/user{number}/inbox\" }}"
        );
    }
    toml::from_str(&text).unwrap()
}

fn addresses() -> Vec<Address> {
    let names = ["user0", "user9999", "user5000+shop", "nobody"];
    names
        .map(|name| Address::parse(&format!("{name}@b.test")).unwrap())
        .into()
}

/// Reading the table, which every handler does once.
#[divan::bench(sample_count = 10)]
fn table_read() -> RoutesToml {
    entries()
}

/// Four look-ups: the first, the last, one with a tag, and nobody.
#[divan::bench]
fn look_up(bencher: Bencher<'_, '_>) {
    let table = RoutingTable::new(&hosts(), entries(), &[], Path::new("/srv")).unwrap();
    let addresses = addresses();
    bencher.bench(|| {
        for address in black_box(&addresses) {
            black_box(table.look_up(address).unwrap());
        }
    });
}

/// The same in a route file, which lies in the page cache.
#[divan::bench]
fn look_up_in_file(bencher: Bencher<'_, '_>) {
    let place = TempDir::new().unwrap();
    let mut lines: Vec<_> = (0..ADDRESSES)
        .map(|n| format!("user{n}@b.test\t{{ inbox = \"mail/user{n}/inbox\" }}\n"))
        .collect();
    lines.sort_unstable();
    let file = place.path().join("routes");
    fs::write(&file, lines.concat()).unwrap();
    let routes = RoutesToml::default();
    let table = RoutingTable::new(&hosts(), routes, &[file], Path::new("/srv")).unwrap();
    let addresses = addresses();
    bencher.bench(|| {
        for address in black_box(&addresses) {
            black_box(table.look_up(address).unwrap());
        }
    });
}
