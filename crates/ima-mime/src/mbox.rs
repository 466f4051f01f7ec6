//! mbox: mails one behind the other in one file.
//!
//! ```text
//! mbox = *("From " sender SP date LF mail LF)
//! ```
//!
//! Written as `mboxrd`: a line of a mail that begins with any number of `>` and
//! `From ` gets one `>` more, which reading takes away again. `Content-Length`
//! is not believed. Flags stand in `Status` and `X-Status`.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};

use ima_message::{Address, DateTime, Flag};

const FROM: &[u8] = b"From ";
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
/// Field, letter, flag.
const LETTERS: [(&str, char, &str); 4] = [
    ("status", 'R', "seen"),
    ("x-status", 'A', "answered"),
    ("x-status", 'F', "flagged"),
    ("x-status", 'T', "draft"),
];

/// A mail of an mbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// When it arrived, in seconds since 1970, where its `From ` line says so.
    pub arrived: Option<i64>,
    /// The line of the file at which it begins, from 1.
    pub line: u64,
    /// The mail, without its `From ` line, quotation and the LF behind it.
    pub octets: Vec<u8>,
}

/// The file does not begin with a `From ` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it does not begin with a line like `From alice@a.test Sun Nov 22 09:30:02 2026`, so it is no mbox"
)]
pub struct NoMbox;

/// Reads mails one by one; the one that is read is held.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    /// The `From ` line of the next mail.
    next: Option<Vec<u8>>,
    line: u64,
    is_started: bool,
}

impl<R: BufRead> Reader<R> {
    /// A reader of an mbox from its beginning.
    #[must_use]
    pub fn new(source: R) -> Self {
        Self {
            source,
            next: None,
            line: 0,
            is_started: false,
        }
    }

    /// The next mail; `None` at the end.
    ///
    /// # Errors
    /// A fault of the source; [`NoMbox`] in an [`io::ErrorKind::InvalidData`].
    pub fn read(&mut self) -> io::Result<Option<Mail>> {
        if !self.is_started {
            self.start()?;
        }
        let Some(from) = self.next.take() else {
            return Ok(None);
        };
        let line = self.line;
        let mut octets = Vec::new();
        let mut begin = 0;
        loop {
            let read = self.source.read_until(b'\n', &mut octets)?;
            self.line += 1;
            let found = octets.get(begin..).unwrap_or_default();
            if read == 0 {
                break;
            }
            let before = octets.get(..begin).unwrap_or_default();
            if (before.is_empty() || ends_with_empty_line(before)) && is_from_line(found) {
                self.next = Some(octets.split_off(begin));
                break;
            }
            let marks = found.iter().take_while(|&&b| b == b'>').count();
            if marks > 0
                && found
                    .get(marks..)
                    .is_some_and(|rest| rest.starts_with(FROM))
            {
                octets.remove(begin);
            }
            begin = octets.len();
        }
        if ends_with_empty_line(&octets) {
            octets.pop();
            if octets.ends_with(b"\n\r") {
                octets.pop();
            }
        }
        Ok(Some(Mail {
            arrived: arrived(&from),
            line,
            octets,
        }))
    }

    fn start(&mut self) -> io::Result<()> {
        self.is_started = true;
        let mut first = Vec::new();
        loop {
            first.clear();
            let read = self.source.read_until(b'\n', &mut first)?;
            self.line += 1;
            match first.trim_ascii() {
                b"" if read > 0 => {}
                b"" => return Ok(()),
                _ if first.starts_with(FROM) => {
                    self.next = Some(first);
                    return Ok(());
                }
                _ => return Err(io::Error::new(io::ErrorKind::InvalidData, NoMbox)),
            }
        }
    }
}

fn ends_with_empty_line(octets: &[u8]) -> bool {
    octets == b"\n" || octets.ends_with(b"\n\n") || octets.ends_with(b"\r\n\r\n")
}

