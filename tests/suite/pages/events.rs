//! What is logged, against what the pages say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::{document, names_in, root};

/// What only builds for tests log: a network process that plays one that was taken over.
const FOR_TESTS: [&str; 1] = ["taken-over"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The events that the programs can log, each with a file that does.
fn events() -> BTreeMap<String, PathBuf> {
    let mut files = Vec::new();
    for folder in ["bin", "crates"] {
        sources(&root().join(folder), &mut files);
    }
    let mut events = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for level in ["info", "warn", "error"] {
            for call in text.split(&format!("log::{level}(")).skip(1) {
                let name = call.trim_start().strip_prefix('"');
                if let Some((name, _)) = name.and_then(|name| name.split_once('"')) {
                    events.insert(name.to_owned(), file.clone());
                }
            }
        }
    }
    events
}

/// The words of the macros by which pages name an event.
fn named() -> BTreeSet<String> {
    let pages = names_in("man").into_iter();
    let pages: Vec<_> = pages.map(|page| document(&format!("man/{page}"))).collect();
    let lines = pages.iter().flat_map(|page| page.lines());
    let macros = [".It Ic ", ".Ic ", ".Ql ", ".Pq Ql "];
    let naming = lines.filter(|line| macros.iter().any(|name| line.starts_with(name)));
    naming
        .flat_map(|line| line.split(' ').skip(1))
        .map(|word| word.strip_prefix("event=").unwrap_or(word).to_owned())
        .collect()
}

#[test]
fn each_event_of_the_log_stands_in_a_page() {
    let (events, named) = (events(), named());
    assert!(events.len() > 60, "{}", events.len());
    for name in FOR_TESTS {
        assert!(events.contains_key(name), "{name} is no event any more");
    }
    let missing: Vec<_> = events
        .iter()
        .filter(|(event, _)| !named.contains(*event) && !FOR_TESTS.contains(&&***event))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
