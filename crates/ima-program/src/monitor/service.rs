//! What the monitor does for the network process, and how that asks for it.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::{fmt, io};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::packets::{PacketError, Packets};
use crate::log;

/// A service's thread.
const STACK: usize = 256 << 10;

/// Something that the monitor does, each time that it is asked.
pub trait Service: Send + Sync + 'static {
    /// What is asked.
    type Request: Serialize + DeserializeOwned;
    /// What is answered.
    type Reply: Serialize + DeserializeOwned;

    /// Answers. Whatever comes may be a stranger's: nothing is done that is not part of
    /// serving, and nothing without a bound.
    fn answer(&self, request: Self::Request, with: Vec<OwnedFd>) -> (Self::Reply, Vec<OwnedFd>);
}

/// Serves on as many sockets, each with a thread of its own; gives their other ends, for
/// [`Questions`]. `broken` is told of a packet that makes no sense: whoever sends such is to
/// be ended.
///
/// # Errors
/// Where the system has no descriptors or threads left.
pub fn serve<S: Service>(
    service: &Arc<S>,
    sockets: usize,
    broken: impl Fn() + Clone + Send + 'static,
) -> io::Result<Vec<OwnedFd>> {
    let mut ends = Vec::new();
    for _ in 0..sockets {
        let (ours, theirs) = Packets::pair()?;
        let (service, broken) = (Arc::clone(service), broken.clone());
        thread::Builder::new().stack_size(STACK).spawn(move || {
            if answer_all(&*service, ours).is_err() {
                broken();
            }
        })?;
        ends.push(theirs.socket());
    }
    Ok(ends)
}

fn answer_all<S: Service>(service: &S, mut packets: Packets) -> Result<(), PacketError> {
    loop {
        let outcome = packets.receive().and_then(|(request, with)| {
            let (reply, with) = service.answer(request, with);
            let with: Vec<BorrowedFd<'_>> = with.iter().map(|fd| fd.as_fd()).collect();
            packets.send(&reply, &with)
        });
        match outcome {
            Ok(()) => {}
            Err(PacketError::Closed) => return Ok(()),
            Err(error) => {
                log::error("network-process-broke-the-rules")
                    .field("error", &error)
                    .emit();
                return Err(error);
            }
        }
    }
}

/// Where the network process asks a [`Service`]: as many questions at once as it has
/// sockets. Any thread may ask.
pub struct Questions<S: Service> {
    state: Mutex<State>,
    freed: Condvar,
    service: std::marker::PhantomData<fn() -> S>,
}

struct State {
    free: Vec<Packets>,
    /// Those that work, free or in use.
    sockets: usize,
}

impl<S: Service> Questions<S> {
    /// With the sockets that [`serve`] gave.
    #[must_use]
    pub fn new(sockets: Vec<OwnedFd>) -> Self {
        let free: Vec<Packets> = sockets.into_iter().map(Packets::from).collect();
        let sockets = free.len();
        Self {
            state: Mutex::new(State { free, sockets }),
            freed: Condvar::new(),
            service: std::marker::PhantomData,
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// A [`PacketError`].
    pub fn ask(
        &self,
        request: &S::Request,
        with: &[BorrowedFd<'_>],
    ) -> Result<(S::Reply, Vec<OwnedFd>), PacketError> {
        let mut packets = self.take()?;
        let reply = packets.send(request, with).and_then(|()| packets.receive());
        let mut state = self.state();
        match reply {
            Ok(_) => state.free.push(packets),
            // An answer that comes late would be taken for that to the next question.
            Err(_) => state.sockets -= 1,
        }
        drop(state);
        self.freed.notify_one();
        reply
    }

    fn take(&self) -> Result<Packets, PacketError> {
        let state = self.state();
        let mut state = self
            .freed
            .wait_while(state, |state| state.free.is_empty() && state.sockets > 0)
            .unwrap_or_else(PoisonError::into_inner);
        let packets = state.free.pop();
        drop(state);
        packets.ok_or_else(|| {
            // Whoever else waits learns it too.
            self.freed.notify_one();
            PacketError::Closed
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Service> fmt::Debug for Questions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Questions").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Doubles, and counts how many are at it.
    #[derive(Default)]
    struct Doubles {
        at_work: AtomicUsize,
        most: AtomicUsize,
    }

    impl Service for Doubles {
        type Request = u32;
        type Reply = u64;

        fn answer(&self, request: u32, with: Vec<OwnedFd>) -> (u64, Vec<OwnedFd>) {
            let now = self.at_work.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            thread::yield_now();
            self.at_work.fetch_sub(1, Ordering::SeqCst);
            (u64::from(request) * 2, with)
        }
    }

    #[test]
    fn each_question_has_its_own_answer() {
        let service = Arc::new(Doubles::default());
        let sockets = serve(&service, 2, || unreachable!()).unwrap();
        let questions = Questions::<Doubles>::new(sockets);
        thread::scope(|scope| {
            for number in 0..20 {
                let questions = &questions;
                scope.spawn(move || {
                    for i in 0..100 {
                        let (reply, _) = questions.ask(&(number * 100 + i), &[]).unwrap();
                        assert_eq!(reply, u64::from(number * 100 + i) * 2);
                    }
                });
            }
        });
        assert!(service.most.load(Ordering::SeqCst) <= 2);
    }

    #[test]
    fn nonsense_ends_the_service_and_everybody_who_waits_is_told() {
        let service = Arc::new(Doubles::default());
        let (told, hears) = std::sync::mpsc::channel();
        let broken = move || told.send(()).unwrap();
        let mut sockets = serve(&service, 1, broken).unwrap();
        let socket = sockets.pop().unwrap();
        rustix::net::send(&socket, &[0xff; 40], rustix::net::SendFlags::empty()).unwrap();
        hears.recv().unwrap();
        let questions = Questions::<Doubles>::new(vec![socket]);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let error = questions.ask(&1, &[]).unwrap_err();
                    assert!(matches!(error, PacketError::Closed));
                });
            }
        });
    }
}
