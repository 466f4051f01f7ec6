//! A service of a host: where DNS says that it is, and each address of it.

use std::net::SocketAddr;
use std::thread;

use ima_message::Hostpart;
use ima_proto::dial::{self, Cause, DialError, Dialler, Found, Hosts, Survey};
use ima_proto::find::{FindError, Target, Way};
use ima_proto::{imdp, imrp};
use serde::Serialize;

use crate::address::{Address, Look};
use crate::args::Service;
use crate::config::Eyes;
use crate::finding::{Finding, Outcome};

/// Most addresses of a service that are looked at; all at the same time.
const MOST: usize = 32;

/// What was found of each service.
#[derive(Debug)]
pub struct Services(pub Vec<Checked>);

/// What was found of one service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checked {
    /// `imdp` or `imrp`.
    pub service: &'static str,
    /// `srv`, `own-addresses`, `hosts` or `hosts-file`; none where no server was
    /// found.
    pub found_by: Option<&'static str>,
    /// About the service as a whole.
    pub findings: Vec<Finding>,
    /// Each address of each server.
    pub addresses: Vec<Address>,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Service::Imdp => "imdp",
            Service::Imrp => "imrp",
        }
    }

    fn records(self) -> dial::Service {
        match self {
            Service::Imdp => dial::Service::IMDP,
            Service::Imrp => dial::Service::IMRP,
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Service::Imdp => imdp::ALPN,
            Service::Imrp => imrp::ALPN,
        }
    }
}

impl Services {
    /// Looks at these services of a host; where none is named, at IMDP, and at
    /// IMRP where there is an SRV record for it.
    pub fn check(host: &Hostpart, wanted: &[Service], eyes: &Eyes) -> Services {
        if !wanted.is_empty() {
            let each = wanted.iter().enumerate();
            let once =
                each.filter(|(index, one)| wanted.iter().position(|o| o == *one) == Some(*index));
            return Services(
                once.map(|(_, service)| {
                    Checked::new(*service, host, eyes, survey(*service, host, eyes))
                })
                .collect(),
            );
        }
        let first = survey(Service::Imdp, host, eyes);
        let mut checked = vec![Checked::new(Service::Imdp, host, eyes, first)];
        let second = survey(Service::Imrp, host, eyes);
        if matches!(&second, Ok(survey) if survey.way == Way::Srv) {
            checked.push(Checked::new(Service::Imrp, host, eyes, second));
        }
        Services(checked)
    }
}

fn survey(service: Service, host: &Hostpart, eyes: &Eyes) -> Result<Survey, DialError> {
    // [hosts] of server-send-mail.toml says where IMDP is spoken.
    let hosts = match service {
        Service::Imdp => eyes.hosts.clone(),
        Service::Imrp => Hosts::default(),
    };
    Dialler::new(
        hosts,
        service.records(),
        eyes.dns.clone(),
        eyes.connect_timeout,
    )
    .survey(host)
}

impl Checked {
    fn new(
        service: Service,
        host: &Hostpart,
        eyes: &Eyes,
        survey: Result<Survey, DialError>,
    ) -> Checked {
        let mut checked = Checked {
            service: service.name(),
            found_by: None,
            findings: Vec::new(),
            addresses: Vec::new(),
        };
        let survey = match survey {
            Ok(survey) => survey,
            Err(error) => {
                checked.findings.push(nowhere(&error));
                return checked;
            }
        };
        checked.found_by = Some(way(&survey.way));
        checked.findings.push(records(&survey, service, host));
        if survey.passed_over > 0 {
            checked.findings.push(Finding::new(
                "records",
                Outcome::Note,
                format!(
                    "{} SRV records are passed over: they are there twice, have port 0 or a target that is no host name, or are more than 16",
                    survey.passed_over
                ),
            ));
        }
        checked
            .findings
            .extend(survey.found.iter().flat_map(faults));
        let places: Vec<_> = survey
            .found
            .iter()
            .flat_map(|one| one.addresses.iter().map(|ip| (&one.target, *ip)))
            .collect();
        if let Some(more) = places.len().checked_sub(MOST).filter(|more| *more > 0) {
            let text = format!("{more} more addresses are not looked at, nor tried by senders");
            checked
                .findings
                .push(Finding::new("addresses", Outcome::Note, text));
        }
        let look = Look {
            host,
            eyes,
            protocol: service.protocol(),
            is_imdp: service == Service::Imdp,
        };
        checked.addresses = at_once(&look, places.get(..MOST).unwrap_or(&places));
        checked.weigh_routes();
        checked
    }

    /// A family that this machine has no route for is a remark, as long as
    /// another address could be looked at.
    fn weigh_routes(&mut self) {
        let has_seen = self.addresses.iter().any(|address| address.has_route);
        for address in self.addresses.iter_mut().filter(|one| !one.has_route) {
            for finding in &mut address.findings {
                if has_seen && finding.result == Outcome::Unknown {
                    finding.result = Outcome::Note;
                }
            }
        }
    }
}

