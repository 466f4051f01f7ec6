//! Header blocks that are refused as they stand, before anybody looks for the recipients.

use ima_message::{HeaderBlock, Hostpart};

use super::answer::{HeadersAnswer, Keyword};
use crate::tls::VerifiedNames;

/// Whom a peer may act for.
pub trait SpeaksFor {
    /// Whether it has proved to be this host.
    fn speaks_for(&self, host: &Hostpart) -> bool;
}

impl SpeaksFor for VerifiedNames {
    fn speaks_for(&self, host: &Hostpart) -> bool {
        VerifiedNames::speaks_for(self, host)
    }
}

/// A header block that is refused as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'b> {
    /// Its octets, as they came.
    pub block: &'b [u8],
    /// What it says, where it keeps to the format. Nobody has proved any of it.
    pub header: Option<&'b HeaderBlock>,
    /// What is answered.
    pub answer: &'b HeadersAnswer,
}

/// Why a header block that keeps to the form is not taken.
pub(super) fn refusal(
    header: &HeaderBlock,
    peer: &impl SpeaksFor,
    limit: u64,
) -> Option<HeadersAnswer> {
    if header.received().is_some() {
        let text = "a message that was received already is not passed on by IMDP; remove its received field";
        return Some(HeadersAnswer::Reject(Keyword::Format, text.into()));
    }
    let host = header.return_path().hostpart();
    if !peer.speaks_for(host) {
        let text = format!("your certificate does not speak for {host}");
        return Some(HeadersAnswer::Reject(Keyword::Identity, text.into()));
    }
    if header.size() > limit {
        let text = format!(
            "{limit} octets are the most, and the message has {}",
            header.size()
        );
        return Some(HeadersAnswer::Reject(Keyword::Size, text.into()));
    }
    let from = header.from().address().hostpart();
    if header.mailers().any(|mailer| mailer.hostpart() != from) {
        let text = format!(
            "the author's signature cannot be checked here yet: {from} did not send this itself"
        );
        return Some(HeadersAnswer::Defer(3600, text.into()));
    }
    None
}
