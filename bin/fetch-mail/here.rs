//! What a folder here says since its token.

use std::collections::BTreeMap;

use ima_mailbox::{Changes, Folder, Message};
use ima_message::{MessageDigest, Token};

use crate::failure::Failure;
use crate::state::Place;
use crate::touch::Touch;

/// By message, what a journal says.
pub type Touches = BTreeMap<MessageDigest, Touch>;
/// The messages of a folder.
pub type Live = BTreeMap<MessageDigest, Message>;

/// A folder here, as it was read.
#[derive(Debug)]
pub struct Here {
    /// What is known of it.
    pub known: Known,
    /// How far it was read.
    pub read: Token,
}

/// What is known of a folder here.
#[derive(Debug)]
pub enum Known {
    /// What changed since the token.
    Since(Touches),
    /// There is no such token, or it means nothing any more; this is all that the
    /// folder holds.
    Whole(Live),
}

impl Here {
    /// Reads it.
    ///
    /// # Errors
    /// A fault, also a line that is none of a journal.
    pub fn read(folder: &Folder, place: &Place) -> Result<Self, Failure> {
        if let Some(since) = place.here
            && let Changes::Since(entries, read) = folder.changes(Some(&since))?
        {
            let mut touches = Touches::new();
            for change in entries {
                let change = change?;
                let touch = touches.entry(change.entry.digest()).or_default();
                touch.take(&change.entry, |said| {
                    place.is_own(change.token, &change.entry, said)
                });
            }
            let known = Known::Since(touches);
            return Ok(Self { known, read });
        }
        loop {
            let read = folder.token()?;
            // Compacted just now, or it holds what it held then.
            if let Some(live) = folder.live(Some(&read))? {
                let known = Known::Whole(live);
                return Ok(Self { known, read });
            }
        }
    }
}
