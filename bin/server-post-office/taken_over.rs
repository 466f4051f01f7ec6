//! What a network process that was taken over asks the monitor for, in tests.
//!
//! Among the files that are to be tried stands `/key:` with a public key in hexadecimal
//! digits, of a certificate of bob@b.test, who has a password too. One session is allowed
//! at a time.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use ima_message::{Address, FolderName};
use ima_program::log;
use ima_program::monitor::taken_over::{self, Prey};
use ima_program::monitor::{PacketError, Packets, Questions};
use ima_proto::listen::{Accepted, Incoming};
use ima_proto::users::QUANTUM;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{ioctl_fionbio, write};
use serde::Serialize;

use crate::monitor::Desks;
use crate::packets::{DeskReply, DeskRequest, LoginReply, LoginRequest, Reply, Request};

const USER: &str = "bob@b.test";
const PASSWORD: &[u8] = b"open sesame";
/// For an answer of the monitor's.
const PATIENCE: Duration = Duration::from_secs(10);
/// RFC 8446, 4.4.3: what stands before the hash of a handshake in what a client signs.
const CLIENT: &[u8] = b"TLS 1.3, client CertificateVerify\0";
/// The same as a `KeyProof` in packets.
type ForgedProof = (Vec<u8>, u16, Vec<u8>, Vec<u8>);

/// The same as a [`LoginRequest`] in packets, with what nobody has signed.
#[derive(Serialize)]
enum Forged {
    #[allow(dead_code, reason = "so that the next one has its number")]
    Password,
    Certificate(Address, Option<ForgedProof>),
}

/// Plays it, where a test says so, with the sockets of this process, and does not live
/// through that; else gives them back.
pub fn play(incoming: Incoming, stop: &OwnedFd, desks: Vec<OwnedFd>) -> (Incoming, Vec<OwnedFd>) {
    let Some(prey) = Prey::of_environment() else {
        return (incoming, desks);
    };
    taken_over::attempts(&prey);
    let given = std::env::var(taken_over::VARIABLE).unwrap_or_default();
    let key = given.lines().find_map(|line| line.strip_prefix("/key:"));
    let (Some(connection), Some(key)) = (accept(&incoming, stop), key) else {
        return (incoming, desks);
    };
    let (bind, connect) = (rustix::net::bind, rustix::net::connect);
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let errno = |outcome: rustix::io::Result<()>| outcome.map_err(io::Error::from);
    taken_over::report("bind a socket", errno(bind(&connection, &nowhere)));
    taken_over::report("dial with a socket", errno(connect(&connection, &nowhere)));
    let desks = Questions::new(desks);
    let open = log_in(&desks, &connection, octets(key));
    let open = open.and_then(|desk| read(&desks, &connection, desk));
    taken_over::report("allowed questions", open.as_ref().map(drop));
    // To make the folder of somebody else. The monitor ends whoever says such a thing.
    let said = open.map(|open| open.send(&(10_u8, "../carol"), &[]));
    drop(said);
    loop {
        std::thread::park();
    }
}

fn accept(incoming: &Incoming, stop: &OwnedFd) -> Option<TcpStream> {
    let Incoming::Listening(listeners) = incoming else {
        return None;
    };
    for address in listeners.addresses() {
        log::info("listening").field("address", address).emit();
    }
    match listeners.accept(stop.as_fd()) {
        Accepted::Connection(connection, _) => Some(connection),
        Accepted::Stop => None,
    }
}

fn desk(desks: &Questions<Desks>, connection: &TcpStream) -> Result<Packets, PacketError> {
    match desks.ask(&DeskRequest::Desk, &[connection.as_fd()])? {
        (DeskReply::Open, sockets) => {
            let socket = sockets.into_iter().next();
            socket.map(Packets::from).ok_or(PacketError::Closed)
        }
        _ => Err(PacketError::Closed),
    }
}

fn say(desk: &mut Packets, request: &impl Serialize) -> Result<LoginReply, PacketError> {
    desk.send(request, &[])?;
    Ok(desk.receive()?.0)
}

/// Goes in, with what was proved before.
fn enter(desk: &mut Packets, attempt: &str) -> Result<(), PacketError> {
    let outcome = match say(desk, &LoginRequest::Enter)? {
        LoginReply::In => Ok(()),
        other => Err(format!("Refused: {other:?}")),
    };
    taken_over::report(attempt, outcome);
    Ok(())
}

/// Whether an answer came before its time.
fn soon(attempt: &str, asked: Instant) {
    let outcome = match asked.elapsed() < QUANTUM {
        true => Ok(()),
        false => Err("Refused"),
    };
    taken_over::report(attempt, outcome);
}

/// Whether an answer came from where none should come any more.
fn late<T>(attempt: &str, outcome: Result<T, PacketError>) {
    let outcome = outcome.map_err(|error| match error {
        PacketError::Closed => "Refused".to_owned(),
        error => error.to_string(),
    });
    taken_over::report(attempt, outcome);
}

