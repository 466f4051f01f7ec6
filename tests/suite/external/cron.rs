//! cron and systemd, who start programs at their times.

use std::fs;
use std::time::Instant;

use rustix::process::geteuid;

use super::{Pair, Talk, has, tool};
use crate::fetch::{Place, contents};
use crate::pages::root;
use crate::site::{PATIENCE, program, stdout};

/// cron with its tables, the system's other ones hidden, in a place of its own.
const CRON: &str = "
mount -t tmpfs none /var/spool/cron
mkdir -m 1730 /var/spool/cron/crontabs
mount -t tmpfs none /etc/cron.d
mount -t tmpfs none /run
mount --bind /dev/null /etc/crontab
crontab \"$1\"
exec cron -f
";

/// Each minute begins a run; the second one finds the first one's mail.
#[test]
fn the_lines_of_the_crontab_run() {
    if !has(&["cron"]) {
        return;
    }
    if !geteuid().is_root() {
        // Nobody else may start cron.
        return;
    }
    let place = Place::new();
    place.deliver("inbox", &place.letter("one\n", &[]));
    let server = place.b.start_office();
    let by_certificate = place.command(server.address);
    drop(by_certificate);
    fs::copy(
        place.file("fetch-mail.toml"),
        place.b.dir.join("fetch-mail.toml"),
    )
    .unwrap();
    for name in ["bob.pem", "bob.key"] {
        fs::copy(place.file(name), place.b.dir.join(name)).unwrap();
    }
    place.b.edit("fetch-mail.toml", |text| {
        text.replace("ca/ca.pem", "../ca/ca.pem")
    });

    let receiver = place.b.start();
    place.b.knows("b.test", receiver.address);

    // The example, but for its times and its places; and what would be mailed is
    // kept.
    let example = fs::read_to_string(root().join("etc/crontab.example")).unwrap();
    let beside = program("fetch-mail");
    let table = example
        .replace("/usr/local/bin", beside.parent().unwrap().to_str().unwrap())
        .replace(
            "*/5 * * * * fetch-mail mail",
            "* * * * * fetch-mail mail >fetch.out 2>&1",
        )
        .replace(
            "7 6 * * * server-check b.test",
            "* * * * * server-check b.test",
        )
        .replace("grep -v '^good '", "grep -v '^good ' >check.out 2>&1");
    let home = place.site.path().display();
    let table = format!(
        "HOME={home}\nEMEMO_CONFIG_DIR={}\n{table}",
        place.b.dir.display()
    );
    let file = place.file("crontab");
    fs::write(&file, table).unwrap();

    let mut cron = tool("unshare");
    cron.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-ec",
        CRON,
        "sh",
    ]);
    cron.arg(&file);
    let _cron = Talk::new(cron);
    let begin = Instant::now();
    let (fetched, checked) = (place.file("fetch.out"), place.file("check.out"));
    let inbox = place.mail().join("inbox/journal");
    let has_come = || fs::read_to_string(&inbox).is_ok_and(|text| text.lines().count() == 2);
    // A minute passes until the next one begins.
    while !(has_come() && checked.exists()) {
        assert!(begin.elapsed() < 2 * PATIENCE, "cron started nothing");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(contents(&place.mail().join("inbox")).1.len(), 1);
    assert_eq!(fs::read_to_string(fetched).unwrap(), "");
}

#[test]
fn systemd_understands_the_units_of_a_user() {
    if !has(&["systemd-analyze"]) {
        return;
    }
    let pair = Pair::new();
    let folder = pair.file("units");
    fs::create_dir(&folder).unwrap();
    let units = [
        "fetch-mail.service",
        "fetch-mail.timer",
        "fetch-mail-watch.service",
    ];
    for name in units {
        let unit = fs::read_to_string(root().join("etc/systemd").join(name)).unwrap();
        let program = program("fetch-mail").display().to_string();
        let unit = unit
            .replace("/usr/local/bin/fetch-mail", &program)
            // The pages are not installed where tests are run.
            .replace("Documentation=man:fetch-mail(1)\n", "");
        fs::write(format!("{folder}/{name}"), unit).unwrap();
    }
    let mut analyze = tool("systemd-analyze");
    analyze.args(["verify", "--user"]);
    analyze.args(units.map(|name| format!("{folder}/{name}")));
    let output = analyze.env("XDG_RUNTIME_DIR", &folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{said}{}",
        stdout(&output)
    );
}
