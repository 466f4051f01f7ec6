//! How long it is until a connection is tried again.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Pauses that grow: from 1 s, each twice as long as the one before it, up to 5
/// minutes; and each by up to a quarter shorter or longer, so that the clients of
/// a server that was away do not come back all at once.
#[derive(Debug)]
pub struct Pause(Duration);

impl Pause {
    /// From the first on.
    pub fn new() -> Self {
        Self(FIRST)
    }

    /// The next.
    pub fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = pause.saturating_mul(2).min(LONGEST);
        // Without a lot all pauses are as long as the longest.
        let lot = getrandom::u32().unwrap_or(u32::MAX);
        let part = f64::from(lot) / f64::from(u32::MAX);
        pause.mul_f64(0.75 + 0.5 * part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_grow_to_an_end_and_none_is_like_another() {
        let mut pause = Pause::new();
        let mut middle = 1.0;
        let mut parts = Vec::new();
        for _ in 0..50 {
            let part = pause.next().as_secs_f64() / middle;
            assert!((0.749..1.251).contains(&part), "{part} of {middle}");
            parts.push(part);
            middle = f64::min(middle * 2.0, 300.0);
        }
        parts.sort_by(f64::total_cmp);
        parts.dedup();
        assert!(parts.len() > 10, "{parts:?}");
    }
}
