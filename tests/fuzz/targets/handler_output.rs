//! What a child process prints, cut into lines. Octet 1: how many octets come at
//! once. Octet 2: how long a line may be. Octet 3: how much counts in all, in
//! units of 16 octets; and in its lowest bit whether the child was done. The rest:
//! what it prints.
#![no_main]

#[path = "../../../crates/ima-program/src/child/lines.rs"]
#[allow(dead_code, reason = "not all that a server asks of it is asked here")]
mod lines;

use ima_message::{HandlerLine, text};
use libfuzzer_sys::fuzz_target;
use lines::Lines;

/// All lines, and what was cut off: lines, and octets.
type Found = (Vec<String>, u64, u64);

/// As a server reads them: a piece, then the lines that are there. Several
/// pieces may come before the lines are asked for.
fn read(octets: &[u8], chunk: usize, eager: bool, limits: (usize, usize), done: bool) -> Found {
    let mut lines = Lines::new(limits.0, limits.1);
    let mut found = Vec::new();
    for (number, piece) in octets.chunks(chunk.max(1)).enumerate() {
        lines.feed(piece);
        if eager || number % 3 == 0 {
            while let Some(line) = lines.take() {
                found.push(line);
                assert!(eager || found.len() <= octets.len());
            }
            assert!(!lines.has_line());
        }
    }
    lines.end(done);
    while let Some(line) = lines.take() {
        found.push(line);
    }
    assert!(lines.is_empty() && !lines.has_line());
    assert_eq!(lines.take(), None);
    let cut = lines.cut();
    (found, cut.lines, cut.octets)
}

/// The same, said in another way.
fn expected(octets: &[u8], limits: (usize, usize), done: bool) -> Found {
    let counted = &octets[..octets.len().min(limits.1)];
    let lost = octets.len() - counted.len();
    let mut pieces: Vec<&[u8]> = counted.split(|&octet| octet == b'\n').collect();
    // What has no LF behind it counts where the child said all that it had to.
    let last = pieces.pop().unwrap_or_default();
    if done && lost == 0 {
        pieces.push(last);
    }
    let long = pieces.iter().filter(|piece| piece.len() > limits.0).count();
    let readable = |piece: &&[u8]| {
        let cut = &piece[..piece.len().min(limits.0)];
        let mut line = String::new();
        for c in String::from_utf8_lossy(cut).chars() {
            line.push(if text::is_text(c) { c } else { '\u{fffd}' });
        }
        line.truncate(line.floor_char_boundary(limits.0));
        line
    };
    let found = pieces.iter().map(readable).filter(|line| !line.is_empty());
    (found.collect(), long as u64, lost as u64)
}

fuzz_target!(|octets: &[u8]| {
    let [chunk, line, most, input @ ..] = octets else {
        return;
    };
    let limits = (usize::from(*line).max(4), usize::from(most >> 1) * 32);
    let done = most & 1 == 1;
    let wanted = expected(input, limits, done);
    for (chunk, eager) in [
        (usize::from(*chunk), true),
        (usize::from(*chunk), false),
        (input.len(), true),
    ] {
        assert_eq!(read(input, chunk, eager, limits, done), wanted);
    }
    for line in &wanted.0 {
        assert!(line.len() <= limits.0 && line.chars().all(text::is_text));
        if let Some(parsed) = HandlerLine::parse(line) {
            assert_eq!(HandlerLine::parse(&parsed.to_string()), Some(parsed));
        }
    }
});
