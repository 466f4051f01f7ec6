//! What is printed at the end: what to run, and what to publish.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::certificate;
use crate::configuration::Configuration;
use crate::plan::{Origin, PORT, POST_OFFICE_PORT, Plan};
use crate::shell::quoted;
use crate::user::User;

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
    writeln!(
        to,
        "\nTo start the servers, for mail that comes in and for users who fetch it:\n"
    )?;
    for server in ["server-receive", "server-post-office"] {
        writeln!(to, "    EMEMO_CONFIG_DIR={dir} {server}")?;
    }
    letter(plan, &dir, to)?;
    login(plan, &dir, to)?;
    trust(plan, to)?;
    records(plan, to)
}

fn letter(plan: &Plan, dir: &str, to: &mut String) -> fmt::Result {
    let Some(user) = plan.users.first() else {
        let routes = plan.dir.join(Configuration::ROUTES);
        return writeln!(
            to,
            "\nNobody has an inbox yet, so all mail is refused. `server-user add` makes one, and a\n\
             route in {} leads to it.",
            routes.display()
        );
    };
    let address = user.address();
    let inbox = quoted(&plan.dir.join(user.inbox()));
    writeln!(
        to,
        "\nTo send a letter, here from {address} to the same, which needs no server. Where the\n\
         exit status is 2, send the file letter.ima again later, since nothing else keeps it:\n"
    )?;
    writeln!(to, "    echo 'It works.' |")?;
    writeln!(
        to,
        "        make-ima-message --from {0} --to {0} --subject 'A letter' |",
        quoted(Path::new(&address))
    )?;
    writeln!(to, "        tee letter.ima |")?;
    writeln!(to, "        EMEMO_CONFIG_DIR={dir} server-send-mail\n")?;
    writeln!(to, "To see what has arrived:\n")?;
    writeln!(
        to,
        "    find {inbox}/messages -type f ! -name '*.*' -exec show-ima-message {{}} \\;"
    )?;
    others(plan.users.get(1..).unwrap_or_default(), to)
}

fn login(plan: &Plan, dir: &str, to: &mut String) -> fmt::Result {
    let Some(user) = plan.users.first() else {
        return Ok(());
    };
    let address = user.address();
    let user = quoted(Path::new(&address));
    writeln!(
        to,
        "\nNobody can log in yet. To let {address} do so, by a password, or by a certificate\n\
         that is made in the folder `take-away`:\n"
    )?;
    writeln!(to, "    EMEMO_CONFIG_DIR={dir} server-user password {user}")?;
    writeln!(
        to,
        "    EMEMO_CONFIG_DIR={dir} server-user certificate {user} --make take-away"
    )?;
    writeln!(
        to,
        "\nThen to fetch the mail into the folder `Mail`, by the password or by the certificate:\n"
    )?;
    let listen = plan.post_office_listen().into_iter().next();
    let listen = listen.filter(|_| plan.post_office_here().is_none());
    let place = listen.map_or_else(String::new, |listen| {
        format!(" --server {}:PORT", host(listen))
    });
    let command = format!("    EMEMO_CONFIG_DIR={dir} fetch-mail{place}");
    let pair = quoted(&Path::new("take-away").join(&address));
    writeln!(to, "{command} Mail")?;
    writeln!(
        to,
        "{command} --certificate {pair}.pem --key {pair}.key Mail"
    )?;
    match listen {
        None => Ok(()),
        Some(_) => writeln!(
            to,
            "\nwhere PORT is the one that the log of server-post-office names, event=listening."
        ),
    }
}

/// An IP address as it stands before a port.
fn host(listen: SocketAddr) -> String {
    match listen.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
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
                 Only those who name it in `roots` exchange mail with this server, and it with them;\n\
                 users name it in `roots` of fetch-mail.toml.",
                authority.display()
            )
        }
        Origin::Own { authority } => {
            let authority = authority.join(crate::authority::CERTIFICATE);
            writeln!(
                to,
                "\nThe certificates are from a private authority of this set-up, {}.\n\
                 Only those who name that file in `roots` exchange mail with this server, and users name\n\
                 it in `roots` of fetch-mail.toml. For everybody else, put a public certificate with its\n\
                 intermediates and its key in the place of these files; they are read again when they\n\
                 change:\n",
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
    let port = |listen: &[SocketAddr], usual| {
        let mut ports = listen.iter().map(SocketAddr::port);
        ports.find(|port| *port != 0).unwrap_or(usual)
    };
    let mail = port(&plan.listen, PORT);
    let post_office = port(&plan.post_office_listen(), POST_OFFICE_PORT);
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
        let host = host.ascii();
        writeln!(to, "    _imdp._tcp.{host}. SRV 0 1 {mail} {machine}")?;
        writeln!(to, "    _imrp._tcp.{host}. SRV 0 1 {post_office} {machine}")?;
    }
    writeln!(
        to,
        "    {machine} A 192.0.2.25\n    {machine} AAAA 2001:db8::25"
    )?;
    writeln!(
        to,
        "\nA mail domain without SRV records is looked for at the addresses of its own name, at the\n\
         ports {PORT} (mail) and {POST_OFFICE_PORT} (users)."
    )?;
    if plan.is_local() {
        writeln!(
            to,
            "\nBut as it is set up, the servers listen on this machine alone, and no record leads to\n\
             them. Others on this machine find them by --peer, --server or [hosts]; the logs say where\n\
             they listen, event=listening."
        )?;
    }
    Ok(())
}
