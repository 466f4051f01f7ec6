//! Questions to DNS, each with a bounded answer.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::FirstAnswer as _;
use hickory_resolver::net::{DnsHandle as _, RetryDnsHandle};
use hickory_resolver::proto::op::{DnsRequestOptions, Query};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, NameServerPool, PoolContext, TlsConfig, system_conf};

use super::dns::Dns;
use super::name_error::{ALIASES, LookUpError, NameError, RecordKind};
use super::srv::SrvRecord;

/// Most addresses of one family that are taken of a name.
const ADDRESSES: usize = 8;
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Asks the configured servers. Lives within one tokio runtime.
#[derive(Clone)]
pub(crate) struct Resolver {
    handle: RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>,
    options: DnsRequestOptions,
    /// The system's file of hosts; empty where servers are configured.
    file: std::sync::Arc<Hosts>,
    servers: std::sync::Arc<str>,
}

impl Resolver {
    /// `within` is how long a look-up may take in all.
    pub(crate) fn open(dns: &Dns, within: Duration) -> Result<Resolver, NameError> {
        let (config, mut options) = match dns {
            Dns::System => system()?,
            Dns::Servers(servers) => {
                let servers = servers.iter().map(|server| at(server.ip(), server.port()));
                let config = ResolverConfig::from_name_servers(servers.collect());
                (config, ResolverOpts::default())
            }
        };
        // There is time for two tries at least, and for one to be answered.
        options.timeout = options.timeout.max(Duration::from_secs(1)).min(within / 2);
        options.attempts = options.attempts.clamp(1, 4);
        let mut request = DnsRequestOptions::default();
        request.use_edns = true;
        request.recursion_desired = true;
        let attempts = options.attempts;
        let tls = TlsConfig::new().map_err(|error| NameError::broken(&error))?;
        let context = std::sync::Arc::new(PoolContext::new(options, tls));
        let (_, _, servers) = config.into_parts();
        let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
        Ok(Resolver {
            handle: RetryDnsHandle::new(pool, attempts),
            options: request,
            file: std::sync::Arc::new(match dns {
                Dns::System => Hosts::from_system().unwrap_or_default(),
                Dns::Servers(_) => Hosts::default(),
            }),
            servers: dns.to_string().into(),
        })
    }

    /// Who is asked, in words.
    pub(crate) fn servers(&self) -> &str {
        &self.servers
    }

    /// The SRV records of a name; none where there are none of this kind.
    pub(crate) async fn services(&self, name: &str) -> Result<Vec<SrvRecord>, LookUpError> {
        if is_local(name) {
            return Ok(Vec::new());
        }
        let found = self.records(name, RecordKind::Srv).await;
        let found = found.map_err(|source| self.error(name, RecordKind::Srv, source))?;
        let record = |data| match data {
            RData::SRV(srv) => Some(SrvRecord {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_ascii(),
            }),
            _ => None,
        };
        Ok(found.into_iter().filter_map(record).collect())
    }

