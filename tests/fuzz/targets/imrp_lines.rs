//! Commands and answers of IMRP.
#![no_main]

use ima_proto::imrp::{Command, Final, Information};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    if let Ok(command) = Command::parse(line) {
        // A word that can be no folder's name is forgotten.
        let written = command.to_string();
        assert_eq!(Command::parse(&written), Ok(command.clone()));
        let is_forgotten = match &command {
            Command::Sync { folder, .. }
            | Command::Fetch { folder, .. }
            | Command::Part { folder, .. }
            | Command::Flag { folder, .. }
            | Command::Delete { folder, .. }
            | Command::Store { folder, .. }
            | Command::Create { folder }
            | Command::Remove { folder } => folder.is_none(),
            Command::Move { from, to, .. } => from.is_none() || to.is_none(),
            Command::Watch { folders } => folders.iter().any(|(folder, _)| folder.is_none()),
            _ => false,
        };
        assert!(written == line || is_forgotten);
    }
    if let Some(information) = Information::parse(line) {
        assert_eq!(information.to_string(), line);
    }
    if let Some(last) = Final::parse(line) {
        let written = last.to_string();
        assert_eq!(Final::parse(&written), Some(last));
        assert!(written == line || line == format!("{written} "));
    }
});
