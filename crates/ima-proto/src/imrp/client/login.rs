//! Logging in, and what is there then.

use ima_message::Address;

use super::{Budget, Client, ClientError, Told};
use crate::framing::Channel;
use crate::imrp::MAX_PASSWORD;
use crate::imrp::answer::{Final, FolderStatus, Information};
use crate::imrp::command::Command;

/// Folders that one answer may tell of.
const MAX_FOLDERS: usize = 10_000;

impl<C: Channel> Client<C> {
    /// Logs in by password. False: the server says no, without a reason.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn log_in_by_password(
        &mut self,
        address: &Address,
        password: &[u8],
    ) -> Result<bool, ClientError> {
        self.say_password(address, password)?;
        self.wire.flush(self.times.idle)?;
        self.logged_in()
    }

    /// Logs in by the certificate that was shown in the handshake.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn log_in_by_certificate(&mut self, address: &Address) -> Result<bool, ClientError> {
        self.say_certificate(address)?;
        self.wire.flush(self.times.idle)?;
        self.logged_in()
    }

    /// Logs in by password and asks for the folders, in one round trip. `None`:
    /// the server says no, without a reason, and ends the session.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn open_by_password(
        &mut self,
        address: &Address,
        password: &[u8],
    ) -> Result<Option<Vec<FolderStatus>>, ClientError> {
        self.say_password(address, password)?;
        self.opened()
    }

    /// The same by the certificate that was shown in the handshake.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn open_by_certificate(
        &mut self,
        address: &Address,
    ) -> Result<Option<Vec<FolderStatus>>, ClientError> {
        self.say_certificate(address)?;
        self.opened()
    }

    /// The folders of the mailbox.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn folders(&mut self) -> Result<Vec<FolderStatus>, ClientError> {
        self.write(&Command::Folders)?;
        self.wire.flush(self.times.idle)?;
        self.told_folders()
    }

    fn say_password(&mut self, address: &Address, password: &[u8]) -> Result<(), ClientError> {
        let octets = password.len() as u64;
        if !(1..=MAX_PASSWORD).contains(&octets) {
            return Err(ClientError::Password(password.len()));
        }
        let address = address.clone();
        self.write(&Command::LoginByPassword { address, octets })?;
        Ok(self.wire.write_octets(password)?)
    }

    fn say_certificate(&mut self, address: &Address) -> Result<(), ClientError> {
        let address = address.clone();
        Ok(self.write(&Command::LoginByCertificate { address })?)
    }

    fn opened(&mut self) -> Result<Option<Vec<FolderStatus>>, ClientError> {
        self.write(&Command::Folders)?;
        self.wire.flush(self.times.idle)?;
        match self.logged_in()? {
            // The other question came before a login, which is against the rules:
            // there is nothing more to hear.
            false => Ok(None),
            true => self.told_folders().map(Some),
        }
    }

    fn logged_in(&mut self) -> Result<bool, ClientError> {
        match self.told(&mut Budget::new())? {
            (_, Told::Last(Final::Ok)) => Ok(true),
            (_, Told::Last(Final::Fail(_))) => Ok(false),
            (line, _) => Err(ClientError::Unexpected(line.into())),
        }
    }

    fn told_folders(&mut self) -> Result<Vec<FolderStatus>, ClientError> {
        let mut folders: Vec<FolderStatus> = Vec::new();
        let mut budget = Budget::new();
        loop {
            match self.told(&mut budget)? {
                (_, Told::Last(Final::Ok)) => return Ok(folders),
                (line, Told::Information(Information::Folder(status))) => {
                    if folders.len() >= MAX_FOLDERS {
                        return Err(ClientError::Flood);
                    }
                    if folders.iter().any(|known| known.name == status.name) {
                        return Err(ClientError::Unexpected(line.into()));
                    }
                    folders.push(status);
                }
                (line, _) => return Err(ClientError::Unexpected(line.into())),
            }
        }
    }
}
