//! Our keys, out of reach of the process that speaks with peers: the monitor of a
//! server holds them ([`Keys`]), and the network process has it sign each handshake
//! ([`RemoteIdentities`]).
//!
//! ```text
//! Shown known        -> Same | Shown number, with a file: what to show and to believe
//! Sign number block scheme message -> Signature octets | Refused
//! ```
//!
//! What is signed is the server's side of a handshake of TLS 1.3 and nothing else: a
//! network process that was taken over can be us as long as it runs, to those who
//! dial it; it can neither dial others as us nor keep a key.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ima_message::Hostpart;
use ima_program::monitor::{PacketError, Questions, Service, from_memory, to_memory};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{OtherError, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, Der, TrustAnchor};
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;

use super::fresh::Fresh;
use super::identity::Identities;
use super::trust::Trust;
use super::verifier::PeerVerifier;

/// RFC 8446, 4.4.3: what stands before the hash of the handshake in that what a
/// server signs.
const SERVER: &[u8; 34] = b"TLS 1.3, server CertificateVerify\0";
/// So many octets 0x20 stand before that.
const PADDING: usize = 64;
/// The lengths of the hashes of TLS 1.3, in octets.
const HASHES: [usize; 2] = [32, 48];
/// States that are remembered: handshakes are going on whose certificate has been
/// renewed meanwhile.
const STATES: usize = 8;
/// All that a key of ours may sign with, in TLS 1.3 (RFC 8446, 4.2.3).
const SCHEMES: [SignatureScheme; 8] = [
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::ED448,
];

/// What [`Keys`] is asked.
#[derive(Debug, Serialize, Deserialize)]
pub enum KeyRequest {
    /// What is to be shown and believed, if that is another state than this one.
    Shown {
        /// The number of the state that is known; 0 is none.
        known: u64,
    },
    /// A signature.
    Sign {
        /// The state in which the certificate was shown.
        state: u64,
        /// Which of its certificates.
        block: usize,
        /// The scheme (RFC 8446, 4.2.3).
        scheme: u16,
        /// What is to be signed: 64 octets 0x20, the context, and a hash.
        message: Vec<u8>,
    },
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum KeyReply {
    /// It is that state.
    Same,
    /// It is this one, which is in the file that comes along.
    Shown(u64),
    /// The signature.
    Signature(Vec<u8>),
    /// Not that.
    Refused,
}

/// One state: what a network process shows and believes.
#[derive(Serialize, Deserialize)]
struct State {
    blocks: Vec<Block>,
    roots: Vec<Root>,
    lists: Vec<Vec<u8>>,
}

/// A certificate of ours, without its key.
#[derive(Serialize, Deserialize)]
struct Block {
    hosts: Vec<String>,
    chain: Vec<Vec<u8>>,
    /// The schemes of its key, the best first.
    schemes: Vec<u16>,
    algorithm: u8,
}

/// A trust anchor.
#[derive(Serialize, Deserialize)]
struct Root {
    subject: Vec<u8>,
    key: Vec<u8>,
    constraints: Option<Vec<u8>>,
}

/// The service of the monitor that holds the keys.
#[derive(Debug)]
pub struct Keys {
    identities: Arc<Identities>,
    /// Whom we believe; nobody, where peers prove themselves otherwise.
    verifier: Option<Arc<PeerVerifier>>,
    states: Mutex<States>,
}

#[derive(Debug, Default)]
struct States {
    /// The number of the last of them.
    last: u64,
    recent: VecDeque<Keyring>,
}

/// The keys of one state.
#[derive(Debug)]
struct Keyring {
    number: u64,
    keys: Vec<Arc<CertifiedKey>>,
    trust: Option<Arc<Trust>>,
}

impl Keys {
    /// Holds our keys, and what our peers are checked against.
    #[must_use]
    pub fn new(identities: Arc<Identities>, verifier: Option<Arc<PeerVerifier>>) -> Self {
        Self {
            identities,
            verifier,
            states: Mutex::default(),
        }
    }

