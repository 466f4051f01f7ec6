//! Commands and answers of IMDP.
#![no_main]

use ima_proto::imdp::{Command, DataAnswer, HeadersAnswer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    if let Ok(command) = Command::parse(line) {
        let written = command.to_string();
        assert_eq!(written, line);
        assert_eq!(Command::parse(&written), Ok(command));
    }
    if let Some(answer) = HeadersAnswer::parse(line) {
        assert_eq!(
            HeadersAnswer::parse(&answer.to_string()),
            Some(answer.clone())
        );
        if let HeadersAnswer::AcceptParts(parts) = answer {
            assert!(parts.numbers().iter().all(|&n| n > 0));
            assert!(parts.numbers().is_sorted_by(|a, b| a < b));
        }
    }
    if let Some(answer) = DataAnswer::parse(line) {
        assert_eq!(answer.as_str(), line);
    }
});
