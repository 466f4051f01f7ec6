//! Whole IMDP sessions against a receiver in memory. Octet 1: how many octets
//! each read gives. Octet 2: how the input ends. The rest: what the sender says.
#![no_main]

use ememo_fuzz::{Anybody, Post, Whole};
use ima_proto::framing::{Ending, MAX_LINE, Memory};
use ima_proto::imdp::{DataAnswer, End, HeadersAnswer, Limits, Receiver};
use libfuzzer_sys::fuzz_target;

fn receive(input: &[u8], chunk: usize, ending: Ending) -> (String, String, Vec<Whole>) {
    let mut channel = Memory::new(input).in_chunks(chunk).ending(ending);
    let mut post = Post::default();
    let limits = Limits {
        messages: 8,
        ..Limits::default()
    };
    let end = Receiver::new(&mut channel, &Anybody, &limits, &mut post).run();
    if matches!(end, End::Done | End::Error(_)) {
        assert!(channel.is_closed());
    }
    let said = String::from_utf8(channel.output().to_vec()).expect("lines of text");
    (format!("{end:?}"), said, post.delivered)
}

fn is_final(line: &str) -> bool {
    let known = ["OK", "UNKNOWN"].contains(&line) || line.starts_with("ERROR ");
    known || HeadersAnswer::parse(line).is_some() || DataAnswer::parse(line).is_some()
}

fuzz_target!(|octets: &[u8]| {
    let [chunk, ending, input @ ..] = octets else {
        return;
    };
    let ending = [Ending::Close, Ending::Cut, Ending::Silence][usize::from(*ending) % 3];
    let (end, said, delivered) = receive(input, (*chunk).into(), ending);
    assert!(said.is_empty() || said.ends_with('\n'));
    for line in said.lines() {
        assert!(line.len() < MAX_LINE);
        assert!(!line.contains(char::is_control));
        assert!(line.starts_with("+ ") || is_final(line), "{line:?}");
    }
    let answers = |word| said.lines().filter(|line| *line == word).count();
    assert!(delivered.len() <= answers("ACCEPT"));
    if let Some(at) = said.lines().position(|line| line.starts_with("ERROR ")) {
        assert_eq!(at + 1, said.lines().count());
    }
    // What was delivered is what came, in its order.
    let mut rest = input;
    for (header, data) in &delivered {
        for octets in [header, data] {
            let place = rest
                .windows(octets.len().max(1))
                .position(|window| window == octets);
            rest = match place {
                Some(place) => &rest[place + octets.len()..],
                None => {
                    assert!(octets.is_empty());
                    rest
                }
            };
        }
    }
    assert_eq!((end, said, delivered), receive(input, usize::MAX, ending));
});
