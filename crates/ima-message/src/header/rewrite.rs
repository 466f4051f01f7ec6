//! Header blocks made from others by taking transport lines away or adding them.
//! Digest and signatures stay as they are.

use std::borrow::Cow;
use std::io::Write as _;

use super::{Field, HeaderBlock, Line};
use crate::address::Address;
use crate::host::Hostpart;
use crate::limits::MAX_BLOCK;
use crate::received::Received;
use crate::signature::Signature;

impl HeaderBlock {
    /// What a host is told: only its own `bcc` and `deliver` lines, and no `received`.
    #[must_use]
    pub fn for_host(&self, host: &Hostpart) -> Self {
        self.keeping(|field| match field {
            Field::Bcc(mailbox) => mailbox.address().hostpart() == host,
            Field::Deliver(address) => address.hostpart() == host,
            Field::Received(_) => false,
            _ => true,
        })
    }

    /// What a recipient gets: no `deliver`, and of the `bcc` lines only the
    /// recipient's own. Where that would leave no recipient in the block at
    /// all, the recipient's own `deliver` line stays, since a message without
    /// recipients is none. Where nothing goes it is this block.
    #[must_use]
    pub fn for_recipient(&self, recipient: &Address) -> Cow<'_, Self> {
        let own_bcc =
            |field: &Field| matches!(field, Field::Bcc(mailbox) if mailbox.address() == recipient);
        let named = self
            .kinds()
            .any(|field| matches!(field, Field::To(_) | Field::Cc(_)) || own_bcc(field));
        let stays = |field: &Field| match field {
            Field::Bcc(_) => own_bcc(field),
            Field::Deliver(address) => !named && address == recipient,
            _ => true,
        };
        match self.kinds().all(stays) {
            true => Cow::Borrowed(self),
            false => Cow::Owned(self.keeping(stays)),
        }
    }

    /// With the line of the receiving server as its last field, in place of any
    /// that stood there. None where the block would pass its 1 MiB.
    #[must_use]
    pub fn with_received(&self, received: &Received) -> Option<Self> {
        self.keeping(|field| !matches!(field, Field::Received(_)))
            .with_line(
                format!("received: {received}"),
                Field::Received(Box::new(received.clone())),
            )
    }

    /// Adds the octets of [`HeaderBlock::with_received`] to `out`, without making
    /// the block. False where it would pass its 1 MiB; then nothing is added.
    #[must_use]
    pub fn push_with_received(&self, received: &Received, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        self.pieces_without(|field| matches!(field, Field::Received(_)))
            .for_each(|piece| out.extend_from_slice(piece.as_bytes()));
        // A vector takes all that is written to it.
        let _ = write!(out, "received: {received}\n\n");
        let fits = out.len() - start <= MAX_BLOCK;
        if !fits {
            out.truncate(start);
        }
        fits
    }

    /// With one signature more. None where the block would pass its 1 MiB or
    /// its 16 signatures, or the signature is not over this letter.
    #[must_use]
    pub fn with_signature(&self, signature: Signature) -> Option<Self> {
        let room = self.signatures().count() < crate::limits::MAX_SIGNATURES;
        if !room || signature.check(&self.letter_octets()).is_err() {
            return None;
        }
        self.clone().with_line(
            format!("signature: {signature}"),
            Field::Signature(Box::new(signature)),
        )
    }

    fn with_line(mut self, line: String, field: Field) -> Option<Self> {
        if self.octets.len() + line.len() + 1 > MAX_BLOCK {
            return None;
        }
        let mut octets = self.octets.into_string();
        octets.truncate(octets.len().saturating_sub(1));
        self.lines.push(Line {
            range: octets.len()..octets.len() + line.len(),
            field,
        });
        octets.push_str(&line);
        octets.push_str("\n\n");
        self.octets = octets.into();
        Some(self)
    }

    fn keeping(&self, keep: impl Fn(&Field) -> bool) -> Self {
        let mut octets = String::with_capacity(self.octets.len());
        octets.extend(self.pieces_without(|field| !keep(field)));
        octets.push('\n');
        let mut lines = Vec::with_capacity(self.lines.len());
        let mut gone = 0;
        for Line { range, field } in &self.lines {
            if keep(field) {
                lines.push(Line {
                    range: range.start - gone..range.end - gone,
                    field: field.clone(),
                });
            } else {
                gone += range.len() + 1;
            }
        }
        lines.shrink_to_fit();
        Self {
            octets: octets.into(),
            lines,
            essentials: self.essentials.clone(),
            digest: self.digest.clone(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn block(lines: &str) -> HeaderBlock {
        let octets = format!(
            "ima: 1\nfrom: alice@a.test\n{lines}date: 2026-11-22T09:30:00Z\nid: 1@a.test\nsize: 0\n\n"
        );
        HeaderBlock::parse(octets.as_bytes()).unwrap()
    }

    fn lines(header: &HeaderBlock) -> Vec<String> {
        let again = HeaderBlock::parse(header.as_bytes()).unwrap();
        assert_eq!(again.digest(), header.digest());
        assert!(again.fields().eq(header.fields()));
        let names = ["to", "bcc", "deliver", "received"];
        header
            .fields()
            .filter(|(name, ..)| names.contains(name))
            .map(|(name, value, _)| format!("{name} {value}"))
            .collect()
    }

    #[test]
    fn a_host_sees_its_own_lines_alone() {
        let header = block(
            "to: bob@b.test\nbcc: carol@c.test\nbcc: dave@B.test Dave\ndeliver: carol@c.test\ndeliver: bob@b.test\n",
        );
        let b = header.for_host(&Hostpart::parse("b.test").unwrap());
        assert_eq!(
            lines(&b),
            [
                "to bob@b.test",
                "bcc dave@B.test Dave",
                "deliver bob@b.test"
            ]
        );
    }

    #[test]
    fn a_recipient_sees_no_other() {
        let header =
            block("to: list@l.test\nbcc: carol@b.test\nbcc: Dave@b.test\ndeliver: dave@b.test\n");
        let dave = header.for_recipient(&Address::parse("dave@b.test").unwrap());
        assert_eq!(lines(&dave), ["to list@l.test", "bcc Dave@b.test"]);
        let only_deliver = block("deliver: carol@b.test\ndeliver: Dave@b.test\n");
        let dave = only_deliver.for_recipient(&Address::parse("dave@b.test").unwrap());
        assert_eq!(lines(&dave), ["deliver Dave@b.test"]);
    }

    #[test]
    fn received_is_the_last_field_and_the_only_one() {
        let value =
            "b.test 2026-11-22T09:30:02Z from=a.test address=192.0.2.7 tls=TLSv1.3 author=host";
        let received = Received::parse(value).unwrap();
        let header = block("to: bob@b.test\n")
            .with_received(&received)
            .unwrap()
            .with_received(&received)
            .unwrap();
        assert_eq!(
            lines(&header),
            ["to bob@b.test", &format!("received {value}")]
        );
        assert_eq!(header.received(), Some(&received));
        assert!(header.as_bytes().ends_with(b"author=host\n\n"));
        for before in [block("to: bob@b.test\n"), header.clone()] {
            let mut out = b"before\n".to_vec();
            assert!(before.push_with_received(&received, &mut out));
            assert_eq!(out.strip_prefix(b"before\n"), Some(header.as_bytes()));
        }
    }

    #[test]
    fn received_needs_room() {
        let value = "b.test 2026-11-22T09:30:02Z from=a.test address=::1 tls=TLSv1.3 author=host";
        let received = Received::parse(value).unwrap();
        let empty = block("to: bob@b.test\n");
        let with = empty.with_received(&received).unwrap().as_bytes().len();
        // One line more, and of it one octet too many.
        let line = |octets| format!("x: {}\n", "x".repeat(octets - "x: \n".len()));
        for (octets, fits) in [(MAX_BLOCK - with, true), (MAX_BLOCK - with + 1, false)] {
            let (lines, rest) = (octets / 1000 - 1, octets % 1000 + 1000);
            let header = block(&format!(
                "to: bob@b.test\n{}{}",
                line(1000).repeat(lines),
                line(rest)
            ));
            let made = header.with_received(&received);
            assert_eq!(made.is_some(), fits);
            let mut out = Vec::new();
            assert_eq!(header.push_with_received(&received, &mut out), fits);
            assert_eq!(
                out,
                made.map(|made| made.as_bytes().to_vec())
                    .unwrap_or_default()
            );
        }
    }
}
