//! What is printed in the end.

use std::fmt;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// The figures of a run.
#[derive(Debug)]
pub struct Report {
    /// When the clock began.
    pub begin: SystemTime,
    /// How long it ran.
    pub time: Duration,
    /// How long each success took, in order of time taken.
    pub times: Vec<Duration>,
    /// How many were no success.
    pub failed: usize,
    /// Connections that were made.
    pub connections: usize,
    /// Processor time of this process.
    pub processor: Duration,
    /// Octets inside TLS, sent and received.
    pub octets: (u64, u64),
}

impl Report {
    /// Whether nothing failed, and something succeeded.
    pub fn is_whole(&self) -> bool {
        self.failed == 0 && !self.times.is_empty()
    }

    /// The time that so many of a hundred took at the most.
    fn percentile(&self, of_hundred: usize) -> Duration {
        let at = (self.times.len() * of_hundred).div_ceil(100);
        let time = self.times.get(at.saturating_sub(1));
        time.copied().unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let begin = self.begin.duration_since(SystemTime::UNIX_EPOCH);
        let count = self.times.len();
        writeln!(f, "begin {:.6}", begin.unwrap_or_default().as_secs_f64())?;
        writeln!(f, "seconds {:.6}", self.time.as_secs_f64())?;
        writeln!(f, "messages {count}")?;
        writeln!(f, "failed {}", self.failed)?;
        writeln!(f, "connections {}", self.connections)?;
        let seconds = self.time.as_secs_f64().max(f64::MIN_POSITIVE);
        writeln!(f, "rate {:.1}", count as f64 / seconds)?;
        for (name, of_hundred) in [("p50", 50), ("p90", 90), ("p99", 99), ("worst", 100)] {
            writeln!(f, "{name}-ms {:.3}", ms(self.percentile(of_hundred)))?;
        }
        let each = ms(self.processor) / count.max(1) as f64;
        writeln!(f, "cpu-ms {each:.4}")?;
        writeln!(f, "sent {}", self.octets.0)?;
        writeln!(f, "received {}", self.octets.1)
    }
}

/// Processor time that this process has used.
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_taken() {
        let report = |count| Report {
            begin: SystemTime::UNIX_EPOCH,
            time: Duration::from_secs(1),
            times: (1..=count).map(Duration::from_millis).collect(),
            failed: 0,
            connections: 1,
            processor: Duration::ZERO,
            octets: (0, 0),
        };
        let ms = |count, of| report(count).percentile(of).as_millis();
        assert_eq!(
            [50, 90, 99, 100].map(|of| ms(200, of)),
            [100, 180, 198, 200]
        );
        assert_eq!([50, 90, 99, 100].map(|of| ms(1, of)), [1; 4]);
        assert_eq!(ms(0, 50), 0);
        assert!(!report(0).is_whole());
    }
}