/// Whether a line begins a mail: many files hold text that begins with `From `
/// and is not quoted, but that has no time of day in it.
fn is_from_line(line: &[u8]) -> bool {
    line.starts_with(FROM) && arrived(line).is_some()
}

/// The date of a `From ` line, which is taken for UTC.
fn arrived(line: &[u8]) -> Option<i64> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let month = words
        .by_ref()
        .find_map(|word| MONTHS.iter().position(|m| *m == word))?
        + 1;
    let day: u8 = words.next()?.parse().ok()?;
    let time = words.next()?;
    let time = if time.len() == 5 {
        format!("{time}:00")
    } else {
        time.to_owned()
    };
    let year = words.find(|word| word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()))?;
    let date = DateTime::parse(&format!("{year}-{month:02}-{day:02}T{time}Z")).ok()?;
    Some(date.unix_seconds())
}

/// The `From ` line of a message, and the fields for its flags.
#[must_use]
pub fn begin(sender: &Address, arrived: &DateTime, flags: &BTreeSet<Flag>) -> String {
    let seconds = arrived.unix_seconds();
    let utc = DateTime::utc(seconds)
        .map(|date| date.to_string())
        .unwrap_or_default();
    let text = |range: std::ops::Range<usize>| utc.get(range).unwrap_or_default();
    let month = text(5..7)
        .parse::<usize>()
        .ok()
        .and_then(|month| MONTHS.get(month.checked_sub(1)?));
    let weekday = usize::try_from(seconds.div_euclid(86_400).rem_euclid(7))
        .ok()
        .and_then(|day| DAYS.get(day));
    let (local, host) = (sender.localpart().as_written(), sender.hostpart().ascii());
    let mut out = format!(
        "From {local}@{host} {} {} {} {} {}\n",
        weekday.unwrap_or(&"Thu"),
        month.unwrap_or(&"Jan"),
        text(8..10),
        text(11..19),
        text(0..4)
    );
    let letters = |wanted: &str| -> String {
        let set = LETTERS.iter().filter(|(field, _, name)| {
            *field == wanted && flags.iter().any(|flag| flag.as_str() == *name)
        });
        set.map(|(_, letter, _)| *letter).collect()
    };
    out.push_str(&format!("Status: {}O\n", letters("status")));
    let others = letters("x-status");
    if !others.is_empty() {
        out.push_str(&format!("X-Status: {others}\n"));
    }
    out
}

/// The flags that `Status` and `X-Status` of a mail set.
#[must_use]
pub fn flags(mail: &[u8]) -> BTreeSet<Flag> {
    let mut flags = BTreeSet::new();
    let lines = mail.split(|&b| b == b'\n').map(<[u8]>::trim_ascii);
    for line in lines.take_while(|line| !line.is_empty()) {
        let Some((name, value)) = std::str::from_utf8(line)
            .ok()
            .and_then(|l| l.split_once(':'))
        else {
            continue;
        };
        let set = LETTERS.iter().filter(|(field, letter, _)| {
            name.eq_ignore_ascii_case(field) && value.contains(*letter)
        });
        flags.extend(set.filter_map(|(.., name)| name.parse::<Flag>().ok()));
    }
    flags
}

/// Writes a mail with its lines quoted, and behind it an empty line.
#[derive(Debug)]
pub struct Quoting<W> {
    target: W,
    /// What may be the beginning of `>From `; `None` behind that of a line.
    beginning: Option<Vec<u8>>,
    ends_with_lf: bool,
}

impl<W: Write> Quoting<W> {
    /// Quotes what is written to it, from the beginning of a line on.
    pub fn new(target: W) -> Self {
        Self {
            target,
            beginning: Some(Vec::new()),
            ends_with_lf: true,
        }
    }

    /// The mail is written; ends it.
    ///
    /// # Errors
    /// Where writing fails.
    pub fn finish(mut self) -> io::Result<()> {
        self.target
            .write_all(&self.beginning.take().unwrap_or_default())?;
        let end: &[u8] = if self.ends_with_lf { b"\n" } else { b"\n\n" };
        self.target.write_all(end)
    }

