//! fetch-mail.toml(5), and the options that stand over it.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ima_message::{Address, FolderName};
use ima_program::config::{ConfigError, ConfigPath, Loaded, Period, load_own};
use ima_proto::dial::{Dialler, Dns, Hosts, Service};
use ima_proto::imrp::{ALPN, Times};
use ima_proto::tls::{ClientSide, PeerVerifier, RootSource, UserCertificate};
use serde::{Deserialize, Deserializer, de};

use crate::PROGRAM;
use crate::args::Args;
use crate::failure::Failure;
use crate::password::refuse_open;
use crate::scope::Scope;

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Config {
    #[serde(deserialize_with = "address")]
    address: Option<Address>,
    password_command: Option<Vec<String>>,
    password_file: Option<ConfigPath>,
    certificate: Option<ConfigPath>,
    key: Option<ConfigPath>,
    roots: Vec<RootSource>,
    crls: Vec<ConfigPath>,
    connect_timeout: Period,
    idle_timeout: Period,
    #[serde(deserialize_with = "folders")]
    folders: Vec<FolderName>,
    download_only: bool,
    delete_after_fetch: bool,
    dns: Dns,
    hosts: Hosts,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: None,
            password_command: None,
            password_file: None,
            certificate: None,
            key: None,
            roots: RootSource::default_list(),
            crls: Vec::new(),
            connect_timeout: Period(Duration::from_secs(10)),
            idle_timeout: Period(Duration::from_secs(60)),
            folders: Vec::new(),
            download_only: false,
            delete_after_fetch: false,
            dns: Dns::default(),
            hosts: Hosts::default(),
        }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Address::parse(&text).map(Some).map_err(de::Error::custom)
}

fn folders<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<FolderName>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let names = names.iter().map(|name| name.parse());
    names.collect::<Result<_, _>>().map_err(de::Error::custom)
}

/// How the user proves who they are.
#[derive(Debug)]
pub enum Proof {
    /// What a command prints, run in the folder of its configuration file.
    Command(Vec<String>, PathBuf),
    /// The first line of a file.
    File(PathBuf),
    /// What the user types.
    Terminal,
    /// A certificate, which is shown in the handshake.
    Certificate(PathBuf, PathBuf),
}

/// Whose mail is fetched, from where, and as whom.
#[derive(Debug)]
pub struct Account {
    /// Whose.
    pub address: Address,
    /// As whom.
    pub proof: Proof,
    /// How the server is found.
    pub dialler: Dialler,
    /// How it is spoken to.
    pub tls: ClientSide<Option<UserCertificate>>,
    /// How long it may take.
    pub times: Times,
    /// How much is to be done.
    pub scope: Scope,
    /// Files that whoever stays reads again.
    pub files: Vec<PathBuf>,
}

impl Account {
    /// Reads the configuration, and puts it and the options to work.
    ///
    /// # Errors
    /// What is missing or wrong in them.
    pub fn open(args: &Args) -> Result<Self, Failure> {
        let loaded = load_own::<Config>(PROGRAM, args.config.as_deref());
        let loaded = loaded.map_err(|error| match error {
            ConfigError::NotThere { file } => Failure::NoConfig(file),
            error => error.into(),
        })?;
        let (config, dir) = match loaded {
            Some(Loaded { value, dir, .. }) => (value, dir),
            None => (Config::default(), env::current_dir().unwrap_or_default()),
        };
        let address = args.address.clone().or_else(|| config.address.clone());
        let address = address.ok_or(Failure::NoAddress)?;
        let proof = proof(args, &config, &dir)?;
        let certificate = match &proof {
            Proof::Certificate(certificate, key) => {
                // One that is not there is for the other to name.
                if let Ok(metadata) = fs::metadata(key) {
                    refuse_open(key, &metadata, "key")?;
                }
                Some(UserCertificate::load(certificate, key)?)
            }
            _ => None,
        };
        let mut files = PeerVerifier::files(&config.roots, &config.crls, &dir);
        files.extend(env::var_os("SSL_CERT_FILE").map(PathBuf::from));
        if let Proof::File(file) = &proof {
            files.push(file.clone());
        }
        let verifier = PeerVerifier::load(&config.roots, &config.crls, &dir)?;
        let hosts = match &args.server {
            Some(place) => {
                let host = address.hostpart().as_written().to_owned();
                Hosts::try_from(BTreeMap::from([(host, place.clone())]))
                    .map_err(|_| Failure::Server(place.clone()))?
            }
            None => config.hosts,
        };
        let folders = match args.folder.is_empty() {
            true => config.folders,
            false => args.folder.clone(),
        };
        if config.download_only && config.delete_after_fetch {
            return Err(Failure::TwoAims("download-only", "delete-after-fetch"));
        }
        let tls = ClientSide::for_user(certificate, verifier, ALPN)?;
        let mut dialler = Dialler::new(hosts, Service::IMRP, config.dns, config.connect_timeout.0);
        if args.server.is_some() {
            dialler = dialler.with_hosts_of("--server");
        }
        Ok(Self {
            address,
            proof,
            dialler,
            tls,
            files,
            times: Times {
                idle: config.idle_timeout.0,
                ..Times::default()
            },
            scope: Scope {
                folders,
                maildir: args.maildir.clone(),
                since: args.since,
                is_download: args.download_only || config.download_only,
                is_drain: args.delete_after_fetch || config.delete_after_fetch,
            },
        })
    }
}

/// The one way to log in: an option, or else the file's, or else the terminal.
fn proof(args: &Args, config: &Config, dir: &std::path::Path) -> Result<Proof, Failure> {
    let mut ways = Vec::new();
    if let Some(file) = &args.password_file {
        ways.push(("--password-file", Proof::File(file.clone())));
    }
    if let (Some(certificate), Some(key)) = (&args.certificate, &args.key) {
        let pair = Proof::Certificate(certificate.clone(), key.clone());
        ways.push(("--certificate", pair));
    }
    if ways.is_empty() {
        if let Some(command) = &config.password_command {
            let command = Proof::Command(command.clone(), dir.to_owned());
            ways.push(("password-command", command));
        }
        if let Some(file) = &config.password_file {
            ways.push(("password-file", Proof::File(file.under(dir))));
        }
        match (&config.certificate, &config.key) {
            (Some(certificate), Some(key)) => {
                let pair = Proof::Certificate(certificate.under(dir), key.under(dir));
                ways.push(("certificate", pair));
            }
            (Some(_), None) => return Err(Failure::HalfPair("certificate", "key")),
            (None, Some(_)) => return Err(Failure::HalfPair("key", "certificate")),
            (None, None) => {}
        }
    }
    match ways.as_slice() {
        [(one, _), (other, _), ..] => Err(Failure::TwoWays(one, other)),
        _ => Ok(ways.pop().map_or(Proof::Terminal, |(_, way)| way)),
    }
}
