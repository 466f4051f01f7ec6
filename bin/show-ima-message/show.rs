//! A message for a person.

use std::fs::File;
use std::io::{self, Read, Write};

use ima_message::{Author, Field, HeaderBlock, Part};
use ima_program::escape::visible;
use ima_program::exit::Exit;
use ima_program::spool::{SpoolWriter, Spooled};

use crate::data::{self, Sink};
use crate::failure::Failure;
use crate::input::{Input, Output};
use crate::keys::{Keys, Verdict};
use crate::visible_text;

/// Reads the whole message and, where it is right, prints its fields, parts and
/// texts.
///
/// # Errors
/// The data are not what was announced: then nothing is printed.
pub(crate) fn print(
    header: &HeaderBlock,
    input: &mut Input,
    keys: &Keys,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let origin = input.origin().clone();
    let kept = |error| Failure::Read(origin.clone(), error);
    let mut texts = Texts {
        spool: Spooled::writer(),
        wanted: false,
        input: origin.clone(),
    };
    let verdicts = data::read(header, input, &mut texts)?;
    verdicts
        .all_right()
        .map_err(|error| Failure::Data(origin.clone(), error))?;
    let mut texts = texts.spool.finish().map_err(kept)?;
    write_fields(header, keys, output)
        .and_then(|()| write_parts(header, output))
        .and_then(|()| write_texts(header, &mut texts, output))
        .and_then(|()| output.flush())
        .map_err(Failure::Write)?;
    Ok(Exit::Done)
}

/// Keeps the octets of the parts that are shown, one after another.
struct Texts {
    spool: SpoolWriter,
    wanted: bool,
    input: crate::input::Origin,
}

impl Sink for Texts {
    fn begin(&mut self, part: &Part) -> Result<(), Failure> {
        self.wanted = is_shown(part);
        Ok(())
    }

    fn take(&mut self, octets: &[u8]) -> Result<(), Failure> {
        if !self.wanted {
            return Ok(());
        }
        self.spool
            .write_all(octets)
            .map_err(|error| Failure::Read(self.input.clone(), error))
    }
}

fn is_shown(part: &Part) -> bool {
    !part.is_attachment() && *part.media_type() == *"text/plain"
}

/// Prints a label and a value; the label only where it is another than before.
struct Rows<'o, W> {
    output: &'o mut W,
    last: String,
}

impl<W: Write> Rows<'_, W> {
    fn row(&mut self, label: &str, value: &str) -> io::Result<()> {
        let shown = if self.last == label { "" } else { label };
        writeln!(self.output, "{shown:<13}{}", visible(value))?;
        label.clone_into(&mut self.last);
        Ok(())
    }
}

/// The labels are ours alone: a field that is not known here stands with its
/// name behind a label, so that no author can write what looks like a verdict.
fn write_fields(header: &HeaderBlock, keys: &Keys, output: &mut impl Write) -> io::Result<()> {
    let mut rows = Rows {
        output,
        last: String::new(),
    };
    for (_, value, field) in header.fields() {
        let label = match field {
            Field::From(_) => "From:",
            Field::To(_) => "To:",
            Field::Cc(_) => "Cc:",
            Field::Bcc(_) => "Bcc:",
            Field::ReplyTo => "Reply to:",
            Field::Subject => "Subject:",
            Field::Date(_) => "Date:",
            Field::Id(_) => "Id:",
            Field::InReplyTo(_) => "Answers:",
            Field::References => "References:",
            Field::Deliver(_) => "Deliver to:",
            Field::Mailer(_) => "Mailed by:",
            _ => continue,
        };
        rows.row(label, value)?;
    }
    for (name, value, field) in header.fields() {
        if *field == Field::Other {
            rows.row("Other:", &format!("{name}: {value}"))?;
        }
    }
    if let Some(received) = header.received() {
        let how = format!(
            "{} by {}, from {} at {}, tls {}",
            received.time, received.host, received.from, received.address, received.tls
        );
        rows.row("Received:", &how)?;
    }
    rows.row("Vouched by:", &vouched_by(header))?;
    for (signature, verdict) in keys.judge(header) {
        let words = match verdict {
            Verdict::Valid => "valid, by a key that you know",
            Verdict::UnknownKey => "right for this letter, by a key that is not known here",
            Verdict::UnknownAlgorithm => "not checked, its algorithm is not known here:",
        };
        let algorithm = match verdict {
            Verdict::UnknownAlgorithm => signature.algorithm(),
            _ => "",
        };
        let value = format!("{}: {words} {algorithm}", signature.signer());
        rows.row("Signed by:", value.trim_end())?;
    }
    rows.row("Digest:", &header.digest().to_string())
}

/// Who stands for the author being who `from` says, by the `received` field.
fn vouched_by(header: &HeaderBlock) -> String {
    let author = header.from().address().hostpart();
    match header.received() {
        None => "nobody yet: no server has received this message".to_owned(),
        Some(received) => match received.author {
            Author::Host => format!("{author}, whose own server sent it"),
            Author::Valid => format!("{author}, which publishes the key of a signature"),
            Author::UnknownKey => "nobody: it is signed by a key that is not published".to_owned(),
            Author::None => "nobody: who the author is, is only a claim".to_owned(),
            Author::Local => format!("{}, where it was sent", received.host),
        },
    }
}

fn write_parts(header: &HeaderBlock, output: &mut impl Write) -> io::Result<()> {
    let mut rows = Rows {
        output,
        last: String::new(),
    };
    for (index, part) in header.parts().iter().enumerate() {
        rows.row("Parts:", &describe(index + 1, part))?;
    }
    Ok(())
}

fn describe(number: usize, part: &Part) -> String {
    let mut words = format!("{number}  {}, {} octets", part.media_type(), part.length());
    for (key, value) in part.attributes() {
        words.push_str(&format!(", {key}={value}"));
    }
    if let Some(name) = part.name() {
        words.push_str(&format!(", name={name}"));
    }
    words
}

fn write_texts(header: &HeaderBlock, texts: &mut File, output: &mut impl Write) -> io::Result<()> {
    let several = header.inline_parts().count() > 1;
    for (index, part) in header.inline_parts().enumerate() {
        writeln!(output)?;
        let shown = is_shown(part);
        if several || !shown {
            let words = describe(index + 1, part);
            let end = if shown { "" } else { ", not shown" };
            writeln!(output, "[part {}{end}]", visible(&words))?;
        }
        if shown {
            visible_text::copy(&mut Read::take(&mut *texts, part.length()), output)?;
        }
    }
    Ok(())
}
