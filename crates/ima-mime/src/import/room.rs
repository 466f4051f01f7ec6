//! How many octets the parts of a message may have.

use super::error::ImportError;
use super::{MAX_GROWTH, MAX_GROWTH_BEYOND};

/// Octets that may come yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room(usize);

impl Room {
    /// That of a mail of so many octets.
    pub(super) fn of(mail: usize) -> Self {
        let times = mail.saturating_mul(MAX_GROWTH);
        Self(times.saturating_add(MAX_GROWTH_BEYOND))
    }

    /// Takes so many.
    ///
    /// # Errors
    /// [`ImportError::Growth`] where there are fewer left.
    pub(super) fn take(&mut self, octets: usize) -> Result<(), ImportError> {
        self.0 = self.0.checked_sub(octets).ok_or(ImportError::Growth)?;
        Ok(())
    }
}
