//! Quoted-printable (RFC 2045, 6.7): written so that every octet comes back,
//! read whatever others wrote.

/// Characters of a line with its soft break.
const LINE: usize = 76;

/// Writes text whose lines end with LF. An end without LF is a soft break and a
/// line's end, so that the file ends as text files do and the text does not.
pub(crate) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let mut lines = text.split(|&b| b == b'\n').peekable();
    while let Some(line) = lines.next() {
        let is_last = lines.peek().is_none();
        if is_last && line.is_empty() {
            return;
        }
        encode_line(line, out);
        out.extend_from_slice(if is_last { b"=\n" } else { b"\n" });
    }
}

fn encode_line(line: &[u8], out: &mut Vec<u8>) {
    let mut column = 0;
    for (place, &octet) in line.iter().enumerate() {
        let is_end = place + 1 == line.len();
        let plain = match octet {
            b'=' => false,
            b' ' | b'\t' => !is_end,
            octet => octet.is_ascii_graphic(),
        };
        let width = if plain { 1 } else { 3 };
        if column + width >= LINE {
            out.extend_from_slice(b"=\n");
            column = 0;
        }
        if plain {
            out.push(octet);
        } else {
            out.extend_from_slice(format!("={octet:02X}").as_bytes());
        }
        column += width;
    }
}

/// The octets that quoted-printable stands for. An `=` that begins neither two
/// hexadecimal digits nor a soft break stands for itself; blanks before the end
/// of a line were added on the way.
pub(crate) fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut lines = text.split(|&b| b == b'\n').peekable();
    while let Some(line) = lines.next() {
        let is_last = lines.peek().is_none();
        let line = trim_end(line);
        let soft = line.strip_suffix(b"=");
        decode_line(soft.unwrap_or(line), &mut out);
        if soft.is_none() && !is_last {
            out.push(b'\n');
        }
    }
    out
}

fn decode_line(mut rest: &[u8], out: &mut Vec<u8>) {
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        if octet == b'='
            && let Some((&[high, low], after)) = tail.split_first_chunk()
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(octet);
        }
    }
}

fn digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'A'..=b'F' => Some(c - b'A' + 10),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    }
}

fn trim_end(line: &[u8]) -> &[u8] {
    let end = line
        .iter()
        .rposition(|b| !matches!(b, b' ' | b'\t' | b'\r'))
        .map_or(0, |last| last + 1);
    line.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_others_wrote_is_read() {
        for (text, octets) in [
            ("a=\nb", "ab"),
            ("a= \r\nb\r\n", "ab\n"),
            ("a  \nb", "a\nb"),
            ("=c3=A9=zz=", "é=zz"),
            ("1+1=2", "1+1=2"),
        ] {
            assert_eq!(decode(text.as_bytes()), octets.as_bytes(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_octet_comes_back(octets in proptest::collection::vec(any::<u8>(), 0..400), wide in 1..9_u8) {
            let octets: Vec<u8> = octets.into_iter().map(|b| if b % wide == 1 { b } else { b'a' + b % 7 }).collect();
            let mut text = Vec::new();
            encode(&octets, &mut text);
            prop_assert!(text.split(|&b| b == b'\n').all(|line| line.len() <= LINE));
            prop_assert!(text.iter().all(|&b| b == b'\n' || b == b'\t' || (b' '..=b'~').contains(&b)));
            prop_assert_eq!(decode(&text), octets);
        }
    }
}
