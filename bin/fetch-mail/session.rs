//! The connection to the server, from finding it to the login.

use std::sync::Arc;

use ima_message::{FolderName, Hostpart, Token};
use ima_proto::imrp::{Client, ClientError, FolderStatus};
use ima_proto::tls::{Secure, connect_as_user};

use crate::config::Account;
use crate::failure::Failure;
use crate::scope::Scope;
use crate::signals::Signals;

/// A connection on which the user is logged in.
pub struct Session {
    /// The exchange.
    pub client: Client<Secure>,
    /// How much is to be done.
    pub scope: Scope,
    /// The folders of the server, where they were told and nobody has dealt with
    /// them yet.
    folders: Option<Vec<FolderStatus>>,
    host: Hostpart,
    signals: Signals,
}

impl Session {
    /// Finds the server, connects to it, and logs in.
    ///
    /// # Errors
    /// [`Failure::PasswordRefused`] or [`Failure::CertificateRefused`] where the
    /// server says no; what else went wrong.
    pub fn open(
        account: &Account,
        password: Option<&[u8]>,
        signals: &Signals,
    ) -> Result<Self, Failure> {
        let host = account.address.hostpart();
        let socket = Arc::new(account.dialler.dial(host)?);
        signals.close(&socket)?;
        let named = |failure| named(failure, host, signals, false);
        let secure = connect_as_user(socket, &account.tls, host).map_err(|e| named(e.into()))?;
        let mut client = Client::new(secure, account.times);
        let address = &account.address;
        let folders = match password {
            Some(password) => client.open_by_password(address, password),
            None => client.open_by_certificate(address),
        };
        match folders.map_err(|e| named(e.into()))? {
            Some(folders) => Ok(Self {
                client,
                scope: account.scope.clone(),
                folders: Some(folders),
                host: host.clone(),
                signals: signals.clone(),
            }),
            None => {
                // Without it, the connection broke off to the server's mind.
                let _ = client.done();
                let address = address.clone();
                Err(match password {
                    Some(_) => Failure::PasswordRefused(address),
                    None => Failure::CertificateRefused(address),
                })
            }
        }
    }

    /// The folders of the server, as they were at the login or at
    /// [`Session::tokens`], or else as they are now.
    ///
    /// # Errors
    /// What the exchange says.
    pub fn folders(&mut self) -> Result<Vec<FolderStatus>, ClientError> {
        match self.folders.take() {
            Some(folders) => Ok(folders),
            None => self.client.folders(),
        }
    }

    /// The tokens of the folders that [`Session::folders`] gives next.
    ///
    /// # Errors
    /// What the exchange says.
    pub fn tokens(&mut self) -> Result<Vec<(FolderName, Token)>, ClientError> {
        let folders = self.folders()?;
        let tokens = folders.iter();
        let tokens = tokens.map(|folder| (folder.name.clone(), folder.token));
        let tokens = tokens.collect();
        self.folders = Some(folders);
        Ok(tokens)
    }

    /// Whether a signal came.
    pub fn is_stopped(&self) -> bool {
        self.signals.is_stopped()
    }

    /// Why the exchange failed, and with which server: a signal closes the
    /// connection.
    pub fn cause(&self, failure: Failure) -> Failure {
        named(failure, &self.host, &self.signals, true)
    }

    /// Says the end and closes.
    pub fn end(self) {
        // All that was asked for is here; how the server closes changes nothing.
        let _ = self.client.done();
    }
}

/// A failure, with the server whose exchange it ended, before or after the login.
fn named(failure: Failure, host: &Hostpart, signals: &Signals, is_in: bool) -> Failure {
    match failure {
        Failure::Exchange(_) | Failure::Tls(_) if signals.is_stopped() => Failure::Stopped,
        Failure::Exchange(error) => Failure::Ended {
            host: host.clone(),
            error,
            is_in,
        },
        failure => failure,
    }
}
