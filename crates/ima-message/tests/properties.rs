//! What holds for every message: what is written is what is read, transport
//! lines change neither digest nor signatures, and no octets make a panic.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use ima_message::{
    Address, DateTime, Digester, HandlerLine, HeaderBlock, Hostpart, KeyFile, Mailbox, Part,
    Received, Signer, copy_verified,
};
use proptest::prelude::*;

const TEXT: &str = r"[^\pC\u{2028}\u{2029} ]([^\pC\u{2028}\u{2029}]{0,40}[^\pC\u{2028}\u{2029} ])?";
const ADDRESS: &str =
    r"[a-zA-Z0-9!#$%&'*+=?^_`{|}~][a-zA-Z0-9.+-]{0,20}@[a-z0-9]{1,10}\.(test|example)";

fn part(octets: &[u8], name: Option<&str>) -> String {
    let mut digester = Digester::new();
    digester.update(octets);
    let name = name.map_or_else(String::new, |name| format!(" name={name}"));
    format!(
        "part: application/octet-stream {} sha256:{}{name}\n",
        octets.len(),
        digester.finish()
    )
}

prop_compose! {
    fn message()(
        subject in TEXT,
        to in prop::collection::vec(ADDRESS, 1..5),
        bcc in prop::collection::vec(ADDRESS, 0..5),
        deliver in prop::collection::vec(ADDRESS, 0..3),
        inline in prop::collection::vec(any::<u8>(), 0..200),
        attachments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..3),
    ) -> (String, Vec<u8>) {
        let mut header = format!("ima: 1\nfrom: alice@a.test\nsubject: {subject}\n");
        to.iter().for_each(|to| header.push_str(&format!("to: {to}\n")));
        bcc.iter().for_each(|bcc| header.push_str(&format!("bcc: {bcc} Someone\n")));
        deliver.iter().for_each(|deliver| header.push_str(&format!("deliver: {deliver}\n")));
        header.push_str(&part(&inline, None));
        attachments.iter().for_each(|octets| header.push_str(&part(octets, Some("a file"))));
        let data: Vec<u8> = inline.into_iter().chain(attachments.into_iter().flatten()).collect();
        header.push_str(&format!("date: 2026-11-22T09:30:00Z\nid: 1@a.test\nsize: {}\n\n", data.len()));
        (header, data)
    }
}

proptest! {
    #[test]
    fn a_message_is_read_and_every_copy_of_it_is_the_same_letter((header, data) in message()) {
        let block = HeaderBlock::parse(header.as_bytes()).unwrap();
        prop_assert_eq!(block.as_bytes(), header.as_bytes());
        let written: String = block.fields().map(|(name, value, _)| format!("{name}: {value}\n")).collect();
        prop_assert_eq!(written + "\n", header);
        prop_assert_eq!(copy_verified(block.parts(), &mut &*data, &mut std::io::sink()).unwrap(), block.size());
        let value = "b.test 2026-11-22T09:30:02Z from=a.test address=192.0.2.7 tls=TLSv1.3 author=host";
        let received = Received::parse(value).unwrap();
        for recipient in block.recipients() {
            let host = block.for_host(recipient.hostpart());
            let whole = host.with_received(&received).unwrap();
            let own = whole.for_recipient(recipient);
            for copy in [&host, &own] {
                let again = HeaderBlock::parse(copy.as_bytes()).unwrap();
                prop_assert_eq!(again.digest(), block.digest());
                prop_assert!(again.fields().eq(copy.fields()));
                prop_assert_eq!(again.parts(), block.parts());
            }
            prop_assert!(host.recipients().contains(&recipient));
            let others = own.fields().filter(|(name, value, _)| {
                *name == "bcc" && Mailbox::parse(value).unwrap().address() != recipient
            });
            prop_assert_eq!(others.count(), 0);
        }
    }

    #[test]
    fn a_signature_holds_for_its_letter_alone((header, _) in message(), secret in any::<[u8; 32]>(), place in any::<prop::sample::Index>()) {
        let time = DateTime::parse("2026-11-22T09:30:00Z").unwrap();
        let key = KeyFile::new(Signer::parse("alice@a.test").unwrap(), &secret, time.clone(), time);
        let block = HeaderBlock::parse(header.as_bytes()).unwrap();
        let signed = block.with_signature(key.sign(&block.letter_octets())).unwrap();
        let again = HeaderBlock::parse(signed.as_bytes()).unwrap();
        prop_assert_eq!(again.digest(), block.digest());
        // Whatever letter octet is changed, it is refused.
        let letter = String::from_utf8(block.letter_octets()).unwrap();
        let line = letter.lines().nth(place.index(letter.lines().count())).unwrap();
        let other = String::from_utf8(signed.as_bytes().to_vec()).unwrap().replacen(line, &format!("{line}x"), 1);
        prop_assert!(HeaderBlock::parse(other.as_bytes()).is_err());
    }

    #[test]
    fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..500), cut in any::<prop::sample::Index>()) {
        let _ = HeaderBlock::parse(&octets);
        let mut nearly = b"ima: 1\nfrom: alice@a.test\nto: bob@b.test\n".to_vec();
        nearly.extend(&octets);
        nearly.truncate(cut.index(nearly.len() + 1));
        prop_assert!(HeaderBlock::parse(&nearly).is_err() || nearly.ends_with(b"\n\n"));
    }

    #[test]
    fn any_text_is_read_as_it_is_written_or_refused(text in r"\PC{0,80}") {
        if let Ok(address) = Address::parse(&text) {
            prop_assert_eq!(address.to_string(), text.clone());
            prop_assert_eq!(Address::parse(&address.canonical()).unwrap(), address);
        }
        if let Ok(host) = Hostpart::parse(&text) {
            prop_assert_eq!(Hostpart::parse(host.ascii()).unwrap(), host);
        }
        if let Ok(part) = Part::parse(&text, 2) {
            prop_assert_eq!(part.to_string(), text.clone());
        }
        if let Some(line) = HandlerLine::parse(&text) {
            prop_assert_eq!(HandlerLine::parse(&line.to_string()), Some(line));
        }
    }
}
