//! What a server counts, as text for Prometheus.
//!
//! Three things that do not know each other: counters, which are atomic numbers and
//! belong to who counts; [`Publishing`], which hands their text on from time to time;
//! and [`TextFile`], which is where it goes. So the first two may live in a process
//! that reaches no file.
//!
//! The text is Prometheus' exposition format 0.0.4, as node_exporter's textfile
//! collector reads it. Names and values of labels stand in the program: whatever a
//! peer says becomes neither.

mod publishing;
mod text_file;
#[cfg(feature = "separation")]
mod texts;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder,
};

pub use prometheus::{IntCounter as Counter, IntGauge as Gauge};
pub use publishing::Publishing;
pub use text_file::TextFile;
#[cfg(feature = "separation")]
pub use texts::Texts;

/// Octets of a text at the most.
pub const MAX_TEXT: usize = 60 << 10;

/// Upper ends of a histogram's buckets, in seconds: from what a check of a header block
/// takes to what a large message may.
const SECONDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0,
];

/// Why something cannot be counted, or its text not be written: a fault of the program.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// A name or a label.
    #[error("{name} cannot be counted: {source}; report this")]
    Metric {
        /// Without its prefix.
        name: &'static str,
        /// What is wrong with it.
        source: prometheus::Error,
    },
    /// The whole.
    #[error("what was counted cannot be written: {0}; report this")]
    Text(#[source] prometheus::Error),
    /// The text is longer than [`MAX_TEXT`].
    #[error("what was counted takes {0} octets, and {MAX_TEXT} are the most; report this")]
    TooLong(usize),
}

/// All that a server counts.
#[derive(Clone, Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// Nothing yet but which `version` runs since when; all names will begin with
    /// `prefix` and `_`.
    ///
    /// # Errors
    /// [`MetricsError::Metric`].
    pub fn new(prefix: &'static str, version: &'static str) -> Result<Metrics, MetricsError> {
        let failed = |name| move |source| MetricsError::Metric { name, source };
        let registry = Registry::new_custom(Some(prefix.to_owned()), None);
        let metrics = Metrics(registry.map_err(failed(prefix))?);
        let name = "start_time_seconds";
        let start = prometheus::Gauge::new(name, "When the server started, since 1970.");
        let start = metrics.register(name, start)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        start.set(since.unwrap_or_default().as_secs_f64());
        let name = "build_info";
        let opts = Opts::new(name, "Which version runs; always 1.").const_label("version", version);
        metrics.register(name, Gauge::with_opts(opts))?.set(1);
        Ok(metrics)
    }

    /// A number that grows; its name ends in `_total`.
    ///
    /// # Errors
    /// [`MetricsError::Metric`].
    pub fn counter(&self, name: &'static str, help: &str) -> Result<Counter, MetricsError> {
        self.register(name, Counter::new(name, help))
    }

    /// Such numbers by labels.
    ///
    /// # Errors
    /// [`MetricsError::Metric`].
    pub fn counters<const N: usize>(
        &self,
        name: &'static str,
        help: &str,
        labels: [&'static str; N],
    ) -> Result<Counters<N>, MetricsError> {
        let family = IntCounterVec::new(Opts::new(name, help), &labels);
        let family = self.register(name, family)?;
        Ok(Counters { name, family })
    }

    /// A number that grows and shrinks.
    ///
    /// # Errors
    /// [`MetricsError::Metric`].
    pub fn gauge(&self, name: &'static str, help: &str) -> Result<Gauge, MetricsError> {
        self.register(name, Gauge::new(name, help))
    }

    /// Times that something took; the name ends in `_seconds`.
    ///
    /// # Errors
    /// [`MetricsError::Metric`].
    pub fn times(&self, name: &'static str, help: &str) -> Result<Times, MetricsError> {
        let histogram = prometheus::Histogram::with_opts(seconds(name, help));
        Ok(Times(self.register(name, histogram)?))
    }

    /// Such times by labels.
    ///
    /// # Errors
    /// [`MetricsError::Metric`].
    pub fn times_by<const N: usize>(
        &self,
        name: &'static str,
        help: &str,
        labels: [&'static str; N],
    ) -> Result<TimesBy<N>, MetricsError> {
        let family = HistogramVec::new(seconds(name, help), &labels);
        let family = self.register(name, family)?;
        Ok(TimesBy { name, family })
    }

    /// All of it as it is now, as text.
    ///
    /// # Errors
    /// Where the text would be longer than [`MAX_TEXT`].
    pub fn render(&self) -> Result<Vec<u8>, MetricsError> {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.0.gather(), &mut text)
            .map_err(MetricsError::Text)?;
        match text.len() {
            0..=MAX_TEXT => Ok(text),
            octets => Err(MetricsError::TooLong(octets)),
        }
    }

    fn register<C: Collector + Clone + 'static>(
        &self,
        name: &'static str,
        made: Result<C, prometheus::Error>,
    ) -> Result<C, MetricsError> {
        let registered = made.and_then(|metric| {
            self.0.register(Box::new(metric.clone()))?;
            Ok(metric)
        });
        registered.map_err(|source| MetricsError::Metric { name, source })
    }
}

