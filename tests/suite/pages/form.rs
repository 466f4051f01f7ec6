//! What every page has, and what it names.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{document, names_in, page_of, root, section};
use crate::site::{code, run, stdout};

/// Pages of others that ours refer to.
const ELSEWHERE: &[&str] = &[
    "ps 1",
    "landlock 7",
    "seccomp 2",
    "cat 1",
    "cp 1",
    "cron 8",
    "crontab 5",
    "flock 2",
    "grep 1",
    "inetd 8",
    "inotify 7",
    "jq 1",
    "ls 1",
    "resolv.conf 5",
    "runuser 1",
    "setsid 1",
];

/// Names of long options in a line of a page's source: `Fl Fl name`, `Fl -name`.
fn options_in(line: &str) -> Vec<String> {
    let words: Vec<_> = line.split_whitespace().collect();
    let long = words
        .windows(2)
        .enumerate()
        .filter_map(|(at, pair)| match *pair {
            ["Fl", "Fl"] => words.get(at + 2).copied(),
            ["Fl", name] => name.strip_prefix('-'),
            _ => None,
        });
    long.map(str::to_owned).collect()
}

/// Names of long options in `--help`, those of commands of the program included.
fn options_of(name: &str, command: &[&str]) -> BTreeSet<String> {
    let output = run(name, &[command, &["--help"]].concat(), b"");
    assert_eq!(code(&output), 0, "{name} {command:?}");
    let help = stdout(&output);
    let lines = help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'));
    let long = lines.filter_map(|line| line.split_once("--"));
    let mut options: BTreeSet<String> = long
        .map(|(_, rest)| {
            rest.chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
                .collect()
        })
        .collect();
    let commands = help
        .split_once("\nCommands:\n")
        .map_or("", |(_, rest)| rest);
    for line in commands.lines().take_while(|line| !line.is_empty()) {
        let word = line.split_whitespace().next().expect("a name");
        if word != "help" {
            options.extend(options_of(name, &[command, &[word]].concat()));
        }
    }
    options
}

#[test]
fn every_program_has_a_page_with_the_options_of_its_help() {
    let everywhere = ["help".to_owned(), "version".to_owned()];
    let programs = names_in("bin");
    assert!(programs.len() >= 9);
    for name in programs {
        let page = document(&format!("man/{}", page_of(&name)));
        let items = page.lines().filter(|line| line.starts_with(".It "));
        let in_page: BTreeSet<_> = items.flat_map(options_in).collect();
        let in_help = options_of(&name, &[]);
        let undocumented: Vec<_> = in_help
            .iter()
            .filter(|option| !in_page.contains(*option) && !everywhere.contains(*option))
            .collect();
        let unknown: Vec<_> = in_page.difference(&in_help).collect();
        assert!(
            undocumented.is_empty() && unknown.is_empty(),
            "{name}: {undocumented:?} {unknown:?}"
        );

        // What stands in the SYNOPSIS is an option too.
        let synopsis = section(&page_of(&name), "SYNOPSIS").expect("SYNOPSIS");
        for option in synopsis.lines().flat_map(options_in) {
            assert!(in_help.contains(&option), "{name} --{option}");
        }
    }
}

#[test]
fn every_page_has_its_sections_in_their_order() {
    const ORDER: [&str; 12] = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "LIMITS",
        "METRICS",
        "ENVIRONMENT",
        "FILES",
        "EXIT STATUS",
        "EXAMPLES",
        "SEE ALSO",
        "STANDARDS",
        "CAVEATS",
    ];
    for name in names_in("man") {
        let page = document(&format!("man/{name}"));
        let (title, number) = name.rsplit_once('.').expect("NAME.SECTION");
        assert!(page.starts_with(".Dd November 22, 2026\n"), "{name}");
        assert!(
            page.contains(&format!(
                "\n.Dt {} {number}\n.Os Ememo\n",
                title.to_uppercase()
            )),
            "{name}"
        );
        assert!(
            page.contains(&format!("\n.Sh NAME\n.Nm {title}\n.Nd ")),
            "{name}"
        );
        let titles: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix(".Sh "))
            .collect();
        let places: Vec<_> = titles
            .iter()
            .map(|title| {
                ORDER
                    .iter()
                    .position(|known| known == title)
                    .unwrap_or_else(|| panic!("{name}: {title}"))
            })
            .collect();
        assert!(places.is_sorted(), "{name}: {titles:?}");
        let is_program = ["1", "8"].contains(&number);
        let wanted = ["NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"].into_iter();
        for wanted in wanted.chain(
            ["SYNOPSIS", "EXIT STATUS"]
                .into_iter()
                .filter(|_| is_program),
        ) {
            assert!(titles.contains(&wanted), "{name} has no {wanted}");
        }
        assert!(
            !is_program || names_in("bin").contains(title),
            "there is no program {title}"
        );
    }
}

#[test]
fn every_page_that_is_referred_to_is_there() {
    let pages = names_in("man");
    for name in &pages {
        let page = document(&format!("man/{name}"));
        for reference in page.lines().filter_map(|line| line.strip_prefix(".Xr ")) {
            let mut words = reference.split(' ');
            let (title, number) = (
                words.next().expect("a name"),
                words.next().expect("a section"),
            );
            let known = pages.contains(&format!("{title}.{number}"))
                || ELSEWHERE.contains(&format!("{title} {number}").as_str());
            assert!(known, "{name} refers to {title}({number})");
        }
    }
    let way_in = section("ima.7", "SEE ALSO").expect("SEE ALSO");
    for name in pages.iter().filter(|name| *name != "ima.7") {
        let (title, number) = name.rsplit_once('.').expect("NAME.SECTION");
        assert!(
            way_in.contains(&format!(".Xr {title} {number}")),
            "ima.7 does not lead to {name}"
        );
    }
}

/// ima(7) says where to change what.
#[test]
fn the_files_that_ima_7_names_are_there() {
    let page = document("man/ima.7");
    let mut checked = 0;
    for line in page.lines().filter_map(|line| line.strip_prefix(".Pa ")) {
        let mut folder = PathBuf::new();
        for word in line.split(' ').filter(|word| *word != "," && *word != ".") {
            let named = if word.contains('/') {
                PathBuf::from(word)
            } else {
                folder.join(word)
            };
            folder = named.parent().expect("a folder").to_owned();
            if word.contains("PROGRAM") || named.is_absolute() {
                continue;
            }
            assert!(root().join(&named).exists(), "{}", named.display());
            checked += 1;
        }
    }
    assert!(checked >= 15, "{checked}");
}
