//! Who asks for recipients that are not there.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Within which they are counted.
const SPAN: Duration = Duration::from_secs(3600);
/// So many domains are remembered at most.
const DOMAINS: usize = 10_000;

/// Counts the NORECIPIENT that each peer domain drew within an hour, so that
/// nobody can list our users.
#[derive(Debug)]
pub struct Strangers {
    most: usize,
    drawn: Mutex<HashMap<String, VecDeque<Instant>>>,
}

impl Strangers {
    /// A domain may draw `most` of them within an hour.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            drawn: Mutex::default(),
        }
    }

    /// Whether a domain has drawn too many.
    pub fn is_over(&self, domain: &str, now: Instant) -> bool {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(times) = drawn.get_mut(domain) else {
            return false;
        };
        forget(times, now);
        times.len() >= self.most
    }

    /// A domain drew one more.
    pub fn count(&self, domain: &str, now: Instant) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.len() >= DOMAINS {
            drawn.retain(|_, times| {
                forget(times, now);
                !times.is_empty()
            });
            // All are of this hour: one of them, whichever, makes room.
            let one = drawn.keys().next().cloned();
            if let Some(one) = one.filter(|_| drawn.len() >= DOMAINS) {
                drawn.remove(&one);
            }
        }
        let times = drawn.entry(domain.to_owned()).or_default();
        times.push_back(now);
        if times.len() > self.most {
            times.pop_front();
        }
    }
}

fn forget(times: &mut VecDeque<Instant>, now: Instant) {
    while times
        .front()
        .is_some_and(|&time| now.saturating_duration_since(time) >= SPAN)
    {
        times.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 20;

    #[test]
    fn twenty_within_an_hour_are_too_many() {
        let strangers = Strangers::new(MOST);
        let (a, b) = ("a.test", "b.test");
        let start = Instant::now();
        for i in 0..30 {
            assert_eq!(strangers.is_over(a, start), i >= MOST);
            strangers.count(a, start);
        }
        assert!(!strangers.is_over(b, start));
        assert!(strangers.is_over(a, start + SPAN - Duration::from_secs(1)));
        assert!(!strangers.is_over(a, start + SPAN));
    }
}
