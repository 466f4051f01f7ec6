//! What a guesser of passwords meets, and others do not.
//!
//! Failed logins are counted three ways, and each count goes down with time:
//!
//! | counted by | one is forgiven every | from how many on |
//! |---|---|---|
//! | user and source | 60 s | 10: refused without a look at the password |
//! | source | 20 s | 30: the same, but for users who have logged in from there |
//! | user | 6 s | answers come later, and nothing is refused |
//!
//! A source is an IPv4 address or an IPv6 /64. So whoever guesses from one place
//! soon gets one try a minute, and the user gets in from anywhere else; whoever
//! guesses from many places makes the user wait for seconds at most, and not even
//! that where the user has logged in from before.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ima_message::Address;

use super::moment::QUANTUM;
use crate::listen::block;

/// Of each kind; beyond it the one that would be forgotten first is forgotten.
const MAX_KEPT: usize = 10_000;
/// How long it counts that a user has logged in from a source.
const KNOWN: Duration = Duration::from_secs(86_400);
/// The most that an answer comes later.
const MAX_DELAY: Duration = QUANTUM.saturating_mul(10);

const BY_PAIR: Rule = Rule::new(Duration::from_secs(60), 10, 3);
const BY_SOURCE: Rule = Rule::new(Duration::from_secs(20), 30, 10);
const BY_USER: Rule = Rule::new(Duration::from_secs(6), u128::MAX, 10);

/// What may be done with a login by password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// Whether the password is looked at. Where not, the client is to come later.
    pub check: bool,
    /// No answer, OK or FAIL, goes out sooner than this after the question: who
    /// gives up before learns nothing. At most 3 s.
    pub delay: Duration,
}

/// The failed logins of the last minutes, in bounded memory. Time is passed in.
#[derive(Debug, Default)]
pub struct Guesses {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pairs: Counts<(IpAddr, Address)>,
    sources: Counts<IpAddr>,
    users: Counts<Address>,
    /// Until when a user counts as known at a source.
    known: Counts<(IpAddr, Address)>,
}

/// What counts for how long, and what it leads to.
struct Rule {
    forgiven: Duration,
    refused_from: u128,
    delayed_from: u128,
}

impl Guesses {
    /// A login by password begins. It counts as failed until
    /// [`Guesses::succeeded`] says otherwise, so that guesses side by side are
    /// no way around; one that is refused here does not count.
    pub fn begin(&self, source: IpAddr, user: &Address, now: Instant) -> Permit {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let source = block(source);
        let pair = (source, user.clone());
        let by_pair = state.pairs.count(&pair, &BY_PAIR, now);
        let by_source = state.sources.count(&source, &BY_SOURCE, now);
        let by_user = state.users.count(user, &BY_USER, now);
        let is_known = state.known.0.get(&pair).is_some_and(|until| *until > now);
        if by_pair >= BY_PAIR.refused_from || (by_source >= BY_SOURCE.refused_from && !is_known) {
            return Permit {
                check: false,
                delay: MAX_DELAY,
            };
        }
        let mut delay = BY_PAIR.delay(by_pair);
        if !is_known {
            delay = delay
                .max(BY_SOURCE.delay(by_source))
                .max(BY_USER.delay(by_user));
        }
        state.pairs.add(pair, BY_PAIR.forgiven, now);
        state.sources.add(source, BY_SOURCE.forgiven, now);
        state.users.add(user.clone(), BY_USER.forgiven, now);
        Permit { check: true, delay }
    }

    /// The login that began last for this user from this source has succeeded.
    pub fn succeeded(&self, source: IpAddr, user: &Address, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let source = block(source);
        let pair = (source, user.clone());
        state.pairs.0.remove(&pair);
        // Others' failures are not forgiven: a guesser may be a user too.
        state.sources.take_back(&source, BY_SOURCE.forgiven, now);
        state.users.take_back(user, BY_USER.forgiven, now);
        state.known.0.remove(&pair);
        state.known.add(pair, KNOWN, now);
    }
}

impl Rule {
    const fn new(forgiven: Duration, refused_from: u128, delayed_from: u128) -> Self {
        Self {
            forgiven,
            refused_from,
            delayed_from,
        }
    }

    /// One quantum more for each failure from `delayed_from` on.
    fn delay(&self, count: u128) -> Duration {
        let more = count.saturating_add(1).saturating_sub(self.delayed_from);
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        QUANTUM.saturating_mul(more).min(MAX_DELAY)
    }
}

