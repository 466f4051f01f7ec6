//! The connections that are being served, and how they come to an end.

use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::entrance::Entrance;

/// All connections of this process.
#[derive(Debug, Default)]
pub struct Connections {
    stopping: Arc<AtomicBool>,
    numbers: AtomicU64,
    open: Mutex<Vec<Arc<Connection>>>,
    closed: Condvar,
}

/// One of them.
#[derive(Debug)]
pub struct Connection {
    number: u64,
    socket: Arc<TcpStream>,
    /// Whether something is in hand that is to come to its end.
    busy: AtomicBool,
    stopping: Arc<AtomicBool>,
    entrance: Entrance,
}

/// Takes a connection off the list when dropped.
#[derive(Debug)]
pub struct Open<'a> {
    connections: &'a Connections,
    connection: Arc<Connection>,
}

impl Connection {
    /// Its socket, for whoever is to see where it comes from.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The client has proved who it is: from here on the connection counts as one
    /// that is served, and no newer one pushes it out. False where too many are
    /// served, in all or from this address; that is logged.
    pub fn enter(&self) -> bool {
        self.entrance.pass(None)
    }

    /// From here on something is in hand: a message, a command. A stop lets it
    /// come to its end.
    pub fn begin(&self) {
        self.busy.store(true, Ordering::SeqCst);
    }

    /// Nothing is in hand any more, or yet. Whether something may be begun: not
    /// after a stop. While nothing is in hand a stop also ends what is being read.
    pub fn goes_on(&self) -> bool {
        // In this order: a stop in between sees either that nothing is in hand,
        // or is seen here.
        self.busy.store(false, Ordering::SeqCst);
        !self.stopping.load(Ordering::SeqCst)
    }
}

impl Connections {
    /// Puts a connection on the list.
    pub(super) fn enter(&self, socket: Arc<TcpStream>, entrance: Entrance) -> Open<'_> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            number,
            socket,
            busy: AtomicBool::new(false),
            stopping: Arc::clone(&self.stopping),
            entrance,
        });
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection.clone());
        Open {
            connections: self,
            connection,
        }
    }

    /// Lets no connection begin anything, and wakes those that wait for something.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for connection in self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            if !connection.busy.load(Ordering::SeqCst) {
                // The reader sees an end; what is written still goes out.
                let _ = connection.socket.shutdown(Shutdown::Read);
            }
        }
    }

    /// Ends all connections that are still open.
    pub fn cut_off(&self) {
        for connection in self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            // It may be closed already.
            let _ = connection.socket.shutdown(Shutdown::Both);
        }
    }

    /// Waits until all are closed, or the time is up. Gives how many remain.
    pub fn wait(&self, at_most: Duration) -> usize {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .closed
            .wait_timeout_while(open, at_most, |open| !open.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.len()
    }
}

impl std::ops::Deref for Open<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // Before anybody hears that it is closed.
        self.connection.entrance.leave();
        let mut open = self
            .connections
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.retain(|other| other.number != self.connection.number);
        self.connections.closed.notify_all();
    }
}
