//! Configuration files: one a program, `NAME.toml`, wrong in no way or not
//! taken at all.

mod own;
mod path;
mod period;
mod place;

pub use own::load_own;
pub use path::ConfigPath;
pub use period::{LONGEST, Period, PeriodError, Timeout, ZeroTimeout};

use serde::de::DeserializeOwned;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{self as paths, Path, PathBuf};

/// The folder of the configuration files, unless something else is chosen.
const DEFAULT_DIR: &str = "/etc/ememo";

/// A configuration, and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// What the file says.
    pub value: T,
    /// The folder of the file, absolute: what relative paths in it start from.
    pub dir: PathBuf,
    /// The file, absolute.
    pub file: PathBuf,
}

/// Why there is no configuration. Programs exit with 2 for it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file does not exist.
    #[error("{}: there is no such file; --config FILE or EMEMO_CONFIG_DIR=DIRECTORY choose another, and server-setup makes one", .file.display())]
    NotThere {
        /// The one that was tried.
        file: PathBuf,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read; --config FILE or EMEMO_CONFIG_DIR=DIRECTORY choose another", .file.display())]
    Unreadable {
        /// The one that was tried.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not UTF-8.
    #[error("{}, line {line}, column {column}: this is not UTF-8; write the file in UTF-8", .file.display())]
    NotUtf8 {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// The file is not TOML, or a key or a value is not one that the program knows.
    #[error("{}, line {line}, column {column}: {}{wrong}", .file.display(), place::prefix(.key.as_deref()))]
    Wrong {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// The key that is wrong, or whose value is, with the tables it stands
        /// in: `identity[0].key`. None where the whole file is meant.
        key: Option<String>,
        /// What is wrong, and what would be right.
        wrong: String,
    },
}

/// Reads the configuration of `program`: the file `option` (of `--config`), or
/// else `program.toml` in `$EMEMO_CONFIG_DIR`, or else in `/etc/ememo`. An
/// empty `EMEMO_CONFIG_DIR` counts as none.
///
/// `T` must bear `#[serde(deny_unknown_fields)]`, as must every table in it:
/// unknown keys are errors, and the message lists the known ones.
///
/// # Errors
/// Where the file is not there, or is wrong; the message says where and what
/// would be right.
pub fn load<T: DeserializeOwned>(
    program: &str,
    option: Option<&Path>,
) -> Result<Loaded<T>, ConfigError> {
    read(&file_of(program, option, env::var_os("EMEMO_CONFIG_DIR")))
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<Loaded<T>, ConfigError> {
    let file = paths::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let octets = match fs::read(&file) {
        Ok(octets) => octets,
        Err(source) => {
            use io::ErrorKind::{NotADirectory, NotFound};
            return Err(match source.kind() {
                NotFound | NotADirectory => ConfigError::NotThere { file },
                _ => ConfigError::Unreadable { file, source },
            });
        }
    };
    let value = parse(&octets, &file)?;
    let dir = file.parent().unwrap_or(Path::new("/")).to_path_buf();
    Ok(Loaded { value, dir, file })
}

fn file_of(program: &str, option: Option<&Path>, dir: Option<OsString>) -> PathBuf {
    if let Some(file) = option {
        return file.to_path_buf();
    }
    let dir = dir.filter(|dir| !dir.is_empty());
    let mut file = dir.map_or_else(|| PathBuf::from(DEFAULT_DIR), PathBuf::from);
    file.push(format!("{program}.toml"));
    file
}

/// Reads what a file holds, by the rules of [`load`]; `file` is named in errors
/// only.
///
/// # Errors
/// [`ConfigError::NotUtf8`] or [`ConfigError::Wrong`], with the place.
pub fn parse<T: DeserializeOwned>(octets: &[u8], file: &Path) -> Result<T, ConfigError> {
    let file = || file.to_path_buf();
    let text = str::from_utf8(octets).map_err(|error| {
        let (line, column) = place::position(octets, error.valid_up_to());
        ConfigError::NotUtf8 {
            file: file(),
            line,
            column,
        }
    })?;
    toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        let (line, column) = place::position(octets, span.start);
        ConfigError::Wrong {
            file: file(),
            line,
            column,
            key: place::key(text, &span),
            wrong: place::plain(error.message()),
        }
    })
}

#[cfg(test)]
mod tests;
