//! When a failed login is answered.

use std::time::{Duration, Instant};

/// A failed login is answered this long after it was asked, or a whole number
/// of times this long.
pub const QUANTUM: Duration = Duration::from_millis(300);

/// The moment to say FAIL to a login that came at `asked` and has been looked at
/// by `now`: the next whole number of [`QUANTUM`]s after it came, and no less
/// than `delay` after. So the answer does not tell how long the look took.
#[must_use]
pub fn moment_of_failure(asked: Instant, now: Instant, delay: Duration) -> Instant {
    let past = now.saturating_duration_since(asked).max(delay);
    let quanta = past.as_nanos().div_ceil(QUANTUM.as_nanos()).max(1);
    let quanta = u32::try_from(quanta).unwrap_or(u32::MAX);
    asked
        .checked_add(QUANTUM.saturating_mul(quanta))
        .unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_quanta_are_seen() {
        let asked = Instant::now();
        for (took, delay, answered) in [
            (0, 0, 300),
            (1, 0, 300),
            (299, 0, 300),
            (300, 0, 300),
            (301, 0, 600),
            (20, 900, 900),
            (20, 901, 1200),
            (1501, 900, 1800),
        ] {
            let now = asked + Duration::from_millis(took);
            let moment = moment_of_failure(asked, now, Duration::from_millis(delay));
            assert_eq!(
                moment - asked,
                Duration::from_millis(answered),
                "{took} {delay}"
            );
        }
    }
}
