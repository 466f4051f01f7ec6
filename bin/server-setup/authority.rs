//! A private certificate authority: a folder with `ca.pem` and `ca.key`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ima_message::Hostpart;
use ima_proto::tls::{PeerVerifier, RootSource};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use crate::failure::Failure;
use crate::writing::{PUBLIC, SECRET, Writing};

/// The authority's certificate, in its folder.
pub(crate) const CERTIFICATE: &str = "ca.pem";
/// Its private key.
pub(crate) const KEY: &str = "ca.key";

const DAY: Duration = Duration::from_secs(86_400);
/// How long an authority that is made lasts.
const AUTHORITY_LIFE: Duration = DAY.saturating_mul(3652);
/// How long a certificate of a host lasts.
const HOST_LIFE: Duration = DAY.saturating_mul(365);
/// Certificates begin this much in the past: a peer's clock may be slow.
const SLACK: Duration = Duration::from_secs(3600);

/// An authority that can make certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: PathBuf,
    /// What a host that trusts this authority uses.
    verifier: Arc<PeerVerifier>,
}

/// A certificate and its private key, both in PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// The authority in `folder`, made where it is missing. Two programs that
    /// make it at once get the same one.
    ///
    /// # Errors
    /// Half of an authority, files that cannot be used, or a fault.
    pub(crate) fn open(folder: &Path, writing: &mut Writing) -> Result<Self, Failure> {
        let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
        writing.folder(folder, PUBLIC)?;
        let locked = File::open(folder).and_then(|folder| folder.lock().map(|()| folder));
        let _lock = locked.map_err(|source| Failure::Lock {
            path: folder.to_owned(),
            source,
        })?;
        match (is_there(&certificate)?, is_there(&key)?) {
            (true, true) => {}
            (false, false) => {
                let made = make()?;
                writing.file(&key, made.key.as_bytes(), SECRET)?;
                writing.file(&certificate, made.certificate.as_bytes(), PUBLIC)?;
            }
            (true, false) => {
                return Err(Failure::HalfAuthority {
                    there: certificate,
                    missing: key,
                });
            }
            (false, true) => {
                return Err(Failure::HalfAuthority {
                    there: key,
                    missing: certificate,
                });
            }
        }
        let broken = |path: &Path| {
            let path = path.to_owned();
            move |source| Failure::Authority { path, source }
        };
        let pair = KeyPair::from_pem(&read(&key)?).map_err(broken(&key))?;
        let issuer =
            Issuer::from_ca_cert_pem(&read(&certificate)?, pair).map_err(broken(&certificate))?;
        let usages = issuer.key_usages();
        if !usages.is_empty() && !usages.contains(&KeyUsagePurpose::KeyCertSign) {
            return Err(Failure::NotAuthority { path: certificate });
        }
        let verifier = PeerVerifier::load(&[RootSource::File(certificate.clone())], &[], folder)?;
        Ok(Self {
            issuer,
            certificate,
            verifier,
        })
    }

    /// A certificate for a host, good for a year, and believed by whoever trusts
    /// this authority.
    ///
    /// # Errors
    /// Where it would not be believed, for instance because the authority's key
    /// is not that of its certificate.
    pub(crate) fn certify(&self, host: &Hostpart) -> Result<Pair, Failure> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = parameters(HOST_LIFE)?;
        params.subject_alt_names =
            CertificateParams::new([host.ascii().to_owned()])?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let refused = |source| Failure::Refused {
            host: host.clone(),
            authority: self.certificate.clone(),
            source,
        };
        self.verifier
            .believes(certificate.pem().as_bytes(), host)
            .map_err(refused)?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// A new authority: only for hosts' certificates, not for other authorities'.
fn make() -> Result<Pair, Failure> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = parameters(AUTHORITY_LIFE)?;
    // Authorities of several people are told apart by this name.
    let name = format!("Ememo private authority {:08x}", getrandom::u32()?);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// What every certificate here has in common: from an hour ago on, a random
/// serial number, and an empty subject.
fn parameters(life: Duration) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::default();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(SLACK);
    params.not_after = epoch + now.saturating_add(life);
    // A positive number of at most 20 octets (RFC 5280, 4.1.2.2).
    let serial = getrandom::u64()? >> 1;
    params.serial_number = Some(
        [serial.to_be_bytes(), getrandom::u64()?.to_be_bytes()]
            .concat()
            .into(),
    );
    params.distinguished_name = DistinguishedName::new();
    Ok(params)
}

fn is_there(path: &Path) -> Result<bool, Failure> {
    path.try_exists().map_err(|source| Failure::Look {
        path: path.to_owned(),
        source,
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|source| Failure::Read {
        path: path.to_owned(),
        source,
    })
}
