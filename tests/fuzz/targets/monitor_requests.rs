//! What a network process that was taken over says to the monitor of server-receive. The
//! first octet: whom it asks.
#![no_main]

use std::sync::{Arc, LazyLock};

use ima_program::monitor::{Packets, Service};
use ima_proto::handlers::{
    CommandReply, CommandRequest, CommandService, Contract, Group, OwnCommands,
};
use ima_proto::tls::{Identities, KeyReply, KeyRequest, Keys};
use libfuzzer_sys::fuzz_target;
use rustix::net::{SendFlags, send};

/// Holds no key.
static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let none = Identities::load(&[], std::path::Path::new("/")).expect("no files");
    Keys::new(none, None)
});
/// Has no command to start.
static COMMANDS: LazyLock<Arc<CommandService>> = LazyLock::new(|| {
    let nothing = OwnCommands {
        contract: Contract::Staying(Vec::new()),
        config_dir: "/".into(),
        group: Group::Own,
    };
    Arc::new(CommandService::new(nothing, 4))
});

fuzz_target!(|octets: &[u8]| {
    let Some((whom, packet)) = octets.split_first() else {
        return;
    };
    let (ours, mut monitor) = Packets::pair().expect("two sockets");
    if send(&ours, packet, SendFlags::empty()).is_err() {
        return;
    }
    if whom % 2 == 0 {
        let Ok((request, with)) = monitor.receive::<KeyRequest>() else {
            return;
        };
        let (reply, _) = KEYS.answer(request, with);
        assert!(!matches!(reply, KeyReply::Signature(_)), "{reply:?}");
    } else {
        let Ok((request, with)) = monitor.receive::<CommandRequest>() else {
            return;
        };
        let is_spool = matches!(request, CommandRequest::Spool);
        let (reply, files) = COMMANDS.answer(request, with);
        assert!(!matches!(reply, CommandReply::Started { .. }), "{reply:?}");
        assert_eq!(
            files.len(),
            usize::from(is_spool && matches!(reply, CommandReply::Done))
        );
    }
});
