//! What is to be said of a server's certificate.

use ima_message::Hostpart;
use ima_program::escape::visible;
use ima_proto::tls::probe::{About, ChainFault, Judged, date};
use serde::Serialize;

use crate::address::Address;
use crate::finding::{Finding, Outcome};

const DAY: i64 = 86_400;
/// Most names in JSON, and in a sentence.
const NAMES: usize = 50;
const SAID: usize = 10;
/// Longest issuer that is shown.
const ISSUER: usize = 200;

/// A certificate's facts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Certificate {
    names: Vec<String>,
    issuer: String,
    not_before: String,
    not_after: String,
    days_left: i64,
    chain_length: usize,
}

/// Puts down the facts, and what they mean.
pub fn judge(judged: &Judged, host: &Hostpart, found: &mut Address) {
    found.findings.push(name(judged, host));
    found.findings.extend(dates(judged));
    found.findings.extend(chain(judged));
    found.certificate = Some(Certificate {
        names: judged.names.iter().take(NAMES).cloned().collect(),
        issuer: visible(&judged.issuer).chars().take(ISSUER).collect(),
        not_before: date(judged.not_before),
        not_after: date(judged.not_after),
        days_left: days(judged.not_after.saturating_sub(judged.now)),
        chain_length: judged.chain_length,
    });
}

fn name(judged: &Judged, host: &Hostpart) -> Finding {
    let mut names = match judged.names.is_empty() {
        true => "no domain name".to_owned(),
        false => judged
            .names
            .iter()
            .take(SAID)
            .cloned()
            .collect::<Vec<_>>()
            .join(", "),
    };
    if let Some(more) = judged
        .names
        .len()
        .checked_sub(SAID)
        .filter(|more| *more > 0)
    {
        names.push_str(&format!(" and {more} more"));
    }
    match judged.is_for_host {
        true => Finding::good("name", format!("its certificate is for {names}")),
        false => Finding::wrong(
            "name",
            format!(
                "its certificate is for {names}, and not for {host}: it must name the mail domain itself, {} as a dNSName in subjectAltName, whatever the server is called",
                host.ascii()
            ),
        ),
    }
}

/// The dates of the certificate, and what they say of the clock here.
fn dates(judged: &Judged) -> [Finding; 2] {
    let (begin, end, now) = (
        date(judged.not_before),
        date(judged.not_after),
        date(judged.now),
    );
    let left = judged.not_after.saturating_sub(judged.now);
    let lifetime = judged.not_after.saturating_sub(judged.not_before);
    let clock = |result, text: String| Finding::new("clock", result, text);
    if judged.now < judged.not_before {
        return [
            Finding::wrong(
                "dates",
                format!("its certificate is valid only from {begin} on"),
            ),
            clock(
                Outcome::Unknown,
                format!(
                    "by this machine it is {now}: if that is wrong, set the clock here, and the certificate may be good"
                ),
            ),
        ];
    }
    if left < 0 {
        return [
            Finding::wrong(
                "dates",
                format!("its certificate expired at {end}: renew it"),
            ),
            clock(
                Outcome::Good,
                format!("by this machine it is {now}, which is after the certificate's beginning"),
            ),
        ];
    }
    let days_left = days(left);
    let dates = match left < lifetime / 3 {
        true => Finding::new(
            "dates",
            Outcome::Note,
            format!(
                "its certificate expires at {end}, in {days_left} days, and the last third of its lifetime has begun: renew it"
            ),
        ),
        false => Finding::good(
            "dates",
            format!("its certificate is valid from {begin} to {end}, {days_left} days more"),
        ),
    };
    [
        dates,
        clock(
            Outcome::Good,
            format!(
                "by this machine it is {now}, which agrees with the certificate; the clock there cannot be asked for"
            ),
        ),
    ]
}

/// The chain, with its usage and keys.
fn chain(judged: &Judged) -> Vec<Finding> {
    let count = judged.chain_length;
    let Some(ChainFault { about, error }) = &judged.fault else {
        let came = match count {
            1 => "its certificate leads".to_owned(),
            count => format!("its {count} certificates lead"),
        };
        return vec![
            Finding::good("chain", format!("{came} to a root that is trusted here")),
            Finding::good("usage", "its certificates may be used by a server"),
        ];
    };
    let mut findings = vec![Finding::wrong(check(*about), error.to_string())];
    match about {
        About::Chain => findings.push(Finding::good("usage", "it may be used by a server")),
        _ => findings.push(Finding::new(
            "chain",
            Outcome::Unknown,
            "the way to a root is not looked at until that is mended",
        )),
    }
    findings
}

fn check(about: About) -> &'static str {
    match about {
        About::Chain => "chain",
        About::Usage => "usage",
        About::Dates => "dates",
        About::Revocation => "revocation",
        About::Key => "key",
    }
}

/// Whole days, rounded down.
fn days(seconds: i64) -> i64 {
    seconds.div_euclid(DAY)
}
