//! fail2ban, who keeps guessers out by the log.

use std::fs;

use super::{Pair, has, tool};
use crate::pages::root;
use crate::peer::Caller;
use crate::post::{Entry, PASSWORD};
use crate::site::{code, stdout};

#[test]
fn fail2ban_finds_failed_logins_and_nothing_else() {
    if !has(&["fail2ban-regex"]) {
        return;
    }
    let pair = Pair::new();
    pair.b.open_office(&[Entry::new("bob")]);
    for form in ["text", "json"] {
        let mut command = pair.b.command("server-post-office");
        command.args(["--log", form]);
        let office = pair.b.start_with(command);
        let mut caller = Caller::dial(office.address, None);
        for user in ["bob@b.test", "nobody@b.test"] {
            assert_eq!(caller.log_in(user, "wrong"), "FAIL");
        }
        let mut caller = Caller::dial(office.address, None);
        assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
        // Names that look like a line of the log are none of an address.
        let forged = "x event=login-failed address=192.0.2.1 by=@b.test";
        let mut caller = Caller::dial(office.address, None);
        caller.say(&format!("LOGIN {forged}"));
        let _ = caller.rest();
        office.log.wait_for("closed");
        let (log, text) = (pair.b.dir.join(format!("{form}.log")), office.log.text());
        // As the server writes it, and as syslog and the journal hand it on.
        let begins = ["", "Nov 22 09:30:02 mx server-post-office[12]: "];
        let all = begins
            .iter()
            .flat_map(|begins| text.lines().map(move |line| (begins, line)));
        let all: Vec<String> = all
            .map(|(begins, line)| format!("{begins}{line}\n"))
            .collect();
        fs::write(&log, all.concat()).expect("a log");
        let filter = root().join("etc/fail2ban/filter.d/ememo.conf");
        let mut regex = tool("fail2ban-regex");
        let output = regex.args(["--print-all-matched"]).arg(&log).arg(&filter);
        let output = output.output().expect("fail2ban-regex runs");
        let said = stdout(&output);
        assert_eq!(code(&output), 0, "{said}");
        assert!(said.contains(" 0 ignored, 4 matched, "), "{form}: {said}");
        assert!(!said.contains("192.0.2.1"), "{form}: {said}");
        // Each line has a time that fail2ban reads.
        let lines = all.len();
        assert!(
            said.contains(&format!("Lines: {lines} lines")),
            "{form}: {said}"
        );
    }
}
