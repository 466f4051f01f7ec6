//! The same by SMTP (RFC 5321) with STARTTLS (RFC 3207), and with PIPELINING (RFC
//! 2920) where the server offers it.

use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;

use crate::Fault;
use crate::args::{Group, Load, Peer, SmtpOptions};
use crate::crowd::{Protocol, Turn};
use crate::letter::{Letters, Mail};
use crate::tls::{self, Stream};

/// Octets that one line of an answer has at most.
const MAX_LINE: u64 = 4096;

/// Mail with the numbers of its recipients.
pub struct Numbered {
    mail: Mail,
    number: usize,
}

/// The protocol, with one server.
pub struct Smtp<'a> {
    peer: &'a Peer,
    load: &'a Load,
    config: Arc<ClientConfig>,
    server: &'a str,
}

impl<'a> Smtp<'a> {
    /// With TLS 1.3 and X25519, which every server has.
    ///
    /// # Errors
    /// What is wrong with the options.
    pub fn new(options: &'a SmtpOptions) -> Result<Self, Fault> {
        Ok(Self {
            peer: &options.peer,
            load: &options.load,
            config: tls::config(&options.peer, Group::X25519, &[])?,
            server: options.server_name.as_ref().unwrap_or(&options.load.host),
        })
    }

    /// Who we say we are.
    fn name(&self) -> &str {
        self.load
            .from
            .split_once('@')
            .map_or("localhost", |(_, host)| host)
    }

    fn connect(&self) -> Result<(Talk<Stream>, bool), Fault> {
        let hello = format!("EHLO {}\r\n", self.name());
        let mut plain = Talk::new(tls::dial(self.peer, 0)?);
        plain.expect("220")?;
        plain.command(&hello, "250")?;
        plain.command("STARTTLS\r\n", "220")?;
        let tcp: TcpStream = plain.end()?;
        let mut talk = Talk::new(tls::shake_hands(tcp, &self.config, self.server)?);
        let offered = talk.command(&hello, "250")?;
        let pipelining = offered
            .iter()
            .any(|line| line.eq_ignore_ascii_case("PIPELINING"));
        Ok((talk, pipelining))
    }

    fn send(&self, talk: &mut Talk<Stream>, one: &Numbered, pipelining: bool) -> Result<(), Fault> {
        let mut commands = vec![format!("MAIL FROM:<{}>\r\n", self.load.from)];
        for recipient in self.load.recipients_of(one.number) {
            commands.push(format!("RCPT TO:<{recipient}>\r\n"));
        }
        let together = if pipelining { commands.len() + 1 } else { 1 };
        commands.push("DATA\r\n".to_owned());
        for group in commands.chunks(together) {
            talk.write(group.concat().as_bytes())?;
            talk.flush()?;
            for command in group {
                talk.expect(if command == "DATA\r\n" { "354" } else { "250" })?;
            }
        }
        for piece in one.mail.octets() {
            talk.write(piece)?;
        }
        talk.command(".\r\n", "250").map(drop)
    }
}

impl Protocol for Smtp<'_> {
    type Letter = Numbered;

    const AS_MAIL: bool = true;

    fn letter(&self, letters: &mut Letters<'_>, number: usize) -> Numbered {
        let mail = letters.mail(number);
        Numbered { mail, number }
    }

    fn converse(&self, turn: &mut Turn<'_, Numbered>) -> Result<(), Fault> {
        let mut begun = Instant::now();
        let (mut talk, pipelining) = self.connect()?;
        while let Some(letter) = turn.next() {
            let outcome = self.send(&mut talk, &letter, pipelining);
            turn.octets = (talk.sent, talk.received);
            outcome?;
            turn.delivered(begun);
            begun = Instant::now();
        }
        talk.command("QUIT\r\n", "221")?;
        tls::close(talk.stream.into_inner())
    }
}

/// Commands and their answers.
struct Talk<S> {
    stream: BufReader<S>,
    output: Vec<u8>,
    sent: u64,
    received: u64,
}

impl<S: io::Read + Write> Talk<S> {
    fn new(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
            output: Vec::new(),
            sent: 0,
            received: 0,
        }
    }

    /// The stream, where nothing stands in between.
    fn end(self) -> Result<S, Fault> {
        match self.stream.buffer().is_empty() {
            true => Ok(self.stream.into_inner()),
            false => Err("the server spoke before it was asked".into()),
        }
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.sent += octets.len() as u64;
        if self.output.len() + octets.len() > 64 << 10 {
            self.drain()?;
            self.stream.get_mut().write_all(octets)
        } else {
            self.output.extend(octets);
            Ok(())
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        self.stream.get_mut().write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.drain()?;
        self.stream.get_mut().flush()
    }

    fn command(&mut self, command: &str, code: &str) -> Result<Vec<String>, Fault> {
        self.write(command.as_bytes())?;
        self.flush()?;
        self.expect(code)
    }

    /// The texts of an answer with this code.
    fn expect(&mut self, code: &str) -> Result<Vec<String>, Fault> {
        let mut texts = Vec::new();
        loop {
            let mut line = String::new();
            let count = (&mut self.stream).take(MAX_LINE).read_line(&mut line)?;
            self.received += count as u64;
            let text = line.trim_end();
            match text.strip_prefix(code) {
                Some("") => return Ok(texts),
                Some(text) => {
                    let (mark, text) = text.split_at_checked(1).unwrap_or_default();
                    texts.push(text.to_owned());
                    if mark != "-" {
                        return Ok(texts);
                    }
                }
                None => return Err(format!("the answer was {text:?} in place of {code}").into()),
            }
        }
    }
}
