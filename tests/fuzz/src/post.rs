//! What stands behind a receiver here: it keeps all that it is to deliver.

use std::io;

use ima_message::{Digester, Hostpart};
use ima_proto::imdp::{
    Accepted, DataAnswer, Drop, HeadersAnswer, Keyword, Outcome, Say, Service, SpeaksFor,
};

/// A peer with a certificate for every host but c.test.
pub struct Anybody;

impl SpeaksFor for Anybody {
    fn speaks_for(&self, host: &Hostpart) -> bool {
        host.ascii() != "c.test"
    }
}

/// Header block and data of a message.
pub type Whole = (Vec<u8>, Vec<u8>);

/// Accepts by the subject, and checks again whatever it is to deliver.
#[derive(Default)]
pub struct Post {
    /// What was delivered.
    pub delivered: Vec<Whole>,
}

impl Service for Post {
    type Store = Vec<u8>;

    fn check(&mut self, message: &Accepted, say: &mut dyn Say) -> Result<HeadersAnswer, Drop> {
        match message.header().subject() {
            Some("defer") => Ok(HeadersAnswer::Defer(300, "not\nnow".into())),
            Some("reject") => {
                say.line("OK\nACCEPT \u{1b}[2J");
                Ok(HeadersAnswer::Reject(Keyword::Policy, "\r\nno".into()))
            }
            Some("drop") => Err(Drop),
            Some(text) => {
                say.line(text);
                say.alive();
                Ok(HeadersAnswer::Accept)
            }
            None => Ok(HeadersAnswer::Accept),
        }
    }

    fn store(&mut self, _: &Accepted) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn deliver(&mut self, message: &Accepted, data: Vec<u8>, say: &mut dyn Say) -> Outcome {
        let header = message.header();
        assert!(Anybody.speaks_for(header.return_path().hostpart()));
        assert!(header.received().is_none());
        let mut rest = &data[..];
        for part in header.parts() {
            let length = usize::try_from(part.length()).expect("it was received");
            let (octets, later) = rest.split_at(length);
            let mut digester = Digester::new();
            digester.update(octets);
            assert_eq!(digester.finish(), part.digest());
            rest = later;
        }
        assert!(rest.is_empty());
        for recipient in header.recipients() {
            say.line(&format!("OK {recipient}"));
        }
        self.delivered.push((header.as_bytes().to_vec(), data));
        Ok([DataAnswer::Ok, DataAnswer::Fail, DataAnswer::Partial][self.delivered.len() % 3])
    }
}
