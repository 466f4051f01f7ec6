//! The table: what an address leads to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ima_message::{Address, Hostpart};

use crate::alias::{Found, Target, Walk};
use crate::destination::{Action, Destination};
use crate::entry::{Entry, Route, RoutesToml, catch_all};
use crate::error::RouteError;
use crate::route_file::RouteFile;

/// The routes of a configuration and of its route files.
#[derive(Debug)]
pub struct RoutingTable {
    hosts: HashSet<Hostpart>,
    entries: BTreeMap<String, Entry>,
    files: Vec<RouteFile>,
    config_dir: PathBuf,
    /// Where the aliases lead that were looked up already, by their keys.
    expanded: Mutex<HashMap<String, Arc<[Destination]>>>,
}

impl RoutingTable {
    /// A table for `hosts`. `route_files` are opened when they are first
    /// needed; relative paths in routes begin at `config_dir`.
    ///
    /// # Errors
    /// A key whose host is not among `hosts`; an alias that leads to itself, to
    /// another host, or to an address without a route. Of an alias whose target
    /// only a route file can hold, the last two are found by a look-up.
    pub fn new(
        hosts: &[Hostpart],
        routes: RoutesToml,
        route_files: &[PathBuf],
        config_dir: &Path,
    ) -> Result<Self, RouteError> {
        let table = Self {
            hosts: hosts.iter().cloned().collect(),
            entries: routes.entries,
            files: route_files.iter().cloned().map(RouteFile::new).collect(),
            config_dir: config_dir.to_owned(),
            expanded: Mutex::default(),
        };
        let mut walk = Walk::new(&table.hosts, |target| Ok(table.target_in_table(target)));
        for (key, entry) in &table.entries {
            if !table.hosts.contains(&entry.host) {
                let (entry, host) = (entry.written.clone(), entry.host.clone());
                return Err(RouteError::KeyHost { entry, host });
            }
            if matches!(*entry.route, Route::Alias(_)) {
                walk.from(found(key, entry), &mut |_, _| {})?;
            }
        }
        drop(walk);
        Ok(table)
    }

    /// Whether mail for a host is ours to deliver.
    #[must_use]
    pub fn is_ours(&self, host: &Hostpart) -> bool {
        self.hosts.contains(host)
    }

    /// Where the mail for an address goes: one place, or for an alias each
    /// place that it leads to, once. None where the address has no route. The
    /// same alias gives the same allocation again.
    ///
    /// # Errors
    /// A route file that cannot be read or is wrong, or an alias in one.
    pub fn look_up(&self, address: &Address) -> Result<Option<Arc<[Destination]>>, RouteError> {
        if !self.is_ours(address.hostpart()) {
            return Ok(None);
        }
        let Some(found) = self.find(address)? else {
            return Ok(None);
        };
        if let Some(destination) = self.destination(address, &found.route) {
            return Ok(Some(Arc::new([destination])));
        }
        let mut expanded = self.expanded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(destinations) = expanded.get(&found.key) {
            return Ok(Some(Arc::clone(destinations)));
        }
        let key = found.key.clone();
        let destinations: Arc<[Destination]> = self.expand(found)?.into();
        expanded.insert(key, Arc::clone(&destinations));
        Ok(Some(destinations))
    }

    fn expand(&self, alias: Found) -> Result<Vec<Destination>, RouteError> {
        let mut walk = Walk::new(&self.hosts, |target| {
            Ok(self.find(target)?.map_or(Target::Missing, Target::Found))
        });
        let mut seen = HashSet::new();
        let mut destinations = Vec::new();
        walk.from(alias, &mut |address, route| {
            if let Some(destination) = self.destination(address, route)
                && seen.insert(destination.clone())
            {
                destinations.push(destination);
            }
        })?;
        Ok(destinations)
    }

    fn find(&self, address: &Address) -> Result<Option<Found>, RouteError> {
        for key in keys(address) {
            if let Some(entry) = self.entries.get(&key) {
                return Ok(Some(found(&key, entry)));
            }
            for file in &self.files {
                if let Some(route) = file.look_up(&key)? {
                    return Ok(Some(Found {
                        written: key.clone(),
                        key,
                        route,
                    }));
                }
            }
        }
        Ok(None)
    }

    /// What the table alone says; a route file is asked before the table's next
    /// key.
    fn target_in_table(&self, address: &Address) -> Target {
        for key in keys(address) {
            if let Some(entry) = self.entries.get(&key) {
                return Target::Found(found(&key, entry));
            }
            if !self.files.is_empty() {
                return Target::Unknown;
            }
        }
        Target::Missing
    }

    /// None for an alias.
    fn destination(&self, address: &Address, route: &Route) -> Option<Destination> {
        let action = match route {
            Route::Alias(_) => return None,
            Route::Inbox(pattern) => {
                let from_pattern = pattern.first_placeholder().is_some();
                let mut base = pattern.fixed_beginning();
                if from_pattern {
                    base = base.rsplit_once('/').map_or("", |(folder, _)| {
                        if folder.is_empty() { "/" } else { folder }
                    });
                }
                Action::Inbox {
                    path: self.config_dir.join(pattern.fill(address)),
                    base: self.config_dir.join(base),
                    from_pattern,
                }
            }
            Route::Command(program, arguments) => {
                let arguments = arguments.iter().map(|argument| argument.fill(address));
                Action::Command(std::iter::once(program.clone()).chain(arguments).collect())
            }
        };
        Some(Destination {
            address: address.clone(),
            action,
        })
    }
}

/// What an address is looked up as, one after the other.
fn keys(address: &Address) -> impl Iterator<Item = String> {
    let untagged = address.without_tag().map(|untagged| untagged.canonical());
    std::iter::once(address.canonical())
        .chain(untagged)
        .chain(std::iter::once(catch_all(address.hostpart())))
}

fn found(key: &str, entry: &Entry) -> Found {
    Found {
        key: key.to_owned(),
        written: entry.written.clone(),
        route: Arc::clone(&entry.route),
    }
}

#[cfg(test)]
mod tests;
