//! Whole IMDP sessions of a sender against whatever a receiver might say. Octet
//! 1: how many octets each read gives. Octet 2: what the sender does. The rest:
//! what the receiver says.
#![no_main]

use ememo_fuzz::{Anybody, Post, a_letter};
use ima_message::HeaderBlock;
use ima_proto::framing::{MAX_LINE, Memory};
use ima_proto::imdp::{DataAnswer, End, HeadersAnswer, Limits, Receiver, SendError, Sender, Times};
use libfuzzer_sys::fuzz_target;

/// Three letters, of which some are taken back where `plan` has a bit. Another
/// bit lets the question about the next go ahead of the answer.
fn send(
    sender: &mut Sender<&mut Memory>,
    plan: u8,
    heard: &mut Vec<String>,
) -> Result<Vec<DataAnswer>, SendError> {
    let (header, data) = a_letter();
    let header = HeaderBlock::parse(&header).expect("a good letter");
    let mut answers = Vec::new();
    let mut hear = |line: &str| heard.push(line.to_owned());
    let mut is_asked = false;
    for turn in 0..3 {
        let goes_ahead = plan >> 3 & 1 == 1 && turn < 2;
        let answer = match std::mem::take(&mut is_asked) {
            true => sender.verdict(&header, &mut hear)?,
            false => sender.headers(&header, &mut hear)?,
        };
        match answer {
            HeadersAnswer::Accept if plan >> turn & 1 == 0 => {
                sender.send(header.size(), &mut &data[..])?;
                is_asked = goes_ahead && sender.ask(&header)?;
                let answer = sender.outcome(None, &mut hear)?;
                answers.push(answer.expect("nothing wakes"));
            }
            HeadersAnswer::AcceptParts(parts) => {
                let numbers = parts.numbers();
                assert!(
                    numbers
                        .iter()
                        .all(|n| (1..=header.parts().len()).contains(n))
                );
                sender.abort()?;
            }
            HeadersAnswer::Accept => {
                sender.withdraw()?;
                is_asked = goes_ahead && sender.ask(&header)?;
                assert!(sender.withdrawn(None)?, "nothing wakes");
            }
            HeadersAnswer::Reject(..) | HeadersAnswer::Defer(..) => {}
            HeadersAnswer::Redirect(_) => unreachable!("it was declined"),
        }
    }
    Ok(answers)
}

fuzz_target!(|octets: &[u8]| {
    let [chunk, plan, input @ ..] = octets else {
        return;
    };
    let mut channel = Memory::new(input).in_chunks((*chunk).into());
    let mut heard = Vec::new();
    let mut sender = Sender::new(&mut channel, Times::default());
    let result = send(&mut sender, *plan, &mut heard);
    for line in &heard {
        assert!(line.len() < MAX_LINE && !line.contains(char::is_control));
    }
    let Ok(answers) = result else {
        return;
    };
    let _ = sender.done();
    // OK is not made up.
    let said = |word: &str| {
        input
            .split(|&b| b == b'\n')
            .filter(|line| *line == word.as_bytes())
            .count()
    };
    for answer in [DataAnswer::Ok, DataAnswer::Fail, DataAnswer::Partial] {
        assert!(answers.iter().filter(|&&a| a == answer).count() <= said(answer.as_str()));
    }
    // A receiver that accepts everything understands all of it. Only one that
    // declines wants no data, and then there is no DATA to be out of order.
    let mut again = Memory::new(channel.output());
    let mut post = Post::default();
    let end = Receiver::new(&mut again, &Anybody, &Limits::default(), &mut post).run();
    let declined = input.split(|&b| b == b'\n').any(|line| {
        [&b"REJECT"[..], b"DEFER", b"REDIRECT"]
            .iter()
            .any(|word| line.starts_with(word))
    });
    if !declined {
        assert!(matches!(end, End::Done), "{end:?}");
        assert_eq!(post.delivered.len(), answers.len());
    }
});
