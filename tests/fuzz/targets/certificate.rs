//! What a certificate names, before anybody has believed it. Octets 1 and 2: how
//! long the certificate is, the larger one first. The rest: it, and behind it the
//! one that came with it.
#![no_main]

#[path = "../../../crates/ima-proto/src/tls/names.rs"]
#[allow(dead_code, reason = "no handshake is made here")]
mod names;
#[path = "../../../crates/ima-proto/src/tls/stray.rs"]
mod stray;

use ima_message::Hostpart;
use ima_proto::tls::KeyDigest;
use libfuzzer_sys::fuzz_target;
use names::{CertificateNames, has_name_constraints};
use rustls_pki_types::{CertificateDer, ServerName};
use stray::Stray;
use webpki::EndEntityCert;

/// Whether the one who checks chains and handshakes takes the certificate for
/// this host's, too.
fn is_for(parsed: &EndEntityCert<'_>, host: &str) -> bool {
    ServerName::try_from(host)
        .is_ok_and(|name| parsed.verify_is_valid_for_subject_name(&name).is_ok())
}

fuzz_target!(|octets: &[u8]| {
    let [high, low, rest @ ..] = octets else {
        return;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let (leaf, above) = rest.split_at(rest.len().min(length));
    let (leaf, above) = (CertificateDer::from(leaf), CertificateDer::from(above));

    let said = Stray::of(&leaf, std::slice::from_ref(&above)).to_string();
    assert!(!said.contains(char::is_control) && said.chars().count() <= 300);
    let said = Stray::of(&leaf, &[]).to_string();
    assert!(!said.contains(char::is_control) && said.chars().count() <= 400);

    let constrained = has_name_constraints(&above);
    let found = CertificateNames::of(&leaf, || constrained);
    let never_constrained = CertificateNames::of(&leaf, || false);
    let chain = [leaf.clone(), above.clone()];
    assert_eq!(CertificateNames::of_chain(&chain), found);
    for name in never_constrained.iter() {
        assert!(
            name.is_ascii()
                && !name.contains(|c: char| c.is_ascii_uppercase() || c.is_ascii_control())
        );
    }
    let digest = KeyDigest::of_certificate(&leaf);
    let Ok(parsed) = EndEntityCert::try_from(&leaf) else {
        // Whoever checks the chain will not believe it.
        assert_eq!(digest, None);
        return;
    };
    assert!(digest.is_some());
    let has_dns_name = parsed.valid_dns_names().next().is_some();
    for name in found.iter() {
        // A wildcard stands for exactly one label. One for all of a top-level domain
        // counts here and not there, so it is held against nothing.
        let host = match name.strip_prefix("*.") {
            Some(parent) if parent.contains('.') => format!("one.{parent}"),
            Some(_) => continue,
            None => name.to_owned(),
        };
        let is_covered = Hostpart::parse(&host).is_ok_and(|host| found.cover(host.ascii()));
        // A commonName counts only here, and only where there is nothing else.
        let by_common_name = !has_dns_name && !name.starts_with('*');
        assert!(
            !is_covered || by_common_name || is_for(&parsed, &host),
            "{name}"
        );
    }
    if found.iter().next().is_some() {
        for name in parsed.valid_dns_names() {
            let name = name.to_ascii_lowercase();
            if !name.starts_with('*') && Hostpart::parse(&name).is_ok() {
                assert!(found.cover(&name), "{name}");
            }
        }
    }
});
