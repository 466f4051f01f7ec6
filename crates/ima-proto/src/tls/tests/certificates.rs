//! Certificates, good and bad, and what is to become of each.

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose as Usage, SanType, date_time_ymd};
use rustls::{AlertDescription as Alert, CertificateError as Fault};

use super::authority::{Authority, Leaf};

/// What becomes of a certificate.
pub enum Expected {
    /// It speaks for the host.
    Good,
    /// It is believed, but does not speak for the host.
    WrongName,
    /// It is refused, with this alert.
    Refused(fn(&Fault) -> bool, Alert),
}
use Expected::{Good, Refused, WrongName};

pub struct Row {
    pub what: &'static str,
    pub leaf: Leaf,
    pub host: &'static str,
    pub expected: Expected,
}

fn row(what: &'static str, leaf: Leaf, host: &'static str, expected: Expected) -> Row {
    Row {
        what,
        leaf,
        host,
        expected,
    }
}

/// The parameters of a good certificate for `b.test`, changed.
fn changed(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = Authority::leaf(&["b.test"]);
    change(&mut params);
    params
}

fn with_usages(usages: &[Usage]) -> CertificateParams {
    changed(|params| params.extended_key_usages = usages.to_vec())
}

fn with_common_name(mut params: CertificateParams, name: &str) -> CertificateParams {
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn unknown_issuer() -> Expected {
    Refused(
        |fault| matches!(fault, Fault::UnknownIssuer),
        Alert::UnknownCA,
    )
}

fn wrong_usage() -> Expected {
    Refused(
        |fault| matches!(fault, Fault::InvalidPurposeContext { .. }),
        Alert::UnsupportedCertificate,
    )
}

fn validity(root: &Authority) -> Vec<Row> {
    let expired = changed(|params| params.not_after = date_time_ymd(2021, 1, 1));
    let early = changed(|params| params.not_before = date_time_ymd(2119, 1, 1));
    let signed_by_itself = Authority::leaf(&["b.test"]);
    let mut cut = root
        .intermediate("between", &[])
        .issue(Authority::leaf(&["b.test"]));
    cut.chain.truncate(1);
    let between = root.intermediate("between", &[]);
    let mut deep = root.intermediate("0", &[]);
    for _ in 0..99 {
        deep = deep.intermediate("deeper", &[]);
    }
    vec![
        row(
            "good",
            root.issue(Authority::leaf(&["b.test"])),
            "b.test",
            Good,
        ),
        row(
            "expired",
            root.issue(expired),
            "b.test",
            Refused(
                |fault| matches!(fault, Fault::ExpiredContext { .. }),
                Alert::CertificateExpired,
            ),
        ),
        row(
            "not yet valid",
            root.issue(early),
            "b.test",
            Refused(
                |fault| matches!(fault, Fault::NotValidYetContext { .. }),
                Alert::CertificateExpired,
            ),
        ),
        row(
            "self-signed",
            Authority::self_signed(signed_by_itself),
            "b.test",
            unknown_issuer(),
        ),
        row(
            "unknown root",
            Authority::root("other").issue(Authority::leaf(&["b.test"])),
            "b.test",
            unknown_issuer(),
        ),
        row(
            "unknown root of the same name",
            Authority::root("root").issue(Authority::leaf(&["b.test"])),
            "b.test",
            Refused(|_| true, Alert::DecryptError),
        ),
        row("intermediate missing", cut, "b.test", unknown_issuer()),
        row(
            "intermediate sent",
            between.issue(Authority::leaf(&["b.test"])),
            "b.test",
            Good,
        ),
        row(
            "chain of 100",
            deep.issue(Authority::leaf(&["b.test"])),
            "b.test",
            Refused(|_| true, Alert::CertificateUnknown),
        ),
    ]
}

fn usages(root: &Authority) -> Vec<Row> {
    let for_clients = root.intermediate("clients", &[Usage::ClientAuth]);
    let for_servers = root.intermediate("servers", &[Usage::ServerAuth]);
    let both = [Usage::ServerAuth, Usage::ClientAuth];
    vec![
        row(
            "serverAuth",
            root.issue(with_usages(&[Usage::ServerAuth])),
            "b.test",
            Good,
        ),
        row("both", root.issue(with_usages(&both)), "b.test", Good),
        row("no usage", root.issue(with_usages(&[])), "b.test", Good),
        row(
            "clientAuth",
            root.issue(with_usages(&[Usage::ClientAuth])),
            "b.test",
            wrong_usage(),
        ),
        row(
            "any usage",
            root.issue(with_usages(&[Usage::Any])),
            "b.test",
            wrong_usage(),
        ),
        row(
            "clientAuth above",
            for_clients.issue(with_usages(&both)),
            "b.test",
            wrong_usage(),
        ),
        row(
            "serverAuth above",
            for_servers.issue(with_usages(&both)),
            "b.test",
            Good,
        ),
    ]
}

fn names(root: &Authority) -> Vec<Row> {
    let only = |names: &[&str]| root.issue(Authority::leaf(names));
    let common_name =
        |names: &[&str], name| root.issue(with_common_name(Authority::leaf(names), name));
    let kinds = changed(|params| {
        params.subject_alt_names = vec![
            SanType::URI("https://b.test".try_into().unwrap()),
            SanType::Rfc822Name("bob@b.test".try_into().unwrap()),
        ];
    });
    vec![
        row("wrong name", only(&["c.test"]), "b.test", WrongName),
        row(
            "one of several",
            only(&["c.test", "b.test"]),
            "b.test",
            Good,
        ),
        row(
            "SAN and another CN",
            common_name(&["b.test"], "c.test"),
            "b.test",
            Good,
        ),
        row(
            "CN and another SAN",
            common_name(&["c.test"], "b.test"),
            "b.test",
            WrongName,
        ),
        row("CN alone", common_name(&[], "b.test"), "b.test", WrongName),
        row("wildcard", only(&["*.b.test"]), "mail.b.test", Good),
        row("wildcard for a domain", only(&["*.test"]), "b.test", Good),
        row(
            "wildcard, two labels",
            only(&["*.b.test"]),
            "x.mail.b.test",
            WrongName,
        ),
        row(
            "wildcard, no label",
            only(&["*.b.test"]),
            "b.test",
            WrongName,
        ),
        row("star alone", only(&["*"]), "b.test", WrongName),
        row("two stars", only(&["*.*"]), "b.test", WrongName),
        row(
            "star further right",
            only(&["mail.*.test"]),
            "mail.b.test",
            WrongName,
        ),
        row("partial wildcard", only(&["b*.test"]), "b.test", WrongName),
        row(
            "partial wildcard, more",
            only(&["b*.test"]),
            "bee.test",
            WrongName,
        ),
        row(
            "A-label",
            only(&["xn--bcher-kva.test"]),
            "bücher.test",
            Good,
        ),
        row("upper case", only(&["B.TEST"]), "b.test", Good),
        row(
            "upper-case A-label",
            only(&["XN--BCHER-KVA.test"]),
            "bücher.test",
            Good,
        ),
        row("upper-case host", only(&["b.test"]), "B.Test", Good),
        row("IP SAN alone", only(&["127.0.0.1"]), "b.test", WrongName),
        row("URI and e-mail SAN", root.issue(kinds), "b.test", WrongName),
        row("dot at the end", only(&["b.test."]), "b.test", WrongName),
        row(
            "longer at the left",
            only(&["b.test"]),
            "ab.test",
            WrongName,
        ),
        row("subdomain", only(&["b.test"]), "mail.b.test", WrongName),
    ]
}

pub fn rows(root: &Authority) -> impl Iterator<Item = Row> {
    [validity(root), usages(root), names(root)]
        .into_iter()
        .flatten()
}
