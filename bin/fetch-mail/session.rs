//! The connection to the server, from finding it to the login.

use std::io::Read as _;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ima_message::Hostpart;
use ima_proto::imrp::Client;
use ima_proto::tls::{Secure, connect_as_user};

use crate::config::Account;
use crate::failure::Failure;

/// A connection on which the user is logged in.
pub struct Session {
    /// The exchange.
    pub client: Client<Secure>,
    host: Hostpart,
    stopped: Arc<AtomicBool>,
}

impl Session {
    /// Finds the server, connects to it, and logs in.
    ///
    /// # Errors
    /// [`Failure::PasswordRefused`] or [`Failure::CertificateRefused`] where the
    /// server says no; what else went wrong.
    pub fn open(account: &Account, password: Option<&[u8]>) -> Result<Self, Failure> {
        let host = account.address.hostpart();
        let socket = Arc::new(account.dialler.dial(host)?);
        let stopped = stop_at_signals(Arc::clone(&socket))?;
        let named = |failure| named(failure, host, &stopped, false);
        let secure = connect_as_user(socket, &account.tls, host).map_err(|e| named(e.into()))?;
        let mut client = Client::new(secure, account.times);
        let address = &account.address;
        let is_in = match password {
            Some(password) => client.log_in_by_password(address, password),
            None => client.log_in_by_certificate(address),
        };
        match is_in.map_err(|e| named(e.into()))? {
            true => Ok(Self {
                client,
                host: host.clone(),
                stopped,
            }),
            false => {
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

    /// Whether a signal came.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Why the exchange failed, and with which server: a signal closes the
    /// connection.
    pub fn cause(&self, failure: Failure) -> Failure {
        named(failure, &self.host, &self.stopped, true)
    }

    /// Says the end and closes.
    pub fn end(self) {
        // All that was asked for is here; how the server closes changes nothing.
        let _ = self.client.done();
    }
}

/// A failure, with the server whose exchange it ended, before or after the login.
fn named(failure: Failure, host: &Hostpart, stopped: &AtomicBool, is_in: bool) -> Failure {
    match failure {
        Failure::Exchange(_) | Failure::Tls(_) if stopped.load(Ordering::SeqCst) => {
            Failure::Stopped
        }
        Failure::Exchange(error) => Failure::Ended {
            host: host.clone(),
            error,
            is_in,
        },
        failure => failure,
    }
}

/// At SIGTERM or SIGINT the connection is closed, so that nothing waits for it
/// any more; what is whole is kept as at any other break. Gives the flag that
/// says so.
fn stop_at_signals(socket: Arc<TcpStream>) -> Result<Arc<AtomicBool>, Failure> {
    let (mut signals, signalled) = UnixStream::pair().map_err(Failure::Signals)?;
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        let pipe = signalled.try_clone().map_err(Failure::Signals)?;
        signal_hook::low_level::pipe::register(signal, pipe).map_err(Failure::Signals)?;
    }
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopped);
    let wait = move || {
        if signals.read_exact(&mut [0]).is_ok() {
            flag.store(true, Ordering::SeqCst);
            // One that is closed already is as well.
            let _ = socket.shutdown(Shutdown::Both);
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .map_err(Failure::Signals)?;
    Ok(stopped)
}