    /// The addresses of a name, of one family, at most 8. Those of the system's
    /// file of hosts go before DNS, and `localhost` is never asked for.
    pub(crate) async fn addresses(
        &self,
        name: &str,
        kind: RecordKind,
    ) -> Result<Vec<IpAddr>, LookUpError> {
        let in_file = self.in_file(name);
        let all = if in_file.is_empty() {
            let found = self.records(name, kind).await;
            let found = found.map_err(|source| self.error(name, kind, source))?;
            found.iter().filter_map(ip).collect()
        } else {
            in_file
        };
        let is_wanted = |address: &IpAddr| address.is_ipv4() == (kind == RecordKind::A);
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in all.into_iter().filter(is_wanted) {
            if addresses.len() < ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    /// Whether the system's file of hosts has the name.
    pub(crate) fn has_in_file(&self, name: &str) -> bool {
        !self.in_file(name).is_empty()
    }

    fn in_file(&self, name: &str) -> Vec<IpAddr> {
        let Ok(asked) = absolute(name) else {
            return Vec::new();
        };
        let kinds = [RecordType::A, RecordType::AAAA].into_iter();
        let lookups = kinds.filter_map(|kind| {
            self.file
                .lookup_static_host(&Query::query(asked.clone(), kind))
        });
        let found: Vec<IpAddr> = lookups
            .flat_map(|lookup| {
                let addresses = lookup.answers().iter();
                addresses
                    .filter_map(|record| ip(&record.data))
                    .collect::<Vec<_>>()
            })
            .collect();
        if found.is_empty() && is_local(name) {
            return vec![
                std::net::Ipv4Addr::LOCALHOST.into(),
                std::net::Ipv6Addr::LOCALHOST.into(),
            ];
        }
        found
    }

    /// The records of a name, over its aliases.
    async fn records(&self, name: &str, kind: RecordKind) -> Result<Vec<RData>, NameError> {
        let kind = match kind {
            RecordKind::A => RecordType::A,
            RecordKind::Aaaa => RecordType::AAAA,
            RecordKind::Srv => RecordType::SRV,
        };
        let mut name = absolute(name)?;
        let mut aliases = 0;
        loop {
            let query = Query::query(name.clone(), kind);
            let answer = self.handle.lookup(query, self.options).first_answer().await;
            let answers = match answer {
                Ok(response) => response.into_message().answers,
                Err(error) => return NameError::of(error).map_or(Ok(Vec::new()), Err),
            };
            let asked = name.clone();
            loop {
                let here = || answers.iter().filter(|record| record.name == name);
                let wanted = here().filter(|record| record.record_type() == kind);
                let data: Vec<RData> = wanted.map(|record| record.data.clone()).collect();
                if !data.is_empty() {
                    return Ok(data);
                }
                let alias = here().find_map(|record| match &record.data {
                    RData::CNAME(CNAME(to)) => Some(to.clone()),
                    _ => None,
                });
                let Some(alias) = alias else { break };
                name = alias;
                aliases += 1;
                if aliases > ALIASES {
                    return Err(NameError::Aliases);
                }
            }
            if name == asked {
                return Ok(Vec::new());
            }
        }
    }

    fn error(&self, name: &str, kind: RecordKind, source: NameError) -> LookUpError {
        LookUpError {
            name: name.to_owned(),
            kind,
            servers: self.servers.to_string(),
            source,
        }
    }
}

/// What resolv.conf(5) says; without one, the server on this machine.
fn system() -> Result<(ResolverConfig, ResolverOpts), NameError> {
    let text = match std::fs::read(Path::new(RESOLV_CONF)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(unreadable(&error)),
    };
    let names_servers = |text: &[u8]| {
        text.split(|octet| *octet == b'\n')
            .any(|line| line.trim_ascii_start().starts_with(b"nameserver"))
    };
    if !names_servers(&text) {
        let local = at(std::net::Ipv4Addr::LOCALHOST.into(), 53);
        let config = ResolverConfig::from_name_servers(vec![local]);
        return Ok((config, ResolverOpts::default()));
    }
    system_conf::parse_resolv_conf(&text).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::error::Error) -> NameError {
    NameError::NoResolver(format!(
        "{RESOLV_CONF} cannot be used: {}; mend it, or set dns in the configuration",
        super::name_error::short(error)
    ))
}

fn at(ip: IpAddr, port: u16) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(ip);
    for connection in &mut server.connections {
        connection.port = port;
    }
    server
}

/// Names that never go out to DNS (RFC 6761, 6.3).
fn is_local(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// The name as it stands: nothing is ever put behind it.
fn absolute(name: &str) -> Result<Name, NameError> {
    let mut name = Name::from_ascii(name).map_err(|_| NameError::TooLong)?;
    name.set_fqdn(true);
    Ok(name)
}

fn ip(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(A(v4)) => Some(IpAddr::V4(*v4)),
        RData::AAAA(AAAA(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}