/// When everything will be forgiven, by whom it is counted for.
#[derive(Debug)]
struct Counts<K>(HashMap<K, Instant>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone> Counts<K> {
    fn count(&self, key: &K, rule: &Rule, now: Instant) -> u128 {
        let until = self.0.get(key).copied().unwrap_or(now);
        let left = until.saturating_duration_since(now);
        left.as_nanos().div_ceil(rule.forgiven.as_nanos())
    }

    fn add(&mut self, key: K, forgiven: Duration, now: Instant) {
        if self.0.len() >= MAX_KEPT && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        let until = self.0.entry(key).or_insert(now);
        let more = (*until).max(now).checked_add(forgiven);
        *until = more.unwrap_or(*until);
    }

    fn take_back(&mut self, key: &K, forgiven: Duration, now: Instant) {
        let less = self
            .0
            .get(key)
            .and_then(|until| until.checked_sub(forgiven));
        match less.filter(|until| *until > now) {
            Some(until) => self.0.insert(key.clone(), until),
            None => self.0.remove(key),
        };
    }

    /// Forgets what is over, and where nothing is, the tenth that is over first.
    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, until| *until > now);
        if self.0.len() < MAX_KEPT {
            return;
        }
        let mut ends: Vec<Instant> = self.0.values().copied().collect();
        let (_, end, _) = ends.select_nth_unstable(MAX_KEPT / 10);
        let end = *end;
        self.0.retain(|_, until| *until > end);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn user(name: &str) -> Address {
        Address::parse(&format!("{name}@b.test")).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_guesser_is_slowed_down_and_others_are_not() {
        let guesses = Guesses::default();
        let begin = Instant::now();
        let (here, bob) = (ip("192.0.2.1"), user("bob"));
        let mut now = begin;
        let mut looked_at = 0;
        for _ in 0..1000 {
            let permit = guesses.begin(here, &bob, now);
            looked_at += u32::from(permit.check);
            assert!(permit.delay <= MAX_DELAY);
            now += permit.delay.max(QUANTUM);
        }
        let took = now - begin;
        assert!(took > seconds(2400), "{took:?}");
        assert!(
            u64::from(looked_at) <= 10 + took.as_secs() / 60,
            "{looked_at}"
        );

        let free = Permit {
            check: true,
            delay: Duration::ZERO,
        };
        assert_eq!(guesses.begin(ip("192.0.2.2"), &user("carol"), now), free);
        assert_eq!(guesses.begin(here, &user("carol"), now), free);
        let elsewhere = guesses.begin(ip("2001:db8::1"), &bob, now);
        assert!(
            elsewhere.check && elsewhere.delay <= seconds(1),
            "{elsewhere:?}"
        );
    }

    #[test]
    fn guesses_side_by_side_are_counted_before_they_fail() {
        let guesses = Guesses::default();
        let now = Instant::now();
        let (here, bob) = (ip("192.0.2.1"), user("bob"));
        let looked_at = (0..50).filter(|_| guesses.begin(here, &bob, now).check);
        assert_eq!(looked_at.count(), 10);
        assert!(!guesses.begin(here, &bob, now + seconds(59)).check);
        assert!(guesses.begin(here, &bob, now + seconds(60)).check);
        assert!(!guesses.begin(here, &bob, now + seconds(60)).check);
    }

    #[test]
    fn a_source_that_tries_many_users_is_refused_but_not_whom_it_knows() {
        let guesses = Guesses::default();
        let now = Instant::now();
        let bob = user("bob");
        assert!(guesses.begin(ip("2001:db8::7"), &bob, now).check);
        guesses.succeeded(ip("2001:db8::7"), &bob, now);
        let tried = (0..100).filter(|number| {
            let source = ip(&format!("2001:db8::{number:x}"));
            guesses
                .begin(source, &user(&format!("u{number}")), now)
                .check
        });
        assert_eq!(tried.count(), 30);
        assert!(!guesses.begin(ip("2001:db8::1"), &user("dave"), now).check);
        let known = guesses.begin(ip("2001:db8::1"), &bob, now);
        assert_eq!(
            known,
            Permit {
                check: true,
                delay: Duration::ZERO
            }
        );
        assert!(
            guesses
                .begin(ip("2001:db8:0:1::1"), &user("dave"), now)
                .check
        );
        let mapped = guesses.begin(ip("::ffff:192.0.2.1"), &user("dave"), now);
        assert!(mapped.check);
    }

    #[test]
    fn a_user_who_is_guessed_at_from_everywhere_waits_and_is_not_locked_out() {
        let guesses = Guesses::default();
        let now = Instant::now();
        let (home, bob) = (ip("192.0.2.1"), user("bob"));
        guesses.begin(home, &bob, now);
        guesses.succeeded(home, &bob, now);
        for number in 0..5_000_u32 {
            let source = IpAddr::from((0x0A00_0000 + number).to_be_bytes());
            assert!(guesses.begin(source, &bob, now).check);
        }
        let elsewhere = guesses.begin(ip("192.0.2.9"), &bob, now);
        assert_eq!(
            elsewhere,
            Permit {
                check: true,
                delay: MAX_DELAY
            }
        );
        assert_eq!(guesses.begin(home, &bob, now).delay, Duration::ZERO);
    }

    #[test]
    fn a_mistyped_password_is_forgiven_by_the_right_one() {
        let guesses = Guesses::default();
        let now = Instant::now();
        let (here, bob) = (ip("192.0.2.1"), user("bob"));
        let delays: Vec<_> = (0..6)
            .map(|_| guesses.begin(here, &bob, now).delay)
            .collect();
        let quanta = [0, 0, 0, 1, 2, 3].map(|number| QUANTUM * number);
        assert_eq!(delays, quanta);
        guesses.succeeded(here, &bob, now);
        for _ in 0..1000 {
            let permit = guesses.begin(here, &bob, now);
            assert_eq!((permit.check, permit.delay), (true, Duration::ZERO));
            guesses.succeeded(here, &bob, now);
        }
        let state = guesses.state.lock().unwrap();
        let left = [
            state.pairs.0.len(),
            state.sources.0.len(),
            state.users.0.len(),
        ];
        assert_eq!((left, state.known.0.len()), ([0, 1, 1], 1));
    }

    #[test]
    fn memory_is_bounded() {
        let guesses = Guesses::default();
        let now = Instant::now();
        for number in 0..25_000_u32 {
            let source = IpAddr::from(number.to_be_bytes());
            let somebody = user(&format!("u{number}"));
            guesses.begin(
                source,
                &somebody,
                now + Duration::from_millis(number.into()),
            );
            guesses.succeeded(source, &somebody, now);
            guesses.begin(
                source,
                &somebody,
                now + Duration::from_millis(number.into()),
            );
        }
        let state = guesses.state.lock().unwrap();
        for kept in [
            state.pairs.0.len(),
            state.sources.0.len(),
            state.users.0.len(),
            state.known.0.len(),
        ] {
            assert!(kept <= MAX_KEPT, "{kept}");
        }
    }
}