/// In every way that is not right, and then in the right one.
fn log_in(
    desks: &Questions<Desks>,
    connection: &TcpStream,
    key: Vec<u8>,
) -> Result<Packets, PacketError> {
    let user = user()?;
    let said = |password: &[u8]| LoginRequest::Password(user.clone(), password.to_vec());
    let mut one = desk(desks, connection)?;
    enter(&mut one, "enter without a login")?;
    let asked = Instant::now();
    say(&mut one, &said(b"wrong"))?;
    soon("hear before its time that a password is wrong", asked);
    enter(&mut one, "enter with a wrong password")?;
    say(&mut one, &said(b"wrong"))?;
    say(&mut one, &said(b"wrong"))?;
    let more = say(&mut one, &said(PASSWORD));
    late("guess on where three logins have failed", more);

    let mut one = desk(desks, connection)?;
    say(&mut one, &LoginRequest::Certificate(user.clone(), None))?;
    enter(&mut one, "enter without a certificate")?;
    let message = [&[b' '; 64], CLIENT, &[7; 32]].concat();
    let proof = (key, 0x0403, message, vec![7; 70]);
    say(&mut one, &Forged::Certificate(user.clone(), Some(proof)))?;
    enter(&mut one, "enter with somebody's certificate")?;
    drop(one);

    let mut one = desk(desks, connection)?;
    let asked = Instant::now();
    say(&mut one, &said(PASSWORD))?;
    soon("hear before its time that a password is right", asked);
    say(&mut one, &said(b"wrong"))?;
    enter(&mut one, "enter with a right password and a wrong one")?;
    // Whose passwords come through this process are its to use.
    say(&mut one, &said(PASSWORD))?;
    enter(&mut one, "allowed mailbox")?;
    Ok(one)
}

/// In an open mailbox.
fn read(
    desks: &Questions<Desks>,
    connection: &TcpStream,
    mut open: Packets,
) -> Result<Packets, PacketError> {
    let mut again = desk(desks, connection)?;
    let password = LoginRequest::Password(user()?, PASSWORD.to_vec());
    say(&mut again, &password)?;
    enter(&mut again, "enter once more than may be in")?;
    let mut try_it = |attempt: &str, request: &Request| -> Result<(), PacketError> {
        let outcome = match ask(&mut open, request)?.0 {
            Reply::Fault => Err("Refused"),
            _ => Ok(()),
        };
        taken_over::report(attempt, outcome);
        Ok(())
    };
    try_it("read a journal that is not open", &Request::More(77))?;
    try_it("hear of folders that are not watched", &Request::Changed)?;
    try_it("allowed folders", &Request::Folders)?;
    let rung = ring(&mut open);
    taken_over::report("allowed bell, whatever is done to it", rung.as_ref());
    rung?;
    ask(&mut open, &Request::End)?;
    late("go on after the end", ask(&mut open, &Request::Folders));
    let mut open = desk(desks, connection)?;
    say(&mut open, &password)?;
    enter(&mut open, "allowed mailbox after the end of another")?;
    Ok(open)
}

/// Makes whoever rings a bell wait for ever, where that is possible: then nobody who
/// watches hears anything again.
fn ring(open: &mut Packets) -> Result<(), PacketError> {
    let folder: FolderName = "plans".parse().map_err(|_| PacketError::Closed)?;
    ask(open, &Request::Create(folder.clone()))?;
    let changes = Request::Changes(folder.clone(), None);
    let (Reply::Changes(_, token) | Reply::Reset(token), _) = ask(open, &changes)? else {
        return Err(PacketError::Closed);
    };
    let (_, bells) = ask(open, &Request::Watch(vec![(folder.clone(), token)]))?;
    let bell = bells.into_iter().next().ok_or(PacketError::Closed)?;
    // What an eventfd(2) has room for, and what any socket has not.
    let _ = ioctl_fionbio(&bell, false);
    let _ = write(&bell, &(u64::MAX - 1).to_ne_bytes());
    let _ = ioctl_fionbio(&bell, true);
    while write(&bell, &[7; 4096]).is_ok() {}
    let _ = ioctl_fionbio(&bell, false);
    ask(open, &Request::Remove(folder.clone()))?;
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Reply::Changed(folders) = ask(open, &Request::Changed)?.0
            && folders.contains(&folder)
        {
            return Ok(());
        }
    }
    Err(io::Error::from(io::ErrorKind::TimedOut).into())
}

/// Asks, and does not wait for ever.
fn ask(open: &mut Packets, request: &Request) -> Result<(Reply, Vec<OwnedFd>), PacketError> {
    open.send(request, &[])?;
    let patience = Timespec::try_from(PATIENCE).unwrap_or_default();
    match poll(&mut [PollFd::new(&*open, PollFlags::IN)], Some(&patience)) {
        Ok(0) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        Ok(_) => open.receive(),
        Err(errno) => Err(errno.into()),
    }
}

fn user() -> Result<Address, PacketError> {
    Address::parse(USER).map_err(|_| PacketError::Closed)
}

/// Octets in hexadecimal digits.
fn octets(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    let texts = pairs.filter_map(|pair| std::str::from_utf8(pair).ok());
    texts
        .filter_map(|text| u8::from_str_radix(text, 16).ok())
        .collect()
}
