//! What a network process that was taken over asks the monitor for, in tests.
//!
//! Among the files that are to be tried stands `/key:` with a public key in hexadecimal
//! digits, of a certificate of bob@b.test, who has a password too. One session is allowed
//! at a time.

use std::net::TcpStream;
use std::os::fd::{AsFd as _, OwnedFd};

use ima_message::Address;
use ima_program::log;
use ima_program::monitor::taken_over::{self, Prey};
use ima_program::monitor::{PacketError, Packets, Questions};
use ima_proto::listen::{Accepted, Incoming};
use serde::Serialize;

use crate::monitor::Desks;
use crate::packets::{DeskReply, DeskRequest, LoginReply, LoginRequest, Reply, Request};

const USER: &str = "bob@b.test";
const PASSWORD: &[u8] = b"open sesame";
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
    let errno = |outcome: rustix::io::Result<()>| outcome.map_err(std::io::Error::from);
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

/// In every way that is not right, and then in the right one.
fn log_in(
    desks: &Questions<Desks>,
    connection: &TcpStream,
    key: Vec<u8>,
) -> Result<Packets, PacketError> {
    let user = || Address::parse(USER).map_err(|_| PacketError::Closed);
    let mut desk = desk(desks, connection)?;
    enter(&mut desk, "enter without a login")?;
    say(
        &mut desk,
        &LoginRequest::Password(user()?, b"wrong".to_vec()),
    )?;
    enter(&mut desk, "enter with a wrong password")?;
    say(&mut desk, &LoginRequest::Certificate(user()?, None))?;
    enter(&mut desk, "enter without a certificate")?;
    let message = [&[b' '; 64], CLIENT, &[7; 32]].concat();
    let proof = (key, 0x0403, message, vec![7; 70]);
    say(&mut desk, &Forged::Certificate(user()?, Some(proof)))?;
    enter(&mut desk, "enter with somebody's certificate")?;
    say(
        &mut desk,
        &LoginRequest::Password(user()?, PASSWORD.to_vec()),
    )?;
    say(
        &mut desk,
        &LoginRequest::Password(user()?, b"wrong".to_vec()),
    )?;
    enter(&mut desk, "enter with a right password and a wrong one")?;
    // Whose passwords come through this process are its to use.
    say(
        &mut desk,
        &LoginRequest::Password(user()?, PASSWORD.to_vec()),
    )?;
    enter(&mut desk, "allowed mailbox")?;
    Ok(desk)
}

/// In an open mailbox.
fn read(
    desks: &Questions<Desks>,
    connection: &TcpStream,
    mut open: Packets,
) -> Result<Packets, PacketError> {
    let mut again = desk(desks, connection)?;
    let user = Address::parse(USER).map_err(|_| PacketError::Closed)?;
    say(&mut again, &LoginRequest::Password(user, PASSWORD.to_vec()))?;
    enter(&mut again, "enter once more than may be in")?;
    let mut ask = |attempt: &str, request: &Request| -> Result<(), PacketError> {
        open.send(request, &[])?;
        let outcome = match open.receive()?.0 {
            Reply::Fault => Err("Refused"),
            _ => Ok(()),
        };
        taken_over::report(attempt, outcome);
        Ok(())
    };
    ask("read a journal that is not open", &Request::More(77))?;
    ask("hear of folders that are not watched", &Request::Changed)?;
    ask("allowed folders", &Request::Folders)?;
    Ok(open)
}

/// Octets in hexadecimal digits.
fn octets(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    let texts = pairs.filter_map(|pair| std::str::from_utf8(pair).ok());
    texts
        .filter_map(|text| u8::from_str_radix(text, 16).ok())
        .collect()
}
