//! Paths in commands that are printed to be run.

use std::path::Path;

/// The path as a POSIX shell takes it: in single quotes where it holds anything
/// but letters, digits and `/ . _ - + : @ % ,`.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_what_was_meant() {
        for path in [
            "/srv/b.test",
            "it's",
            "a b",
            "$HOME",
            "`x`",
            "*",
            "~",
            "",
            "a\\b\"",
            "ü",
        ] {
            let script = format!("printf %s {}", quoted(Path::new(path)));
            let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), path);
        }
    }
}
