//! What a network process that was taken over asks the monitor for, in tests.

use std::os::fd::{AsFd as _, OwnedFd};

use ima_program::monitor::taken_over::{self, Prey};
use ima_program::monitor::{Packets, Questions, to_memory};
use ima_proto::handlers::{CommandReply, CommandRequest, CommandService, Each};
use ima_proto::tls::{KeyReply, KeyRequest, Keys};

/// Plays it, where a test says so, with the sockets of this process, and does not live
/// through that; else gives them back.
pub fn play(keys: Vec<OwnedFd>, mut commands: Vec<OwnedFd>) -> (Vec<OwnedFd>, Vec<OwnedFd>) {
    let Some(prey) = Prey::of_environment() else {
        return (keys, commands);
    };
    taken_over::attempts(&prey);
    let spare = commands.pop();
    sign(&Questions::new(keys));
    run(&Questions::new(commands));
    if let Some(spare) = spare {
        // Who is told of this in the log is the monitor.
        let _ = Packets::from(spare).send(&u128::MAX, &[]);
    }
    loop {
        std::thread::park();
    }
}

fn sign(keys: &Questions<Keys>) {
    let ask = |attempt: &str, state: u64, context: &str, hash: usize| {
        let mut message = vec![b' '; 64];
        message.extend(context.as_bytes());
        message.extend(vec![7; hash]);
        let request = KeyRequest::Sign {
            state,
            block: 0,
            scheme: 0x0403,
            message,
        };
        let signed = match keys.ask(&request, &[]) {
            Ok((KeyReply::Signature(octets), _)) => Ok(octets),
            Ok((other, _)) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        };
        taken_over::report(attempt, signed);
    };
    // Keys are known by what was shown.
    let shown = keys.ask(&KeyRequest::Shown { known: 0 }, &[]);
    taken_over::report("allowed certificates", shown);
    let server = "TLS 1.3, server CertificateVerify\0";
    ask("allowed signature", 1, server, 32);
    ask(
        "sign as a sender",
        1,
        "TLS 1.3, client CertificateVerify\0",
        32,
    );
    ask("sign anything", 1, "", 32);
    ask("sign a message", 1, server, 4096);
    ask("sign with a key of another time", 2, server, 32);
}

fn run(commands: &Questions<CommandService>) {
    let run = |attempt: &str, digest: &str, received: Option<&str>| {
        let stdin = to_memory(&"a message").ok();
        let with: Vec<_> = stdin.iter().map(|stdin| stdin.as_fd()).collect();
        let request = CommandRequest::Run {
            each: Each::Handler,
            digest: digest.to_owned(),
            received: received.map(str::to_owned),
        };
        let started = match commands.ask(&request, &with) {
            Ok((CommandReply::Started { id, .. }, _)) => Ok(id),
            Ok((other, _)) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        };
        taken_over::report(attempt, started);
    };
    let digest = "0".repeat(64);
    run(
        "run with a digest that is a command",
        "$(touch taken)",
        None,
    );
    run(
        "run with a domain that is a command",
        &digest,
        Some("b.test 2026-11-22T09:30:02Z from=;touch address=::1 tls=TLSv1.3 author=host"),
    );
    run(
        "run with an address that is a command",
        &digest,
        Some("b.test 2026-11-22T09:30:02Z from=a.test address=`touch` tls=TLSv1.3 author=host"),
    );
    let stayed = match commands.ask(&CommandRequest::Stay, &[]) {
        Ok((CommandReply::Started { id, .. }, _)) => Ok(id),
        Ok((other, _)) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    };
    taken_over::report("run what the configuration does not name", stayed);
    let reaped = match commands.ask(&CommandRequest::Reap { number: 1 }, &[]) {
        Ok((CommandReply::Ended { status }, _)) => Ok(status),
        Ok((other, _)) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    };
    taken_over::report("reap a process of somebody's", reaped);
}
