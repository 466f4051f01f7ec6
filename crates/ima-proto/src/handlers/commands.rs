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

/// This process starts them.
#[derive(Clone, Debug)]
pub struct OwnCommands {
    /// Is given the header block alone, before the answer to HEADERS.
    pub check: Vec<String>,
    /// Is given the message.
    pub handler: Vec<String>,
    /// Is asked about many messages.
    pub stream: Vec<String>,
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
        let argv = match each {
            Each::Check => &self.check,
            Each::Handler => &self.handler,
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
        let argv = self.stream.iter().map(OsString::from).collect();
        Lasting::spawn(argv, self.config_dir.clone())
    }

    fn spool(&self) -> SpoolWriter {
        Spooled::writer()
    }
}
