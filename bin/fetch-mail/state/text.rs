//! The state as text.
//!
//! ```text
//! state   = "fetch-mail 2" LF "address " address LF *folder
//! folder  = "folder " name SP place SP place LF        ; the server's, and the one here
//!           [ "since " time LF ] [ "drained " token LF ]
//!           *( "own " token SP offset LF )
//!           *( "missing " digest SP time SP octets *( " +" flag ) LF )
//!           *( "coming " fact LF ) *( "sent " fact LF ) *( "done " fact LF )
//! place   = token / "-"
//! fact    = "add " digest / "del " digest / "flag " digest 1*( SP ( "+" / "-" ) flag )
//! ```
//!
//! Of what an earlier version wrote, which begins with `fetch-mail 1`, the address
//! is read: then everything is compared anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ima_message::text::parse_decimal;
use ima_message::{DateTime, Entry, FlagChange, MessageDigest, Token};

use super::{Fact, Facts, Missing, Place, State};
use crate::touch::Added;

const FIRST: &str = "fetch-mail 2";
const EARLIER: &str = "fetch-mail 1";

impl State {
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{FIRST}\naddress {}\n", self.address);
        for (name, place) in &self.places {
            // Writing into memory does not fail.
            let _ = place.write(name.as_str(), &mut text);
        }
        text
    }

    /// Reads a state; the number of the first line that is wrong where it is none.
    pub(super) fn parse(octets: &[u8]) -> Result<Self, usize> {
        let text = str::from_utf8(octets).map_err(|_| 1_usize)?;
        let mut lines = text.split_inclusive('\n').zip(1..);
        let mut next = || lines.next().and_then(|(line, _)| line.strip_suffix('\n'));
        let is_earlier = match next() {
            Some(FIRST) => false,
            Some(EARLIER) => true,
            _ => return Err(1),
        };
        let address = next().and_then(|line| line.strip_prefix("address "));
        let mut state = Self {
            address: address.ok_or(2_usize)?.to_owned(),
            places: BTreeMap::new(),
        };
        if is_earlier {
            return Ok(state);
        }
        let mut last = None;
        for (line, number) in lines {
            let word = line
                .strip_suffix('\n')
                .and_then(|line| line.split_once(' '));
            let taken = match word {
                Some(("folder", rest)) => state.begin(rest).map(|name| last = Some(name)),
                Some((word, rest)) => last
                    .as_ref()
                    .and_then(|name| state.places.get_mut(name))
                    .and_then(|place| place.take(word, rest)),
                None => None,
            };
            taken.ok_or::<usize>(number)?;
        }
        Ok(state)
    }

    fn begin(&mut self, line: &str) -> Option<ima_message::FolderName> {
        let mut words = line.split(' ');
        let name: ima_message::FolderName = words.next()?.parse().ok()?;
        let mut token = || match words.next()? {
            "-" => Some(None),
            token => token.parse().ok().map(Some),
        };
        let place = Place {
            server: token()?,
            here: token()?,
            ..Place::default()
        };
        let is_new = self.places.insert(name.clone(), place).is_none();
        (is_new && words.next().is_none()).then_some(name)
    }
}

impl Place {
    fn write(&self, name: &str, text: &mut String) -> std::fmt::Result {
        let token = |token: Option<Token>| token.map_or("-".to_owned(), |t| t.to_string());
        writeln!(
            text,
            "folder {name} {} {}",
            token(self.server),
            token(self.here)
        )?;
        if let Some(since) = self.since.and_then(DateTime::utc) {
            writeln!(text, "since {since}")?;
        }
        if let Some(drained) = self.drained {
            writeln!(text, "drained {drained}")?;
        }
        for (from, to) in &self.own {
            writeln!(text, "own {from} {to}")?;
        }
        for (digest, Missing { added, flags }) in &self.missing {
            // One that cannot be written cannot be stored either.
            let Some(time) = DateTime::utc(added.seconds) else {
                continue;
            };
            write!(text, "missing {digest} {time} {}", added.octets)?;
            for flag in flags {
                write!(text, " +{}", flag.as_str())?;
            }
            writeln!(text)?;
        }
        self.coming.write("coming", text)?;
        self.sent.write("sent", text)?;
        self.done.write("done", text)
    }

    fn take(&mut self, word: &str, rest: &str) -> Option<()> {
        match word {
            "since" if self.since.is_none() => {
                self.since = Some(DateTime::parse(rest).ok()?.unix_seconds());
            }
            "drained" if self.drained.is_none() => self.drained = Some(rest.parse().ok()?),
            "own" => {
                let (from, to) = rest.split_once(' ')?;
                self.own.push((from.parse().ok()?, parse_decimal(to)?));
            }
            "missing" => {
                let (digest, missing) = missing(rest)?;
                self.missing.insert(digest, missing);
            }
            "coming" => self.coming.take(rest)?,
            "sent" => self.sent.take(rest)?,
            "done" => self.done.take(rest)?,
            _ => return None,
        }
        Some(())
    }
}

