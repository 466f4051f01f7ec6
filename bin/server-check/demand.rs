//! Whose certificate a server demands, and what it says of ours.

use ima_proto::tls::probe::{Agreed, Verdict};

use crate::config::Ours;
use crate::finding::{Finding, Outcome};

/// What a server of IMDP makes of a client's certificate.
pub fn of_senders(agreed: &Agreed, ours: &Ours) -> Vec<Finding> {
    let shown = match ours {
        Ours::Of(host, _) => Some(host),
        Ours::None | Ours::Unusable(_) => None,
    };
    let mut findings = Vec::new();
    findings.push(match (agreed.asks_certificate, &agreed.verdict) {
            (true, Verdict::NotWanted) => Finding::wrong(
                "demand",
                "it lets senders without a certificate in: it must demand one, since nothing else says who sends",
            ),
            (true, _) => Finding::good("demand", "it demands a certificate of the sender"),
            (false, _) => Finding::wrong(
                "demand",
                "it does not ask for the sender's certificate: it must demand one, since nothing else says who sends",
            ),
        });
    let identity = |result, text: &str| Finding::new("identity", result, text);
    match (&agreed.verdict, shown) {
            (Verdict::Accepted, Some(host)) if agreed.asks_certificate => findings.push(
                Finding::good("identity", format!("it takes our certificate for {host}")),
            ),
            (Verdict::Refused { text, is_for_dates }, _) => {
                let advice = "; mail of ours is not taken there until that is mended here";
                findings.push(identity(Outcome::Ours, &format!("{text}{advice}")));
                if *is_for_dates {
                    findings.push(Finding::new(
                        "clock",
                        Outcome::Ours,
                        "if our certificate is valid by the clock of this machine, then one of the two clocks is wrong",
                    ));
                }
            }
            (Verdict::Demanded, Some(host)) => findings.push(identity(
                Outcome::Ours,
                &format!("it did not see our certificate for {host}: its key is of a kind that the server does not take"),
            )),
            (Verdict::Unclear(text), _) => findings.push(identity(
                Outcome::Unknown,
                &format!("it did not end the connection as TLS has it: {text}"),
            )),
            _ => {}
        }
    if let Ours::Unusable(why) = ours {
        findings.push(identity(
            Outcome::Ours,
            &format!("our certificate cannot be shown: {why}"),
        ));
    }
    findings
}

/// What a server of IMRP makes of a client without a certificate.
pub fn of_users(agreed: &Agreed) -> Vec<Finding> {
    let finding = match (&agreed.verdict, agreed.asks_certificate) {
        (Verdict::Demanded, _) => Finding::wrong(
            "demand",
            "it demands a certificate: users with a password cannot log in",
        ),
        (Verdict::NotWanted, true) => Finding::good(
            "demand",
            "users can log in by a certificate or by a password",
        ),
        (Verdict::NotWanted, false) => Finding::new(
            "demand",
            Outcome::Note,
            "it asks nobody for a certificate: users can log in by a password only",
        ),
        (Verdict::Unclear(text), _) => Finding::new(
            "demand",
            Outcome::Unknown,
            format!("it did not end the connection as TLS has it: {text}"),
        ),
        (Verdict::Accepted | Verdict::Refused { .. }, _) => return Vec::new(),
    };
    vec![finding]
}
