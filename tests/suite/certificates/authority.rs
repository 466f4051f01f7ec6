//! Authorities of the tests' own, which certify anything.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    NameConstraints, RevokedCertParams, SerialNumber, date_time_ymd,
};

use crate::peer::Identity;

/// A root, or an authority below one.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
    /// What a leaf sends along, in PEM.
    between: String,
}

impl Authority {
    pub fn root(name: &str) -> Authority {
        Authority::root_with(name, |_| {})
    }

    pub fn root_with(name: &str, adjust: impl FnOnce(&mut CertificateParams)) -> Authority {
        let (params, key) = authority(name, adjust);
        Authority {
            pem: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
            between: String::new(),
        }
    }

    pub fn below(&self, name: &str, adjust: impl FnOnce(&mut CertificateParams)) -> Authority {
        let (params, key) = authority(name, adjust);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Authority {
            between: format!("{pem}{}", self.between),
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    pub fn issue(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity::new(format!("{pem}{}", self.between), key.serialize_pem())
    }

    /// A certificate for these names, without the authorities between it and the root.
    pub fn issue_alone(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity::new(pem, key.serialize_pem())
    }

    pub fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// A revocation list in PEM that names these serial numbers.
    pub fn revoking(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(2120, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn authority(
    name: &str,
    adjust: impl FnOnce(&mut CertificateParams),
) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    adjust(&mut params);
    (params, KeyPair::generate().unwrap())
}

/// Certifies only names at and below c.test.
pub fn constrained(params: &mut CertificateParams) {
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("c.test".into())],
        excluded_subtrees: Vec::new(),
    });
}

/// Good for serverAuth, from 2020 to 2120, for these names; an IP address
/// becomes an iPAddress. It has no commonName.
pub fn leaf(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.remove(DnType::CommonName);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// The same, changed.
pub fn leaf_with(names: &[&str], adjust: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = leaf(names);
    adjust(&mut params);
    params
}
