//! The key `dns` of the configuration: who is asked.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, de};

/// Most servers that `dns` may list.
const MOST: usize = 8;

/// `dns`: `"system"`, or a list of servers like `["127.0.0.1:5353"]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Dns {
    /// The servers that `/etc/resolv.conf` names; names that stand in
    /// `/etc/hosts` have the addresses that they have there.
    #[default]
    System,
    /// These, and nothing else; at least one, and at most eight.
    Servers(Vec<SocketAddr>),
}

/// What is wrong with `dns`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// A text, and another one than `"system"`.
    #[error("{0:?} is not \"system\"; servers stand in a list, like [\"127.0.0.1:5353\"]")]
    NotSystem(String),
    /// A server is no address with a port.
    #[error("{0:?} is not \"address:port\", like \"192.0.2.53:53\" or \"[2001:db8::53]:53\"")]
    NoServer(String),
    /// The list is empty, or too long.
    #[error("the list has {0} servers: write one to {MOST}, or \"system\"")]
    Count(usize),
}

impl Dns {
    fn servers(written: &[String]) -> Result<Dns, DnsError> {
        if written.is_empty() || written.len() > MOST {
            return Err(DnsError::Count(written.len()));
        }
        let server = |text: &String| match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => Ok(address),
            _ => Err(DnsError::NoServer(text.clone())),
        };
        Ok(Dns::Servers(
            written.iter().map(server).collect::<Result<_, _>>()?,
        ))
    }
}

/// As it stands in an error message: who was asked.
impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dns::System => f.write_str("the DNS servers of /etc/resolv.conf"),
            Dns::Servers(servers) => {
                f.write_str("the DNS server ")?;
                for (index, server) in servers.iter().enumerate() {
                    let between = if index == 0 { "" } else { " or " };
                    write!(f, "{between}{server}")?;
                }
                Ok(())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Dns {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Dns, D::Error> {
        from.deserialize_any(DnsVisitor)
    }
}

struct DnsVisitor;

impl<'de> de::Visitor<'de> for DnsVisitor {
    type Value = Dns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"system\" or a list of servers like [\"127.0.0.1:5353\"]")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Dns, E> {
        match text {
            "system" => Ok(Dns::System),
            other => Err(E::custom(DnsError::NotSystem(other.to_owned()))),
        }
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Dns, A::Error> {
        let mut written = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            written.push(text);
        }
        Dns::servers(&written).map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn servers(list: &[&str]) -> Result<Dns, DnsError> {
        Dns::servers(&list.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn servers_are_addresses_with_a_port() {
        let two = servers(&["127.0.0.1:5353", "[::1]:53"]).unwrap();
        assert_eq!(two.to_string(), "the DNS server 127.0.0.1:5353 or [::1]:53");
        for bad in ["127.0.0.1", "127.0.0.1:0", "::1:53", "dns.test:53", ""] {
            assert_eq!(servers(&[bad]), Err(DnsError::NoServer(bad.to_owned())));
        }
        assert_eq!(servers(&[]), Err(DnsError::Count(0)));
        assert_eq!(servers(&["127.0.0.1:53"; 9]), Err(DnsError::Count(9)));
    }
}
