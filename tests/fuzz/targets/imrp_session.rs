//! Whole IMRP sessions against a mailbox in memory. Octet 1: how many octets
//! each read gives. Octet 2: how the input ends. The rest: what the client says.
#![no_main]

use ememo_fuzz::OneLetter;
use ima_proto::framing::{Ending, MAX_LINE, Memory};
use ima_proto::imrp::{End, Final, Information, Limits, Session};
use libfuzzer_sys::fuzz_target;

fn serve(input: &[u8], chunk: usize, ending: Ending) -> (String, Vec<u8>) {
    let mut channel = Memory::new(input).in_chunks(chunk).ending(ending);
    let end = Session::new(&mut channel, OneLetter::default(), Limits::default()).run();
    if matches!(end, End::Done | End::NoLogin | End::Error(_)) {
        assert!(channel.is_closed());
    }
    (format!("{end:?}"), channel.output().to_vec())
}

fuzz_target!(|octets: &[u8]| {
    let [chunk, ending, input @ ..] = octets else {
        return;
    };
    let ending = [Ending::Close, Ending::Cut, Ending::Silence][usize::from(*ending) % 3];
    let said = serve(input, (*chunk).into(), ending);
    // Lines and announced octets, whole, and nothing else.
    let mut rest = &said.1[..];
    let mut lines = 0;
    while let Some(at) = rest.iter().position(|&b| b == b'\n') {
        let (line, behind) = (&rest[..at], &rest[at + 1..]);
        rest = behind;
        lines += 1;
        assert!(line.len() < MAX_LINE);
        let line = std::str::from_utf8(line).expect("text");
        let Some(information) = line.strip_prefix("+ ") else {
            let last = Final::parse(line).expect("a final line");
            assert!(rest.is_empty() || !matches!(last, Final::Error(_)));
            // The first answer is to a login, or the last.
            assert!(lines > 1 || matches!(last, Final::Ok | Final::Error(_)));
            continue;
        };
        let octets = match Information::parse(information).expect("known") {
            Information::Header { octets }
            | Information::Message { octets }
            | Information::Attachment { octets, .. } => octets,
            _ => 0,
        };
        rest = &rest[usize::try_from(octets).expect("in memory")..];
    }
    assert!(rest.is_empty());
    assert_eq!(said, serve(input, usize::MAX, ending));
});
