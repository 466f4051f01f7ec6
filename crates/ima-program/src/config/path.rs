//! Paths in configuration files.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A path as it stands in a configuration file. It gives nothing away but
/// [`ConfigPath::under`], so that none is used without the file's folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigPath(PathBuf);

impl ConfigPath {
    /// For a default that stands in a program.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The path to use, where `dir` is the configuration file's folder,
    /// [`super::Loaded::dir`]: an absolute one as it is, else below `dir`.
    #[must_use]
    pub fn under(&self, dir: &Path) -> PathBuf {
        dir.join(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ConfigPath;
    use std::path::Path;

    #[test]
    fn relative_to_the_folder_of_the_file() {
        let dir = Path::new("/srv/demo");
        assert_eq!(
            ConfigPath::new("tls/b.pem").under(dir),
            Path::new("/srv/demo/tls/b.pem")
        );
        assert_eq!(
            ConfigPath::new("/etc/b.pem").under(dir),
            Path::new("/etc/b.pem")
        );
    }
}
