//! The manual pages and the example configurations against the programs.

mod configurations;
mod events;
mod examples;
mod form;
mod limits;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document(name: &str) -> String {
    let path = root().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn names_in(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder");
    entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect()
}

/// A program's page.
fn page_of(program: &str) -> String {
    let section = if program.starts_with("server-") { 8 } else { 1 };
    format!("{program}.{section}")
}

/// A section of a page, by its title.
pub fn section(page: &str, title: &str) -> Option<String> {
    let text = document(&format!("man/{page}"));
    let mut sections = text
        .split("\n.Sh ")
        .skip(1)
        .map(|section| section.split_once('\n'));
    sections.find_map(|section| {
        section
            .filter(|(name, _)| *name == title)
            .map(|(_, text)| text.to_owned())
    })
}

/// The literal displays of a page's EXAMPLES, as they are read.
pub fn examples(page: &str) -> Vec<String> {
    let section = section(page, "EXAMPLES").unwrap_or_default();
    let displays = format!("\n{section}");
    let bodies = displays.split("\n.Bd -literal").skip(1).map(|display| {
        let (body, _) = display.split_once("\n.Ed").expect("an end");
        body.split_once('\n').expect("lines").1.to_owned()
    });
    bodies
        .map(|body| body.replace("\\&", "").replace("\\e", "\\") + "\n")
        .collect()
}
