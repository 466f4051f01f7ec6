//! Tests that have a process of their own.

use std::{env, process};

/// Runs a test in a process of its own, with an environment of its own.
/// True in there.
pub(super) fn alone(test: &str) -> bool {
    if env::var_os("IMA_TEST_ALONE").is_some() {
        return true;
    }
    let output = process::Command::new(env::current_exe().unwrap())
        .args(["--exact", "--test-threads=1", "--nocapture"])
        .arg(format!("child::tests::{test}"))
        .env("IMA_TEST_ALONE", "caller")
        .env("IMA_AUTHOR", "caller")
        .env("EMEMO_CONFIG_DIR", "/somewhere/else")
        .env("TZ", "UTC")
        .env("LANG", "C.UTF-8")
        .env("LANGUAGE", "de")
        .env("SECRET", "x")
        .env("LD_LIBRARY_PATH_IMA_", "x")
        // Set where the tests that need other programs or long run, too.
        .env_remove("EMEMO_EXTERNAL")
        .env_remove("EMEMO_LONG")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    false
}
