//! Lines that handlers print.
#![no_main]

use ima_message::HandlerLine;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some(line) = HandlerLine::parse(text) else {
        return;
    };
    let written = line.to_string();
    // A space before no text is all that is not written again.
    assert_eq!(
        written,
        text.strip_suffix(' ')
            .filter(|_| written != text)
            .unwrap_or(text)
    );
    assert_eq!(HandlerLine::parse(&written), Some(line));
    assert!(!written.contains(char::is_control));
});
