//! Base64 as MIME has it (RFC 2045, 6.8): written in lines, read whatever
//! stands between its characters.

use std::io::{self, Read, Write};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Octets that fill a line of 76 characters.
const LINE: usize = 57;
/// Lines that are encoded at once.
const LINES: usize = 512;

/// Writes octets as lines of base64, each with LF.
pub(crate) fn write_lines(octets: &[u8], out: &mut Vec<u8>) {
    for line in octets.chunks(LINE) {
        encode(line, out);
        out.push(b'\n');
    }
}

/// Copies a source to its end as lines of base64. Holds 64 KiB.
///
/// # Errors
/// Where reading or writing fails.
pub(crate) fn copy(source: &mut impl Read, out: &mut dyn Write) -> io::Result<()> {
    let mut block = Vec::with_capacity(LINE * LINES);
    let mut encoded = Vec::with_capacity((LINE / 3 * 4 + 1) * LINES);
    loop {
        block.clear();
        encoded.clear();
        source
            .by_ref()
            .take((LINE * LINES) as u64)
            .read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(());
        }
        write_lines(&block, &mut encoded);
        out.write_all(&encoded)?;
    }
}

/// Octets as base64, with padding and without a line's end.
pub(crate) fn encode(octets: &[u8], out: &mut Vec<u8>) {
    let digit = |bits: u32| {
        ALPHABET
            .get((bits & 63) as usize)
            .copied()
            .unwrap_or_default()
    };
    for group in octets.chunks(3) {
        let at = |place: usize| u32::from(group.get(place).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        out.push(digit(bits >> 18));
        out.push(digit(bits >> 12));
        out.push(if group.len() > 1 {
            digit(bits >> 6)
        } else {
            b'='
        });
        out.push(if group.len() > 2 { digit(bits) } else { b'=' });
    }
}

/// The octets that base64 stands for. What is not of the alphabet is passed
/// over, and after padding a new group begins: what others wrote is read as far
/// as it can be.
pub(crate) fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for &c in text {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                end_of_group(bits, count, &mut out);
                (bits, count) = (0, 0);
                continue;
            }
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 1;
        if count == 4 {
            let [_, one, two, three] = bits.to_be_bytes();
            out.extend([one, two, three]);
            (bits, count) = (0, 0);
        }
    }
    end_of_group(bits, count, &mut out);
    out
}

/// A group of two characters is one octet, of three characters two.
fn end_of_group(bits: u32, count: u32, out: &mut Vec<u8>) {
    let [_, one, two, _] = match count {
        2 => (bits << 12).to_be_bytes(),
        3 => (bits << 6).to_be_bytes(),
        _ => return,
    };
    out.push(one);
    if count == 3 {
        out.push(two);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // RFC 4648, 10.
        for (octets, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            encode(octets.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
            assert_eq!(decode(text.as_bytes()), octets.as_bytes());
        }
    }

    #[test]
    fn what_others_wrote_is_read() {
        for text in ["Zm9v\r\nYmFy", "Zg==b29iYXI", "  Zm9v*Ym\0Fy", "Zm9vYmFyZ"] {
            assert_eq!(decode(text.as_bytes()), b"foobar", "{text:?}");
        }
    }

    #[test]
    fn a_stream_is_cut_into_lines() {
        let octets: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let mut out = Vec::new();
        copy(&mut &octets[..], &mut out).unwrap();
        assert!(out.ends_with(b"\n"));
        assert!(out.split(|&b| b == b'\n').all(|line| line.len() <= 76));
        assert_eq!(decode(&out), octets);
    }
}
