//! What is printed, and the exit status.

use std::io::{self, Write as _};

use ima_message::Hostpart;
use ima_program::Exit;
use ima_program::escape::visible;
use ima_proto::tls::probe::{date, now};
use serde::Serialize;

use crate::config::{Eyes, Ours};
use crate::finding::{Finding, Outcome};
use crate::service::{Checked, Services};

/// All that was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    host: String,
    time: String,
    /// The configuration file.
    configuration: Option<String>,
    /// The host whose certificate was shown.
    identity: Option<String>,
    /// The weightiest finding.
    result: Outcome,
    services: Vec<Checked>,
}

/// Why it was not printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    #[error("cannot write to standard output: {0}")]
    Write(#[from] io::Error),
    #[error("cannot make JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Report {
    pub fn new(host: &Hostpart, eyes: &Eyes, services: Services) -> Report {
        let Services(services) = services;
        let all = services.iter().flat_map(|service| {
            let addresses = service.addresses.iter();
            let below = addresses.flat_map(|address| &address.findings);
            service.findings.iter().chain(below)
        });
        let result = all.map(|finding| finding.result).max();
        Report {
            host: host.ascii().to_owned(),
            time: date(now()),
            configuration: eyes
                .file
                .as_ref()
                .map(|file| visible(&file.display().to_string()).into_owned()),
            identity: match &eyes.ours {
                Ours::Of(host, _) => Some(host.ascii().to_owned()),
                Ours::None | Ours::Unusable(_) => None,
            },
            result: result.unwrap_or(Outcome::Unknown),
            services,
        }
    }

    /// What the owner of the host must mend goes before what is not known.
    pub fn exit(&self) -> Exit {
        match self.result {
            Outcome::Good | Outcome::Note => Exit::Done,
            Outcome::Wrong => Exit::Refused,
            Outcome::Unknown | Outcome::Ours => Exit::Unfinished,
        }
    }

    /// One line a finding: result, service, place, check, and the sentence.
    pub fn print_lines(&self) -> Result<(), PrintError> {
        let mut out = String::new();
        let without = "there is no server-send-mail.toml: by the system's roots and DNS, and without a certificate of ours";
        let configuration = self.configuration.as_deref().unwrap_or(without);
        let place = format!("- {}", self.host);
        line(&mut out, "good", &place, "configuration", configuration);
        for service in &self.services {
            for finding in &service.findings {
                let place = format!("{} {}", service.service, self.host);
                push(&mut out, &place, finding);
            }
            for address in &service.addresses {
                for finding in &address.findings {
                    let place = format!("{} {}", service.service, address.address);
                    push(&mut out, &place, finding);
                }
            }
        }
        print(out.as_bytes())
    }

    /// One object, in one line.
    pub fn print_json(&self) -> Result<(), PrintError> {
        let mut octets = serde_json::to_vec(self)?;
        octets.push(b'\n');
        print(&octets)
    }
}

fn push(out: &mut String, place: &str, finding: &Finding) {
    line(
        out,
        finding.result.as_str(),
        place,
        finding.check,
        &finding.text,
    );
}

fn line(out: &mut String, result: &str, place: &str, check: &str, text: &str) {
    out.push_str(&format!("{result} {place} {check}: {text}\n"));
}

fn print(octets: &[u8]) -> Result<(), PrintError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(octets)?;
    Ok(stdout.flush()?)
}
