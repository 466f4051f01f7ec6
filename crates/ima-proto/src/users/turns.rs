//! How many passwords are checked at once, and in which memory: there is as much of
//! it as there are turns, however many connections come.

use std::collections::VecDeque;
use std::mem;
use std::num::NonZero;
use std::sync::mpsc::{SendError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::memory::Memory;

/// How many may wait for a turn; more than the connections of any server that
/// keeps the default of `max-connections`.
const MAX_WAITING: usize = 1024;

/// Turns that are given in the order in which they are asked for.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
    max_waiting: usize,
}

#[derive(Debug)]
struct State {
    /// One for each turn that nobody has.
    free: Vec<Memory>,
    waiting: VecDeque<Sender<Memory>>,
}

/// The right to work, and the memory for it, given on when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    memory: Memory,
}

impl Turns {
    /// As many as there are cores that this process may use.
    pub(super) fn one_a_core() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self::new(cores, MAX_WAITING)
    }

    fn new(turns: usize, max_waiting: usize) -> Self {
        Self {
            state: Mutex::new(State {
                free: std::iter::repeat_with(Memory::default)
                    .take(turns)
                    .collect(),
                waiting: VecDeque::new(),
            }),
            max_waiting,
        }
    }

    /// Waits for a turn. None at once where too many wait.
    pub(super) fn take(&self) -> Option<Turn<'_>> {
        let (turn, mine) = channel();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = state.free.pop() {
            return Some(self.turn(memory));
        }
        if state.waiting.len() >= self.max_waiting {
            return None;
        }
        state.waiting.push_back(turn);
        drop(state);
        // Whoever has a turn sends it on when it ends, even by a panic.
        mine.recv().ok().map(|memory| self.turn(memory))
    }

    fn turn(&self, memory: Memory) -> Turn<'_> {
        Turn {
            turns: self,
            memory,
        }
    }
}

impl Turn<'_> {
    /// The memory to work in, as the last turn left it.
    pub(super) fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut memory = mem::take(&mut self.memory);
        memory.shrink();
        let state = &self.turns.state;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(next) = state.waiting.pop_front() {
            match next.send(memory) {
                Ok(()) => return,
                Err(SendError(unsent)) => memory = unsent,
            }
        }
        state.free.push(memory);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn wait_until(is_true: impl Fn() -> bool) {
        while !is_true() {
            thread::yield_now();
        }
    }

    #[test]
    fn turns_go_to_those_who_wait_in_their_order_and_no_more_may_wait() {
        let turns = Turns::new(1, 3);
        let first = turns.take().unwrap();
        let order = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for number in 0..3 {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    let _turn = turns.take().unwrap();
                    order.lock().unwrap().push(number);
                });
                wait_until(|| turns.state.lock().unwrap().waiting.len() == number + 1);
            }
            assert!(turns.take().is_none());
            drop(first);
        });
        assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
        assert_eq!(turns.state.lock().unwrap().free.len(), 1);
    }

    #[test]
    fn no_more_than_the_turns_are_at_work() {
        let turns = Turns::new(2, 100);
        let (at_work, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    let _turn = turns.take().unwrap();
                    most.fetch_max(at_work.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    at_work.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!(most.into_inner() <= 2);
        assert_eq!(turns.state.lock().unwrap().free.len(), 2);
    }

    #[test]
    fn there_is_memory_for_the_turns_and_not_for_the_threads() {
        let turns = Turns::new(2, 100);
        let mut held = [turns.take().unwrap(), turns.take().unwrap()];
        for turn in &mut held {
            turn.memory().blocks(64);
        }
        thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    let mut turn = turns.take().unwrap();
                    // Somebody's before.
                    assert_eq!(turn.memory().kibibytes(), 64);
                });
            }
            wait_until(|| turns.state.lock().unwrap().waiting.len() == 50);
            drop(held);
        });
        let kept = turns.state.lock().unwrap();
        let kept: Vec<_> = kept.free.iter().map(Memory::kibibytes).collect();
        assert_eq!(kept, [64, 64]);
    }
}
