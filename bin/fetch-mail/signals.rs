//! SIGTERM and SIGINT, which end the program at a moment of its own choosing.

use std::io::Read as _;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::Failure;

/// The signals, from the first connection on; before that they end the program
/// as they end any.
#[derive(Clone, Debug, Default)]
pub struct Signals(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_caught: bool,
    is_stopped: bool,
    socket: Weak<TcpStream>,
}

impl Signals {
    /// From now on a signal closes this connection, so that nothing waits for it
    /// any more; one that came closes it at once. What is whole is kept as at any
    /// other break.
    ///
    /// # Errors
    /// [`Failure::Signals`].
    pub fn close(&self, socket: &Arc<TcpStream>) -> Result<(), Failure> {
        let mut state = self.state();
        if !state.is_caught {
            self.catch().map_err(Failure::Signals)?;
            state.is_caught = true;
        }
        if state.is_stopped {
            shut(socket);
        }
        state.socket = Arc::downgrade(socket);
        Ok(())
    }

    /// Whether a signal came.
    pub fn is_stopped(&self) -> bool {
        self.state().is_stopped
    }

    /// Waits so long, or until a signal comes: then true.
    pub fn pause(&self, time: Duration) -> bool {
        let state = self.state();
        let waited = self
            .0
            .came
            .wait_timeout_while(state, time, |state| !state.is_stopped);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_stopped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn catch(&self) -> std::io::Result<()> {
        let (mut signals, signalled) = UnixStream::pair()?;
        for signal in [SIGTERM, SIGINT] {
            signal_hook::low_level::pipe::register(signal, signalled.try_clone()?)?;
        }
        let all = self.clone();
        let wait = move || {
            if signals.read_exact(&mut [0]).is_ok() {
                let mut state = all.state();
                state.is_stopped = true;
                if let Some(socket) = state.socket.upgrade() {
                    shut(&socket);
                }
                all.0.came.notify_all();
            }
        };
        let thread = thread::Builder::new().name("signals".to_owned());
        thread.spawn(wait).map(drop)
    }
}

fn shut(socket: &TcpStream) {
    // One that is closed already is as well.
    let _ = socket.shutdown(Shutdown::Both);
}
