//! Header blocks: read, written, and made into others.
#![no_main]

use ima_message::{Field, HeaderBlock, MessageId, ReadError, Received};
use libfuzzer_sys::fuzz_target;

fn same(header: &HeaderBlock) {
    let again = HeaderBlock::parse(header.as_bytes()).expect("what is written can be read");
    assert_eq!(again.as_bytes(), header.as_bytes());
    assert_eq!(again.digest(), header.digest());
    assert_eq!(again.letter_octets(), header.letter_octets());
    assert!(again.fields().eq(header.fields()));
    assert_eq!(again.size(), header.size());
}

/// Written anew from its fields, every value by its own type.
fn written(header: &HeaderBlock) -> Vec<u8> {
    let mut text = String::new();
    let mut reply_to = header.reply_to();
    for (name, value, field) in header.fields() {
        let value = match field {
            Field::From(x) | Field::To(x) | Field::Cc(x) | Field::Bcc(x) => x.to_string(),
            Field::ReplyTo => reply_to.next().expect("one for each").to_string(),
            Field::Deliver(x) | Field::Mailer(x) => x.to_string(),
            Field::Date(x) => x.as_str().to_owned(),
            Field::Id(x) | Field::InReplyTo(x) => x.as_str().to_owned(),
            Field::Part(number) => header.parts()[number - 1].to_string(),
            Field::Size(x) => x.to_string(),
            Field::Signature(x) => x.to_string(),
            Field::Received(x) => {
                // Further pairs behind it are passed over, and stay.
                assert!(value.starts_with(&x.to_string()));
                value.to_owned()
            }
            Field::References => MessageId::parse(value).expect("an id").to_string(),
            Field::Ima | Field::Subject | Field::Other => value.to_owned(),
        };
        text += &format!("{name}: {value}\n");
    }
    text.push('\n');
    text.into_bytes()
}

fuzz_target!(|octets: &[u8]| {
    let mut rest = octets;
    let header = match HeaderBlock::read(&mut rest) {
        Ok(header) => header,
        Err(ReadError::Io(error)) => panic!("memory has no faults: {error}"),
        Err(ReadError::Empty | ReadError::Header(_)) => {
            assert!(HeaderBlock::parse(octets).is_err());
            return;
        }
    };
    assert_eq!(header.as_bytes(), &octets[..octets.len() - rest.len()]);
    same(&header);
    assert_eq!(written(&header), header.as_bytes());
    let total: u64 = header.parts().iter().map(|part| part.length()).sum();
    assert_eq!(total, header.size());

    let recipients = header.recipients();
    assert!(!recipients.is_empty());
    for recipient in recipients.iter().take(8) {
        let host = recipient.hostpart();
        let for_host = header.for_host(host);
        same(&for_host);
        assert_eq!(for_host.digest(), header.digest());
        assert!(for_host.received().is_none());
        let served = |header: &HeaderBlock| {
            let all = header.recipients().into_iter();
            all.filter(|address| address.hostpart() == host)
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(served(&for_host), served(&header));
        assert!(for_host.fields().all(|(_, _, field)| match field {
            Field::Bcc(mailbox) => mailbox.address().hostpart() == host,
            Field::Deliver(address) => address.hostpart() == host,
            _ => true,
        }));

        let for_recipient = header.for_recipient(recipient);
        same(&for_recipient);
        assert_eq!(for_recipient.digest(), header.digest());
        assert!(for_recipient.fields().all(|(_, _, field)| match field {
            Field::Bcc(mailbox) => mailbox.address() == *recipient,
            Field::Deliver(address) => address == *recipient,
            _ => true,
        }));
    }

    let received =
        "b.test 2026-11-22T09:30:02Z from=a.test address=192.0.2.7 tls=TLSv1.3 author=host";
    let received = Received::parse(received).expect("a good value");
    if let Some(with) = header.with_received(&received) {
        same(&with);
        assert_eq!(with.digest(), header.digest());
        assert_eq!(with.received(), Some(&received));
    }
});
