//! A new key.

use ima_message::{DateTime, KeyFile, Signer};
use jiff::{SignedDuration, Timestamp};

use crate::failure::Failure;

/// A key of 32 random octets, valid from now for so many days.
///
/// # Errors
/// The signer is neither an address nor a domain name; the system has no random
/// octets; its clock is far out.
pub(crate) fn make(signer: &str, days: u16) -> Result<KeyFile, Failure> {
    let signer = Signer::parse(signer).map_err(|source| Failure::Signer {
        signer: signer.to_owned(),
        source,
    })?;
    let now = Timestamp::now();
    let end = now
        .checked_add(SignedDuration::from_hours(24 * i64::from(days)))
        .map_err(Failure::Clock)?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(Failure::Random)?;
    Ok(KeyFile::new(signer, &secret, date(now)?, date(end)?))
}

fn date(time: Timestamp) -> Result<DateTime, Failure> {
    Ok(DateTime::parse(
        &time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )?)
}
