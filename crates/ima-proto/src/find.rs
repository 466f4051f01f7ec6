//! Finding the servers of a mail domain.
//!
//! `[hosts]` of the configuration comes first. Otherwise the SRV records of the
//! domain (RFC 2782) are asked for, and where it has none, the addresses of the
//! domain itself at the protocol's port.
//!
//! DNS is not trusted. Whatever it says, the server must prove to be the mail
//! domain's by its certificate; so nothing here is a final no, and what DNS can
//! make us do is bounded: so many targets, addresses and aliases, no port 0, no
//! address that is not one machine's, no name that is none.

mod address;
mod dns;
mod hosts;
mod name_error;
mod resolver;
mod srv;

use std::net::SocketAddr;

use ima_message::Hostpart;

pub use address::Unusable;
pub use dns::{Dns, DnsError};
pub use hosts::{Hosts, HostsError};
pub use name_error::{LookUpError, NameError, RecordKind};
pub use srv::Target;

pub(crate) use address::unusable;
pub(crate) use hosts::Entry;
pub(crate) use resolver::Resolver;

/// What is looked for: the label of its SRV records, and its port where there
/// are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// What stands before the domain in the name of the SRV records.
    pub label: &'static str,
    /// The TCP port, where no SRV record names one.
    pub port: u16,
}

impl Service {
    /// Mail from server to server, imdp(7).
    pub const IMDP: Service = Service {
        label: "_imdp._tcp",
        port: crate::imdp::PORT,
    };
    /// Mail from a user's program to a server.
    pub const IMSP: Service = Service {
        label: "_imsp._tcp",
        port: 4587,
    };
    /// Mail from a mailbox to a user's program.
    pub const IMRP: Service = Service {
        label: "_imrp._tcp",
        port: crate::imrp::PORT,
    };

    /// The name of a domain's SRV records.
    #[must_use]
    pub fn name(self, host: &Hostpart) -> String {
        format!("{}.{}", self.label, host.ascii())
    }
}

/// How the servers of a domain were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// `[hosts]` of the configuration names the place.
    Hosts,
    /// By SRV records.
    Srv,
    /// By the domain's own addresses: it has no SRV records.
    Own,
    /// By the domain's own addresses in the system's file of hosts, after the
    /// look-up of its SRV records had failed.
    HostsFile,
}

/// The servers of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// How they were found.
    pub way: Way,
    /// In the order in which they are to be tried; at least one.
    pub targets: Vec<Target>,
    /// SRV records that nobody can use, such as those with port 0, and those
    /// past the limit.
    pub passed_over: usize,
}

/// Why no server of a domain was found.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FindError {
    /// A look-up failed.
    #[error("{host}: {source}")]
    LookUp {
        /// The mail domain.
        host: Hostpart,
        /// What failed.
        source: LookUpError,
    },
    /// The domain says that it takes no mail. As DNS is not trusted, that is no
    /// final no.
    #[error(
        "{host} takes no IMA mail: the target of its SRV record {name} is \".\" (by {servers}); if that is wrong, its owner must mend the record"
    )]
    NoMail {
        /// The mail domain.
        host: Hostpart,
        /// The name of the SRV records.
        name: String,
        /// Who said so.
        servers: String,
    },
    /// There are SRV records, and none can be used.
    #[error(
        "{host}: none of the {count} SRV records of {name} can be used (by {servers}): each has port 0 or a target that is no host name; its owner must mend them"
    )]
    NoTarget {
        /// The mail domain.
        host: Hostpart,
        /// The name of the SRV records.
        name: String,
        /// How many there are.
        count: usize,
        /// Who said so.
        servers: String,
    },
}

/// A place of `[hosts]` that is an address, so that nothing is to be looked up.
pub(crate) fn fixed(hosts: &Hosts, host: &Hostpart) -> Option<SocketAddr> {
    match hosts.entry(host) {
        Some(Entry::Address(address)) => Some(*address),
        _ => None,
    }
}

/// The targets for `host`, whose addresses are still to be looked up.
pub(crate) async fn servers(
    resolver: &Resolver,
    hosts: &Hosts,
    service: Service,
    host: &Hostpart,
) -> Result<Servers, FindError> {
    let one = |way, target| Servers {
        way,
        targets: vec![target],
        passed_over: 0,
    };
    let own = || Target::at(host.ascii(), service.port);
    match hosts.entry(host) {
        Some(Entry::Address(address)) => {
            let target = Target::at(&address.ip().to_string(), address.port());
            return Ok(one(Way::Hosts, target));
        }
        Some(Entry::Name(name, port)) => return Ok(one(Way::Hosts, Target::at(name, *port))),
        None => {}
    }
    let name = service.name(host);
    let records = match resolver.services(&name).await {
        Ok(records) => records,
        Err(error) if error.source.means_none() => Vec::new(),
        Err(_) if resolver.has_in_file(host.ascii()) => return Ok(one(Way::HostsFile, own())),
        Err(source) => {
            let host = host.clone();
            return Err(FindError::LookUp { host, source });
        }
    };
    if records.is_empty() {
        return Ok(one(Way::Own, own()));
    }
    let count = records.len();
    let (host, servers) = (host.clone(), resolver.servers().to_owned());
    // RFC 2782: "." stands alone.
    if records.iter().all(|record| record.target == ".") {
        return Err(FindError::NoMail {
            host,
            name,
            servers,
        });
    }
    let targets = srv::order(records, &mut srv::random);
    if targets.is_empty() {
        return Err(FindError::NoTarget {
            host,
            name,
            count,
            servers,
        });
    }
    Ok(Servers {
        way: Way::Srv,
        passed_over: count.saturating_sub(targets.len()),
        targets,
    })
}
