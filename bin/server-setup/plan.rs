//! What is to be set up: the options, checked.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{self, Path, PathBuf};
use std::slice;

use ima_message::Hostpart;
use ima_program::escape;

use crate::args::{Args, Peer};
use crate::failure::Failure;
use crate::user::{self, User};

/// The folder of those who may log in.
pub(crate) const USERS: &str = "users";

/// The port at which others look for a server (IMDP).
pub(crate) const PORT: u16 = 4025;

/// The port at which users look for a post office (IMRP).
pub(crate) const POST_OFFICE_PORT: u16 = 4110;

/// How far above a server the post office listens.
const ABOVE: u16 = POST_OFFICE_PORT - PORT;

/// The folder of the private authority where none is named.
const OWN_AUTHORITY: &str = "ca";

/// What is to be set up. No host, user or peer stands in it twice, and every
/// path is absolute and can stand in a configuration file.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) dir: PathBuf,
    /// At least one.
    pub(crate) hosts: Vec<Hostpart>,
    pub(crate) users: Vec<User>,
    pub(crate) origin: Origin,
    /// At least one.
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) peers: Vec<Peer>,
}

/// Where the certificates come from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// These files, for all hosts.
    Given { certificate: PathBuf, key: PathBuf },
    /// A private authority in this folder that several set-ups share.
    Shared { authority: PathBuf },
    /// A private authority in the configuration's folder.
    Own { authority: PathBuf },
}

/// An `[[identity]]` block. The paths are as the configuration has them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity<'a> {
    pub(crate) hosts: &'a [Hostpart],
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Plan {
    /// Checks the options against each other; nothing is looked up on the disk
    /// but the working directory.
    ///
    /// # Errors
    /// The first that cannot be.
    pub(crate) fn new(args: Args) -> Result<Self, Failure> {
        let Args {
            dir,
            hosts,
            users,
            ca,
            certificate,
            key,
            listen,
            peers,
        } = args;
        let dir = absolute(dir)?;
        if let Some(host) = first_twice(&hosts) {
            return Err(Failure::HostTwice { host: host.clone() });
        }
        let users = user::users(&users, &hosts)?;
        let origin = match (certificate, key, ca) {
            (Some(certificate), Some(key), _) => Origin::Given {
                certificate: absolute(certificate)?,
                key: absolute(key)?,
            },
            (_, _, Some(authority)) => Origin::Shared {
                authority: absolute(authority)?,
            },
            _ => Origin::Own {
                authority: dir.join(OWN_AUTHORITY),
            },
        };
        if let Some(&listen) = listen.iter().find(|one| one.port() > u16::MAX - ABOVE) {
            return Err(Failure::NoPortAbove {
                listen,
                above: ABOVE,
                last: u16::MAX - ABOVE,
            });
        }
        let peer_hosts: Vec<_> = peers.iter().map(|peer| peer.host.clone()).collect();
        if let Some(host) = first_twice(&peer_hosts) {
            return Err(Failure::PeerTwice { host: host.clone() });
        }
        if let Some(host) = peer_hosts.iter().find(|host| hosts.contains(host)) {
            return Err(Failure::PeerOurs { host: host.clone() });
        }
        Ok(Self {
            dir,
            hosts,
            users,
            origin,
            listen,
            peers,
        })
    }

    /// The `[[identity]]` blocks: one for a certificate that is given, else one
    /// a host.
    pub(crate) fn identities(&self) -> Vec<Identity<'_>> {
        match &self.origin {
            Origin::Given { certificate, key } => vec![Identity {
                hosts: &self.hosts,
                certificate: self.as_configured(certificate),
                key: self.as_configured(key),
            }],
            Origin::Shared { .. } | Origin::Own { .. } => {
                let hosts = self.hosts.iter().map(|host| Identity {
                    hosts: slice::from_ref(host),
                    certificate: certificate_of(host),
                    key: key_of(host),
                });
                hosts.collect()
            }
        }
    }

    /// Where the post office listens: on the same addresses, at ports that are
    /// as far above as 4110 is above 4025, but for 0, which takes a free one.
    pub(crate) fn post_office_listen(&self) -> Vec<SocketAddr> {
        let above = |listen: &SocketAddr| {
            let port = match listen.port() {
                0 => 0,
                port => port.saturating_add(ABOVE),
            };
            SocketAddr::new(listen.ip(), port)
        };
        self.listen.iter().map(above).collect()
    }

    /// Whether nobody but this machine reaches the servers.
    pub(crate) fn is_local(&self) -> bool {
        self.listen.iter().all(|listen| listen.ip().is_loopback())
    }

    /// Where the post office is reached from this machine, if its port is known.
    pub(crate) fn post_office_here(&self) -> Option<SocketAddr> {
        let mut all = self.post_office_listen().into_iter();
        let mut here = all.find(|listen| listen.port() != 0)?;
        if here.ip().is_unspecified() {
            // A socket for all addresses of IPv6 takes IPv4 too.
            here.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        Some(here)
    }

    /// `roots` of the configuration files.
    pub(crate) fn roots(&self) -> Vec<String> {
        let certificate =
            |authority: &Path| self.as_configured(&authority.join(crate::authority::CERTIFICATE));
        match &self.origin {
            Origin::Given { .. } => vec!["system".to_owned()],
            Origin::Shared { authority } => vec![certificate(authority)],
            Origin::Own { authority } => vec!["system".to_owned(), certificate(authority)],
        }
    }

    /// A path as the configuration has it: relative where it is below the
    /// configuration's folder, so that the folder can be moved.
    fn as_configured(&self, path: &Path) -> String {
        path.strip_prefix(&self.dir)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }
}

