//! Client certificates, known by their keys.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ima_message::Address;
use ima_proto::tls::KeyDigest;
use ima_proto::users::key_of_file;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use crate::failure::Failure;
use crate::register::Register;
use crate::{replacement, table};

const DAY: Duration = Duration::from_secs(86_400);
/// How long a certificate that is made lasts. Servers of this suite go by its
/// key and do not look at the dates; others may.
const LIFE: Duration = DAY.saturating_mul(3652);
/// It begins this much in the past: a server's clock may be slow.
const SLACK: Duration = Duration::from_secs(3600);
/// The longest common name (RFC 5280, ub-common-name), in characters.
const MAX_COMMON_NAME: usize = 64;

/// Does what one of the three options says.
///
/// # Errors
/// Where nobody has this address, the file does not do, or a fault.
pub(crate) fn change(
    register: &Register,
    address: &Address,
    enrol: Option<PathBuf>,
    make: Option<PathBuf>,
    withdraw: Option<PathBuf>,
) -> Result<String, Failure> {
    register.entry(address)?;
    match (enrol, make, withdraw) {
        (Some(file), _, _) => {
            let key = key_of_file(&file)?;
            let is_new = add(register, address, key)?;
            let verb = if is_new { "is" } else { "was already" };
            Ok(format!(
                "{key} {verb} enrolled for {}.\n",
                address.canonical()
            ))
        }
        (_, Some(folder), _) => made(register, address, &folder),
        (_, _, Some(what)) => withdrawn(register, address, &what),
        _ => Ok(String::new()),
    }
}

/// False where it was enrolled already.
fn add(register: &Register, address: &Address, key: KeyDigest) -> Result<bool, Failure> {
    let entry = register.entry(address)?;
    let mut keys = entry.user.certificates().to_vec();
    if keys.contains(&key) {
        return Ok(false);
    }
    keys.push(key);
    register.change(entry, |user| table::set_certificates(user, &keys))?;
    Ok(true)
}

fn withdrawn(register: &Register, address: &Address, what: &Path) -> Result<String, Failure> {
    let digest = what.to_str().and_then(|text| text.parse().ok());
    let key: KeyDigest = match digest {
        Some(key) => key,
        None if is_like_a_digest(what) => {
            return Err(Failure::NoDigest {
                written: what.display().to_string(),
            });
        }
        None => key_of_file(what)?,
    };
    let entry = register.entry(address)?;
    let mut keys = entry.user.certificates().to_vec();
    keys.retain(|enrolled| *enrolled != key);
    if keys.len() == entry.user.certificates().len() {
        return Err(Failure::NotEnrolled {
            address: address.clone(),
            key: key.to_string(),
        });
    }
    register.change(entry, |user| table::set_certificates(user, &keys))?;
    Ok(format!(
        "{key} is withdrawn from {}; who is logged in stays so until the connection ends.\n",
        address.canonical()
    ))
}

/// Whether it begins as one, and is no file.
fn is_like_a_digest(what: &Path) -> bool {
    let begins = what
        .to_str()
        .is_some_and(|text| text.starts_with("sha256:"));
    begins && what.symlink_metadata().is_err()
}

fn made(register: &Register, address: &Address, folder: &Path) -> Result<String, Failure> {
    let user = address.canonical();
    let file = |extension| folder.join(format!("{user}.{extension}"));
    let (certificate, key) = (file("pem"), file("key"));
    for path in [&certificate, &key] {
        if path.symlink_metadata().is_ok() {
            return Err(Failure::Taken { path: path.clone() });
        }
    }
    let pair = pair(&user)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(Failure::Io {
                step: "be made",
                path: folder.to_owned(),
                source: error,
            });
        }
        _ => {}
    }
    let enrolled = write(&key, &pair.key, 0o600)
        .and_then(|()| write(&certificate, &pair.certificate, 0o644))
        .and_then(|()| replacement::sync(folder))
        .and_then(|()| add(register, address, key_of_file(&certificate)?));
    if let Err(failure) = enrolled {
        // A key that opens nothing would only confuse.
        for path in [&certificate, &key] {
            let _ = fs::remove_file(path);
        }
        return Err(failure);
    }
    Ok(format!(
        "{} is enrolled for {user}.\n\
         Give the user {} and {}, and keep no copy of the key: whoever has it can log in.\n",
        key_of_file(&certificate)?,
        certificate.display(),
        key.display()
    ))
}

/// A certificate and its private key, both in PEM.
struct Pair {
    certificate: String,
    key: String,
}

/// A new key of type P-256, and a certificate by itself for a client's use.
fn pair(user: &str) -> Result<Pair, Failure> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(SLACK);
    params.not_after = epoch + now.saturating_add(LIFE);
    let serial = getrandom::u64()? >> 1;
    params.serial_number = Some(serial.to_be_bytes().to_vec().into());
    params.distinguished_name = DistinguishedName::new();
    let name: String = user.chars().take(MAX_COMMON_NAME).collect();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.self_signed(&key)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let open = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let written = open.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| Failure::Io {
        step: "be written",
        path: path.to_owned(),
        source,
    })
}