fn at_once(look: &Look<'_>, places: &[(&Target, std::net::IpAddr)]) -> Vec<Address> {
    thread::scope(|scope| {
        let started: Vec<_> = places
            .iter()
            .map(|(target, ip)| {
                let address = SocketAddr::new(*ip, target.port);
                let spawned =
                    thread::Builder::new().spawn_scoped(scope, move || look.at(target, address));
                (*target, address, spawned)
            })
            .collect();
        let ended = started.into_iter().map(|(target, address, spawned)| {
            let outcome = spawned.ok().and_then(|thread| thread.join().ok());
            outcome.unwrap_or_else(|| Address::not_looked_at(target, address))
        });
        ended.collect()
    })
}

fn way(way: &Way) -> &'static str {
    match way {
        Way::Hosts => "hosts",
        Way::Srv => "srv",
        Way::Own => "own-addresses",
        Way::HostsFile => "hosts-file",
    }
}

fn records(survey: &Survey, service: Service, host: &Hostpart) -> Finding {
    let name = service.records().name(host);
    let servers: Vec<_> = survey
        .found
        .iter()
        .map(|one| format!("{}:{}", one.target.name, one.target.port))
        .collect();
    let servers = servers.join(", ");
    match survey.way {
        Way::Srv => Finding::good(
            "records",
            format!(
                "the SRV records of {name} name {servers} (by {})",
                survey.asked
            ),
        ),
        Way::Own => Finding::good(
            "records",
            format!(
                "there is no SRV record {name}, so the host's own addresses serve, at port {} (by {})",
                service.records().port,
                survey.asked
            ),
        ),
        Way::Hosts => Finding::new(
            "records",
            Outcome::Note,
            format!(
                "[hosts] of the configuration says {servers}: DNS was not asked, and others may find another place"
            ),
        ),
        Way::HostsFile => Finding::new(
            "records",
            Outcome::Unknown,
            format!(
                "the look-up of {name} by {} failed; /etc/hosts has the host, but others have not",
                survey.asked
            ),
        ),
    }
}

/// Why there is no server to look at.
fn nowhere(error: &DialError) -> Finding {
    let is_theirs = match error {
        DialError::NotFound(FindError::NoMail { .. } | FindError::NoTarget { .. }) => true,
        DialError::NotFound(FindError::LookUp { source, .. }) => source.source.is_of_the_zone(),
        _ => false,
    };
    let result = if is_theirs {
        Outcome::Wrong
    } else {
        Outcome::Unknown
    };
    Finding::new("records", result, error.to_string())
}

/// What is wrong with the addresses of a server.
fn faults(found: &Found) -> impl Iterator<Item = Finding> {
    found.faults.iter().map(|(ip, cause)| {
        let name = &found.target.name;
        let (result, advice) = match cause {
            Cause::NoAddress => (Outcome::Wrong, ": it needs A or AAAA records"),
            Cause::Unusable(_) => (Outcome::Wrong, ": take it out of DNS"),
            Cause::LookUp(error) if error.source.is_of_the_zone() => (
                Outcome::Wrong,
                ": it needs A or AAAA records, or DNS must name another host",
            ),
            _ => (Outcome::Unknown, ""),
        };
        let text = match ip {
            Some(ip) => format!("{name}, {ip}: {cause}{advice}"),
            None => format!("{name}: {cause}{advice}"),
        };
        Finding::new("addresses", result, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(addresses: &[(bool, Outcome)]) -> Vec<Outcome> {
        let target = Target {
            priority: 0,
            weight: 0,
            name: "mail.b.test".to_owned(),
            port: 4025,
        };
        let at = SocketAddr::from(([192, 0, 2, 1], 4025));
        let address = |(has_route, result): &(bool, Outcome)| {
            let mut address = Address::not_looked_at(&target, at);
            address.has_route = *has_route;
            address.findings = vec![Finding::new("connection", *result, "")];
            address
        };
        let mut checked = Checked {
            service: "imdp",
            found_by: None,
            findings: Vec::new(),
            addresses: addresses.iter().map(address).collect(),
        };
        checked.weigh_routes();
        let findings = checked.addresses.iter().flat_map(|one| &one.findings);
        findings.map(|finding| finding.result).collect()
    }

    #[test]
    fn a_missing_route_is_a_remark_where_another_address_is_seen() {
        use Outcome::{Good, Note, Unknown, Wrong};
        assert_eq!(results(&[(false, Unknown), (true, Good)]), [Note, Good]);
        assert_eq!(results(&[(false, Unknown), (true, Wrong)]), [Note, Wrong]);
        assert_eq!(results(&[(false, Unknown); 2]), [Unknown; 2]);
        assert_eq!(results(&[(true, Unknown), (true, Good)]), [Unknown, Good]);
    }
}
