//! SRV records (RFC 2782): which server is tried first.

use std::collections::BTreeSet;

/// Most targets of a domain that are tried.
const MOST: usize = 16;

/// A server of a domain by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Smaller ones are tried before; 0 where no SRV record says it.
    pub priority: u16,
    /// How often, in proportion, this one is tried before others of its
    /// priority; 0 where no SRV record says it.
    pub weight: u16,
    /// Letters, digits, hyphens, underscores and dots, in lower case; or an
    /// address.
    pub name: String,
    /// The TCP port.
    pub port: u16,
}

impl Target {
    pub(crate) fn at(name: &str, port: u16) -> Target {
        Target {
            priority: 0,
            weight: 0,
            name: name.to_owned(),
            port,
        }
    }
}

/// An SRV record as DNS gave it.
#[derive(Debug, Clone)]
pub(crate) struct SrvRecord {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    /// In DNS's own escapes; `.` is the root.
    pub target: String,
}

/// The targets in the order of RFC 2782, by priority, and among equals by
/// weighted lot; at most 16. What cannot be used, or is there twice, is left
/// out. `lot` gives a number from 0 to its argument.
pub(crate) fn order(records: Vec<SrvRecord>, lot: &mut dyn FnMut(u64) -> u64) -> Vec<Target> {
    let usable = |record: SrvRecord| {
        Some(Target {
            priority: record.priority,
            weight: record.weight,
            name: host_name(&record.target)?,
            port: Some(record.port).filter(|port| *port != 0)?,
        })
    };
    let mut left: Vec<Target> = records.into_iter().filter_map(usable).collect();
    // Within a priority those of weight 0 come first, as the RFC has it.
    left.sort();
    let mut seen = BTreeSet::new();
    left.retain(|target| seen.insert((target.name.clone(), target.port)));
    let mut chosen = Vec::new();
    while let Some(priority) = left.first().map(|target| target.priority)
        && chosen.len() < MOST
    {
        let equals = left.partition_point(|target| target.priority == priority);
        chosen.push(left.remove(draw(left.get(..equals).unwrap_or_default(), lot)));
    }
    chosen
}

/// One of several, by weight.
fn draw(equals: &[Target], lot: &mut dyn FnMut(u64) -> u64) -> usize {
    let sum = equals.iter().map(|target| u64::from(target.weight)).sum();
    let drawn = lot(sum);
    let mut running = 0;
    let reached = |target: &Target| {
        running += u64::from(target.weight);
        running >= drawn
    };
    equals.iter().position(reached).unwrap_or_default()
}

/// A random number from 0 to `most`, by the system's source of randomness.
pub(crate) fn random(most: u64) -> u64 {
    // Without randomness the first is taken, and mail still flows.
    let random = getrandom::u64().unwrap_or_default();
    match most.checked_add(1) {
        Some(count) => random % count,
        None => random,
    }
}

/// A name that a host can have, in lower case and without the dot at its end.
pub(crate) fn host_name(written: &str) -> Option<String> {
    let name = written.strip_suffix('.').unwrap_or(written);
    let is_label = |label: &str| (1..=63).contains(&label.len());
    let is_octet = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    let is_name = name.len() <= 253 && name.bytes().all(is_octet) && name.split('.').all(is_label);
    is_name.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
mod tests {
    use rustix::time::{ClockId, clock_gettime};

    use super::*;

    fn record(priority: u16, weight: u16, port: u16, target: &str) -> SrvRecord {
        SrvRecord {
            priority,
            weight,
            port,
            target: target.to_owned(),
        }
    }

    fn names(records: &[SrvRecord], lot: &mut dyn FnMut(u64) -> u64) -> Vec<String> {
        let targets = order(records.to_vec(), lot).into_iter();
        targets.map(|target| target.name).collect()
    }

    #[test]
    fn by_priority_and_then_by_lot() {
        let records = [
            record(20, 0, 1, "backup.test."),
            record(10, 60, 1, "big.test."),
            record(10, 20, 1, "small.test."),
            record(10, 0, 1, "none.test."),
        ];
        // 0 draws the one of weight 0; the sum draws the last.
        assert_eq!(
            names(&records, &mut |_| 0),
            ["none.test", "small.test", "big.test", "backup.test"]
        );
        assert_eq!(
            names(&records, &mut |most| most),
            ["big.test", "small.test", "none.test", "backup.test"]
        );
        let mut asked = Vec::new();
        names(&records, &mut |most| {
            asked.push(most);
            1
        });
        assert_eq!(asked, [80, 60, 0, 0]);
    }

    #[test]
    fn weights_are_chances() {
        let records = [
            record(1, 1, 1, "one.test"),
            record(1, 3, 1, "three.test"),
            record(1, 0, 1, "none.test"),
        ];
        let mut first = std::collections::BTreeMap::new();
        for _ in 0..4000 {
            let order = names(&records, &mut random);
            *first.entry(order[0].clone()).or_insert(0) += 1;
        }
        // Of 0 to 4, one number draws none.test, one one.test, three three.test;
        // five standard deviations are 127, 127 and 155.
        let near = |name: &str, mean: i32, by: i32| (first[name] - mean).abs() < by;
        assert!(near("none.test", 800, 127), "{first:?}");
        assert!(near("one.test", 800, 127), "{first:?}");
        assert!(near("three.test", 2400, 155), "{first:?}");
    }

    #[test]
    fn what_cannot_be_used_is_left_out() {
        let long = format!("{}.test", "a".repeat(64));
        let records = [
            record(1, 0, 0, "port-0.test."),
            record(1, 0, 1, "."),
            record(1, 0, 1, ""),
            record(1, 0, 1, "\\027[31mred.test."),
            record(1, 0, 1, "a b.test."),
            record(1, 0, 1, "a..test."),
            record(1, 0, 1, &long),
            record(1, 0, 1, "Good.test."),
            record(1, 5, 1, "good.test"),
            record(1, 0, 2, "good.test"),
            record(1, 0, 1, "localhost."),
        ];
        let mut targets = order(records.to_vec(), &mut random);
        targets.sort_by_key(|target| (target.name.clone(), target.port));
        let targets: Vec<_> = targets.iter().map(|t| (t.name.as_str(), t.port)).collect();
        assert_eq!(
            targets,
            [("good.test", 1), ("good.test", 2), ("localhost", 1)]
        );
    }

    #[test]
    fn ten_thousand_records_cost_nothing() {
        let record = |number: u16| record(number % 3, number, 1, &format!("h{number}.test."));
        let records: Vec<_> = (0..10_000).map(record).collect();
        let began = clock_gettime(ClockId::ThreadCPUTime);
        let targets = order(records, &mut random);
        let took = clock_gettime(ClockId::ThreadCPUTime) - began;
        assert!(took.tv_sec < 1, "{took:?}");
        assert_eq!(targets.len(), MOST);
        assert!(targets.iter().all(|target| target.priority == 0));
    }

    #[test]
    fn a_lot_reaches_every_number() {
        let mut seen = [false; 3];
        for _ in 0..200 {
            seen[usize::try_from(random(2)).unwrap()] = true;
        }
        assert_eq!(seen, [true; 3]);
        assert_eq!(random(0), 0);
    }
}
