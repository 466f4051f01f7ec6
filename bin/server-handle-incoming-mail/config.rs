//! The configuration file, server-handle-incoming-mail.toml(5).

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ima_message::{Hostpart, HostpartError};
use ima_program::config::{self, ConfigPath, Loaded};
use ima_route::{RoutesToml, RoutingTable};
use serde::Deserialize;

use crate::PROGRAM;
use crate::failure::Failure;

/// What the configuration amounts to.
pub(crate) struct Setup {
    pub(crate) table: RoutingTable,
    /// How many destinations are served at once.
    pub(crate) parallel: usize,
    /// The configuration file's folder.
    pub(crate) dir: PathBuf,
    /// The configuration file and the route files.
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    hosts: Hosts,
    #[serde(default)]
    routes: RoutesToml,
    #[serde(default)]
    route_files: Vec<ConfigPath>,
    #[serde(default = "eight")]
    parallel: NonZeroUsize,
}

/// At least one.
#[derive(Deserialize)]
#[serde(try_from = "Vec<Host>")]
struct Hosts(Vec<Hostpart>);

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Host(Hostpart);

/// What is wrong with `hosts`.
#[derive(Debug, thiserror::Error)]
enum HostsError {
    /// This would refuse all mail for good.
    #[error("the list is empty: name the hosts whose mail is delivered here, like [\"b.test\"]")]
    Empty,
    #[error("{written:?} is no host: {source}")]
    Host {
        written: String,
        source: HostpartError,
    },
}

fn eight() -> NonZeroUsize {
    const { NonZeroUsize::new(8).unwrap() }
}

impl TryFrom<String> for Host {
    type Error = HostsError;

    fn try_from(written: String) -> Result<Self, HostsError> {
        match Hostpart::parse(&written) {
            Ok(host) => Ok(Self(host)),
            Err(source) => Err(HostsError::Host { written, source }),
        }
    }
}

impl TryFrom<Vec<Host>> for Hosts {
    type Error = HostsError;

    fn try_from(hosts: Vec<Host>) -> Result<Self, HostsError> {
        if hosts.is_empty() {
            return Err(HostsError::Empty);
        }
        Ok(Self(hosts.into_iter().map(|Host(host)| host).collect()))
    }
}

impl Setup {
    /// Reads the file that `option` (of `--config`), the environment or the
    /// default names.
    ///
    /// # Errors
    /// A file that is not there or wrong, and routes that cannot work.
    pub(crate) fn load(option: Option<&Path>) -> Result<Self, Failure> {
        let Loaded { value, dir, file } = config::load::<Config>(PROGRAM, option)?;
        let Config {
            hosts: Hosts(hosts),
            routes,
            route_files,
            parallel,
        } = value;
        let route_files: Vec<_> = route_files.iter().map(|path| path.under(&dir)).collect();
        let files = [std::slice::from_ref(&file), &route_files].concat();
        let table = RoutingTable::new(&hosts, routes, &route_files, &dir)
            .map_err(|source| Failure::Routes { file, source })?;
        Ok(Self {
            files,
            table,
            parallel: parallel.get(),
            dir,
        })
    }
}
