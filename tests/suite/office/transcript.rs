//! The transcripts in imrp(7) are true: what the client says there is said to a
//! server, and what the server says is compared. The page abbreviates digests,
//! times are those of the day, and the generation in a token is another each time.

use super::Place;
use crate::pages::examples;
use crate::peer::{Caller, Ending};
use crate::post::PASSWORD;
use crate::site::feed;

/// The generation in the page's tokens.
const GENERATION: &str = "6f0c9a1b2d3e4f50";

/// The two messages that the page speaks of.
fn deliver(place: &Place) {
    let photo: Vec<u8> = (0..25_600_u32).map(|n| n.to_le_bytes()[0]).collect();
    let path = place.site.path().join("photo.jpg");
    std::fs::write(&path, photo).unwrap();
    let attach = format!("{}:image/jpeg", path.display());
    for (id, text, attachment) in [
        (
            "1@a.test",
            "Lunch at one, the usual place?\n",
            Some(&attach),
        ),
        ("2@a.test", "Or at two?\n", None),
    ] {
        let mut command = place.b.command("make-ima-message");
        command.args(["--from", "alice@a.test", "--to", "bob@b.test", "--id", id]);
        command.args(["--subject", "Lunch?", "--date", "2026-11-22T10:30:00+01:00"]);
        if let Some(attachment) = attachment {
            command.args(["--attach", attachment]);
        }
        let letter = feed(command, text.as_bytes());
        assert!(letter.status.success(), "{letter:?}");
        let mut command = place.b.command("server-give-recipient");
        command.arg(place.b.inbox("bob"));
        assert!(feed(command, &letter.stdout).status.success());
    }
}

/// One transcript being played.
struct Play<'a> {
    caller: Caller,
    /// All digests of the mailbox.
    digests: &'a [String],
    /// The generation of its journal.
    generation: &'a str,
    /// The octets of the message without attachments.
    small: &'a [u8],
    /// What was announced last.
    announced: usize,
}

impl Play<'_> {
    fn line(&mut self, line: &str) {
        match line.split_at(2) {
            ("> ", note) if note.starts_with('[') => {
                let octets = match note.contains("password") {
                    true => PASSWORD.as_bytes(),
                    false => self.small,
                };
                assert_eq!(count(note), octets.len(), "{line}");
                self.caller.send(octets);
            }
            ("> ", said) => {
                let words: Vec<String> = said.split(' ').map(|word| self.meant(word)).collect();
                self.caller.say(&words.join(" "));
            }
            ("< ", note) if note.starts_with('[') => {
                assert_eq!(count(note), self.announced, "{line}");
                self.caller.octets(self.announced);
            }
            ("< ", said) => {
                let heard = self.caller.line();
                self.compare(said, &heard);
                self.announced = heard
                    .rsplit_once(' ')
                    .and_then(|(_, word)| word.parse().ok())
                    .unwrap_or(0);
            }
            _ => panic!("{line}"),
        }
    }

    /// A word of the page as the client says it.
    fn meant(&self, word: &str) -> String {
        match word.strip_suffix("...") {
            None => word.replace(GENERATION, self.generation),
            Some(begin) => {
                let found = self.digests.iter().find(|digest| digest.starts_with(begin));
                // One that is nowhere.
                found.cloned().unwrap_or_else(|| begin.repeat(16))
            }
        }
    }

    fn compare(&self, said: &str, heard: &str) {
        let words: Vec<&str> = said.split(' ').collect();
        let heard_words: Vec<&str> = heard.split(' ').collect();
        assert_eq!(words.len(), heard_words.len(), "{said}\n{heard}");
        for (word, heard_word) in words.into_iter().zip(heard_words) {
            let is_time = |word: &str| word.len() == 20 && word.ends_with('Z');
            let is_same = match is_time(word) {
                true => is_time(heard_word),
                false => self.meant(word) == heard_word,
            };
            assert!(is_same, "{said}\n{heard}");
        }
    }
}

/// `[512 octets: …]`.
fn count(note: &str) -> usize {
    let (count, _) = note[1..].split_once(" octets").unwrap();
    count.parse().unwrap()
}

#[test]
fn the_transcripts_of_imrp_are_what_server_post_office_says() {
    let place = Place::new();
    deliver(&place);
    let server = place.b.start_office();
    let digests = [place.names("messages"), place.names("attachments")].concat();
    let journal = String::from_utf8(place.stored("journal")).unwrap();
    let first = journal.lines().next().unwrap();
    let generation = first.strip_prefix("ima-mailbox 1 ").unwrap();
    let messages = place.b.messages("bob");
    let small = place.b.message("bob", &messages[1]);
    let transcripts: Vec<String> = examples("imrp.7")
        .into_iter()
        .filter(|text| text.starts_with('>'))
        .collect();
    assert_eq!(transcripts.len(), 6);
    for transcript in transcripts {
        let mut play = Play {
            caller: Caller::dial(server.address, Some(&place.bob)),
            digests: &digests,
            generation,
            small: &small,
            announced: 0,
        };
        for line in transcript.lines() {
            play.line(line);
        }
        let (rest, ending) = play.caller.rest();
        assert_eq!((&*rest, ending), ("", Ending::Proper), "{transcript}");
    }
}
