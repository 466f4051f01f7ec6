//! The table: every certificate, and what is said of it.

mod names;

use std::sync::Arc;

use rcgen::{BasicConstraints, DnType, ExtendedKeyUsagePurpose as Usage, IsCa, date_time_ymd};
use rustls::AlertDescription as Alert;
use rustls::sign::CertifiedKey;

use super::authority::{Authority, constrained, leaf, leaf_with};
use super::forged::{signed_with_sha1, with_rsa_1024};
use crate::peer::{Ending, Identity};

/// What a server of a host, or a client as that host, does in the handshake.
pub enum Shown {
    Certificate(Arc<CertifiedKey>),
    NoCertificate,
    /// A good certificate, and these protocols by ALPN.
    Protocols(&'static [&'static str]),
    /// TLS 1.2.
    OldTls,
}

/// What is to become of it, in either direction.
pub enum Outcome {
    /// A message passes.
    Good,
    /// It is believed, but it names these, and not the host.
    Names(&'static str),
    /// It is refused in these words, which follow on "…'s certificate", and who
    /// showed it gets this alert.
    Refused(&'static str, Alert),
    /// No certificate is to blame.
    Other {
        /// What server-send-mail says of such a server, after the host.
        of_server: &'static str,
        /// What server-receive logs of such a client, after its address.
        of_client: &'static str,
        /// How the connection ends for the client.
        ending: Ending,
    },
}
use Outcome::{Good, Other, Refused};

pub struct Case {
    pub what: &'static str,
    pub shown: Shown,
    pub host: &'static str,
    pub outcome: Outcome,
}

/// All authorities that the programs trust, and their revocation list.
pub struct Trusted {
    pub root: Authority,
    /// A root that certifies c.test only.
    pub narrow: Authority,
}

/// The serial number that the root has revoked.
const REVOKED: u64 = 7;

impl Trusted {
    pub fn new() -> Trusted {
        Trusted {
            root: Authority::root("Root"),
            narrow: Authority::root_with("Narrow root", constrained),
        }
    }

    pub fn roots(&self) -> String {
        format!("{}{}", self.root.pem, self.narrow.pem)
    }

    pub fn revocations(&self) -> String {
        self.root.revoking(&[REVOKED])
    }

    pub fn good(&self) -> Identity {
        self.root.issue(&leaf(&["c.test"]))
    }

    pub fn cases(&self) -> Vec<Case> {
        [
            validity(&self.root),
            usages(&self.root),
            names::names(&self.root),
            names::common_names(self),
            names::constraints(self),
            cryptography(&self.root),
            other(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// A certificate for c.test.
fn case(what: &'static str, identity: &Identity, outcome: Outcome) -> Case {
    for_host(what, identity, "c.test", outcome)
}

fn for_host(what: &'static str, identity: &Identity, host: &'static str, outcome: Outcome) -> Case {
    Case {
        what,
        shown: Shown::Certificate(identity.certified_key()),
        host,
        outcome,
    }
}

fn unknown_issuer(words: &'static str) -> Outcome {
    Refused(words, Alert::UnknownCA)
}

fn too_many() -> Outcome {
    Refused(
        "comes with more certificates than are looked through for a way to a root: its file must hold it and those between it and its root, and no others",
        Alert::CertificateUnknown,
    )
}

fn wrong_usage(words: &'static str) -> Outcome {
    Refused(words, Alert::UnsupportedCertificate)
}

fn validity(root: &Authority) -> Vec<Case> {
    let expired = leaf_with(&["c.test"], |params| {
        params.not_after = date_time_ymd(2021, 2, 3);
    });
    let early = leaf_with(&["c.test"], |params| {
        params.not_before = date_time_ymd(2119, 1, 1);
    });
    let revoked = leaf_with(&["c.test"], |params| {
        params.serial_number = Some(REVOKED.into());
    });
    let self_signed = leaf(&["c.test"]);
    let authority = leaf_with(&["c.test"], |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let between = root.below("Between", |_| {});
    let six = (1..6).fold(root.below("1", |_| {}), |above, _| {
        above.below("Further", |_| {})
    });
    let mut deep = root.below("0", |_| {});
    for _ in 1..99 {
        deep = deep.below("Deeper", |_| {});
    }
    let mut heavy = root.below("0", |_| {});
    for _ in 1..99 {
        heavy = heavy.below("Heavier", |params| {
            let weight = "x".repeat(400);
            params
                .distinguished_name
                .push(DnType::OrganizationName, weight);
        });
    }
    vec![
        case("good", &root.issue(&leaf(&["c.test"])), Good),
        case(
            "expired",
            &root.issue(&expired),
            Refused(
                "expired at 2021-02-03T00:00:00Z: it must be renewed",
                Alert::CertificateExpired,
            ),
        ),
        case(
            "not yet valid",
            &root.issue(&early),
            Refused(
                "is valid only from 2119-01-01T00:00:00Z on: is a clock wrong?",
                Alert::CertificateExpired,
            ),
        ),
        case(
            "self-signed",
            &Identity::self_signed_with(&self_signed),
            unknown_issuer(
                "is signed by itself: it must be replaced by one of an authority that is in roots here",
            ),
        ),
        case(
            "unknown root",
            &Authority::root("Other").issue(&leaf(&["c.test"])),
            unknown_issuer(
                "was issued by CN=Other, which is not in roots here, and came alone: if that is an intermediate authority, its certificate must be sent along",
            ),
        ),
        case(
            "unknown root of the same name",
            &Authority::root("Root").issue(&leaf(&["c.test"])),
            Refused(
                "or one above it bears a signature that does not verify: it was altered, or its issuer is another authority of the same name, or an RSA key has less than 2048 bits",
                Alert::DecryptError,
            ),
        ),
        case(
            "revoked",
            &root.issue(&revoked),
            Refused(
                "was revoked: it must be replaced",
                Alert::CertificateRevoked,
            ),
        ),
        case(
            "intermediate sent",
            &between.issue(&leaf(&["c.test"])),
            Good,
        ),
        case(
            "unknown root, with an intermediate",
            &Authority::root("Other")
                .below("Middle", |_| {})
                .issue(&leaf(&["c.test"])),
            unknown_issuer("leads to CN=Other, which is not in roots here"),
        ),
        case(
            "intermediate missing",
            &between.issue_alone(&leaf(&["c.test"])),
            unknown_issuer(
                "was issued by CN=Between, which is not in roots here, and came alone: if that is an intermediate authority, its certificate must be sent along",
            ),
        ),
        case(
            "an authority itself",
            &root.issue(&authority),
            Refused(
                "is the certificate of an authority (CA:TRUE), which no server can use",
                Alert::CertificateUnknown,
            ),
        ),
        case(
            "6 authorities between",
            &six.issue(&leaf(&["c.test"])),
            Good,
        ),
        case(
            "7 authorities between",
            &six.below("7", |_| {}).issue(&leaf(&["c.test"])),
            too_many(),
        ),
        case("chain of 100", &deep.issue(&leaf(&["c.test"])), too_many()),
        case(
            "chain of 100 and more than 64 KiB",
            &heavy.issue(&leaf(&["c.test"])),
            Other {
                of_server: " sends more than 64 KiB in one message of the TLS handshake: its chain of certificates is too long",
                of_client: " sends more than 64 KiB in one message of the TLS handshake: its chain of certificates is too long",
                ending: Ending::Truncated,
            },
        ),
    ]
}

fn usages(root: &Authority) -> Vec<Case> {
    let with = |usages: &[Usage]| {
        leaf_with(&["c.test"], |params| {
            params.extended_key_usages = usages.to_vec();
        })
    };
    let below = |name: &str, usage: Usage| {
        root.below(name, |params| params.extended_key_usages = vec![usage])
    };
    let both = [Usage::ServerAuth, Usage::ClientAuth];
    vec![
        case(
            "serverAuth only",
            &root.issue(&with(&[Usage::ServerAuth])),
            Good,
        ),
        case("serverAuth and clientAuth", &root.issue(&with(&both)), Good),
        case("no extended key usage", &root.issue(&with(&[])), Good),
        case(
            "clientAuth only",
            &root.issue(&with(&[Usage::ClientAuth])),
            wrong_usage(
                "or one above it is not for use by a server (serverAuth), only for clientAuth",
            ),
        ),
        case(
            "any usage",
            &root.issue(&with(&[Usage::Any])),
            wrong_usage(
                "or one above it is not for use by a server (serverAuth), only for 2.5.29.37.0",
            ),
        ),
        case(
            "below an authority for serverAuth",
            &below("Servers", Usage::ServerAuth).issue(&with(&both)),
            Good,
        ),
        case(
            "below an authority for clientAuth",
            &below("Clients", Usage::ClientAuth).issue(&with(&both)),
            wrong_usage(
                "or one above it is not for use by a server (serverAuth), only for clientAuth",
            ),
        ),
    ]
}

fn cryptography(root: &Authority) -> Vec<Case> {
    let shows = |what, key, outcome| Case {
        what,
        shown: Shown::Certificate(key),
        host: "c.test",
        outcome,
    };
    vec![
        shows(
            "RSA 1024",
            with_rsa_1024(root, &leaf(&["c.test"])),
            Refused(
                "has an RSA key of 1024 bits, which is too weak: it must be replaced by one of at least 2048, or of an elliptic curve",
                Alert::CertificateUnknown,
            ),
        ),
        shows(
            "SHA-1",
            signed_with_sha1(root, &leaf(&["c.test"])),
            Refused(
                "or one above it is signed with an algorithm that is too weak or not known (such as SHA-1): it must be replaced",
                Alert::DecryptError,
            ),
        ),
    ]
}

fn other() -> Vec<Case> {
    let case = |what, shown, outcome| Case {
        what,
        shown,
        host: "c.test",
        outcome,
    };
    let protocol = |ending| Other {
        of_server: " does not offer the protocol imdp/1 by ALPN",
        of_client: " does not offer the protocol imdp/1 by ALPN",
        ending,
    };
    vec![
        case(
            "no certificate",
            Shown::NoCertificate,
            Other {
                of_server: " has no certificate for that name: it needs an [[identity]] with it",
                of_client: " sent no certificate, and a sending server must have one",
                ending: Ending::Alert(Alert::CertificateRequired),
            },
        ),
        case(
            "TLS 1.2",
            Shown::OldTls,
            Other {
                of_server: " does not speak TLS 1.3, and nothing older is accepted",
                of_client: " does not speak TLS 1.3, and nothing older is accepted",
                ending: Ending::Alert(Alert::ProtocolVersion),
            },
        ),
        case(
            "wrong ALPN",
            Shown::Protocols(&["imrp/1", "h2"]),
            protocol(Ending::Alert(Alert::NoApplicationProtocol)),
        ),
        case("no ALPN", Shown::Protocols(&[]), protocol(Ending::Proper)),
    ]
}
