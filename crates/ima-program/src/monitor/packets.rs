//! Values and descriptors, in packets on a pair of Unix sockets.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg,
    sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest packet, in octets. What is larger goes as a file ([`to_memory`]).
pub const MAX_OCTETS: usize = 64 << 10;
/// Room that is kept for the next packet, in octets: thousands of sockets may wait.
const KEPT: usize = 1 << 10;
/// The most descriptors of one packet; the system closes more on arrival.
pub const MAX_DESCRIPTORS: usize = 200;

/// Why a packet was not sent, or not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// The other process has closed its end: it is gone.
    #[error("the other process of this server is gone")]
    Closed,
    /// The system.
    #[error("between the two processes of this server: {0}")]
    Io(#[from] io::Error),
    /// It is not what was expected.
    #[error("a packet between the two processes of this server makes no sense: {0}")]
    Form(#[from] postcard::Error),
    /// It is longer than [`MAX_OCTETS`], or has more than [`MAX_DESCRIPTORS`].
    #[error(
        "a packet between the two processes of this server is longer than {MAX_OCTETS} octets or has more than {MAX_DESCRIPTORS} descriptors"
    )]
    TooLong,
}

impl From<Errno> for PacketError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => Self::Closed,
            Errno::MSGSIZE => Self::TooLong,
            errno => Self::Io(errno.into()),
        }
    }
}

/// One end of a pair of sockets (unix(7), `SOCK_SEQPACKET`): packets stay whole and in
/// order, and the end of one process is seen by the other.
#[derive(Debug)]
pub struct Packets {
    socket: OwnedFd,
    /// Room for what comes.
    room: Vec<u8>,
}

impl Packets {
    /// Two ends.
    ///
    /// # Errors
    /// Where the system has no descriptors left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self::from(one), Self::from(other)))
    }

    /// Its socket.
    #[must_use]
    pub fn socket(self) -> OwnedFd {
        self.socket
    }

    /// Sends a value with descriptors, of which the other side gets clones. Waits where the
    /// other side does not read.
    ///
    /// # Errors
    /// A [`PacketError`].
    pub fn send(
        &self,
        value: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), PacketError> {
        self.send_with(SendFlags::empty(), value, descriptors)
    }

    /// The same without waiting, whatever the other side does.
    ///
    /// # Errors
    /// A [`PacketError`]; that of the system where there is no room, since the other side
    /// does not read.
    pub fn try_send(&self, value: &impl Serialize) -> Result<(), PacketError> {
        self.send_with(SendFlags::DONTWAIT, value, &[])
    }

    fn send_with(
        &self,
        flags: SendFlags,
        value: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), PacketError> {
        let octets = postcard::to_stdvec(value)?;
        // An empty packet would be the end.
        if octets.len() > MAX_OCTETS || descriptors.len() > MAX_DESCRIPTORS || octets.is_empty() {
            return Err(PacketError::TooLong);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(PacketError::TooLong);
        }
        let slices = [IoSlice::new(&octets)];
        let flags = flags | SendFlags::NOSIGNAL;
        loop {
            match sendmsg(&self.socket, &slices, &mut control, flags) {
                Err(Errno::INTR) => {}
                outcome => return Ok(outcome.map(drop)?),
            }
        }
    }

    /// Waits for the next packet. No descriptor in it is inherited by a child. Where we may
    /// have no more of them, the last ones are missing.
    ///
    /// # Errors
    /// A [`PacketError`]; [`PacketError::Closed`] at the end.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<(T, Vec<OwnedFd>), PacketError> {
        let length = self.await_length()?;
        self.room.resize(length.clamp(1, MAX_OCTETS), 0);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = loop {
            let slices = &mut [IoSliceMut::new(&mut self.room)];
            match recvmsg(&self.socket, slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                outcome => break outcome?,
            }
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if message.bytes == 0 {
            return Err(PacketError::Closed);
        }
        if message.flags.contains(ReturnFlags::TRUNC) {
            return Err(PacketError::TooLong);
        }
        let octets = self.room.get(..message.bytes).unwrap_or_default();
        let (value, rest) = postcard::take_from_bytes(octets)?;
        if !rest.is_empty() {
            return Err(postcard::Error::DeserializeBadEncoding.into());
        }
        if self.room.len() > KEPT {
            self.room = Vec::new();
        }
        Ok((value, descriptors))
    }

    /// Waits for the next packet, and gives its length; 0 is the end.
    fn await_length(&self) -> Result<usize, PacketError> {
        let nothing: &mut [u8] = &mut [];
        loop {
            match recv(
                &self.socket,
                &mut *nothing,
                RecvFlags::PEEK | RecvFlags::TRUNC,
            ) {
                Err(Errno::INTR) => {}
                outcome => return Ok(outcome?.1),
            }
        }
    }
}