    fn push(&mut self, octet: u8, out: &mut Vec<u8>) {
        if let Some(beginning) = &mut self.beginning {
            beginning.push(octet);
            let marks = beginning.iter().take_while(|&&b| b == b'>').count();
            let rest = beginning.get(marks..).unwrap_or_default();
            if rest.len() < FROM.len() && FROM.starts_with(rest) {
                return;
            }
            if rest == FROM {
                out.push(b'>');
            }
            out.append(beginning);
            self.beginning = None;
        } else {
            out.push(octet);
        }
        if octet == b'\n' {
            self.beginning = Some(Vec::new());
        }
    }
}

impl<W: Write> Write for Quoting<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut out = Vec::with_capacity(octets.len() + 64);
        for &octet in octets {
            self.push(octet, &mut out);
        }
        if let Some(&last) = octets.last() {
            self.ends_with_lf = last == b'\n';
        }
        self.target.write_all(&out)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(octets: &[u8]) -> Vec<Mail> {
        let mut reader = Reader::new(octets);
        std::iter::from_fn(|| reader.read().unwrap()).collect()
    }

    #[test]
    fn mails_of_others_are_told_apart() {
        let mails = read(
            b"\nFrom MAILER-DAEMON Fri Jul  8 12:08:34 2011\nA: 1\n\n>From me\nFrom home\n\n\
              From now on\n\nFrom a@b Jul 8 12:08 2011\nB: 2\n\n>>From you\n",
        );
        let found: Vec<_> = mails
            .iter()
            .map(|mail| {
                (
                    mail.line,
                    mail.arrived,
                    std::str::from_utf8(&mail.octets).unwrap(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                (
                    2,
                    Some(1_310_126_914),
                    "A: 1\n\nFrom me\nFrom home\n\nFrom now on\n"
                ),
                (10, Some(1_310_126_880), "B: 2\n\n>From you\n"),
            ]
        );
    }

    #[test]
    fn what_is_no_mbox_is_said_to_be_none() {
        let error = Reader::new(&b"Subject: x\n\n"[..]).read().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(read(b"").is_empty());
        assert!(read(b"\n\n").is_empty());
    }

    #[test]
    fn flags_stand_in_the_header() {
        let sender = Address::parse("bob@b.test").unwrap();
        let arrived = DateTime::parse("2026-11-22T09:30:02Z").unwrap();
        let set: BTreeSet<Flag> = ["seen", "flagged", "junk"]
            .iter()
            .map(|f| f.parse().unwrap())
            .collect();
        let begin = begin(&sender, &arrived, &set);
        assert_eq!(
            begin,
            "From bob@b.test Sun Nov 22 09:30:02 2026\nStatus: RO\nX-Status: F\n"
        );
        let mail = format!("{begin}A: 1\n\nStatus: x\n");
        let mails = read(mail.as_bytes());
        assert_eq!(mails[0].arrived, Some(arrived.unix_seconds()));
        let names: Vec<String> = flags(&mails[0].octets)
            .iter()
            .map(|f| f.as_str().to_owned())
            .collect();
        assert_eq!(names, ["flagged", "seen"]);
    }

    proptest! {
        #[test]
        fn mails_come_back(
            mails in proptest::collection::vec("(>{0,3}(From |Fro|F)?[a-z:]{0,5}\n){0,8}", 0..4),
            cut in 1..9_usize,
        ) {
            let line = b"From a@b.test Sun Nov 22 09:30:02 2026\n";
            let mut file = Vec::new();
            for mail in &mails {
                file.extend_from_slice(line);
                let mut quoting = Quoting::new(&mut file);
                mail.as_bytes().chunks(cut).for_each(|octets| quoting.write_all(octets).unwrap());
                quoting.finish().unwrap();
            }
            let found: Vec<Vec<u8>> = read(&file).into_iter().map(|mail| mail.octets).collect();
            let wanted: Vec<Vec<u8>> = mails.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
