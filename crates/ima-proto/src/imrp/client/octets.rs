//! Asking for octets: messages and attachments.

use ima_message::{FolderName, MessageDigest, PartDigest};

use super::{Answer, Asked, Client, ClientError, SinkError};
use crate::framing::Channel;
use crate::imrp::answer::{Final, Information};
use crate::imrp::command::Command;

impl<C: Channel> Client<C> {
    /// Asks for a message's header block and inline parts, of which there may be
    /// `most` octets. The answer is to be taken by [`Client::answer`], in the
    /// order of the questions. Nothing is sent before that, or before 16 KiB.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask_message(
        &mut self,
        folder: &FolderName,
        digest: MessageDigest,
        most: u64,
    ) -> Result<(), ClientError> {
        let folder = Some(folder.clone());
        self.write(&Command::Fetch { folder, digest })?;
        self.asked.push_back(Asked::Message { most });
        Ok(())
    }

    /// Asks for an attachment from an octet on, of which `rest` should follow, and
    /// no more may; otherwise as [`Client::ask_message`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask_part(
        &mut self,
        folder: &FolderName,
        digest: PartDigest,
        from: u64,
        rest: u64,
    ) -> Result<(), ClientError> {
        self.write(&Command::Part {
            folder: Some(folder.clone()),
            digest,
            from,
        })?;
        self.asked.push_back(Asked::Part { digest, most: rest });
        Ok(())
    }

    /// Takes the answer to the oldest question. `sink` is given the octets as
    /// they come, at most 16 KiB at once.
    ///
    /// # Errors
    /// [`SinkError`]. Octets that were handed on before are those that the server
    /// sent; whether they are right, their digest says.
    pub fn answer<E>(
        &mut self,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Answer, SinkError<E>> {
        if !self.early.is_empty() {
            return Err(ClientError::NotNext.into());
        }
        let asked = self
            .asked
            .pop_front_if(|asked| matches!(asked, Asked::Message { .. } | Asked::Part { .. }))
            .ok_or(ClientError::NotNext)?;
        self.wait(0);
        self.wire
            .flush(self.times.idle)
            .map_err(ClientError::from)?;
        let (line, last) = self.next_line()?;
        let octets = match (last, &asked) {
            (Some(Final::Fail(text)), _) => return Ok(Answer::Refused(text)),
            (None, asked) => announced(&line, asked)?,
            (Some(_), _) => return Err(ClientError::Unexpected(line.into()).into()),
        };
        self.wait(octets);
        self.wire.read_exact_into(octets, self.times.idle, sink)?;
        match self.next_line()? {
            (_, Some(Final::Ok)) => Ok(Answer::Whole),
            (line, _) => Err(ClientError::Unexpected(line.into()).into()),
        }
    }
}

/// How many octets follow the line that begins an answer.
fn announced(line: &str, asked: &Asked) -> Result<u64, ClientError> {
    let (octets, most) = match (Information::parse(line), asked) {
        (Some(Information::Message { octets }), Asked::Message { most }) => (octets, *most),
        (
            Some(Information::Attachment { digest, octets }),
            Asked::Part {
                digest: wanted,
                most,
            },
        ) => {
            if digest != *wanted {
                return Err(ClientError::Other);
            }
            (octets, *most)
        }
        _ => return Err(ClientError::Unexpected(line.into())),
    };
    match octets <= most {
        true => Ok(octets),
        false => Err(ClientError::Length {
            announced: octets,
            most,
        }),
    }
}
