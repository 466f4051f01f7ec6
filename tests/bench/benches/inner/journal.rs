//! The journal of a folder.

use std::io;
use std::path::Path;

use divan::Bencher;
use divan::counter::ItemsCount;
use ima_mailbox::{Act, Changes, Folder};
use ima_message::{Digester, Flag, FlagChange, HeaderBlock, MessageDigest};
use tempfile::TempDir;

/// Where files need no disk.
const MEMORY: &str = "/dev/shm";

/// A folder with so many messages, which goes away with the first.
fn folder(messages: usize) -> (TempDir, Folder, MessageDigest) {
    let place = match Path::new(MEMORY).is_dir() {
        true => TempDir::new_in(MEMORY),
        false => TempDir::new(),
    };
    let place = place.unwrap();
    let folder = Folder::create(&place.path().join("mailbox/inbox")).unwrap();
    for number in 0..messages {
        deliver(&folder, number);
    }
    let digest = header(0).digest();
    (place, folder, digest)
}

fn header(number: usize) -> HeaderBlock {
    let text = b"Lunch?\n";
    let mut digester = Digester::new();
    digester.update(text);
    let (length, digest) = (text.len(), digester.finish());
    let header = format!(
        "ima: 1\nfrom: alice@a.test\nto: bob@b.test\ndate: 2026-11-22T09:30:00Z\n\
         id: {number}@a.test\npart: text/plain {length} sha256:{digest}\nsize: {length}\n\n"
    );
    HeaderBlock::parse(header.as_bytes()).unwrap()
}

fn deliver(folder: &Folder, number: usize) {
    let mut data: &[u8] = b"Lunch?\n";
    let data: &mut dyn io::Read = &mut data;
    folder.deliver(&header(number), data, None).unwrap();
}

/// How many lines there are, each of them read.
fn lines(changes: Changes) -> usize {
    match changes {
        Changes::Since(entries, _) => entries.map(Result::unwrap).count(),
        Changes::Reset(_) => panic!("the token is of this journal"),
    }
}

/// All lines, from the first.
#[divan::bench(args = [10, 1000])]
fn read_whole(bencher: Bencher<'_, '_>, messages: usize) {
    let (_place, folder, _) = folder(messages);
    bencher
        .counter(ItemsCount::new(messages))
        .bench(|| lines(folder.changes(None).unwrap()));
}

/// The lines behind a token: none.
#[divan::bench(args = [10, 1000])]
fn read_nothing_new(bencher: Bencher<'_, '_>, messages: usize) {
    let (_place, folder, _) = folder(messages);
    let token = folder.token().unwrap();
    bencher.bench(|| lines(folder.changes(Some(&token)).unwrap()));
}

/// One line: a flag that comes and goes.
#[divan::bench(args = [10, 1000])]
fn append(bencher: Bencher<'_, '_>, messages: usize) {
    let (_place, folder, digest) = folder(messages);
    let flag: Flag = "seen".parse().unwrap();
    let mut set = false;
    bencher.bench_local(|| {
        set = !set;
        let changes = vec![FlagChange {
            flag: flag.clone(),
            set,
        }];
        folder.apply(&[Act::Flag { digest, changes }]).unwrap()
    });
}

/// A message and its line.
#[divan::bench(args = [10, 1000], sample_count = 20)]
fn message_delivered(bencher: Bencher<'_, '_>, messages: usize) {
    let (_place, folder, _) = folder(messages);
    let mut number = messages;
    bencher.bench_local(|| {
        number += 1;
        deliver(&folder, number);
    });
}
