//! How many messages each user stores at once. What is on its way lies on the
//! disk, where no quota counts it yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::STORES;

/// The messages of all users that are on their way.
#[derive(Clone, Default)]
pub struct Stores(Arc<Mutex<HashMap<String, usize>>>);

/// One message on its way, until this is dropped.
pub struct OnItsWay {
    stores: Stores,
    user: String,
}

impl Stores {
    /// Begins one of a user's; `None` where there are too many.
    pub fn begin(&self, user: &str) -> Option<OnItsWay> {
        let mut counts = self.counts();
        let count = counts.entry(user.to_owned()).or_default();
        if *count >= STORES {
            return None;
        }
        *count += 1;
        Some(OnItsWay {
            stores: self.clone(),
            user: user.to_owned(),
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        let mut counts = self.stores.counts();
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_a_number_of_their_own() {
        let stores = Stores::default();
        let mut some: Vec<OnItsWay> = (0..STORES)
            .map(|_| stores.begin("bob@b.test").unwrap())
            .collect();
        assert!(stores.begin("bob@b.test").is_none());
        let other = stores.begin("carol@b.test").unwrap();
        some.pop();
        some.push(stores.begin("bob@b.test").unwrap());
        assert!(stores.begin("bob@b.test").is_none());
        drop((some, other));
        assert!(stores.counts().is_empty());
    }
}