impl From<OwnedFd> for Packets {
    fn from(socket: OwnedFd) -> Self {
        Self {
            socket,
            room: Vec::new(),
        }
    }
}

impl AsFd for Packets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A value that may be too long for a packet, as a file in memory that is to be sent as a
/// descriptor.
///
/// # Errors
/// A [`PacketError`]; there is no limit but the memory's.
pub fn to_memory(value: &impl Serialize) -> Result<OwnedFd, PacketError> {
    let octets = postcard::to_stdvec(value)?;
    let mut file = File::from(memfd_create("ima-monitor", MemfdFlags::CLOEXEC)?);
    file.write_all(&octets)?;
    file.rewind()?;
    Ok(file.into())
}

/// The value in a file that [`to_memory`] made. For the network process alone: the length
/// of the file is the other side's choice.
///
/// # Errors
/// A [`PacketError`].
pub fn from_memory<T: DeserializeOwned>(file: OwnedFd) -> Result<T, PacketError> {
    let mut octets = Vec::new();
    File::from(file).read_to_end(&mut octets)?;
    Ok(postcard::from_bytes(&octets)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn values_and_descriptors_arrive_whole_and_in_order() {
        let (one, mut other) = Packets::pair().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        one.send(&("first", 1_u32), &[reader.as_fd()]).unwrap();
        one.send(&"second", &[]).unwrap();
        drop((one, reader));
        let (value, descriptors) = other.receive::<(String, u32)>().unwrap();
        assert_eq!(value, ("first".to_owned(), 1));
        writer.write_all(b"through").unwrap();
        drop(writer);
        let [reader]: [OwnedFd; 1] = descriptors.try_into().unwrap();
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        let (value, descriptors) = other.receive::<String>().unwrap();
        assert_eq!((&*value, descriptors.len()), ("second", 0));
        let end = other.receive::<String>().unwrap_err();
        assert!(matches!(end, PacketError::Closed));
        let broken = other.send(&1_u8, &[]).unwrap_err();
        assert!(matches!(broken, PacketError::Closed));
    }

    #[test]
    fn what_is_too_long_or_makes_no_sense_is_an_error() {
        let (one, mut other) = Packets::pair().unwrap();
        let long = vec![0_u8; MAX_OCTETS];
        assert!(matches!(one.send(&long, &[]), Err(PacketError::TooLong)));
        assert!(matches!(one.send(&(), &[]), Err(PacketError::TooLong)));
        let many = vec![one.as_fd(); MAX_DESCRIPTORS + 1];
        assert!(matches!(one.send(&1_u8, &many), Err(PacketError::TooLong)));
        // As somebody sends it who does not use these functions.
        for octets in [vec![1; MAX_OCTETS + 1], vec![7; 3], vec![2, b'a']] {
            rustix::net::send(&one, &octets, SendFlags::empty()).unwrap();
            let error = other.receive::<String>().unwrap_err();
            assert!(!matches!(error, PacketError::Closed), "{error}");
        }
        one.send(&"whole", &[]).unwrap();
        assert_eq!(other.receive::<String>().unwrap().0, "whole");
    }

    #[test]
    fn nobody_waits_for_a_side_that_does_not_read_where_that_must_not_be() {
        let (one, mut other) = Packets::pair().unwrap();
        let error = loop {
            if let Err(error) = one.try_send(&[7_u8; 30]) {
                break error;
            }
        };
        assert!(matches!(error, PacketError::Io(_)), "{error}");
        assert_eq!(other.receive::<[u8; 30]>().unwrap().0, [7; 30]);
    }

    #[test]
    fn a_long_value_goes_as_a_file() {
        let long: Vec<u32> = (0..100_000).collect();
        let file = to_memory(&long).unwrap();
        assert_eq!(from_memory::<Vec<u32>>(file).unwrap(), long);
    }
}
