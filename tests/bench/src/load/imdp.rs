//! Messages by IMDP, imdp(7).

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ima_message::Hostpart;
use ima_proto::framing::{Channel, Wire, Woken};
use ima_proto::imdp::{Command, DataAnswer, HeadersAnswer};
use ima_proto::tls::{ClientSide, Secure, UserCertificate, connect_as_user};

use crate::Fault;
use crate::args::{ImdpOptions, Peer};
use crate::crowd::{Protocol, Turn};
use crate::letter::{Ima, Letters};
use crate::tls;

/// How long a server may be silent.
const IDLE: Duration = Duration::from_secs(120);

/// The protocol, with one host.
pub struct Imdp<'a> {
    peer: &'a Peer,
    side: ClientSide<Option<UserCertificate>>,
    host: Hostpart,
    pipelining: bool,
}

impl<'a> Imdp<'a> {
    /// With the suite's own client side.
    ///
    /// # Errors
    /// What is wrong with the options.
    pub fn new(options: &'a ImdpOptions) -> Result<Self, Fault> {
        let peer = &options.peer;
        let certificate = match (&peer.certificate, &peer.key) {
            (Some(certificate), Some(key)) => Some(UserCertificate::load(certificate, key)?),
            _ => None,
        };
        let verifier = tls::verifier(&peer.roots)?;
        let alpn = options.alpn.clone().leak();
        Ok(Self {
            peer,
            side: ClientSide::for_user(certificate, verifier, alpn)?,
            host: Hostpart::parse(&options.load.host)?,
            pipelining: options.pipelining,
        })
    }
}

impl Protocol for Imdp<'_> {
    type Letter = Ima;

    const AS_MAIL: bool = false;

    fn letter(&self, letters: &mut Letters<'_>, number: usize) -> Ima {
        letters.ima(number)
    }

    fn converse(&self, turn: &mut Turn<'_, Ima>) -> Result<(), Fault> {
        let begun = Instant::now();
        let Some(first) = turn.next() else {
            return Ok(());
        };
        let address = self.peer.address.first().ok_or("no address")?;
        let secure = connect_as_user(TcpStream::connect(address)?, &self.side, &self.host)?;
        let mut talk = Talk(Wire::new(Counted::new(secure), IDLE));
        let outcome = self.talk(&mut talk, turn, first, begun);
        let counted = talk.0.channel();
        turn.octets = (counted.sent, counted.received);
        outcome?;
        talk.say(&Command::Done)?;
        Ok(talk.0.close()?)
    }
}

impl Imdp<'_> {
    /// Sends `first` and then whatever the turn gives.
    fn talk(
        &self,
        talk: &mut Talk,
        turn: &mut Turn<'_, Ima>,
        first: Ima,
        mut begun: Instant,
    ) -> Result<(), Fault> {
        talk.ask(&first)?;
        talk.0.flush(IDLE)?;
        let mut current = first;
        loop {
            // Made while the server thinks about this one.
            let mut next = if self.pipelining { turn.next() } else { None };
            talk.expect_accept()?;
            talk.give(&current)?;
            let mut next_begun = Instant::now();
            if let Some(next) = &next {
                talk.ask(next)?;
            }
            talk.0.flush(IDLE)?;
            talk.expect_ok()?;
            turn.delivered(begun);
            if !self.pipelining {
                next = turn.next();
                next_begun = Instant::now();
                if let Some(next) = &next {
                    talk.ask(next)?;
                    talk.0.flush(IDLE)?;
                }
            }
            let Some(next) = next else {
                return Ok(());
            };
            (current, begun) = (next, next_begun);
        }
    }
}

/// What is said on one connection.
struct Talk(Wire<Counted>);

impl Talk {
    fn say(&mut self, command: &Command) -> Result<(), Fault> {
        Ok(self.0.write_line(&command.to_string())?)
    }

    fn ask(&mut self, letter: &Ima) -> Result<(), Fault> {
        let octets = letter.header.len() as u64;
        self.say(&Command::Headers {
            octets,
            direct: true,
        })?;
        Ok(self.0.write_octets(letter.header.as_bytes())?)
    }

    fn give(&mut self, letter: &Ima) -> Result<(), Fault> {
        let data = letter.data();
        let octets = data.iter().map(|piece| piece.len() as u64).sum();
        self.say(&Command::Data { octets })?;
        for piece in data {
            self.0.write_octets(piece)?;
        }
        Ok(())
    }

    fn expect_accept(&mut self) -> Result<(), Fault> {
        let line = self.final_line()?;
        match HeadersAnswer::parse(&line) {
            Some(HeadersAnswer::Accept) => Ok(()),
            _ => Err(format!("the answer to HEADERS was {line:?}").into()),
        }
    }

    fn expect_ok(&mut self) -> Result<(), Fault> {
        let line = self.final_line()?;
        match DataAnswer::parse(&line) {
            Some(DataAnswer::Ok) => Ok(()),
            _ => Err(format!("the answer to DATA was {line:?}").into()),
        }
    }

    /// Past information lines, of which none may be about somebody who gets nothing.
    fn final_line(&mut self) -> Result<String, Fault> {
        loop {
            let line = self.0.read_line(IDLE)?;
            match line
                .strip_prefix("+ ")
                .and_then(|rest| rest.split(' ').next())
            {
                None => return Ok(line),
                Some("FAIL" | "DEFER" | "NORECIPIENT") => {
                    return Err(format!("the server said {line:?}").into());
                }
                Some(_) => {}
            }
        }
    }
}

/// A connection whose octets are counted.
struct Counted {
    secure: Secure,
    sent: u64,
    received: u64,
}

impl Counted {
    fn new(secure: Secure) -> Self {
        Self {
            secure,
            sent: 0,
            received: 0,
        }
    }
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.secure.read(into)?;
        self.received += count as u64;
        Ok(count)
    }
}

impl Write for Counted {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let count = self.secure.write(octets)?;
        self.sent += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.secure.flush()
    }
}

impl Channel for Counted {
    fn set_deadline(&mut self, at: Instant) {
        self.secure.set_deadline(at);
    }

    fn has_buffered(&mut self) -> bool {
        self.secure.has_buffered()
    }

    fn wait(&mut self, wake: Option<BorrowedFd<'_>>, at: Instant) -> io::Result<Woken> {
        self.secure.wait(wake, at)
    }

    fn close(&mut self) -> io::Result<()> {
        self.secure.close()
    }
}
