//! How long a certificate of ours still lasts, and the warnings of its end.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ima_program::log;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::fault::date;

const DAY: i64 = 86_400;

/// From when to when a certificate of ours is valid, in seconds since 1970.
#[derive(Debug, Clone)]
pub(super) struct Lifetime {
    certificate: PathBuf,
    not_before: i64,
    not_after: i64,
}

/// What is to be said of a certificate's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nearing {
    /// The last third of its lifetime has begun; so many whole days are left.
    Expires(i64),
    /// It is over.
    Expired,
}

impl Lifetime {
    pub(super) fn of(leaf: &[u8], certificate: &Path) -> Option<Lifetime> {
        let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
        let validity = parsed.validity();
        Some(Lifetime {
            certificate: certificate.to_owned(),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    /// Whether it is valid now, in seconds since 1970.
    pub(super) fn is_valid(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Its file.
    pub(super) fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// From when, and until when.
    pub(super) fn dates(&self) -> (String, String) {
        (date(self.not_before), date(self.not_after))
    }

    /// None as long as the end is far; `now` in seconds since 1970.
    pub(super) fn nearing(&self, now: i64) -> Option<Nearing> {
        let left = self.not_after.saturating_sub(now);
        let third = self.not_after.saturating_sub(self.not_before) / 3;
        match left {
            ..0 => Some(Nearing::Expired),
            left if left < third => Some(Nearing::Expires(left / DAY)),
            _ => None,
        }
    }

    pub(super) fn log(&self, nearing: Nearing) {
        let (file, at) = (self.certificate.display(), date(self.not_after));
        match nearing {
            Nearing::Expires(days) => log::warn("certificate-expires")
                .field("file", file)
                .field("at", at)
                .field("days-left", days),
            Nearing::Expired => log::error("certificate-expired")
                .field("file", file)
                .field("at", at)
                .field("consequence", "nobody believes it: renew it"),
        }
        .emit();
    }
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

/// Lets something through once a day.
#[derive(Debug, Default)]
pub(super) struct Daily(Option<i64>);

impl Daily {
    /// Whether it is time; if so, the day begins. A clock that was set back
    /// begins another.
    pub(super) fn is_due(&mut self, now: i64) -> bool {
        let is_due = self
            .0
            .is_none_or(|last| !(0..DAY).contains(&now.saturating_sub(last)));
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_third_is_warned_of() {
        let lifetime = Lifetime {
            certificate: "b.pem".into(),
            not_before: 1_000_000,
            not_after: 1_000_000 + 90 * DAY,
        };
        let end = lifetime.not_after;
        for (now, wanted) in [
            (0, None),
            (1_000_000, None),
            (end - 30 * DAY, None),
            (end - 30 * DAY + 1, Some(Nearing::Expires(29))),
            (end - DAY, Some(Nearing::Expires(1))),
            (end - 1, Some(Nearing::Expires(0))),
            (end, Some(Nearing::Expires(0))),
            (end + 1, Some(Nearing::Expired)),
            (i64::MAX, Some(Nearing::Expired)),
        ] {
            assert_eq!(lifetime.nearing(now), wanted, "{now}");
        }
    }

    #[test]
    fn once_a_day_is_once_a_day() {
        let mut daily = Daily::default();
        let asked = [0, 1, DAY - 1, DAY, DAY + 1, 2 * DAY, 5, 6].map(|now| daily.is_due(now));
        assert_eq!(asked, [true, false, false, true, false, true, true, false]);
    }
}
