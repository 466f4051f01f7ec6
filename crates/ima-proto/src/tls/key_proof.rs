//! What a user's program signs in the handshake, to be checked by whoever keeps
//! the mailboxes.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use rustls::SignatureScheme;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use serde::{Deserialize, Serialize};
use webpki::{EndEntityCert, RawPublicKeyEntity};

use super::key_digest::KeyDigest;

/// RFC 8446, 4.4.3: what stands before the hash of the handshake in what a client
/// signs.
const CLIENT: &[u8; 34] = b"TLS 1.3, client CertificateVerify\0";
/// So many octets 0x20 stand before that.
const PADDING: usize = 64;
/// The lengths of the hashes of TLS 1.3, in octets.
const HASHES: [usize; 2] = [32, 48];
/// Proofs that are remembered, so that none lets in twice.
const REMEMBERED: usize = 100_000;

/// That a client held the key of its certificate in a handshake. It is not believed
/// before [`KeyProofs::check`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyProof {
    /// The public key, as a SubjectPublicKeyInfo in DER (RFC 5280, 4.1.2.7).
    key: Vec<u8>,
    scheme: u16,
    /// What was signed: padding, context, and the hash of the handshake.
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl KeyProof {
    pub(super) fn new(
        certificate: &rustls_pki_types::CertificateDer<'_>,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Option<KeyProof> {
        let parsed = EndEntityCert::try_from(certificate).ok()?;
        Some(KeyProof {
            key: parsed.subject_public_key_info().to_vec(),
            scheme: scheme.into(),
            message: message.to_vec(),
            signature: signature.to_vec(),
        })
    }

    /// Which key it is said to be of. That proves nothing.
    #[must_use]
    pub fn claimed(&self) -> KeyDigest {
        KeyDigest::of_key(&self.key)
    }

    fn hash(&self) -> Option<&[u8]> {
        let rest = self.message.strip_prefix(&[b' '; PADDING])?;
        let hash = rest.strip_prefix(CLIENT)?;
        HASHES.contains(&hash.len()).then_some(hash)
    }

    fn is_right(&self) -> bool {
        let algorithms = super::provider().signature_verification_algorithms;
        let scheme = SignatureScheme::from(self.scheme);
        let mut mapping = algorithms.mapping.iter();
        let Some((_, [algorithm, ..])) = mapping.find(|(known, _)| *known == scheme) else {
            return false;
        };
        let key = SubjectPublicKeyInfoDer::from(&self.key[..]);
        RawPublicKeyEntity::try_from(&key)
            .and_then(|key| key.verify_signature(*algorithm, &self.message, &self.signature))
            .is_ok()
    }
}

/// Checks proofs; each lets in once, so that one that was seen on its way is of no
/// use again.
#[derive(Debug, Default)]
pub struct KeyProofs {
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    hashes: HashSet<Box<[u8]>>,
    order: VecDeque<Box<[u8]>>,
}

impl KeyProofs {
    /// The key that was proved; `None` where the proof is wrong, or was used up.
    #[must_use]
    pub fn check(&self, proof: &KeyProof) -> Option<KeyDigest> {
        let hash = proof.hash()?;
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !used.hashes.contains(hash);
        drop(used);
        (is_new && proof.is_right()).then(|| proof.claimed())
    }

    /// A proof has let somebody in, and is used up. False where it was already.
    #[must_use]
    pub fn use_up(&self, proof: &KeyProof) -> bool {
        let Some(hash) = proof.hash() else {
            return false;
        };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.hashes.insert(hash.into()) {
            return false;
        }
        used.order.push_back(hash.into());
        if used.order.len() > REMEMBERED
            && let Some(oldest) = used.order.pop_front()
        {
            used.hashes.remove(&oldest);
        }
        true
    }
}
