//! What is acknowledged by an exit status: the command, and what has come about
//! when it is 0.

use std::process::Command;

use super::letter::{Letter, octets};
use super::place::{Place, state, stored};

/// A command, and what it reads.
pub type Ready = (Command, Vec<u8>);

/// One command, and what it promises.
pub struct Act {
    pub name: &'static str,
    /// The command, and what it reads.
    pub command: Box<dyn Fn(&Place) -> Ready>,
    /// Letters that are in a folder when it is done.
    pub puts: Vec<(&'static str, Letter)>,
    /// Letters that are not there when it is done.
    pub takes: Vec<(&'static str, Letter)>,
    /// Letters that bear a flag when it is done.
    pub flags: Vec<(&'static str, Letter, &'static str)>,
    /// A folder that is there when it is done.
    pub makes: Option<&'static str>,
    /// Whether more is done than one write of one journal: what fails may be done
    /// in part then, and no part is broken.
    pub in_parts: bool,
}

impl Act {
    fn new(name: &'static str, command: impl Fn(&Place) -> Ready + 'static) -> Act {
        Act {
            name,
            command: Box::new(command),
            puts: Vec::new(),
            takes: Vec::new(),
            flags: Vec::new(),
            makes: None,
            in_parts: false,
        }
    }

    fn delivery(name: &'static str, letter: Letter) -> Act {
        let given = letter.clone();
        let mut act = Act::new(name, move |place| place.delivery("bob/inbox", &given));
        act.puts.push(("bob/inbox", letter));
        act
    }

    fn incoming(name: &'static str, users: &[&'static str], letter: Letter) -> Act {
        let octets = letter.octets.clone();
        let mut act = Act::new(name, move |place| {
            let none: [&str; 0] = [];
            let mut command = place.build.command("server-handle-incoming-mail", &none);
            command.env("EMEMO_CONFIG_DIR", place.config.path());
            (command, octets.clone())
        });
        for user in users {
            let inbox = match *user {
                "bob" => "bob/inbox",
                "eve" => "eve/inbox",
                "carol" => "carol/inbox",
                _ => "dan/inbox",
            };
            act.puts.push((inbox, letter.clone()));
        }
        act.in_parts = users.len() > 1;
        act
    }

    fn tool(
        name: &'static str,
        command: &'static str,
        folders: &'static [&'static str],
        rest: Vec<String>,
    ) -> Act {
        Act::new(name, move |place| {
            let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
            (place.tool(command, folders, &rest), Vec::new())
        })
    }

    /// Whether it changes what is there.
    pub fn flags_or_takes(&self) -> bool {
        !self.flags.is_empty() || !self.takes.is_empty()
    }

    /// What is not as it should be when the act is done.
    pub fn missing(&self, place: &Place) -> Vec<String> {
        let mut problems = Vec::new();
        let mut problem = |text: String| problems.push(format!("{}: {text}", self.name));
        if let Some(folder) = self.makes
            && !place.folder(folder).join("journal").exists()
        {
            return vec![format!("{}: {folder} is not there", self.name)];
        }
        for (folder, letter) in &self.puts {
            let (path, digest) = (place.folder(folder), &letter.digest);
            if !state(&path).contains_key(digest) {
                problem(format!("{folder}: no add {digest}"));
            }
            if stored(&path, digest).as_ref() != Some(&letter.octets) {
                problem(format!("{folder}: {digest} is not whole"));
            }
        }
        for (folder, letter) in &self.takes {
            if state(&place.folder(folder)).contains_key(&letter.digest) {
                problem(format!("{folder}: {} is there still", letter.digest));
            }
        }
        for (folder, letter, flag) in &self.flags {
            let state = state(&place.folder(folder));
            if !state
                .get(&letter.digest)
                .is_some_and(|flags| flags.contains(*flag))
            {
                problem(format!("{folder}: {} is not {flag}", letter.digest));
            }
        }
        problems
    }
}

/// Deliveries of every kind.
pub fn deliveries() -> Vec<Act> {
    let shared = octets("kept", 150_000);
    let two = ["bob", "eve"];
    let four = ["bob", "eve", "carol", "dan"];
    vec![
        Act::delivery("first delivery", Letter::plain("first")),
        Act::delivery("duplicate", Letter::full("delivered")),
        Act::delivery("attachments", Letter::full("attached")),
        Act::delivery(
            "an attachment that is there",
            Letter::new(&["bob"], "shared", &[shared, octets("new", 5000)]),
        ),
        Act::delivery("many attachments", Letter::crowded("crowded")),
        Act::incoming("a recipient", &["bob"], Letter::full("incoming")),
        Act::incoming(
            "two recipients",
            &two,
            Letter::new(&two, "both", &[octets("both", 150_000), octets("more", 9)]),
        ),
        // They share its file, which is synced for the first of them.
        Act::incoming(
            "one file for two",
            &two,
            Letter::new(&two, "shared file", &[]),
        ),
        // More than three folders are synced together.
        Act::incoming("four recipients", &four, Letter::new(&four, "four", &[])),
        Act::incoming(
            "an attachment for four",
            &four,
            Letter::new(&four, "all", &[octets("all", 150_000)]),
        ),
    ]
}

/// What `ima-mailbox` does.
pub fn tools() -> Vec<Act> {
    let inbox = "bob/inbox";
    let both = &["bob/inbox", "bob/archive"];
    let digest = |name: &str| Letter::full(name).digest;
    let mut create = Act::tool("create", "create", &["bob/new"], Vec::new());
    create.makes = Some("bob/new");
    let words = vec!["+seen".to_owned(), "-junk".to_owned(), digest("flagged")];
    let mut flag = Act::tool("flag", "flag", &["bob/inbox"], words);
    flag.flags.push((inbox, Letter::full("flagged"), "seen"));
    let mut delete = Act::tool("delete", "delete", &["bob/inbox"], vec![digest("deleted")]);
    delete.takes.push((inbox, Letter::full("deleted")));
    let mut moving = Act::tool("move", "move", both, vec![digest("moved")]);
    moving.takes.push((inbox, Letter::full("moved")));
    moving.puts.push(("bob/archive", Letter::full("moved")));
    moving.in_parts = true;
    let (many, few) = (import("import", 20), import("import of a few", 3));
    let mut compact = Act::tool("compact", "compact", &["bob/inbox"], Vec::new());
    compact.puts.push((inbox, Letter::full("kept")));
    compact.in_parts = true;
    vec![create, flag, delete, moving, many, few, compact]
}

/// Many letters at once: more than 16 are synced together.
fn import(name: &'static str, count: usize) -> Act {
    let one = |number| {
        let text = format!("{name} {number}");
        Letter::new(&["bob"], &text, &[octets(&text, 3000)])
    };
    let letters: Vec<Letter> = (0..count).map(one).collect();
    let stream: Vec<u8> = letters
        .iter()
        .flat_map(|letter| letter.octets.clone())
        .collect();
    let mut act = Act::new(name, move |place| {
        (place.tool("import", &["bob/inbox"], &[]), stream.clone())
    });
    // They are all there when something fails that is done after that.
    act.in_parts = true;
    act.puts = letters
        .into_iter()
        .map(|letter| ("bob/inbox", letter))
        .collect();
    act
}

/// All of them.
pub fn all() -> Vec<Act> {
    deliveries().into_iter().chain(tools()).collect()
}