    fn shown(&self, known: u64) -> Result<(KeyReply, Vec<OwnedFd>), PacketError> {
        let pairs = self.identities.pairs();
        let trust = self.verifier.as_ref().map(|verifier| verifier.trusted());
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if !states.is(&pairs, trust.as_ref()) {
            states.last += 1;
            let number = states.last;
            states.recent.truncate(STATES - 1);
            states.recent.push_front(Keyring {
                number,
                keys: pairs.iter().map(|(_, key)| Arc::clone(key)).collect(),
                trust: trust.clone(),
            });
        }
        let number = states.last;
        drop(states);
        if number == known {
            return Ok((KeyReply::Same, Vec::new()));
        }
        let state = State::of(&pairs, trust.as_deref());
        Ok((KeyReply::Shown(number), vec![to_memory(&state)?]))
    }

    fn sign(&self, state: u64, block: usize, scheme: u16, message: &[u8]) -> Option<Vec<u8>> {
        let signed = message
            .strip_prefix(&[b' '; PADDING])
            .and_then(|rest| rest.strip_prefix(SERVER));
        signed.filter(|hash| HASHES.contains(&hash.len()))?;
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let keyring = states.recent.iter().find(|ring| ring.number == state)?;
        let key = Arc::clone(keyring.keys.get(block)?);
        drop(states);
        let scheme = SignatureScheme::from(scheme);
        let signer = key
            .key
            .choose_scheme(&[scheme])
            .filter(|_| SCHEMES.contains(&scheme))?;
        signer.sign(message).ok()
    }
}

impl Service for Keys {
    type Request = KeyRequest;
    type Reply = KeyReply;

    fn answer(&self, request: KeyRequest, _with: Vec<OwnedFd>) -> (KeyReply, Vec<OwnedFd>) {
        match request {
            KeyRequest::Shown { known } => self.shown(known).unwrap_or_else(|error| {
                ima_program::log::error("certificates-not-shown")
                    .field("error", error)
                    .emit();
                (KeyReply::Refused, Vec::new())
            }),
            KeyRequest::Sign {
                state,
                block,
                scheme,
                message,
            } => {
                let signature = self.sign(state, block, scheme, &message);
                let reply = signature.map_or(KeyReply::Refused, KeyReply::Signature);
                (reply, Vec::new())
            }
        }
    }
}

impl States {
    /// Whether the last state is this one.
    fn is(&self, pairs: &[(Vec<Hostpart>, Arc<CertifiedKey>)], trust: Option<&Arc<Trust>>) -> bool {
        self.recent.front().is_some_and(|last| {
            let keys = pairs.iter().map(|(_, key)| key);
            let same_keys = last.keys.iter().zip(keys).all(|(a, b)| Arc::ptr_eq(a, b));
            let same_trust = match (&last.trust, trust) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (a, b) => a.is_none() && b.is_none(),
            };
            same_keys && same_trust
        })
    }
}

impl State {
    fn of(pairs: &[(Vec<Hostpart>, Arc<CertifiedKey>)], trust: Option<&Trust>) -> Self {
        let blocks = pairs.iter().map(|(hosts, key)| Block {
            hosts: hosts.iter().map(|host| host.ascii().to_owned()).collect(),
            chain: key.cert.iter().map(|der| der.to_vec()).collect(),
            schemes: schemes(&*key.key),
            algorithm: key.key.algorithm().into(),
        });
        let roots = trust.map(|trust| &trust.roots[..]).unwrap_or_default();
        let lists = trust.map(|trust| &trust.der[..]).unwrap_or_default();
        Self {
            blocks: blocks.collect(),
            roots: roots
                .iter()
                .map(|root| Root {
                    subject: root.subject.to_vec(),
                    key: root.subject_public_key_info.to_vec(),
                    constraints: root.name_constraints.as_ref().map(|der| der.to_vec()),
                })
                .collect(),
            lists: lists.iter().map(|der| der.to_vec()).collect(),
        }
    }

    fn trust(&self) -> Trust {
        let mut trust = Trust {
            roots: Vec::new(),
            lists: Vec::new(),
            der: Vec::new(),
        };
        for Root {
            subject,
            key,
            constraints,
        } in &self.roots
        {
            trust.roots.push(TrustAnchor {
                subject: Der::from(subject.clone()),
                subject_public_key_info: Der::from(key.clone()),
                name_constraints: constraints.clone().map(Der::from),
            });
        }
        for list in &self.lists {
            // The monitor has read it in the same way.
            let _ = trust.add_list(CertificateRevocationListDer::from(list.clone()));
        }
        trust
    }
}

