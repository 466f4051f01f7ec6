//! Where a command's program is.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Where programs are looked up when there is no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// There is no such program. The message names it and what was tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// No file of that name where it was looked for.
    #[error("{}: there is no such program; looked for {}", .program.display(), List(.tried))]
    NotFound {
        /// As configured.
        program: OsString,
        /// The files that would have been taken, in order.
        tried: Vec<PathBuf>,
    },
    /// Found, and not one that this user may execute.
    #[error("{}: {} is not an executable file; `chmod +x` may be missing", .program.display(), .file.display())]
    NotExecutable {
        /// As configured.
        program: OsString,
        /// The first file of that name that was found.
        file: PathBuf,
    },
}

/// The file to execute for `program`: with a `/` in it as it is, where a
/// relative one is under `config_dir`; else beside the running executable,
/// then in `PATH`, of which parts that are empty or not absolute are passed
/// over.
///
/// # Errors
/// Where there is none, or none that is executable.
pub fn locate(program: impl AsRef<OsStr>, config_dir: &Path) -> Result<PathBuf, LocateError> {
    let beside = env::current_exe().ok();
    let beside = beside.as_deref().and_then(Path::parent);
    let path = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    locate_in(program.as_ref(), config_dir, beside, &path)
}

fn locate_in(
    program: &OsStr,
    config_dir: &Path,
    beside: Option<&Path>,
    path: &OsStr,
) -> Result<PathBuf, LocateError> {
    let mut tried = Vec::new();
    if program.as_encoded_bytes().contains(&b'/') {
        tried.push(config_dir.join(program));
    } else if !program.is_empty() {
        let in_path = env::split_paths(path).filter(|dir| dir.is_absolute());
        let dirs = beside.map(Path::to_path_buf).into_iter().chain(in_path);
        tried.extend(dirs.map(|dir| dir.join(program)));
    }

    let mut found = None;
    for file in &tried {
        match fs::metadata(file) {
            Ok(data) if data.is_file() && may_execute(file) => return Ok(file.clone()),
            Ok(_) => found = found.or_else(|| Some(file.clone())),
            Err(_) => {}
        }
    }
    let program = program.to_owned();
    Err(match found {
        Some(file) => LocateError::NotExecutable { program, file },
        None => LocateError::NotFound { program, tried },
    })
}

fn may_execute(file: &Path) -> bool {
    rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

struct List<'a>(&'a [PathBuf]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing, for the name is empty");
        }
        for (i, file) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{}", file.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::{LocateError, locate, locate_in};
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};
    use tempfile::TempDir;

    fn file(dir: &TempDir, name: &str, mode: u32) -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_slash_means_as_it_is() {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        let handler = file(&dir, "sub/handler", 0o755);
        assert_eq!(locate("sub/handler", dir.path()).unwrap(), handler);
        assert_eq!(locate(&handler, Path::new("/nowhere")).unwrap(), handler);
        assert_eq!(
            locate("./sub/../sub/handler", dir.path())
                .unwrap()
                .canonicalize()
                .unwrap(),
            handler
        );
        assert!(locate("sub/", dir.path()).is_err());
    }

    #[test]
    fn beside_comes_before_path_and_relative_parts_do_not_count() {
        let (beside, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let path = format!(".::{}:relative", other.path().display());
        let find = |name: &str| {
            locate_in(
                OsStr::new(name),
                Path::new("/"),
                Some(beside.path()),
                OsStr::new(&path),
            )
        };

        let theirs = file(&other, "tool", 0o755);
        assert_eq!(find("tool").unwrap(), theirs);
        let ours = file(&beside, "tool", 0o755);
        assert_eq!(find("tool").unwrap(), ours);

        file(&beside, "plain", 0o644);
        let runs = file(&other, "plain", 0o755);
        assert_eq!(
            find("plain").unwrap(),
            runs,
            "a file that cannot run hides none that can"
        );

        let Err(LocateError::NotFound { tried, .. }) = find("absent") else {
            unreachable!("found what is not there")
        };
        assert_eq!(
            tried,
            [beside.path().join("absent"), other.path().join("absent")]
        );
    }

    #[test]
    fn messages_say_what_was_looked_for() {
        let dir = TempDir::new().unwrap();
        let error = locate("no-such-program-here", dir.path())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("no-such-program-here: there is no such program; looked for /"),
            "{error}"
        );

        let plain = file(&dir, "plain", 0o644);
        let error = locate(&plain, dir.path()).unwrap_err().to_string();
        assert!(error.contains("is not an executable file"), "{error}");
        assert!(matches!(
            locate("..", dir.path()),
            Err(LocateError::NotExecutable { .. })
        ));
        assert!(
            locate("", dir.path())
                .unwrap_err()
                .to_string()
                .contains("the name is empty")
        );
    }
}