fn seconds(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(SECONDS.to_vec())
}

/// Counters with one name, of which each has values of its own for `N` labels.
#[derive(Clone, Debug)]
pub struct Counters<const N: usize> {
    name: &'static str,
    family: IntCounterVec,
}

impl<const N: usize> Counters<N> {
    /// The counter with these values. It is in the text from now on, with 0.
    ///
    /// # Errors
    /// [`MetricsError::Metric`].
    pub fn with(&self, values: [&'static str; N]) -> Result<Counter, MetricsError> {
        let counter = self.family.get_metric_with_label_values(&values);
        counter.map_err(|source| MetricsError::Metric {
            name: self.name,
            source,
        })
    }
}

/// How long something took, each time: a histogram of seconds.
#[derive(Clone, Debug)]
pub struct Times(prometheus::Histogram);

impl Times {
    /// One time more.
    pub fn add(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// Times with one name, of which each has values of its own for `N` labels.
#[derive(Clone, Debug)]
pub struct TimesBy<const N: usize> {
    name: &'static str,
    family: HistogramVec,
}

impl<const N: usize> TimesBy<N> {
    /// The times with these values. They are in the text from now on, with 0.
    ///
    /// # Errors
    /// [`MetricsError::Metric`].
    pub fn with(&self, values: [&'static str; N]) -> Result<Times, MetricsError> {
        let times = self.family.get_metric_with_label_values(&values);
        let times = times.map_err(|source| MetricsError::Metric {
            name: self.name,
            source,
        })?;
        Ok(Times(times))
    }
}

/// One more in a gauge, until it is dropped.
#[derive(Debug)]
pub struct Present(Gauge);

impl Present {
    /// From now on.
    pub fn in_gauge(gauge: &Gauge) -> Present {
        gauge.inc();
        Present(gauge.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_written() {
        let metrics = Metrics::new("ememo_test", "1.2.3").unwrap();
        let eggs = metrics
            .counter("eggs_total", "Eggs that were laid.")
            .unwrap();
        let by = metrics.counters("hens_total", "Hens.", ["sort"]).unwrap();
        let (brown, _white) = (by.with(["brown"]).unwrap(), by.with(["white"]).unwrap());
        let open = metrics.gauge("open", "Doors.").unwrap();
        let times = metrics.times("brood_seconds", "Brooding.").unwrap();
        eggs.inc_by(7);
        brown.inc();
        let _stays = Present::in_gauge(&open);
        drop(Present::in_gauge(&open));
        times.add(Duration::from_millis(3));
        times.add(Duration::from_secs(3600));
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        for lines in [
            "# HELP ememo_test_eggs_total Eggs that were laid.\n# TYPE ememo_test_eggs_total counter\nememo_test_eggs_total 7\n",
            "ememo_test_hens_total{sort=\"brown\"} 1\nememo_test_hens_total{sort=\"white\"} 0\n",
            "# TYPE ememo_test_open gauge\nememo_test_open 1\n",
            "# TYPE ememo_test_brood_seconds histogram\n",
            "ememo_test_brood_seconds_bucket{le=\"0.0025\"} 0\nememo_test_brood_seconds_bucket{le=\"0.005\"} 1\n",
            "_bucket{le=\"300\"} 1\nememo_test_brood_seconds_bucket{le=\"+Inf\"} 2\n",
            "ememo_test_brood_seconds_sum 3600.003\nememo_test_brood_seconds_count 2\n",
            "ememo_test_build_info{version=\"1.2.3\"} 1\n",
            "\nememo_test_start_time_seconds 1",
        ] {
            assert!(text.contains(lines), "{lines}\n{text}");
        }
    }

    #[test]
    fn a_fault_of_the_program_is_told() {
        let metrics = Metrics::new("ememo_test", "1").unwrap();
        metrics.counter("eggs_total", "Eggs.").unwrap();
        for error in [
            metrics.counter("eggs_total", "Eggs.").unwrap_err(),
            metrics.gauge("no name", "Nothing.").unwrap_err(),
        ] {
            assert!(error.to_string().ends_with("; report this"), "{error}");
        }
        let many = metrics.counters("many_total", "Many.", ["x"]).unwrap();
        let long: &'static str = "x".repeat(MAX_TEXT).leak();
        many.with([long]).unwrap();
        assert!(
            matches!(metrics.render(), Err(MetricsError::TooLong(octets)) if octets > MAX_TEXT)
        );
    }
}
