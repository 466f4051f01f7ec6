//! server-post-office, as its clients meet it.

mod changing;
mod deaf;
mod documents;
mod faults;
mod full;
mod guessing;
mod lasting;
mod limits;
mod logins;
mod reading;
mod rules;
mod sockets;
mod stopping;
mod storing;
mod taken_over;
mod together;
mod transcript;

use std::fs;
use std::net::TcpStream;

use crate::peer::{Caller, Identity};
use crate::post::{Entry, PASSWORD};
use crate::site::{Host, Server, Site, feed, letter_with};

/// b.test with the users bob and carol, who have a certificate each.
struct Place {
    site: Site,
    b: Host,
    bob: Identity,
    carol: Identity,
}

impl Place {
    fn new() -> Place {
        let site = Site::new();
        let b = site.host("b.test", &["bob", "carol"]);
        let place = Place {
            site,
            b,
            bob: Identity::self_signed("bob"),
            carol: Identity::self_signed("somebody.test"),
        };
        place
            .b
            .open_office(&[place.entry_of_bob(), place.entry_of_carol()]);
        place
    }

    fn entry_of_bob(&self) -> Entry {
        Entry::new("bob").with(&self.bob)
    }

    fn entry_of_carol(&self) -> Entry {
        Entry::new("carol").with(&self.carol)
    }

    fn set(&self, key: &str, value: &str) {
        self.b.set("server-post-office.toml", key, value);
    }

    /// Puts a letter with these attachments into bob's inbox; gives its digest.
    fn deliver(&self, text: &str, attachments: &[&[u8]]) -> String {
        let mut options = Vec::new();
        for (number, octets) in attachments.iter().enumerate() {
            let file = self.site.path().join(format!("attached-{number}.bin"));
            fs::write(&file, octets).unwrap();
            options.extend(["--attach".to_owned(), file.to_str().unwrap().to_owned()]);
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let letter = letter_with(&["bob@b.test"], text, &options);
        let mut command = self.b.command("server-give-recipient");
        command.arg(self.b.inbox("bob"));
        let output = feed(command, &letter);
        assert!(output.status.success(), "{output:?}");
        self.b.messages("bob").pop().unwrap()
    }

    /// The names in a folder of bob's inbox.
    fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.b.inbox("bob").join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A file below bob's inbox.
    fn stored(&self, name: &str) -> Vec<u8> {
        fs::read(self.b.inbox("bob").join(name)).unwrap()
    }
}

/// Bob, logged in.
fn bob(server: &Server) -> Caller {
    let mut caller = Caller::dial(server.address, None);
    assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
    caller
}

/// Bob, logged in on a connection that is there.
fn bob_over(socket: TcpStream) -> Caller {
    let mut caller = Caller::over(socket, None).unwrap();
    assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
    caller
}
