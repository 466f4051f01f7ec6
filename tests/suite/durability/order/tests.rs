//! Orders of calls that are right and wrong.

use super::super::trace::calls;
use super::*;

/// A delivery as it should be.
const DELIVERY: &str = r#"
    openat2(7</m/bob/inbox/tmp>, ".", {flags=O_RDWR|O_TMPFILE, mode=0600}, 24) = 8</m/bob/inbox/tmp/#12>(deleted)
    write(8</m/bob/inbox/tmp/#12>(deleted), "ima: 1\n", 7) = 7
    fsync(8</m/bob/inbox/tmp/#12>(deleted)) = 0
    openat2(4</m/bob/inbox>, "journal", {flags=O_RDWR|O_APPEND}, 24) = 9</m/bob/inbox/journal>
    linkat(AT_FDCWD</home>, "/proc/self/fd/8", 3</m/bob/inbox/messages>, "ab", AT_SYMLINK_FOLLOW) = 0
    fsync(3</m/bob/inbox/messages>) = 0
    write(9</m/bob/inbox/journal>, "add ab\n", 7) = 7
    fsync(9</m/bob/inbox/journal>) = 0
    exit_group(0) = ?"#;

fn found(trace: &str) -> Vec<String> {
    let lines = trace.lines().map(str::trim).filter(|line| !line.is_empty());
    let text: String = lines.map(|line| format!("1 {line}\n")).collect();
    let told = Acknowledgements { on_sockets: true };
    problems(&calls(&text), Path::new("/m"), told)
}

/// The delivery with one line changed.
fn changed(line: &str, into: &str) -> Vec<String> {
    assert_eq!(DELIVERY.matches(line).count(), 1, "{line}");
    found(&DELIVERY.replace(line, into))
}

#[test]
fn a_delivery_is_in_order() {
    assert_eq!(found(DELIVERY), [""; 0]);
}

#[test]
fn each_sync_is_missed() {
    let file = "fsync(8</m/bob/inbox/tmp/#12>(deleted)) = 0";
    let directory = "fsync(3</m/bob/inbox/messages>) = 0";
    let journal = "fsync(9</m/bob/inbox/journal>) = 0";
    for (line, said) in [
        (file, "write /m/bob/inbox/tmp/#12: no sync of the file"),
        (
            directory,
            "linkat /m/bob/inbox/messages/ab: no sync of the directory",
        ),
        (journal, "write /m/bob/inbox/journal: no sync of the file"),
    ] {
        let problems = changed(line, "");
        assert!(
            problems.iter().any(|problem| problem.starts_with(said)),
            "{problems:?}"
        );
        let failed = line.replace("= 0", "= -1 EIO (Input/output error) (INJECTED)");
        let problems = changed(line, &failed);
        assert!(
            problems.iter().any(|text| text.contains("its sync failed")),
            "{problems:?}"
        );
        // A second one says nothing of what the first has lost.
        assert_eq!(changed(line, &format!("{failed}\n{line}")), problems);
    }
    // Without an acknowledgement nothing is missed, but for what the `add` needs.
    let cut = DELIVERY.replace("exit_group(0)", "exit_group(2)");
    assert_eq!(found(&cut.replace(journal, "")), [""; 0]);
    assert_eq!(found(&cut.replace(directory, "")).len(), 1);
}

#[test]
fn a_sync_of_the_file_system_is_one_of_all() {
    let synced = "syncfs(3</m/bob/inbox/messages>) = 0";
    let trace = DELIVERY
        .replace("fsync(8</m/bob/inbox/tmp/#12>(deleted)) = 0", "")
        .replace("fsync(3</m/bob/inbox/messages>) = 0", synced);
    assert_eq!(found(&trace), [""; 0]);
}

#[test]
fn what_was_withdrawn_is_not_missed() {
    let journal = "fsync(9</m/bob/inbox/journal>) = 0";
    let trace = DELIVERY.replace(
        journal,
        r#"fsync(9</m/bob/inbox/journal>) = -1 EIO (Input/output error)
        ftruncate(9</m/bob/inbox/journal>, 31) = 0
        fsync(9</m/bob/inbox/journal>) = 0"#,
    );
    assert_eq!(found(&trace), [""; 0]);
}

#[test]
fn a_sync_that_another_thread_had_begun_is_none_of_what_came_meanwhile() {
    let trace = "1 fsync(3</m/messages> <unfinished ...>\n\
        2 unlinkat(4</m/gone>, \"ab\", 0) = 0\n\
        2 mkdirat(3</m/messages>, \"ab\", 0700) = 0\n\
        2 fsync(4</m/gone>) = 0\n\
        1 <... fsync resumed>) = 0\n\
        1 exit_group(0) = ?\n";
    let problems = problems(&calls(trace), Path::new("/m"), Acknowledgements::default());
    assert_eq!(
        problems,
        ["mkdirat /m/messages/ab: no sync of the directory before exit status 0"]
    );
}

#[test]
fn a_file_put_in_the_place_of_another_is_synced_and_so_is_its_directory() {
    let trace = r#"
        openat(3</m/d>, "new", O_WRONLY|O_CREAT|O_TRUNC, 0600) = 4</m/d/new>
        write(4</m/d/new>, "text", 4) = 4
        fsync(4</m/d/new>) = 0
        renameat(3</m/d>, "new", 3</m/d>, "state") = 0
        fsync(3</m/d>) = 0
        write(5<socket:[7]>, "\27\3\3", 3) = 3"#;
    assert_eq!(found(trace), [""; 0]);
    let said = "renameat /m/d/state: no sync of the directory before octets on a socket";
    assert!(found(&trace.replace("fsync(3</m/d>) = 0", "")).contains(&said.to_owned()));
    let said = "write /m/d/new: no sync of the file before octets on a socket";
    let unsynced = trace.replace("fsync(4</m/d/new>) = 0", "");
    assert!(
        found(&unsynced).contains(&said.to_owned()),
        "{:?}",
        found(&unsynced)
    );
}

#[test]
fn the_journal_says_that_a_message_is_gone_before_it_is() {
    let trace = r#"
        openat(6</m/bob/inbox/gone>, "ab", O_RDWR|O_CREAT|O_EXCL, 0600) = 8</m/bob/inbox/gone/ab>
        fsync(6</m/bob/inbox/gone>) = 0
        write(9</m/bob/inbox/journal>, "del ab\n", 7) = 7
        fsync(9</m/bob/inbox/journal>) = 0
        unlinkat(3</m/bob/inbox/messages>, "ab", 0) = 0
        exit_group(0) = ?"#;
    assert_eq!(found(trace), [""; 0]);
    let early = trace.replace("fsync(9</m/bob/inbox/journal>) = 0", "");
    let said = "/m/bob/inbox/messages/ab: removed before write /m/bob/inbox/journal";
    assert!(found(&early).contains(&said.to_owned()));
    let gone = trace.replace("fsync(6</m/bob/inbox/gone>) = 0", "");
    assert_eq!(found(&gone).len(), 1);
}

#[test]
fn a_recipient_s_line_speaks_of_that_recipient_alone() {
    let trace = r#"
        mkdirat(3</m/eve/inbox/messages>, "ab", 0700) = 0
        write(1<pipe:[3]>, "OK bob@b.test\n", 14) = 14
        exit_group(2) = ?"#;
    assert_eq!(found(trace), [""; 0]);
    assert_eq!(found(&trace.replace("OK bob", "OK eve")).len(), 1);
}
