#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::convert::Infallible;

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn wire(input: impl Into<Vec<u8>>, chunk: usize) -> Wire<Memory> {
    Wire::new(Memory::new(input).in_chunks(chunk), LONG)
}

#[test]
fn lines_and_blocks_however_they_are_split() {
    for chunk in [1, 2, 3, 7, usize::MAX] {
        let mut wire = wire("HEADERS 5\nab\ncdDONE\n\nÄ\n", chunk);
        assert_eq!(wire.read_line(LONG).unwrap(), "HEADERS 5");
        assert_eq!(wire.read_block(5, 5, LONG).unwrap(), b"ab\ncd");
        assert_eq!(wire.read_line(LONG).unwrap(), "DONE");
        assert_eq!(wire.read_line(LONG).unwrap(), "");
        assert_eq!(wire.read_line(LONG).unwrap(), "Ä");
        assert!(matches!(wire.read_line(LONG), Err(WireError::Closed)));
    }
}

#[test]
fn a_line_has_4096_octets_with_its_end_and_no_more() {
    for chunk in [1, 4095, 4096, usize::MAX] {
        let longest = "x".repeat(MAX_LINE - 1);
        let mut good = wire(format!("{longest}\nnext\n"), chunk);
        assert_eq!(good.read_line(LONG).unwrap(), longest);
        assert_eq!(good.read_line(LONG).unwrap(), "next");
        let mut over = wire(format!("{longest}x\n"), chunk);
        assert!(matches!(
            over.read_line(LONG),
            Err(WireError::TooLong { limit: 4096 })
        ));
        let mut endless = wire("x".repeat(1 << 20), chunk);
        assert!(matches!(
            endless.read_line(LONG),
            Err(WireError::TooLong { limit: 4096 })
        ));
        assert!(endless.channel().unread().len() >= (1 << 20) - MAX_LINE - CHUNK);
    }
}

#[test]
fn what_is_not_text_is_refused() {
    for bad in [
        "\r",
        "a\u{0}b",
        "\t",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{2029}",
        "\u{fffe}",
        "\u{10ffff}",
        "\u{fdd0}",
    ] {
        let mut wire = wire(format!("{bad}\n"), usize::MAX);
        assert!(
            matches!(wire.read_line(LONG), Err(WireError::NotText)),
            "{bad:?}"
        );
    }
    let mut wire = wire(b"\xff\n", usize::MAX);
    assert!(matches!(wire.read_line(LONG), Err(WireError::NotText)));
}

#[test]
fn an_end_in_the_middle_is_no_end() {
    let mut cut = wire("HEADERS", 3);
    assert!(matches!(cut.read_line(LONG), Err(WireError::Truncated)));
    let mut block = wire("abc", 3);
    assert!(matches!(
        block.read_block(4, 10, LONG),
        Err(WireError::Truncated)
    ));
    // Even before any octet, an end without close_notify is a cut.
    let mut reset = Wire::new(Memory::new("").ending(Ending::Cut), LONG);
    assert!(matches!(reset.read_line(LONG), Err(WireError::Truncated)));
    let mut silent = Wire::new(Memory::new("HEAD").ending(Ending::Silence), LONG);
    assert!(matches!(silent.read_line(LONG), Err(WireError::TimedOut)));
}

#[test]
fn memory_does_not_follow_the_announced_number() {
    let mut wire = wire("abc", usize::MAX);
    let mut most = 0;
    let mut sink = |octets: &[u8]| {
        most = most.max(octets.len());
        Ok::<(), Infallible>(())
    };
    assert!(matches!(
        wire.read_exact_into(u64::MAX, LONG, &mut sink),
        Err(BlockError::Wire(WireError::Truncated))
    ));
    assert_eq!(most, 3);
    let mut over = self::wire("abc", usize::MAX);
    assert!(matches!(
        over.read_block(11, 10, LONG),
        Err(WireError::TooLong { limit: 10 })
    ));
    assert_eq!(over.read_block(3, 10, LONG).unwrap(), b"abc");
}

#[test]
fn a_sink_that_refuses_stops_the_reading() {
    let mut wire = wire(vec![b'x'; 100_000], usize::MAX);
    let mut seen = 0;
    let mut sink = |octets: &[u8]| {
        seen += octets.len();
        Err("full")
    };
    assert!(matches!(
        wire.read_exact_into(100_000, LONG, &mut sink),
        Err(BlockError::Sink("full"))
    ));
    assert_eq!(seen, CHUNK);
}

#[test]
fn nothing_written_forges_a_line() {
    let mut wire = wire("", 1);
    wire.write_line("+ a\nOK b\r\u{2028}\u{1b}[1m").unwrap();
    wire.write_line(&"\u{0}".repeat(MAX_LINE)).unwrap();
    wire.write_line(&"ä".repeat(MAX_LINE)).unwrap();
    assert!(wire.channel().output().is_empty(), "nothing goes unflushed");
    wire.flush(LONG).unwrap();
    let output = wire.channel().output();
    let lines: Vec<&[u8]> = output.split_inclusive(|octet| *octet == b'\n').collect();
    assert_eq!(
        lines[0],
        b"+ a\\u{a}OK b\\u{d}\\u{2028}\\u{1b}[1m\n".as_slice()
    );
    assert_eq!(lines.len(), 3);
    let written = output.to_vec();
    let mut back = self::wire(written, 1);
    for _ in 0..3 {
        back.read_line(LONG).unwrap();
    }
}

#[test]
fn the_message_deadline_holds_over_every_other() {
    let mut wire = wire("one\ntwo", 4);
    wire.set_message_deadline(Some(Instant::now()));
    assert!(matches!(wire.read_line(LONG), Err(WireError::TimedOut)));
    wire.set_message_deadline(None);
    assert_eq!(wire.read_line(LONG).unwrap(), "one");
}

#[test]
fn much_output_goes_out_before_the_flush() {
    let mut wire = wire("", 1);
    wire.write_octets(&vec![b'y'; 100_000]).unwrap();
    assert!(wire.channel().output().len() >= 100_000 - CHUNK);
    wire.flush(LONG).unwrap();
    assert_eq!(wire.channel().output().len(), 100_000);
    wire.write_line("last").unwrap();
    let mut channel = Memory::new("");
    let closing = Wire::new(&mut channel, LONG);
    closing.close().unwrap();
    assert!(channel.is_closed());
}

#[test]
fn early_input_is_seen() {
    let mut wire = wire("OK\nmore", usize::MAX);
    assert!(!wire.has_buffered());
    wire.read_line(LONG).unwrap();
    assert!(wire.has_buffered());
}
