//! The options.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use ima_message::Hostpart;
use ima_proto::dial::Hosts;

/// Writes a working configuration into a folder, with certificates and inboxes,
/// and says what to run and which DNS records to publish.
#[derive(Debug, clap::Parser)]
#[command(name = crate::PROGRAM, version)]
pub(crate) struct Args {
    /// The folder; made where it is missing
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// A mail domain that the server is; several are possible
    #[arg(long = "host", value_name = "HOST", required = true, value_parser = Hostpart::parse)]
    pub(crate) hosts: Vec<Hostpart>,

    /// Somebody with an inbox: bob, at every HOST, or bob@b.test; several are
    /// possible
    #[arg(long = "user", value_name = "USER")]
    pub(crate) users: Vec<String>,

    /// Take certificates from the private authority in this folder; made where
    /// it is missing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["certificate", "key"])]
    pub(crate) ca: Option<PathBuf>,

    /// A PEM file with the certificate for every HOST, and its intermediates
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,

    /// A PEM file with its private key
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,

    /// Where server-receive listens; several are possible. server-post-office
    /// listens 85 ports above: at 4110 for 4025; port 0 takes a free one for both
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "[::]:4025", value_parser = listen)]
    pub(crate) listen: Vec<SocketAddr>,

    /// Where to find the server of another mail domain; several are possible
    #[arg(long = "peer", value_name = "HOST=ADDRESS:PORT", value_parser = peer)]
    pub(crate) peers: Vec<Peer>,
}

/// A server that is not looked up.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) host: Hostpart,
    /// `address:port`, as `[hosts]` of server-send-mail.toml has it.
    pub(crate) place: String,
}

/// Why a value of `--listen` or `--peer` is none.
#[derive(Debug, thiserror::Error)]
enum ValueError {
    #[error("an IP address with a port is wanted, like 127.0.0.1:4025 or [::]:4025")]
    Listen,
    #[error("a mail domain and its place are wanted, like b.test=127.0.0.1:4025")]
    Peer,
    #[error(
        "no server is at port 0: what port its server-receive got stands in its log, event=listening"
    )]
    PortZero,
}

fn listen(value: &str) -> Result<SocketAddr, ValueError> {
    value.parse().map_err(|_| ValueError::Listen)
}

fn peer(value: &str) -> Result<Peer, Box<dyn std::error::Error + Send + Sync>> {
    let (host, place) = value.split_once('=').ok_or(ValueError::Peer)?;
    let host = Hostpart::parse(host)?;
    // What server-send-mail will make of it.
    Hosts::try_from(BTreeMap::from([(host.to_string(), place.to_owned())]))?;
    let port = place
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse::<u16>().ok());
    if port == Some(0) {
        return Err(ValueError::PortZero.into());
    }
    Ok(Peer {
        host,
        place: place.to_owned(),
    })
}
