//! Header blocks and digests.

use std::fmt::Write as _;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use ima_message::{DataVerifier, Digester, HeaderBlock};

/// The digest of octets, as a header block writes it.
fn digest(octets: &[u8]) -> String {
    let mut digester = Digester::new();
    digester.update(octets);
    digester.finish().to_string()
}

/// A header block for data, with so many recipients.
fn header(recipients: usize, data: &[u8]) -> String {
    let mut header = String::from("ima: 1\nfrom: alice@a.test Alice Liddell\n");
    for number in 0..recipients {
        let _ = writeln!(header, "to: user{number}@b.test");
    }
    let (length, digest) = (data.len(), digest(data));
    let _ = write!(
        header,
        "subject: Lunch?\ndate: 2026-11-22T10:30:00+01:00\nid: 1@a.test\n\
         part: text/plain {length} sha256:{digest}\nsize: {length}\n\n"
    );
    header
}

#[divan::bench(args = [1, 20, 1000])]
fn header_block(bencher: Bencher<'_, '_>, recipients: usize) {
    let header = header(recipients, b"Lunch?\n");
    bencher
        .counter(BytesCount::of_str(&header))
        .bench(|| HeaderBlock::parse(black_box(header.as_bytes())).unwrap());
}

#[divan::bench]
fn message_digest(bencher: Bencher<'_, '_>) {
    let header = header(1, b"Lunch?\n");
    let header = HeaderBlock::parse(header.as_bytes()).unwrap();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| black_box(&header).digest());
}

/// As a receiver does it: data in pieces, held against the digests.
#[divan::bench(args = [4 << 10, 1 << 20])]
fn data_verified(bencher: Bencher<'_, '_>, length: usize) {
    let data = vec![b'x'; length];
    let header = header(1, &data);
    let header = HeaderBlock::parse(header.as_bytes()).unwrap();
    bencher.counter(BytesCount::new(length)).bench(|| {
        let mut verifier = DataVerifier::new(header.parts());
        for piece in black_box(&data).chunks(16 << 10) {
            verifier.update(piece).unwrap();
        }
        verifier.finish().unwrap();
    });
}
