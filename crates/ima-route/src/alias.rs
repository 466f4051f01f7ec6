//! Aliases: what they lead to in the end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ima_message::{Address, Hostpart};

use crate::entry::Route;
use crate::error::RouteError;

/// A route that was found: under which key, how the key was written, and what
/// it says.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) key: String,
    pub(crate) written: String,
    pub(crate) route: Arc<Route>,
}

/// What a look-up of an alias's target says.
pub(crate) enum Target {
    Found(Found),
    /// There is no route.
    Missing,
    /// Only a route file can tell, and it is not asked now.
    Unknown,
}

/// A walk through aliases, each of which is gone through once.
pub(crate) struct Walk<'t, F> {
    hosts: &'t HashSet<Hostpart>,
    find: F,
    states: HashMap<String, State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// On the way from the first alias to here.
    Open,
    Done,
}

/// An alias on the way, and how many of its targets have been looked at.
struct Step {
    found: Found,
    targets: usize,
}

impl<'t, F> Walk<'t, F>
where
    F: Fn(&Address) -> Result<Target, RouteError>,
{
    pub(crate) fn new(hosts: &'t HashSet<Hostpart>, find: F) -> Self {
        Self {
            hosts,
            find,
            states: HashMap::new(),
        }
    }

    /// Calls `reached` for each address, and the route it has, that `alias`
    /// leads to by itself or by further aliases.
    ///
    /// # Errors
    /// A loop, a target of another host or without a route; what the look-up
    /// says.
    pub(crate) fn from(
        &mut self,
        alias: Found,
        reached: &mut dyn FnMut(&Address, &Route),
    ) -> Result<(), RouteError> {
        if self.states.contains_key(&alias.key) {
            return Ok(());
        }
        self.states.insert(alias.key.clone(), State::Open);
        let mut way = vec![Step {
            found: alias,
            targets: 0,
        }];
        while let Some(step) = way.last_mut() {
            let Some(target) = step.next_target() else {
                self.states.insert(step.found.key.clone(), State::Done);
                way.pop();
                continue;
            };
            let entry = &step.found.written;
            if !self.hosts.contains(target.hostpart()) {
                return Err(RouteError::AliasHost {
                    entry: entry.clone(),
                    target,
                });
            }
            let found = match (self.find)(&target)? {
                Target::Found(found) => found,
                Target::Unknown => continue,
                Target::Missing => {
                    return Err(RouteError::AliasWithoutRoute {
                        entry: entry.clone(),
                        target,
                    });
                }
            };
            if !matches!(*found.route, Route::Alias(_)) {
                reached(&target, &found.route);
                continue;
            }
            match self.states.get(&found.key) {
                Some(State::Done) => {}
                Some(State::Open) => return Err(loop_error(&way, found)),
                None => {
                    self.states.insert(found.key.clone(), State::Open);
                    way.push(Step { found, targets: 0 });
                }
            }
        }
        Ok(())
    }
}

impl Step {
    fn next_target(&mut self) -> Option<Address> {
        let Route::Alias(targets) = &*self.found.route else {
            return None;
        };
        let target = targets.get(self.targets)?;
        self.targets += 1;
        Some(target.clone())
    }
}

fn loop_error(way: &[Step], again: Found) -> RouteError {
    let mut entries: Vec<String> = way
        .iter()
        .skip_while(|step| step.found.key != again.key)
        .map(|step| step.found.written.clone())
        .collect();
    entries.push(again.written);
    RouteError::AliasLoop { entries }
}
