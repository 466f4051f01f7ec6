//! Programs under strace: whether everything was on the disk before it was
//! acknowledged, and what they do when a call fails.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::act::{self, Act};
use super::order::{self, Acknowledgements};
use super::place::{Place, expect};
use super::trace::{Call, calls};
use super::{Build, has, none, quick, tool};
use crate::site::{feed, wait_until};

/// Calls that change a file, a name, or what is on the disk, and those that say
/// something.
const CHANGES: &str = "open,openat,openat2,creat,link,linkat,rename,renameat,renameat2,unlink,\
     unlinkat,rmdir,mkdir,mkdirat,symlink,symlinkat,write,writev,pwrite64,pwritev,pwritev2,\
     copy_file_range,ftruncate,fsync,fdatasync,syncfs,sendto,sendmsg,dup,exit_group";

/// The same command under strace, which writes to a file.
pub fn under_strace(command: &Command, file: &Path, further: &[&str]) -> Command {
    let mut strace = tool("strace");
    strace.args(["-f", "-y", "--seccomp-bpf", "-s", "300", "-o"]);
    strace.arg(file).args(further).arg("--");
    strace.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        strace.current_dir(folder);
    }
    strace
}

/// Calls that are traced, beside further ones.
pub fn trace_of(further: &[&str]) -> String {
    format!("trace={CHANGES},{}", further.join(","))
}

/// What strace has written, once the process that it was to start has ended.
pub fn whole_trace(process: u32, trace: &Path) -> String {
    let process = process.to_string();
    let is_end = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some(&process) && words.next() == Some("+++")
    };
    let mut text = String::new();
    wait_until("the trace is whole", || {
        text = fs::read_to_string(trace).unwrap();
        text.lines().any(is_end)
    });
    text
}

/// Runs a command; gives its calls too. Options of strace may make some fail.
pub fn run(command: &Command, stdin: &[u8], options: &[&str]) -> (Output, Vec<Call>) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("trace");
    let output = feed(under_strace(command, &file, options), stdin);
    (output, calls(&fs::read_to_string(file).unwrap()))
}

/// What an act says before it is on the disk.
pub fn too_early(build: &Build, act: &Act) -> Vec<String> {
    let dir = quick();
    // strace names files by the paths that the kernel knows.
    let root = fs::canonicalize(dir.path()).unwrap().join("mail");
    fs::create_dir(&root).unwrap();
    let place = Place::furnished(&root, build);
    let (command, octets) = (act.command)(&place);
    let (output, calls) = run(&command, &octets, &["-e", &trace_of(&[])]);
    expect(0, &output);
    none(&act.missing(&place));
    let problems = order::problems(&calls, &root, Acknowledgements::default());
    let name = |problem| format!("{}: {problem}", act.name);
    problems.into_iter().map(name).collect()
}

#[test]
fn everything_is_synced_before_it_is_acknowledged() {
    if !has(&["strace"]) {
        return;
    }
    let acts = act::all();
    let problems = acts
        .iter()
        .flat_map(|act| too_early(&Build::default(), act));
    none(&problems.collect::<Vec<_>>());
}
