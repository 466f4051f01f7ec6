//! Who starts the commands behind a receiver.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::PipeWriter;
use std::path::PathBuf;

use ima_message::{HeaderBlock, MessageDigest, Received};
use ima_program::child::{ChildError, Command, Group, Lasting, Started};
use ima_program::spool::{SpoolWriter, Spooled};
use serde::{Deserialize, Serialize};

/// Which of the two commands that are run for each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Each {
    /// `check`.
    Check,
    /// `handler`.
    Handler,
}

/// Who starts the commands of a configuration.
pub trait Commands: fmt::Debug + Send + Sync {
    /// Starts one for a message, whose header block bears its `received`.
    ///
    /// # Errors
    /// As for [`Command::start`].
    fn run(&self, each: Each, header: &HeaderBlock, stdin: File) -> Result<Started, ChildError>;

    /// Starts the one that stays; gives the pipe to its stdin.
    ///
    /// # Errors
    /// As for [`Command::start`].
    fn stay(&self) -> Result<(Started, PipeWriter), ChildError>;

    /// Where a message is written that is to be the stdin of a command.
    fn spool(&self) -> SpoolWriter;
}

/// By which of the two contracts of ima-handler(7) messages are handed on.
#[derive(Clone, Debug)]
pub enum Contract {
    /// Two commands for each message.
    Each {
        /// Is given the header block alone, before the answer to HEADERS.
        check: Vec<String>,
        /// Is given the message.
        handler: Vec<String>,
    },
    /// One command that is asked about many messages.
    Staying(Vec<String>),
}

/// This process starts them, and no command of the other contract.
#[derive(Clone, Debug)]
pub struct OwnCommands {
    /// Which there are.
    pub contract: Contract,
    /// The folder of the configuration file that names them.
    pub config_dir: PathBuf,
    /// Whether who kills our process group is to kill `check` and `handler`, too.
    pub group: Group,
}

impl OwnCommands {
    /// Starts one for a message that has this digest and came in this way.
    ///
    /// # Errors
    /// As for [`Command::start`].
    pub(super) fn run_for(
        &self,
        each: Each,
        digest: MessageDigest,
        received: Option<&Received>,
        stdin: File,
    ) -> Result<Started, ChildError> {
        let argv = match (&self.contract, each) {
            (Contract::Each { check, .. }, Each::Check) => check,
            (Contract::Each { handler, .. }, Each::Handler) => handler,
            (Contract::Staying(_), _) => return Err(of_the_other_contract()),
        };
        let mut env = vec![("IMA_DIGEST", digest.to_string())];
        if let Some(received) = received {
            env.push(("IMA_PEER_DOMAIN", received.from.to_string()));
            env.push(("IMA_PEER_ADDRESS", received.address.to_string()));
            env.push(("IMA_AUTHOR", received.author.to_string()));
        }
        let command = Command {
            argv: argv.iter().map(OsString::from).collect(),
            config_dir: self.config_dir.clone(),
            env,
            stdin,
            group: self.group,
        };
        command.spawn()
    }
}

impl Commands for OwnCommands {
    fn run(&self, each: Each, header: &HeaderBlock, stdin: File) -> Result<Started, ChildError> {
        self.run_for(each, header.digest(), header.received(), stdin)
    }

    fn stay(&self) -> Result<(Started, PipeWriter), ChildError> {
        let Contract::Staying(argv) = &self.contract else {
            return Err(of_the_other_contract());
        };
        let argv = argv.iter().map(OsString::from).collect();
        Lasting::spawn(argv, self.config_dir.clone())
    }

    fn spool(&self) -> SpoolWriter {
        Spooled::writer()
    }
}

fn of_the_other_contract() -> ChildError {
    ChildError::Refused("the configuration names no such command".into())
}
