//! What is printed at the end: what to run, and what to publish.

use std::fmt::{self, Write as _};
use std::path::Path;

use crate::certificate;
use crate::configuration::Configuration;
use crate::plan::{Origin, Plan};
use crate::shell::quoted;
use crate::user::User;

/// The port at which others look for a server (IMDP).
const PORT: u16 = 4025;

/// What to do next, for a person.
pub(crate) fn text(plan: &Plan) -> String {
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = write(plan, &mut text);
    text
}

fn write(plan: &Plan, to: &mut String) -> fmt::Result {
    let hosts: Vec<_> = plan.hosts.iter().map(|host| host.as_written()).collect();
    let verb = if hosts.len() == 1 { "is" } else { "are" };
    let dir = quoted(&plan.dir);
    writeln!(
        to,
        "{} {verb} set up in {}.",
        hosts.join(", "),
        plan.dir.display()
    )?;
    writeln!(
        to,
        "The keys and inboxes are yours alone: run everything here as the same user."
    )?;
    writeln!(to, "\nTo start the server:\n")?;
    writeln!(to, "    EMEMO_CONFIG_DIR={dir} server-receive")?;
    letter(plan, &dir, to)?;
    trust(plan, to)?;
    records(plan, to)
}

fn letter(plan: &Plan, dir: &str, to: &mut String) -> fmt::Result {
    let Some(user) = plan.users.first() else {
        let routes = plan.dir.join(Configuration::ROUTES);
        return writeln!(
            to,
            "\nNobody has an inbox yet, so all mail is refused. `ima-mailbox create` makes one, and a\n\
             route in {} leads to it.",
            routes.display()
        );
    };
    let address = user.address();
    let inbox = quoted(&plan.dir.join(user.inbox()));
    writeln!(
        to,
        "\nTo send a letter, here from {address} to the same, which needs no server:\n"
    )?;
    writeln!(to, "    echo 'It works.' |")?;
    writeln!(
        to,
        "        make-ima-message --from {0} --to {0} --subject 'A letter' |",
        quoted(Path::new(&address))
    )?;
    writeln!(to, "        EMEMO_CONFIG_DIR={dir} server-send-mail\n")?;
    writeln!(to, "To see what has arrived:\n")?;
    writeln!(
        to,
        "    find {inbox}/messages -type f ! -name '*.*' -exec show-ima-message {{}} \\;"
    )?;
    others(plan.users.get(1..).unwrap_or_default(), to)
}

fn others(users: &[User], to: &mut String) -> fmt::Result {
    if users.is_empty() {
        return Ok(());
    }
    let addresses: Vec<_> = users.iter().map(User::address).collect();
    writeln!(to, "\nInboxes are there for {} too.", addresses.join(", "))
}

fn trust(plan: &Plan, to: &mut String) -> fmt::Result {
    match &plan.origin {
        Origin::Given { .. } => match certificate::doubt(plan) {
            None => Ok(()),
            Some(doubt) => writeln!(
                to,
                "\nNote: this system, and others that trust the same authorities, would not believe the\n\
                 certificate: {doubt}\nDoes its file hold the intermediate certificates too?"
            ),
        },
        Origin::Shared { authority } => {
            let authority = authority.join(crate::authority::CERTIFICATE);
            writeln!(
                to,
                "\nThe certificates are from the private authority {}.\n\
                 Only those who name it in `roots` exchange mail with this server, and it with them.",
                authority.display()
            )
        }
        Origin::Own { authority } => {
            let authority = authority.join(crate::authority::CERTIFICATE);
            writeln!(
                to,
                "\nThe certificates are from a private authority of this set-up, {}.\n\
                 Only those who name that file in `roots` exchange mail with this server. For everybody\n\
                 else, put a public certificate with its intermediates and its key in the place of these\n\
                 files; they are read again when they change:\n",
                authority.display()
            )?;
            for identity in plan.identities() {
                let file = |name| plan.dir.join(name);
                let (certificate, key) = (file(identity.certificate), file(identity.key));
                writeln!(to, "    {}\n    {}", certificate.display(), key.display())?;
            }
            Ok(())
        }
    }
}

fn records(plan: &Plan, to: &mut String) -> fmt::Result {
    let port = plan
        .listen
        .iter()
        .map(|listen| listen.port())
        .find(|port| *port != 0)
        .unwrap_or(PORT);
    let Some(first) = plan.hosts.first() else {
        return Ok(());
    };
    let machine = format!("mail.{}.", first.ascii());
    writeln!(
        to,
        "\nTo be found by others, publish these DNS records. Here {machine} stands for the name of\n\
         this machine, and 192.0.2.25 and 2001:db8::25 for its addresses: put your own there.\n"
    )?;
    for host in &plan.hosts {
        writeln!(
            to,
            "    _imdp._tcp.{}. SRV 0 1 {port} {machine}",
            host.ascii()
        )?;
    }
    writeln!(
        to,
        "    {machine} A 192.0.2.25\n    {machine} AAAA 2001:db8::25"
    )?;
    writeln!(
        to,
        "\nThis version of server-send-mail does not look SRV records up yet; later ones do, and so may\n\
         other programs. It connects to the addresses of the mail domain itself, at port {PORT}:\n"
    )?;
    for host in &plan.hosts {
        writeln!(
            to,
            "    {0}. A 192.0.2.25\n    {0}. AAAA 2001:db8::25",
            host.ascii()
        )?;
    }
    if plan.listen.iter().all(|listen| listen.ip().is_loopback()) {
        writeln!(
            to,
            "\nBut as it is set up, server-receive listens on this machine alone, and no record leads to\n\
             it. Others on this machine find it by --peer or [hosts]; the log of server-receive says\n\
             where it listens, event=listening."
        )?;
    } else if port != PORT {
        writeln!(
            to,
            "\nAt port {port} this version finds the server only where [hosts] names it:\n\n    \"{}\" = \"{machine}:{port}\"",
            first.ascii(),
            machine = machine.trim_end_matches('.'),
        )?;
    }
    Ok(())
}
