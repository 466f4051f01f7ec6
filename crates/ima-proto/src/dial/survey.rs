//! All servers of a domain with all their addresses, none of them connected to.

use std::net::IpAddr;
use std::time::Instant;

use ima_message::Hostpart;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::{Cause, DialError, Dialler, runtime};
use crate::find::{self, RecordKind, Target, Way, unusable};

/// What is known of a domain's servers.
#[derive(Debug)]
pub struct Survey {
    /// How they were found.
    pub way: Way,
    /// Who was asked, in words.
    pub asked: String,
    /// SRV records that cannot be used, or are more than are looked at.
    pub passed_over: usize,
    /// The servers, in the order in which they would be tried.
    pub found: Vec<Found>,
}

/// One server.
#[derive(Debug)]
pub struct Found {
    /// Its name and port.
    pub target: Target,
    /// Its addresses, at most 8 of each family.
    pub addresses: Vec<IpAddr>,
    /// What was wrong with looking them up, or with some of them.
    pub faults: Vec<(Option<IpAddr>, Cause)>,
}

impl Dialler {
    /// Looks up what [`Dialler::dial`] would look up, and all of it, within twice
    /// the `connect-timeout`.
    ///
    /// # Errors
    /// A [`DialError`], where no server is known. That some have no address is
    /// none.
    pub fn survey(&self, host: &Hostpart) -> Result<Survey, DialError> {
        let runtime = runtime().map_err(|source| DialError::System {
            host: host.clone(),
            source,
        })?;
        runtime.block_on(self.look_up(host))
    }

    async fn look_up(&self, host: &Hostpart) -> Result<Survey, DialError> {
        let resolver = self.resolver(host)?;
        let servers = self.servers(&resolver, host, self.deadline()).await?;
        let mut found: Vec<_> = servers.targets.into_iter().map(Pending::new).collect();
        let mut tasks = JoinSet::new();
        for (index, one) in found.iter_mut().enumerate() {
            if let Ok(ip) = one.target.name.parse::<IpAddr>() {
                one.take(ip);
                continue;
            }
            for kind in [RecordKind::Aaaa, RecordKind::A] {
                let (resolver, name) = (resolver.clone(), one.target.name.clone());
                one.open = one.open.saturating_add(1);
                tasks.spawn(async move { (index, resolver.addresses(&name, kind).await) });
            }
        }
        let deadline: Instant = self.deadline();
        while let Ok(Some(ended)) = timeout_at(deadline.into(), tasks.join_next()).await {
            let Ok((index, outcome)) = ended else {
                continue;
            };
            let Some(one): Option<&mut Pending> = found.get_mut(index) else {
                continue;
            };
            one.open = one.open.saturating_sub(1);
            match outcome {
                Ok(addresses) => addresses.into_iter().for_each(|ip| one.take(ip)),
                Err(error) => one.faults.push((None, Cause::LookUp(error))),
            }
        }
        Ok(Survey {
            way: servers.way,
            asked: resolver.servers().to_owned(),
            passed_over: servers.passed_over,
            found: found.into_iter().map(Pending::end).collect(),
        })
    }

    /// The targets, until `deadline`.
    pub(super) async fn servers(
        &self,
        resolver: &find::Resolver,
        host: &Hostpart,
        deadline: Instant,
    ) -> Result<find::Servers, DialError> {
        let servers = find::servers(resolver, &self.hosts, self.service, host);
        match timeout_at(deadline.into(), servers).await {
            Ok(servers) => Ok(servers?),
            Err(_) => Err(DialError::LookUpTimedOut {
                host: host.clone(),
                name: self.service.name(host),
                servers: resolver.servers().to_owned(),
                within: self.connect_timeout,
            }),
        }
    }
}

/// A server whose look-ups are under way.
struct Pending {
    target: Target,
    addresses: Vec<IpAddr>,
    faults: Vec<(Option<IpAddr>, Cause)>,
    open: usize,
}

impl Pending {
    fn new(target: Target) -> Pending {
        Pending {
            target,
            addresses: Vec::new(),
            faults: Vec::new(),
            open: 0,
        }
    }

    fn take(&mut self, ip: IpAddr) {
        match unusable(ip) {
            Some(why) => self.faults.push((Some(ip), why.into())),
            None => self.addresses.push(ip),
        }
    }

    fn end(mut self) -> Found {
        self.addresses.sort_by_key(|ip| (ip.is_ipv4(), *ip));
        // One name, and two families: what is wrong with it is said once.
        let mut said = Vec::new();
        self.faults.retain(|(_, cause)| {
            let text = cause.to_string();
            let is_new = !said.contains(&text);
            said.push(text);
            is_new
        });
        if self.open > 0 {
            self.faults.push((None, Cause::LookUpSilent));
        } else if self.addresses.is_empty() && self.faults.is_empty() {
            self.faults.push((None, Cause::NoAddress));
        }
        Found {
            target: self.target,
            addresses: self.addresses,
            faults: self.faults,
        }
    }
}
