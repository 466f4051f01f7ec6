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
    drawn: Mutex<HashMap<String, Drawn>>,
}

/// What one domain drew.
#[derive(Debug, Default)]
struct Drawn {
    times: VecDeque<Instant>,
    /// When it was last said that these are too many.
    told: Option<Instant>,
}

impl Strangers {
    /// A domain may draw `most` of them within an hour.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            drawn: Mutex::default(),
        }
    }

    /// How many a domain may draw within an hour.
    pub const fn most(&self) -> usize {
        self.most
    }

    /// Whether a domain has drawn too many.
    pub fn is_over(&self, domain: &str, now: Instant) -> bool {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Drawn { times, .. }) = drawn.get_mut(domain) else {
            return false;
        };
        forget(times, now);
        times.len() >= self.most
    }

    /// A domain drew one more. True where it has too many by that, which is so once
    /// within an hour.
    #[must_use]
    pub fn count(&self, domain: &str, now: Instant) -> bool {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.len() >= DOMAINS {
            drawn.retain(|_, Drawn { times, .. }| {
                forget(times, now);
                !times.is_empty()
            });
            // All are of this hour: one of them, whichever, makes room.
            let one = drawn.keys().next().cloned();
            if let Some(one) = one.filter(|_| drawn.len() >= DOMAINS) {
                drawn.remove(&one);
            }
        }
        let Drawn { times, told } = drawn.entry(domain.to_owned()).or_default();
        times.push_back(now);
        if times.len() > self.most {
            times.pop_front();
        }
        let is_news = told.is_none_or(|at| now.saturating_duration_since(at) >= SPAN);
        let tells = times.len() >= self.most && is_news;
        if tells {
            *told = Some(now);
        }
        tells
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
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
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
            assert_eq!(strangers.count(a, start), i == MOST - 1, "{i}");
        }
        assert!(!strangers.is_over(b, start));
        assert!(strangers.is_over(a, start + SPAN - Duration::from_secs(1)));
        assert!(!strangers.is_over(a, start + SPAN));
    }

    /// However the hours of the twenty overlap.
    #[test]
    fn that_they_are_too_many_is_said_once_within_an_hour() {
        let strangers = Strangers::new(MOST);
        let start = Instant::now();
        let mut told = Vec::new();
        for second in (0..3 * SPAN.as_secs()).step_by(60) {
            let now = start + Duration::from_secs(second);
            if !strangers.is_over("a.test", now) && strangers.count("a.test", now) {
                told.push(second);
            }
        }
        assert_eq!(told.len(), 3, "{told:?}");
        let apart = told.windows(2).map(|two| two[1] - two[0]);
        assert!(apart.min().unwrap() >= SPAN.as_secs(), "{told:?}");
    }
}
