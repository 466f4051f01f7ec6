//! The configuration of a program that people run for themselves.

use super::{ConfigError, DEFAULT_DIR, Loaded, read};
use serde::de::DeserializeOwned;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folder of our files in a user's folder of configurations.
const FOLDER: &str = "ememo";

/// What the environment says of where files are.
#[derive(Debug, Default)]
struct Surroundings {
    config_dir: Option<OsString>,
    xdg_config_home: Option<OsString>,
    home: Option<OsString>,
}

/// As [`super::load`], for a program that people run for themselves and that
/// its options alone can configure: where neither `option` nor
/// `EMEMO_CONFIG_DIR` names a place, the file is looked for in the user's own
/// folder, `ememo/` in `$XDG_CONFIG_HOME` or else in `~/.config` (XDG Base
/// Directory Specification), and then in `/etc/ememo`. The first one that is
/// there is taken whole. `None` where there is none.
///
/// # Errors
/// Where a file that was named is not there, or one is wrong.
pub fn load_own<T: DeserializeOwned>(
    program: &str,
    option: Option<&Path>,
) -> Result<Option<Loaded<T>>, ConfigError> {
    let around = Surroundings {
        config_dir: env::var_os("EMEMO_CONFIG_DIR"),
        xdg_config_home: env::var_os("XDG_CONFIG_HOME"),
        home: env::var_os("HOME"),
    };
    match candidates(program, option, around) {
        Candidates::Named(file) => read(&file).map(Some),
        Candidates::Usual(files) => first(files.iter().map(|file| read(file))),
    }
}

/// Where the file may be.
#[derive(Debug, PartialEq, Eq)]
enum Candidates {
    /// Somebody said so: it must be there.
    Named(PathBuf),
    /// In one of these, or nowhere.
    Usual(Vec<PathBuf>),
}

fn candidates(program: &str, option: Option<&Path>, around: Surroundings) -> Candidates {
    if let Some(file) = option {
        return Candidates::Named(file.to_path_buf());
    }
    let name = format!("{program}.toml");
    let said = |value: Option<OsString>| value.filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = said(around.config_dir) {
        return Candidates::Named(dir.join(name));
    }
    // A relative one is passed over, as its specification demands.
    let xdg = said(around.xdg_config_home).filter(|dir| dir.is_absolute());
    let own = xdg.or_else(|| said(around.home).map(|home| home.join(".config")));
    let own = own.map(|dir| dir.join(FOLDER).join(&name));
    let files = own.into_iter().chain([Path::new(DEFAULT_DIR).join(&name)]);
    Candidates::Usual(files.collect())
}

/// The first file that is there.
fn first<T>(
    files: impl Iterator<Item = Result<Loaded<T>, ConfigError>>,
) -> Result<Option<Loaded<T>>, ConfigError> {
    for file in files {
        match file {
            Err(ConfigError::NotThere { .. }) => {}
            found => return found.map(Some),
        }
    }
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::{Candidates, Surroundings, candidates, first};
    use crate::config::{ConfigError, read};
    use serde::Deserialize;
    use std::fs;
    use std::path::{Path, PathBuf};
    use tempfile::TempDir;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        word: String,
    }

    fn usual(around: Surroundings) -> Vec<PathBuf> {
        match candidates("fetch-mail", None, around) {
            Candidates::Usual(files) => files,
            Candidates::Named(file) => unreachable!("{}", file.display()),
        }
    }

    #[test]
    fn a_place_that_is_named_is_the_only_one() {
        let around = || Surroundings {
            config_dir: Some("/srv/etc".into()),
            xdg_config_home: Some("/x".into()),
            home: Some("/home/bob".into()),
        };
        assert_eq!(
            candidates("fetch-mail", Some(Path::new("my.toml")), around()),
            Candidates::Named("my.toml".into())
        );
        assert_eq!(
            candidates("fetch-mail", None, around()),
            Candidates::Named("/srv/etc/fetch-mail.toml".into())
        );
    }

    #[test]
    fn the_users_own_folder_comes_before_the_systems() {
        let etc = PathBuf::from("/etc/ememo/fetch-mail.toml");
        let own = PathBuf::from("/home/bob/.config/ememo/fetch-mail.toml");
        for xdg in [None, Some("".into()), Some("relative".into())] {
            let around = Surroundings {
                config_dir: Some("".into()),
                xdg_config_home: xdg,
                home: Some("/home/bob".into()),
            };
            assert_eq!(usual(around), [own.clone(), etc.clone()]);
        }
        let around = Surroundings {
            xdg_config_home: Some("/x".into()),
            home: Some("/home/bob".into()),
            ..Surroundings::default()
        };
        let own = PathBuf::from("/x/ememo/fetch-mail.toml");
        assert_eq!(usual(around), [own, etc.clone()]);
        assert_eq!(usual(Surroundings::default()), [etc]);
    }

    #[test]
    fn the_first_that_is_there_is_taken_and_a_wrong_one_hides_no_other() {
        let dir = TempDir::new().unwrap();
        let found = |names: &[&str]| {
            let files = names.iter().map(|name| dir.path().join(name));
            first(files.map(|file| read::<Config>(&file)))
        };
        fs::write(dir.path().join("one"), "word = \"one\"\n").unwrap();
        fs::write(dir.path().join("two"), "word = \"two\"\n").unwrap();
        fs::write(dir.path().join("wrong"), "wort = 1\n").unwrap();

        let loaded = found(&["none", "two", "one"]).unwrap().unwrap();
        assert_eq!(
            (loaded.value.word.as_str(), loaded.dir.as_path()),
            ("two", dir.path())
        );
        assert!(found(&["none", "none/at-all"]).unwrap().is_none());
        let error = found(&["wrong", "one"]).unwrap_err();
        assert!(matches!(error, ConfigError::Wrong { .. }), "{error}");
    }
}
