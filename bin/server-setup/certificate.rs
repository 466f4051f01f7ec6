//! The certificates of our hosts: those that were given, or new ones.

use std::path::{Path, PathBuf};

use ima_program::config::ConfigPath;
use ima_proto::tls::{Identities, IdentityToml, PeerVerifier, RootSource};

use crate::authority::{Authority, Pair};
use crate::failure::Failure;
use crate::plan::{self, Origin, Plan};
use crate::writing::Writing;

/// A pair that was made, and where it belongs.
pub(crate) struct Made {
    pub(crate) pair: Pair,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// A certificate for each host from the private authority, or none where a
/// certificate was given: then its key is its own and it names every host.
///
/// # Errors
/// A certificate that does not do, or an authority that makes none.
pub(crate) fn obtain(plan: &Plan, writing: &mut Writing) -> Result<Vec<Made>, Failure> {
    match &plan.origin {
        Origin::Given { certificate, key } => {
            check(plan, certificate, key)?;
            Ok(Vec::new())
        }
        Origin::Shared { authority } | Origin::Own { authority } => {
            let authority = Authority::open(authority, writing)?;
            let hosts = plan.hosts.iter();
            let made = hosts.map(|host| {
                Ok(Made {
                    pair: authority.certify(host)?,
                    certificate: plan.dir.join(plan::certificate_of(host)),
                    key: plan.dir.join(plan::key_of(host)),
                })
            });
            made.collect()
        }
    }
}

fn check(plan: &Plan, certificate: &Path, key: &Path) -> Result<(), Failure> {
    let block = IdentityToml {
        hosts: plan.hosts.clone(),
        certificate: ConfigPath::new(certificate),
        key: ConfigPath::new(key),
    };
    Identities::load(&[block], &plan.dir)?;
    Ok(())
}

/// Why somebody with the certificates of this system would not believe the one
/// that was given, for instance because its intermediates are missing. None
/// where all is well, where none was given, and where this system has no
/// certificates to go by.
pub(crate) fn doubt(plan: &Plan) -> Option<String> {
    let Origin::Given { certificate, .. } = &plan.origin else {
        return None;
    };
    let verifier = PeerVerifier::load(&[RootSource::System], &[], &plan.dir).ok()?;
    let chain = std::fs::read(certificate).ok()?;
    let verdict = verifier.believes(&chain, plan.hosts.first()?);
    verdict.err().map(|error| error.to_string())
}
