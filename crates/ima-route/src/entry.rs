//! One entry of the table, as it stands in a configuration file.
//!
//! ```text
//! "ADDRESS" = { inbox = "PATH" }
//! "ADDRESS" = { command = ["PROGRAM", "ARGUMENT", …] }
//! "ADDRESS" = { alias = ["ADDRESS", …] }
//! "*@HOST"  = any of these
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ima_message::{Address, Hostpart};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::error::EntryError;
use crate::pattern::Pattern;

/// The entries of `[routes]`. Reading them fails at the line and column of the
/// first entry that is no route.
#[derive(Clone, Debug, Default)]
pub struct RoutesToml {
    pub(crate) entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The key, as written.
    pub(crate) written: String,
    pub(crate) host: Hostpart,
    pub(crate) route: Arc<Route>,
}

/// What an address leads to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RouteFields")]
pub(crate) enum Route {
    Inbox(Pattern),
    /// A program, which has no placeholder, and its arguments.
    Command(String, Vec<Pattern>),
    /// At least one.
    Alias(Vec<Address>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteFields {
    inbox: Option<String>,
    command: Option<Vec<String>>,
    alias: Option<Vec<String>>,
}

impl TryFrom<RouteFields> for Route {
    type Error = EntryError;

    fn try_from(fields: RouteFields) -> Result<Self, EntryError> {
        match fields {
            RouteFields {
                inbox: Some(path),
                command: None,
                alias: None,
            } => inbox(&path),
            RouteFields {
                inbox: None,
                command: Some(words),
                alias: None,
            } => command(&words),
            RouteFields {
                inbox: None,
                command: None,
                alias: Some(targets),
            } => alias(&targets),
            RouteFields {
                inbox,
                command,
                alias,
            } => {
                let given = [inbox.is_some(), command.is_some(), alias.is_some()];
                Err(EntryError::NotOne {
                    count: given.into_iter().filter(|&given| given).count(),
                })
            }
        }
    }
}

fn inbox(path: &str) -> Result<Route, EntryError> {
    if path.is_empty() {
        return Err(EntryError::Empty {
            key: "inbox",
            wanted: "the path of a mailbox's folder",
        });
    }
    if path.contains('\0') {
        return Err(EntryError::Nul { key: "inbox" });
    }
    Ok(Route::Inbox(Pattern::parse(path)?))
}

fn command(words: &[String]) -> Result<Route, EntryError> {
    let wanted = "a program and its arguments, [\"PROGRAM\", \"ARGUMENT\"]";
    let Some((program, arguments)) = words
        .split_first()
        .filter(|(program, _)| !program.is_empty())
    else {
        return Err(EntryError::Empty {
            key: "command",
            wanted,
        });
    };
    if words.iter().any(|word| word.contains('\0')) {
        return Err(EntryError::Nul { key: "command" });
    }
    if let Some(word) = Pattern::parse(program)?.first_placeholder() {
        return Err(EntryError::ProgramPlaceholder {
            word,
            program: program.clone(),
        });
    }
    let arguments = arguments
        .iter()
        .map(|argument| Pattern::parse(argument))
        .collect::<Result<_, _>>()?;
    Ok(Route::Command(program.clone(), arguments))
}

fn alias(targets: &[String]) -> Result<Route, EntryError> {
    if targets.is_empty() {
        return Err(EntryError::Empty {
            key: "alias",
            wanted: "one address of ours or more",
        });
    }
    let targets = targets
        .iter()
        .map(|target| alias_target(target))
        .collect::<Result<_, _>>()?;
    Ok(Route::Alias(targets))
}

fn alias_target(target: &str) -> Result<Address, EntryError> {
    // `{localpart}@b.test` is an address by its grammar, and never what was meant.
    if Pattern::parse(target)?.first_placeholder().is_some() {
        return Err(EntryError::AliasPlaceholder {
            target: target.to_owned(),
        });
    }
    Address::parse(target).map_err(|source| EntryError::Target {
        target: target.to_owned(),
        source,
    })
}

/// The key under which the catch-all of a host is found. No key of an address
/// differs from it but that of `*@host` itself.
pub(crate) fn catch_all(host: &Hostpart) -> String {
    format!("*@{}", host.ascii())
}

fn parse_key(written: &str) -> Result<(String, Hostpart), EntryError> {
    if let Some(host) = written.strip_prefix("*@") {
        let host = Hostpart::parse(host).map_err(|source| EntryError::CatchAll {
            key: written.to_owned(),
            source,
        })?;
        return Ok((catch_all(&host), host));
    }
    let address = Address::parse(written).map_err(|source| EntryError::Key {
        key: written.to_owned(),
        source,
    })?;
    Ok((address.canonical(), address.hostpart().clone()))
}

impl<'de> Deserialize<'de> for RoutesToml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor)
    }
}

