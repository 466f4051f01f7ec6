//! `[hosts]` of the configuration: fixed places of servers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ima_message::{Hostpart, HostpartError};
use serde::Deserialize;

/// `[hosts]`: fixed places of servers, `"b.test" = "127.0.0.1:4025"`. A name in
/// the place of the address is looked up, as it stands: no search list of the
/// system is gone through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Hosts(BTreeMap<Hostpart, Entry>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// An address.
    Address(SocketAddr),
    /// A name and a port.
    Name(String, u16),
}

/// What is wrong with `[hosts]`.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// A key is no hostpart.
    #[error("{host:?} in [hosts] is not a mail domain: {source}")]
    NoHost {
        /// What was written.
        host: String,
        /// The rule it breaks.
        source: HostpartError,
    },
    /// A value is no address with a port.
    #[error(
        "{place:?} for {host} in [hosts] is not \"address:port\", like \"127.0.0.1:4025\" or \"[::1]:4025\""
    )]
    NoPlace {
        /// The host.
        host: Hostpart,
        /// What was written.
        place: String,
    },
    /// A host stands there in two spellings.
    #[error("{host} stands in [hosts] twice")]
    Twice {
        /// The host.
        host: Hostpart,
    },
}

impl Hosts {
    pub(crate) fn entry(&self, host: &Hostpart) -> Option<&Entry> {
        self.0.get(host)
    }
}

impl TryFrom<BTreeMap<String, String>> for Hosts {
    type Error = HostsError;

    fn try_from(written: BTreeMap<String, String>) -> Result<Hosts, HostsError> {
        let mut hosts = BTreeMap::new();
        for (host, place) in written {
            let host =
                Hostpart::parse(&host).map_err(|source| HostsError::NoHost { host, source })?;
            let Some(entry) = Entry::parse(&place) else {
                return Err(HostsError::NoPlace { host, place });
            };
            if hosts.insert(host.clone(), entry).is_some() {
                return Err(HostsError::Twice { host });
            }
        }
        Ok(Hosts(hosts))
    }
}

impl Entry {
    fn parse(place: &str) -> Option<Entry> {
        if let Ok(address) = place.parse::<SocketAddr>() {
            return Some(Entry::Address(address));
        }
        let (name, port) = place.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let name = super::srv::host_name(name)?;
        Some(Entry::Name(name, port))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn hosts(entries: &[(&str, &str)]) -> Result<Hosts, HostsError> {
        let entries = entries.iter().map(|(a, b)| (a.to_string(), b.to_string()));
        Hosts::try_from(entries.collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn hosts_are_checked() {
        let good = hosts(&[
            ("b.test", "[::1]:4025"),
            ("bücher.test", "Mail.b.test:4025"),
            ("c.test", "mail:4025"),
        ])
        .unwrap();
        let entry = |host: &str| good.entry(&Hostpart::parse(host).unwrap()).cloned();
        let name = Entry::Name("mail.b.test".to_owned(), 4025);
        assert_eq!(entry("xn--bcher-kva.test"), Some(name));
        assert_eq!(entry("d.test"), None);
        for (entries, part) in [
            (&[("b_.test", "127.0.0.1:1")][..], "\"b_.test\" in [hosts]"),
            (&[("b.test", "127.0.0.1")], "not \"address:port\""),
            (&[("b.test", "127.0.0.1:65536")], "not \"address:port\""),
            (&[("b.test", "::1:4025")], "not \"address:port\""),
            (&[("b.test", ":4025")], "not \"address:port\""),
            (&[("b.test", "a name:4025")], "not \"address:port\""),
            (
                &[("b.test", "127.0.0.1:1"), ("B.test", "127.0.0.1:2")],
                "b.test stands in [hosts] twice",
            ),
        ] {
            let error = hosts(entries).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
