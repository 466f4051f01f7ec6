//! One target, and its addresses of both families.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::super::{Attempt, Cause};
use crate::find::{LookUpError, RecordKind, Target, unusable};

/// How long IPv4 addresses that are known wait for the IPv6 ones (RFC 8305, 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// One target and its addresses.
pub(super) struct Lane<'t> {
    target: &'t Target,
    v6: Side,
    v4: Side,
    /// When the IPv4 addresses came.
    v4_since: Instant,
    v4_is_next: bool,
}

/// The addresses of one family that have not been tried.
enum Side {
    Asked,
    Known(VecDeque<IpAddr>),
    Failed(Option<LookUpError>),
}

/// What one target can do now.
pub(super) enum LaneNext {
    /// An address of this family can be taken.
    Try(RecordKind),
    /// It is waited for an answer of DNS, until then at most.
    Wait(Option<Instant>),
    Exhausted,
}

impl<'t> Lane<'t> {
    /// An address that stands in the place of a name is known at once.
    pub(super) fn new(target: &'t Target, now: Instant) -> Lane<'t> {
        let (v6, v4) = match target.name.parse() {
            Ok(ip) => (Side::Known(VecDeque::from([ip])), Side::Failed(None)),
            Err(_) => (Side::Asked, Side::Asked),
        };
        Lane {
            target,
            v6,
            v4,
            v4_since: now,
            v4_is_next: false,
        }
    }

    pub(super) fn is_asking(&self) -> bool {
        matches!(self.v6, Side::Asked) || matches!(self.v4, Side::Asked)
    }

    /// The name, where one is looked up.
    pub(super) fn name(&self) -> Option<String> {
        let name = &self.target.name;
        name.parse::<IpAddr>().is_err().then(|| name.clone())
    }

    /// The two families in turn, IPv6 first.
    pub(super) fn next(&self, now: Instant) -> LaneNext {
        match (self.v6.has_some(), self.v4.has_some()) {
            (true, true) if self.v4_is_next => LaneNext::Try(RecordKind::A),
            (true, _) => LaneNext::Try(RecordKind::Aaaa),
            (false, true) => {
                let until = self.v4_since + RESOLUTION_DELAY;
                match matches!(self.v6, Side::Asked) && now < until {
                    true => LaneNext::Wait(Some(until)),
                    false => LaneNext::Try(RecordKind::A),
                }
            }
            (false, false) if self.is_asking() => LaneNext::Wait(None),
            (false, false) => LaneNext::Exhausted,
        }
    }

    /// Takes the next address of a family.
    pub(super) fn take(&mut self, kind: RecordKind) -> Option<SocketAddr> {
        self.v4_is_next = kind == RecordKind::Aaaa;
        let port = self.target.port;
        match self.side(kind) {
            Side::Known(addresses) => addresses.pop_front().map(|ip| SocketAddr::new(ip, port)),
            Side::Asked | Side::Failed(_) => None,
        }
    }

    /// Takes in what DNS says of a family; gives what has failed by that.
    pub(super) fn learn(
        &mut self,
        kind: RecordKind,
        found: Result<Vec<IpAddr>, LookUpError>,
        now: Instant,
    ) -> Vec<Attempt> {
        let (name, port) = (self.name(), self.target.port);
        let attempt = |address, cause| Attempt {
            name: name.clone(),
            address,
            cause,
        };
        let mut failed = Vec::new();
        *self.side(kind) = match found {
            Err(error) => Side::Failed(Some(error)),
            Ok(addresses) if addresses.is_empty() => Side::Failed(None),
            Ok(mut addresses) => {
                addresses.retain(|ip| {
                    let why = unusable(*ip);
                    let address = SocketAddr::new(*ip, port);
                    failed.extend(why.map(|why| attempt(Some(address), why.into())));
                    why.is_none()
                });
                Side::Known(addresses.into())
            }
        };
        if kind == RecordKind::A {
            self.v4_since = now;
        }
        if let (Side::Failed(six), Side::Failed(four)) = (&mut self.v6, &mut self.v4) {
            let cause = match four.take().or_else(|| six.take()) {
                Some(error) => Cause::LookUp(error),
                None => Cause::NoAddress,
            };
            failed.push(attempt(None, cause));
        }
        failed
    }

    fn side(&mut self, kind: RecordKind) -> &mut Side {
        match kind {
            RecordKind::A => &mut self.v4,
            RecordKind::Aaaa | RecordKind::Srv => &mut self.v6,
        }
    }
}

impl Side {
    fn has_some(&self) -> bool {
        matches!(self, Side::Known(addresses) if !addresses.is_empty())
    }
}
