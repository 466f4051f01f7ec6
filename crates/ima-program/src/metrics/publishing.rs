//! Handing the text on, from time to time.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Metrics;
use crate::log;

/// How often the text is made.
const EVERY: Duration = Duration::from_secs(10);
/// The stack of the thread that makes it.
const STACK: usize = 256 << 10;

/// A thread that hands the text of [`Metrics`] on: at once, every 10 s where it has
/// changed or was not taken, and at the end.
#[derive(Debug)]
pub struct Publishing {
    /// Dropped at the end; nothing is ever sent.
    going_on: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Publishing {
    /// Begins. `publish` is given the whole text, of at most [`super::MAX_TEXT`] octets,
    /// and says whether it has taken it: if not, it is given it again after 10 s.
    ///
    /// # Errors
    /// Where the system has no thread left.
    pub fn begin(
        metrics: Metrics,
        publish: impl FnMut(&[u8]) -> bool + Send + 'static,
    ) -> io::Result<Publishing> {
        Publishing::every(EVERY, metrics, publish)
    }

    fn every(
        pause: Duration,
        metrics: Metrics,
        publish: impl FnMut(&[u8]) -> bool + Send + 'static,
    ) -> io::Result<Publishing> {
        let (going_on, end) = channel();
        let thread = thread::Builder::new()
            .name("metrics".to_owned())
            .stack_size(STACK)
            .spawn(move || publish_until(&end, pause, &metrics, publish))?;
        Ok(Publishing {
            going_on: Some(going_on),
            thread: Some(thread),
        })
    }
}

/// Ends; the text as it is then is handed on before this returns.
impl Drop for Publishing {
    fn drop(&mut self) {
        drop(self.going_on.take());
        if let Some(thread) = self.thread.take() {
            // Where it panicked there is nothing more to hand on.
            let _ = thread.join();
        }
    }
}

fn publish_until(
    end: &Receiver<()>,
    pause: Duration,
    metrics: &Metrics,
    mut publish: impl FnMut(&[u8]) -> bool,
) {
    let mut taken: Option<Vec<u8>> = None;
    let mut is_over = false;
    loop {
        let text = match metrics.render() {
            Ok(text) => text,
            Err(error) => {
                log::error("metrics-not-written")
                    .field("error", error)
                    .emit();
                return;
            }
        };
        if taken.as_ref() != Some(&text) {
            taken = publish(&text).then_some(text);
        }
        if is_over {
            return;
        }
        is_over = end.recv_timeout(pause) != Err(RecvTimeoutError::Timeout);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(1);

    fn metrics() -> (Metrics, super::super::Counter) {
        let metrics = Metrics::new("ememo_test", "1").unwrap();
        let eggs = metrics.counter("eggs_total", "Eggs.").unwrap();
        (metrics, eggs)
    }

    fn begin(pause: Duration, metrics: &Metrics) -> (Publishing, Receiver<String>) {
        let (sender, texts) = channel();
        let publish = move |text: &[u8]| {
            let text = String::from_utf8(text.to_vec()).unwrap();
            sender.send(text).is_ok()
        };
        let publishing = Publishing::every(pause, metrics.clone(), publish).unwrap();
        (publishing, texts)
    }

    fn says(text: &str, eggs: u64) -> bool {
        text.contains(&format!("\nememo_test_eggs_total {eggs}\n"))
    }

    #[test]
    fn the_text_is_handed_on_at_once_and_at_the_end() {
        let (metrics, eggs) = metrics();
        let (publishing, texts) = begin(LONG * 60, &metrics);
        assert!(says(&texts.recv_timeout(LONG).unwrap(), 0));
        eggs.inc();
        drop(publishing);
        let rest: Vec<String> = texts.iter().collect();
        assert!(
            rest.len() == 1 && says(rest.first().unwrap(), 1),
            "{rest:?}"
        );
    }

    #[test]
    fn the_text_is_handed_on_when_it_has_changed_and_only_then() {
        let (metrics, eggs) = metrics();
        let (publishing, texts) = begin(SHORT, &metrics);
        for count in 0..3 {
            assert!(says(&texts.recv_timeout(LONG).unwrap(), count));
            eggs.inc();
        }
        drop(publishing);
        let rest: Vec<String> = texts.iter().collect();
        assert!(
            rest.len() == 1 && says(rest.first().unwrap(), 3),
            "{rest:?}"
        );
    }

    #[test]
    fn what_was_not_taken_is_handed_on_again() {
        let (metrics, _) = metrics();
        let (sender, tries) = channel();
        let mut count = 0;
        let publish = move |_: &[u8]| {
            count += 1;
            sender.send(count).unwrap();
            count == 3
        };
        let publishing = Publishing::every(SHORT, metrics, publish).unwrap();
        for count in 1..=3 {
            assert_eq!(tries.recv_timeout(LONG), Ok(count));
        }
        drop(publishing);
        assert_eq!(tries.iter().count(), 0);
    }
}
