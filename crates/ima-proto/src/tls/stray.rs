//! Where a chain went that led to no root: what its owner should mend.

use std::fmt;

use ima_program::escape::visible;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The most characters of a stranger's name that are repeated.
const NAME: usize = 100;
/// The most certificates that are followed.
const STEPS: usize = 10;

/// A chain that leads to no root, as the end of a sentence about its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stray {
    /// The certificate is its own issuer.
    SelfSigned,
    /// It came alone; this is its issuer.
    Alone(String),
    /// It came with others, and the last of these has this issuer.
    Leads(String),
}

impl Stray {
    pub(super) fn of(leaf: &CertificateDer<'_>, above: &[CertificateDer<'_>]) -> Stray {
        let parse = |certificate| Some(X509Certificate::from_der(certificate).ok()?.1);
        let Some(leaf) = parse(leaf) else {
            return Stray::Leads("nobody".to_owned());
        };
        if leaf.issuer().as_raw() == leaf.subject().as_raw() {
            return Stray::SelfSigned;
        }
        let is_alone = above.is_empty();
        let above: Vec<_> = above.iter().filter_map(|one| parse(one)).collect();
        let mut last = &leaf;
        for _ in 0..STEPS {
            let mut issuers = above.iter();
            match issuers.find(|one| one.subject().as_raw() == last.issuer().as_raw()) {
                Some(next) if next.issuer().as_raw() != next.subject().as_raw() => last = next,
                _ => break,
            }
        }
        let issuer = last.issuer().to_string();
        let issuer = visible(&issuer).chars().take(NAME).collect();
        match is_alone {
            true => Stray::Alone(issuer),
            false => Stray::Leads(issuer),
        }
    }
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stray::SelfSigned => f.write_str(
                "is signed by itself: it must be replaced by one of an authority that is in roots here",
            ),
            Stray::Alone(issuer) => write!(
                f,
                "was issued by {issuer}, which is not in roots here, and came alone: if that is an intermediate authority, its certificate must be sent along",
            ),
            Stray::Leads(issuer) => write!(f, "leads to {issuer}, which is not in roots here"),
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
mod tests {
    use super::*;
    use crate::tls::tests::authority::Authority;

    fn stray(chain: &[CertificateDer<'_>]) -> Stray {
        Stray::of(&chain[0], &chain[1..])
    }

    #[test]
    fn what_strangers_call_themselves_is_made_safe() {
        let evil = Authority::root(&format!("\u{1b}[2J\n{}", "x".repeat(200)));
        let leaf = evil.issue(Authority::leaf(&["b.test"]));
        let Stray::Alone(issuer) = stray(&leaf.chain) else {
            unreachable!("it came alone");
        };
        assert!(issuer.starts_with("CN=\\e[2J\\nxxx"), "{issuer}");
        assert_eq!(issuer.chars().count(), NAME);
    }

    #[test]
    fn the_last_issuer_is_named_in_whatever_order_they_come() {
        let root = Authority::root("Root");
        let chain = root.intermediate("One", &[]).intermediate("Two", &[]);
        let mut chain = chain.issue(Authority::leaf(&["b.test"])).chain;
        assert_eq!(chain.len(), 3);
        for _ in 0..2 {
            assert_eq!(stray(&chain), Stray::Leads("CN=Root".into()));
            chain.swap(1, 2);
        }
        // A ring has no end, and is left.
        let own = Authority::self_signed(Authority::leaf(&["b.test"])).chain;
        assert_eq!(stray(&own), Stray::SelfSigned);
    }
}