struct TableVisitor;

impl<'de> Visitor<'de> for TableVisitor {
    type Value = RoutesToml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of routes, \"address\" = { inbox = \"…\" }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RoutesToml, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((key, written, host)) = map.next_key_seed(NewKey(&entries))? {
            let route = Arc::new(map.next_value()?);
            entries.insert(
                key,
                Entry {
                    written,
                    host,
                    route,
                },
            );
        }
        Ok(RoutesToml { entries })
    }
}

/// Reads a key that is not in the table yet, so that the error for one that is
/// has its place in the file.
struct NewKey<'t>(&'t BTreeMap<String, Entry>);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = (String, String, Hostpart);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let written = String::deserialize(deserializer)?;
        let (key, host) = parse_key(&written).map_err(serde::de::Error::custom)?;
        if let Some(first) = self.0.get(&key) {
            let (first, second) = (first.written.clone(), written);
            return Err(serde::de::Error::custom(EntryError::Twice {
                first,
                second,
            }));
        }
        Ok((key, written, host))
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        toml::from_str::<RoutesToml>(text).unwrap_err().to_string()
    }

    #[test]
    fn the_three_kinds() {
        let routes: RoutesToml = toml::from_str(
            r#"
            "Bob@b.test"   = { inbox = "/mail/bob/inbox" }
            "staff@b.test" = { command = ["my-list-manager", "--list", "staff"] }
            "info@b.test"  = { alias = ["bob@b.test", "Dave@b.test"] }
            "*@B.test"     = { command = ["x", "{localpart}"] }
            "#,
        )
        .unwrap();
        let keys: Vec<_> = routes.entries.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["*@b.test", "bob@b.test", "info@b.test", "staff@b.test"]
        );
        assert_eq!(routes.entries["bob@b.test"].written, "Bob@b.test");
        let Route::Alias(targets) = &*routes.entries["info@b.test"].route else {
            unreachable!("an alias")
        };
        assert_eq!(targets.len(), 2);
    }

    #[test]
    fn an_error_has_its_place_and_says_what_would_be_right() {
        for (text, place, says) in [
            (
                "\"bob\" = { inbox = \"x\" }",
                "line 1, column 1",
                "the route \"bob\" is for no address",
            ),
            (
                "\"*@b\" = { inbox = \"x\" }",
                "line 1, column 1",
                "a catch-all is written \"*@host\"",
            ),
            (
                "\n\"b@b.test\" = { inbx = \"x\" }",
                "line 2, column 16",
                "expected one of `inbox`, `command`, `alias`",
            ),
            (
                "\"b@b.test\" = {}",
                "line 1, column 14",
                "exactly one of `inbox`, `command` and `alias`, and here are 0",
            ),
            (
                "\"b@b.test\" = { inbox = \"x\", alias = [] }",
                "line 1, column 14",
                "and here are 2",
            ),
            (
                "\"b@b.test\" = { inbox = \"\" }",
                "line 1, column 14",
                "`inbox` is empty",
            ),
            (
                "\"b@b.test\" = { inbox = \"a\\u0000\" }",
                "line 1, column 14",
                "holds a NUL",
            ),
            (
                "\"b@b.test\" = { command = [] }",
                "line 1, column 14",
                "`command` is empty",
            ),
            (
                "\"b@b.test\" = { command = [\"\"] }",
                "line 1, column 14",
                "`command` is empty",
            ),
            (
                "\"b@b.test\" = { command = [\"a\", \"\\u0000\"] }",
                "line 1, column 14",
                "holds a NUL",
            ),
            (
                "\"b@b.test\" = { command = \"cat\" }",
                "line 1, column 26",
                "expected a sequence",
            ),
            (
                "\"b@b.test\" = { alias = [] }",
                "line 1, column 14",
                "`alias` is empty",
            ),
            (
                "\"b@b.test\" = { alias = [\"x\"] }",
                "line 1, column 14",
                "\"x\" in `alias` is no address",
            ),
            (
                "\"b@b.test\" = { alias = [\"{localpart}@c.test\"] }",
                "line 1, column 14",
                "placeholders are not filled in there",
            ),
            (
                "\"b@b.test\" = { inbox = \"/{user}\" }",
                "line 1, column 14",
                "no placeholder {user}: there are {localpart}, {hostpart} and {address}",
            ),
            (
                "\"b@b.test\" = { command = [\"/x/{localpart}\"] }",
                "line 1, column 14",
                "{localpart} cannot stand in the name of the program",
            ),
            (
                "\"b@b.test\" = { inbox = \"x\" }\n\"B@B.test\" = { inbox = \"x\" }",
                "line 1, column 1",
                "\"B@B.test\" and \"b@b.test\" are for one address",
            ),
        ] {
            let error = error(text);
            assert!(error.contains(place), "{text}: {error}");
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