/// The schemes of a key, the best first: it says of several only which it prefers.
fn schemes(key: &dyn SigningKey) -> Vec<u16> {
    let mut offered = SCHEMES.to_vec();
    let mut found = Vec::new();
    while let Some(signer) = key.choose_scheme(&offered) {
        let scheme = signer.scheme();
        found.push(scheme.into());
        offered.retain(|other| *other != scheme);
    }
    found
}

/// In the network process: our certificates, and whom to believe, as the monitor has
/// them now or had them at most a second ago.
#[derive(Debug)]
pub struct RemoteIdentities(Fresh<Known>);

/// One state, put to use.
struct Known {
    by_host: BTreeMap<Hostpart, Arc<CertifiedKey>>,
    trust: Arc<Trust>,
}

impl RemoteIdentities {
    /// Asks the monitor.
    ///
    /// # Errors
    /// Where it gives no answer.
    pub fn new(questions: Questions<Keys>) -> Result<Arc<Self>, PacketError> {
        let questions = Arc::new(questions);
        let mut known = 0;
        let mut newer = move || ask(&questions, &mut known);
        let first = newer()?.ok_or(PacketError::Closed)?;
        // What the monitor cannot give is logged there.
        let fresh = Fresh::asked(first, move || newer().ok().flatten());
        Ok(Arc::new(Self(fresh)))
    }

    /// The roots and the revocation lists.
    pub(super) fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.0.current().trust)
    }
}

fn ask(questions: &Arc<Questions<Keys>>, known: &mut u64) -> Result<Option<Known>, PacketError> {
    let (reply, files) = questions.ask(&KeyRequest::Shown { known: *known }, &[])?;
    let (KeyReply::Shown(number), Some(file)) = (reply, files.into_iter().next()) else {
        return Ok(None);
    };
    let state: State = from_memory(file)?;
    let mut by_host = BTreeMap::new();
    for (number_of_block, block) in state.blocks.iter().enumerate() {
        let key = RemoteKey {
            questions: Arc::clone(questions),
            state: number,
            block: number_of_block,
            schemes: block.schemes.iter().map(|&scheme| scheme.into()).collect(),
            algorithm: block.algorithm.into(),
        };
        let chain = block.chain.iter().cloned().map(CertificateDer::from);
        let key = Arc::new(CertifiedKey::new(chain.collect(), Arc::new(key)));
        let hosts = block
            .hosts
            .iter()
            .filter_map(|host| Hostpart::parse(host).ok());
        by_host.extend(hosts.map(|host| (host, Arc::clone(&key))));
    }
    *known = number;
    Ok(Some(Known {
        by_host,
        trust: Arc::new(state.trust()),
    }))
}

/// By SNI, as [`Identities`] does it.
impl ResolvesServerCert for RemoteIdentities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = Hostpart::parse(hello.server_name()?).ok()?;
        self.0.current().by_host.get(&host).cloned()
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_host.keys()).finish()
    }
}

/// A key that the monitor holds.
#[derive(Clone, Debug)]
struct RemoteKey {
    questions: Arc<Questions<Keys>>,
    state: u64,
    block: usize,
    schemes: Vec<SignatureScheme>,
    algorithm: SignatureAlgorithm,
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = self
            .schemes
            .iter()
            .find(|scheme| offered.contains(scheme))?;
        Some(Box::new(RemoteSigner {
            key: self.clone(),
            scheme: *scheme,
        }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

#[derive(Debug)]
struct RemoteSigner {
    key: RemoteKey,
    scheme: SignatureScheme,
}

/// The monitor did not sign.
#[derive(Debug, thiserror::Error)]
#[error("the process that holds our keys did not sign the handshake")]
struct NotSigned;

impl Signer for RemoteSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let request = KeyRequest::Sign {
            state: self.key.state,
            block: self.key.block,
            scheme: self.scheme.into(),
            message: message.to_vec(),
        };
        match self.key.questions.ask(&request, &[]) {
            Ok((KeyReply::Signature(signature), _)) => Ok(signature),
            _ => Err(rustls::Error::Other(OtherError(Arc::new(NotSigned)))),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
