//! What a child finds around it: descriptors, environment, directory and group.

use std::env;

use super::*;

#[test]
fn three_descriptors_and_no_more() {
    let inherited = rustix::io::dup(std::io::stdin()).unwrap(); // not closed on exec
    let (lines, _) = run("for fd in /proc/$$/fd/*; do [ -e $fd ] && echo ${fd##*/}; done");
    assert_eq!(lines, ["0", "1", "2"]);
    drop(inherited);
}

#[test]
fn only_a_users_own_command_has_all_of_our_environment() {
    let ours = env::var("CARGO_MANIFEST_DIR").unwrap();
    let says = || sh("echo \"${CARGO_MANIFEST_DIR-nothing}\"");
    let (lines, _) = finish(says().start_as_user(within(LONG)).unwrap());
    assert_eq!(lines, [ours]);
    let (lines, _) = finish(says().start(within(LONG)).unwrap());
    assert_eq!(lines, ["nothing"]);
}

#[test]
fn arguments_and_group() {
    let (lines, _) = finish(
        command(&[
            "/bin/sh",
            "-c",
            "for a; do echo \"<$a>\"; done",
            "sh",
            "$(touch x)",
            "",
            "-rf",
            "a b",
        ])
        .start(within(LONG))
        .unwrap(),
    );
    assert_eq!(lines, ["<$(touch x)>", "<>", "<-rf>", "<a b>"]);
    let (lines, _) = run("echo $$; cut -d ' ' -f 5 /proc/$$/stat");
    assert!(
        lines.first() == lines.last(),
        "{lines:?}: not the leader of its group"
    );
}

#[test]
fn of_the_environment_only_what_is_meant() {
    if !alone("surroundings::of_the_environment_only_what_is_meant") {
        return;
    }
    // As a server has it.
    crate::log::set_usual_form(crate::log::Form::Text);
    let path = env::var("PATH").unwrap();
    let mut child = sh("tr '\\0' '\\n' </proc/$$/environ");
    child.env = vec![("IMA_DIGEST", "d".into()), ("IMA_AUTHOR", "valid".into())];
    let (mut lines, _) = finish(child.start(within(LONG)).unwrap());
    lines.sort();
    assert_eq!(
        lines,
        [
            "EMEMO_CONFIG_DIR=/somewhere/else",
            "EMEMO_LOG=text",
            "IMA_AUTHOR=valid",
            "IMA_DIGEST=d",
            "IMA_TEST_ALONE=caller",
            "LANG=C.UTF-8",
            &format!("PATH={path}"),
            "TZ=UTC",
        ]
    );
}