/// The certificate that is made for a host, from the configuration's folder.
pub(crate) fn certificate_of(host: &Hostpart) -> String {
    format!("tls/{}.pem", host.ascii())
}

/// Its private key.
pub(crate) fn key_of(host: &Hostpart) -> String {
    format!("tls/{}.key", host.ascii())
}

fn absolute(path: PathBuf) -> Result<PathBuf, Failure> {
    let absolute = path::absolute(&path).map_err(|source| Failure::Look {
        path: path.clone(),
        source,
    })?;
    let fits = absolute
        .to_str()
        .is_some_and(|text| !text.contains(escape::is_hidden));
    if fits {
        Ok(absolute)
    } else {
        Err(Failure::UnfitPath { path })
    }
}

fn first_twice(hosts: &[Hostpart]) -> Option<&Hostpart> {
    let mut rest = hosts.iter();
    std::iter::from_fn(|| rest.next().map(|host| (host, rest.clone())))
        .find(|(host, rest)| rest.clone().any(|other| other == *host))
        .map(|(host, _)| host)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn plan(options: &str) -> Result<Plan, String> {
        let args = Args::try_parse_from(format!("server-setup {options}").split(' '));
        Plan::new(args.map_err(|error| error.to_string())?).map_err(|failure| failure.to_string())
    }

    #[test]
    fn certificates_are_one_a_host_or_one_for_all() {
        let own = plan("/d --host b.test --host bücher.test").unwrap();
        assert_eq!(own.roots(), ["system", "ca/ca.pem"]);
        let identities = own.identities();
        let files: Vec<_> = identities
            .iter()
            .map(|identity| (&*identity.certificate, &*identity.key))
            .collect();
        assert_eq!(
            files,
            [
                ("tls/b.test.pem", "tls/b.test.key"),
                ("tls/xn--bcher-kva.test.pem", "tls/xn--bcher-kva.test.key")
            ]
        );

        let shared = plan("/d/b --host b.test --ca /d/ca").unwrap();
        assert_eq!(shared.roots(), ["/d/ca/ca.pem"]);

        let given =
            plan("/d --host b.test --host c.test --certificate /x/c.pem --key /d/k.pem").unwrap();
        assert_eq!(given.roots(), ["system"]);
        let identity = Identity {
            hosts: &given.hosts,
            certificate: "/x/c.pem".into(),
            key: "k.pem".into(),
        };
        assert_eq!(given.identities(), [identity]);
    }

    #[test]
    fn where_no_post_office_can_listen_nothing_is_set_up() {
        let error = plan("/d --host b.test --listen [::1]:65451").unwrap_err();
        assert_eq!(
            error.to_string(),
            "--listen [::1]:65451: server-post-office listens 85 ports above, and there is none: choose 65450 or a port below"
        );
    }

    #[test]
    fn the_post_office_listens_as_far_above_as_its_usual_port() {
        for (listen, post_office) in [
            ("", "[::]:4110"),
            (" --listen 127.0.0.1:0", "127.0.0.1:0"),
            (" --listen 127.0.0.1:4026", "127.0.0.1:4111"),
            (" --listen [::1]:65450", "[::1]:65535"),
        ] {
            let plan = plan(&format!("/d --host b.test{listen}")).unwrap();
            assert_eq!(plan.post_office_listen(), [post_office.parse().unwrap()]);
            let here = match post_office {
                "[::]:4110" => Some("127.0.0.1:4110"),
                "127.0.0.1:0" => None,
                other => Some(other),
            };
            assert_eq!(
                plan.post_office_here(),
                here.map(|here| here.parse().unwrap())
            );
        }
    }

    #[test]
    fn what_cannot_be_is_told_with_what_would_be_right() {
        for (options, says) in [
            ("/d", "--host <HOST>"),
            ("/d --host b", "at least two labels, like b.test"),
            (
                "/d --host b.test --host B.TEST",
                "--host b.test is given twice",
            ),
            ("/d --host b.test --user b@c.test", "give --host c.test too"),
            ("/d --host b.test --listen 4025", "like 127.0.0.1:4025"),
            (
                "/d --host b.test --peer c.test",
                "like b.test=127.0.0.1:4025",
            ),
            (
                "/d --host b.test --peer c=127.0.0.1:1",
                "at least two labels",
            ),
            (
                "/d --host b.test --peer c.test=127.0.0.1",
                "is not \"address:port\"",
            ),
            (
                "/d --host b.test --peer c.test=127.0.0.1:0",
                "event=listening",
            ),
            (
                "/d --host b.test --peer c.test=[::1]:1 --peer C.test=c:1",
                "--peer c.test is given twice",
            ),
            (
                "/d --host b.test --peer b.test=[::1]:1",
                "b.test is a mail domain here",
            ),
            ("/d --host b.test --certificate c.pem", "--key <FILE>"),
            ("/d --host b.test --key c.pem", "--certificate <FILE>"),
            (
                "/d --host b.test --ca ca --certificate c --key k",
                "cannot be used with",
            ),
            ("/d\u{1b}[2J --host b.test", "no control characters"),
        ] {
            let error = plan(options).unwrap_err();
            assert!(error.contains(says), "{options}: {error}");
        }
    }
}
