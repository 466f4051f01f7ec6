//! WATCH: a post office that says when something changes, and a fetch-mail that
//! stays and listens.

mod fetching;
mod folders;
mod limits;

use crate::fetch::Place;
use crate::peer::Caller;
use crate::site::Server;

/// Bob, logged in by his certificate.
fn bob(place: &Place, server: &Server) -> Caller {
    let mut caller = Caller::dial(server.address, Some(&place.bob));
    assert_eq!(caller.log_in_by_certificate("bob@b.test"), "OK");
    caller
}

/// The token of a folder.
fn token(caller: &mut Caller, folder: &str) -> String {
    let lines = caller.lines("FOLDERS");
    let begins = format!("+ {folder} ");
    let line = lines.iter().find(|line| line.starts_with(&begins));
    let line = line.unwrap_or_else(|| panic!("no {folder} in {lines:?}"));
    line.rsplit(' ').next().unwrap().to_owned()
}

/// Watches a folder from now on.
fn watch(caller: &mut Caller, folder: &str) {
    let token = token(caller, folder);
    caller.say(&format!("WATCH {folder} {token}"));
}
