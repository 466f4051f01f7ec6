//! The names of a certificate, and what its authorities may certify.

use rcgen::{CertificateParams, DnType, SanType};
use rustls::AlertDescription as Alert;

use super::Outcome::{Good, Names, Refused};
use super::{Case, Trusted, case, for_host};
use crate::certificates::authority::{Authority, constrained, leaf, leaf_with};

pub fn names(root: &Authority) -> Vec<Case> {
    let of = |names: &[&str]| root.issue(&leaf(names));
    let kinds = leaf_with(&[], |params| {
        params.subject_alt_names = vec![
            SanType::URI("https://c.test".try_into().unwrap()),
            SanType::Rfc822Name("carol@c.test".try_into().unwrap()),
        ];
    });
    vec![
        case("right chain, wrong name", &of(&["d.test"]), Names("d.test")),
        case("one of several names", &of(&["d.test", "c.test"]), Good),
        case("longer at the left", &of(&["xc.test"]), Names("xc.test")),
        case("a name below", &of(&["mail.c.test"]), Names("mail.c.test")),
        for_host(
            "a name above",
            &of(&["c.test"]),
            "mail.c.test",
            Names("c.test"),
        ),
        for_host(
            "wildcard for one label",
            &of(&["*.c.test"]),
            "mail.c.test",
            Good,
        ),
        case("wildcard for the domain itself", &of(&["*.test"]), Good),
        for_host(
            "wildcard for two labels",
            &of(&["*.c.test"]),
            "x.mail.c.test",
            Names("*.c.test"),
        ),
        case("wildcard for none", &of(&["*.c.test"]), Names("*.c.test")),
        case("* alone", &of(&["*"]), Names("*")),
        case("*.*", &of(&["*.*"]), Names("*.*")),
        for_host(
            "two wildcards",
            &of(&["*.*.test"]),
            "mail.c.test",
            Names("*.*.test"),
        ),
        for_host(
            "wildcard further right",
            &of(&["mail.*.test"]),
            "mail.c.test",
            Names("mail.*.test"),
        ),
        case("partial wildcard", &of(&["c*.test"]), Names("c*.test")),
        for_host(
            "partial wildcard, more",
            &of(&["c*.test"]),
            "cat.test",
            Names("c*.test"),
        ),
        case(
            "partial wildcard, less",
            &of(&["*c.test"]),
            Names("*c.test"),
        ),
        for_host(
            "A-label against U-label",
            &of(&["xn--bcher-kva.test"]),
            "bücher.test",
            Good,
        ),
        for_host(
            "upper-case A-label against U-label",
            &of(&["XN--BCHER-KVA.test"]),
            "bücher.test",
            Good,
        ),
        case("upper case", &of(&["C.TEST"]), Good),
        for_host("upper case asked for", &of(&["c.test"]), "C.Test", Good),
        case("dot at the end", &of(&["c.test."]), Names("c.test.")),
        case("IP SAN", &of(&["127.0.0.1"]), Names("")),
        case("URI and e-mail SAN", &root.issue(&kinds), Names("")),
        case(
            "names that are no names",
            &of(&["x\ny", "\u{1b}[1m", "c.test\0.d.test", "d.test"]),
            Names("d.test"),
        ),
        case("no names at all", &of(&[]), Names("")),
    ]
}

fn common(mut params: CertificateParams, names: &[&str]) -> CertificateParams {
    for name in names {
        params.distinguished_name.push(DnType::CommonName, *name);
    }
    params
}

pub fn common_names(trusted: &Trusted) -> Vec<Case> {
    let of = |names: &[&str], common_name: &str| {
        trusted.root.issue(&common(leaf(names), &[common_name]))
    };
    let two = common(
        leaf_with(&[], |params| {
            // The library keeps one of each kind.
            let again = DnType::CustomDnType(vec![2, 5, 4, 3]);
            params.distinguished_name.push(again, "d.test");
        }),
        &["c.test"],
    );
    vec![
        case(
            "SAN present and CN differs",
            &of(&["c.test"], "d.test"),
            Good,
        ),
        case(
            "CN present and SAN differs",
            &of(&["d.test"], "c.test"),
            Names("d.test"),
        ),
        case("CN alone", &of(&[], "c.test"), Good),
        case("CN alone, another", &of(&[], "d.test"), Names("d.test")),
        case("CN alone, upper case", &of(&[], "C.Test"), Good),
        case("two CN alone", &trusted.root.issue(&two), Names("")),
        case("CN beside an IP SAN", &of(&["127.0.0.1"], "c.test"), Good),
        for_host(
            "CN alone, U-label",
            &of(&[], "bücher.test"),
            "bücher.test",
            Good,
        ),
        for_host(
            "CN alone, A-label",
            &of(&[], "xn--bcher-kva.test"),
            "bücher.test",
            Good,
        ),
        for_host(
            "CN alone, wildcard",
            &of(&[], "*.c.test"),
            "mail.c.test",
            Names(""),
        ),
        case("CN alone, no domain", &of(&[], "Carol's server"), Names("")),
        case(
            "CN beside a SAN that is none",
            &of(&["c test"], "c.test"),
            Names(""),
        ),
        case(
            "CN alone under a root's name constraints",
            &trusted.narrow.issue(&common(leaf(&[]), &["c.test"])),
            Names(""),
        ),
        case(
            "CN alone under an authority's name constraints",
            &trusted
                .root
                .below("Narrow", constrained)
                .issue(&common(leaf(&[]), &["c.test"])),
            Names(""),
        ),
        case(
            "CN alone under name constraints further up",
            &trusted
                .root
                .below("Narrow", constrained)
                .below("Below narrow", |_| {})
                .issue(&common(leaf(&[]), &["c.test"])),
            Names(""),
        ),
    ]
}

pub fn constraints(trusted: &Trusted) -> Vec<Case> {
    let violated = || {
        Refused(
            "has names that its authority may not certify (name constraints)",
            Alert::CertificateUnknown,
        )
    };
    let below = trusted.root.below("Narrow", constrained);
    vec![
        case(
            "within a root's name constraints",
            &trusted.narrow.issue(&leaf(&["c.test"])),
            Good,
        ),
        for_host(
            "outside a root's name constraints",
            &trusted.narrow.issue(&leaf(&["d.test"])),
            "d.test",
            violated(),
        ),
        case(
            "within an authority's name constraints",
            &below.issue(&leaf(&["c.test"])),
            Good,
        ),
        case(
            "one name outside an authority's name constraints",
            &below.issue(&leaf(&["c.test", "d.test"])),
            violated(),
        ),
    ]
}
