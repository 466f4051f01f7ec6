//! Addresses that DNS gives and that are no machine's to connect to.

use std::net::IpAddr;

/// Why an address is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// `0.0.0.0` or `::`.
    #[error("this is the address of no machine (unspecified)")]
    Unspecified,
    /// A group of machines.
    #[error("this is the address of many machines (multicast)")]
    Multicast,
    /// All machines of a network.
    #[error("this is the address of all machines (broadcast)")]
    Broadcast,
    /// Another machine on every link.
    #[error("this is the address of another machine on every network (link-local)")]
    LinkLocal,
}

/// Why nobody can be connected to there, if so. Loopback and private addresses
/// can: a machine may well be the server of the domain that it asks for, and
/// what is sent before the certificate has been checked is a TLS hello.
pub(crate) fn unusable(address: IpAddr) -> Option<Unusable> {
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_broadcast() => Some(Unusable::Broadcast),
        // All of 0.0.0.0/8: Linux takes 0.0.0.0 for the machine itself.
        IpAddr::V4(v4) if v4.octets().first() == Some(&0) => Some(Unusable::Unspecified),
        IpAddr::V4(v4) if v4.is_link_local() => Some(Unusable::LinkLocal),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(Unusable::LinkLocal),
        ip if ip.is_unspecified() => Some(Unusable::Unspecified),
        ip if ip.is_multicast() => Some(Unusable::Multicast),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_one_machine_can_be_connected_to() {
        for (text, why) in [
            ("0.0.0.0", Some(Unusable::Unspecified)),
            ("0.1.2.3", Some(Unusable::Unspecified)),
            ("::", Some(Unusable::Unspecified)),
            ("::ffff:0.0.0.0", Some(Unusable::Unspecified)),
            ("224.0.0.1", Some(Unusable::Multicast)),
            ("::ffff:239.1.2.3", Some(Unusable::Multicast)),
            ("ff02::1", Some(Unusable::Multicast)),
            ("255.255.255.255", Some(Unusable::Broadcast)),
            ("169.254.169.254", Some(Unusable::LinkLocal)),
            ("fe80::1", Some(Unusable::LinkLocal)),
            ("127.0.0.1", None),
            ("::1", None),
            ("10.1.2.3", None),
            ("192.0.2.4", None),
            ("2001:db8::4", None),
        ] {
            assert_eq!(unusable(text.parse().unwrap()), why, "{text}");
        }
    }
}
