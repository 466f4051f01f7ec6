//! `--json`: the header block as one object, for scripts.

use std::io::{self, Write};

use ima_message::{Field, HeaderBlock, Mailbox, text};
use ima_program::exit::Exit;
use serde_json::{Map, Value, json};

use crate::data::{self, Nowhere, Verdicts};
use crate::failure::Failure;
use crate::input::{Input, Output};
use crate::keys::Keys;

/// Prints the header block. A header block alone is taken, too, unless `verify`
/// asks for the data; where there are data, they must be right.
///
/// # Errors
/// The data are wrong; with `verify` the object is printed nevertheless.
pub(crate) fn print(
    header: &HeaderBlock,
    input: &mut Input,
    keys: &Keys,
    verify: bool,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let verdicts = data::read(header, input, &mut Nowhere)?;
    let result = match verdicts.all_right() {
        Err(_) if verdicts.absent() && !verify => Ok(Exit::Done),
        Err(error) => Err(Failure::Data(input.origin().clone(), error)),
        Ok(()) => Ok(Exit::Done),
    };
    if result.is_ok() || verify {
        let object = object(header, &verdicts, keys);
        write(&object, output).map_err(Failure::Write)?;
    }
    result
}

/// One line, in which what changes the direction of writing is escaped as JSON has it.
fn write(object: &Value, output: &mut impl Write) -> io::Result<()> {
    let mut line = String::new();
    for c in object.to_string().chars() {
        if text::is_bidi_control(c) {
            line.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            line.push(c);
        }
    }
    writeln!(output, "{line}")?;
    output.flush()
}

fn object(header: &HeaderBlock, verdicts: &Verdicts, keys: &Keys) -> Value {
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| object.insert(name.to_owned(), value);
    set("digest", json!(header.digest().to_string()));
    set("from", mailbox(header.from()));
    set("subject", json!(header.subject()));
    set("date", json!(header.date().as_str()));
    set("id", json!(header.id().as_str()));
    set("size", json!(header.size()));
    let recipients = header.recipients();
    let recipients = recipients.iter().map(ToString::to_string);
    set("recipients", json!(recipients.collect::<Vec<_>>()));
    set("parts", parts(header, verdicts));
    set("signatures", signatures(header, keys));
    set("received", received(header));
    for (name, value) in repeated(header) {
        set(name, value);
    }
    let data = match verdicts.all_right() {
        Ok(()) => "right",
        Err(_) if verdicts.absent() => "absent",
        Err(_) => "wrong",
    };
    set("data", json!(data));
    object.into()
}

/// The fields that may stand several times, as arrays in their order, and
/// `in-reply-to`.
fn repeated(header: &HeaderBlock) -> [(&'static str, Value); 10] {
    let all = |take: fn(&Field) -> Option<Value>| -> Vec<Value> {
        header
            .fields()
            .filter_map(|(_, _, field)| take(field))
            .collect()
    };
    let to = all(|field| match field {
        Field::To(one) => Some(mailbox(one)),
        _ => None,
    });
    let cc = all(|field| match field {
        Field::Cc(one) => Some(mailbox(one)),
        _ => None,
    });
    let bcc = all(|field| match field {
        Field::Bcc(one) => Some(mailbox(one)),
        _ => None,
    });
    let reply_to: Vec<Value> = header.reply_to().map(|one| mailbox(&one)).collect();
    let in_reply_to = all(|field| match field {
        Field::InReplyTo(id) => Some(json!(id.as_str())),
        _ => None,
    });
    let references: Vec<Value> = header
        .fields()
        .filter(|(_, _, field)| matches!(field, Field::References))
        .map(|(_, value, _)| json!(value))
        .collect();
    let deliver = all(|field| match field {
        Field::Deliver(address) => Some(json!(address.to_string())),
        _ => None,
    });
    let mailer = all(|field| match field {
        Field::Mailer(address) => Some(json!(address.to_string())),
        _ => None,
    });
    let others: Vec<Value> = header
        .fields()
        .filter(|(_, _, field)| matches!(field, Field::Other))
        .map(|(name, value, _)| json!({ "name": name, "value": value }))
        .collect();
    [
        ("to", to.into()),
        ("cc", cc.into()),
        ("bcc", bcc.into()),
        ("reply-to", reply_to.into()),
        ("in-reply-to", in_reply_to.into_iter().next().into()),
        ("references", references.into()),
        ("deliver", deliver.into()),
        ("mailer", mailer.into()),
        ("fields", others.into()),
        ("ima", json!(1)),
    ]
}

fn mailbox(mailbox: &Mailbox) -> Value {
    json!({ "address": mailbox.address().to_string(), "name": mailbox.display_name() })
}

fn parts(header: &HeaderBlock, verdicts: &Verdicts) -> Value {
    let parts = header.parts().iter().zip(&verdicts.parts).enumerate();
    parts
        .map(|(index, (part, verdict))| {
            let attributes: Map<_, _> = part
                .attributes()
                .map(|(key, value)| (key.to_owned(), json!(value)))
                .collect();
            let verdict = (!verdicts.absent()).then(|| verdict.to_string());
            json!({
                "number": index + 1,
                "type": part.media_type().as_str(),
                "length": part.length(),
                "sha256": part.digest().to_string(),
                "name": part.name(),
                "attributes": attributes,
                "verdict": verdict,
            })
        })
        .collect()
}

fn signatures(header: &HeaderBlock, keys: &Keys) -> Value {
    keys.judge(header)
        .map(|(signature, verdict)| {
            json!({
                "signer": signature.signer().to_string(),
                "algorithm": signature.algorithm(),
                "public-key": signature.public_key(),
                "verdict": verdict.to_string(),
            })
        })
        .collect()
}

fn received(header: &HeaderBlock) -> Value {
    header.received().map_or(Value::Null, |received| {
        json!({
            "host": received.host.to_string(),
            "time": received.time.as_str(),
            "from": received.from.to_string(),
            "address": received.address,
            "tls": received.tls,
            "author": received.author.as_str(),
        })
    })
}
