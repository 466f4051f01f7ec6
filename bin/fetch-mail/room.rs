//! Room for what is to come.

use ima_mailbox::{Folder, MailboxError};

/// Octets for which there is found to be room beyond what is needed now, so that
/// not every message has to ask.
const AHEAD: u64 = 16 << 20;

/// Octets for which there was found to be room, and that did not come yet.
#[derive(Debug, Default)]
pub struct Room {
    left: u64,
}

impl Room {
    /// Finds room for so many octets, which are to come into a folder.
    ///
    /// # Errors
    /// Where there is none; a fault.
    pub fn take(&mut self, folder: &Folder, octets: u64) -> Result<(), MailboxError> {
        if let Some(left) = self.left.checked_sub(octets) {
            self.left = left;
            return Ok(());
        }
        if folder.can_take(octets.saturating_add(AHEAD)).is_ok() {
            self.left = AHEAD;
            return Ok(());
        }
        self.left = 0;
        folder.can_take(octets)
    }
}