fn missing(rest: &str) -> Option<(MessageDigest, Missing)> {
    // The flags are those of a journal's line, and what is before them too.
    let (add, flags) = match rest.find(" +") {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, ""),
    };
    let Entry::Add {
        digest,
        time,
        octets,
    } = Entry::parse(format!("add {add}").as_bytes()).ok()?
    else {
        return None;
    };
    let mut missing = Missing {
        added: Added {
            seconds: time.unix_seconds(),
            octets,
        },
        flags: Vec::new(),
    };
    if !flags.is_empty() {
        let line = format!("flag {digest}{flags}");
        let Entry::Flag { changes, .. } = Entry::parse(line.as_bytes()).ok()? else {
            return None;
        };
        if changes.iter().any(|change| !change.set) {
            return None;
        }
        missing.flags = changes.into_iter().map(|change| change.flag).collect();
    }
    Some((digest, missing))
}

impl Facts {
    fn write(&self, word: &str, text: &mut String) -> std::fmt::Result {
        for (digest, Fact { presence, flags }) in &self.0 {
            match presence {
                Some(true) => writeln!(text, "{word} add {digest}")?,
                Some(false) => writeln!(text, "{word} del {digest}")?,
                None => {}
            }
            if !flags.is_empty() {
                write!(text, "{word} flag {digest}")?;
                for (flag, is_set) in flags {
                    let sign = if *is_set { '+' } else { '-' };
                    write!(text, " {sign}{}", flag.as_str())?;
                }
                writeln!(text)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &str) -> Option<()> {
        if let Some(digest) = line.strip_prefix("add ") {
            self.presence(digest.parse().ok()?, true);
            return Some(());
        }
        match Entry::parse(line.as_bytes()).ok()? {
            Entry::Del { digest } => self.presence(digest, false),
            Entry::Flag { digest, changes } => {
                let changes: Vec<FlagChange> = changes;
                self.flags(digest, &changes);
            }
            Entry::Add { .. } => return None,
        }
        Some(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::State;
    use crate::state::MAX_MISSING;

    const D: &str = "3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f";
    const BEGIN: &str = "fetch-mail 2\naddress bob@b.test\n";

    #[test]
    fn what_is_read_is_written() {
        for text in [
            String::new(),
            "folder archive - -\nfolder inbox 6f0c9a1b2d3e4f50.256 0000000000000001.31\n".into(),
            format!(
                "folder inbox - 0000000000000001.31\nsince 2026-11-22T00:00:00Z\n\
                 drained 6f0c9a1b2d3e4f50.256\nown 0000000000000001.31 400\n\
                 own 0000000000000001.500 600\n\
                 missing {D} 2026-11-22T09:30:02Z 26000\ncoming add {D}\n\
                 coming flag {D} +seen\nsent del {D}\nsent flag {D} -junk +seen\n\
                 done flag {D} +seen\n"
            ),
            format!("folder a - -\nmissing {D} 2026-11-22T09:30:02Z 0 +junk +seen\n"),
        ] {
            let text = format!("{BEGIN}{text}");
            assert_eq!(State::parse(text.as_bytes()).unwrap().to_text(), text);
        }
    }

    #[test]
    fn what_did_not_come_is_kept_in_mind_as_long_as_there_is_room() {
        let missing = (0..100).map(|n| format!("missing {n:064x} 2026-11-22T09:30:02Z 1\n"));
        let missing: String = missing.collect();
        let text = format!("{BEGIN}folder a - -\n{missing}folder b - -\n");
        let state = State::parse(text.as_bytes()).unwrap();
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        for (folder, count, has_room) in [
            (&a, MAX_MISSING, true),
            (&a, MAX_MISSING + 1, false),
            (&b, MAX_MISSING - 100, true),
            (&b, MAX_MISSING - 99, false),
            (&b, 0, true),
        ] {
            assert_eq!(state.has_room(folder, count), has_room, "{count}");
        }
    }

    #[test]
    fn of_an_earlier_one_the_address_is_read() {
        let text = "fetch-mail 1\naddress bob@b.test\nfolder inbox 6f0c9a1b2d3e4f50.256\n";
        let state = State::parse(text.as_bytes()).unwrap();
        assert_eq!(state.to_text(), BEGIN);
    }

    #[test]
    fn the_first_wrong_line_is_named() {
        for (text, line) in [
            ("", 1),
            ("fetch-mail 3\naddress bob@b.test\n", 1),
            ("fetch-mail 2\n", 2),
            ("fetch-mail 2\nbob@b.test\n", 2),
            ("fetch-mail 2\naddress bob@b.test", 2),
        ] {
            assert_eq!(State::parse(text.as_bytes()).unwrap_err(), line, "{text:?}");
        }
        let folder = "folder inbox - -\n";
        for (text, line) in [
            ("folder ../x - -\n", 3),
            ("folder inbox -\n", 3),
            ("folder inbox - - -\n", 3),
            ("folder inbox 1 -\n", 3),
            ("folder inbox - -", 3),
            ("own 0000000000000001.31 400\n", 3),
            (&format!("{folder}{folder}"), 4),
            (&format!("{folder}own 31 400\n"), 4),
            (&format!("{folder}since yesterday\n"), 4),
            (&format!("{folder}missing {D}\n"), 4),
            (
                &format!("{folder}missing {D} 2026-11-22T09:30:02Z 1 +x -y\n"),
                4,
            ),
            (
                &format!("{folder}coming add {D} 2026-11-22T09:30:02Z 1\n"),
                4,
            ),
            (&format!("{folder}sent flag {D}\n"), 4),
            (&format!("{folder}sent x {D}\n"), 4),
            (&format!("{folder}\n"), 4),
        ] {
            let text = format!("{BEGIN}{text}");
            assert_eq!(State::parse(text.as_bytes()).unwrap_err(), line, "{text:?}");
        }
    }
}
