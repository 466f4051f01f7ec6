//! A client of IMRP in memory against whatever a server might say. Octet 1: how
//! many octets each read gives. The rest: what the server says.
#![no_main]

use std::collections::BTreeSet;
use std::time::Instant;

use ememo_fuzz::OneLetter;
use ima_message::{Address, FlagChange, FolderName, Token};
use ima_proto::framing::Memory;
use ima_proto::imrp::{
    Answer, Client, ClientError, Limits, Next, Session, SinkError, Stored, SyncMode, Synced, Times,
};
use libfuzzer_sys::fuzz_target;

/// What the client took for octets.
fn fetch(client: &mut Client<&mut Memory>, taken: &mut Vec<u8>) -> Result<u64, ClientError> {
    let bob = Address::parse("bob@b.test").expect("an address");
    let inbox: FolderName = "inbox".parse().expect("a name");
    let message = "ab".repeat(32).parse().expect("a digest");
    let part = "ab".repeat(32).parse().expect("a digest");
    if !client.log_in_by_certificate(&bob)? {
        return Ok(0);
    }
    let folders = client.folders()?;
    let names: BTreeSet<&FolderName> = folders.iter().map(|folder| &folder.name).collect();
    assert_eq!(names.len(), folders.len());
    client.sync(&inbox, None, &mut |_| {})?;
    client.ask_message(&inbox, message, 100)?;
    client.ask_part(&inbox, part, 0, 10)?;
    let mut whole = 0;
    for most in [100, 10] {
        let before = taken.len();
        let mut sink = |octets: &[u8]| {
            taken.extend_from_slice(octets);
            Ok::<(), ()>(())
        };
        let answer = client.answer(&mut sink).map_err(|error| match error {
            SinkError::Client(error) => error,
            SinkError::Sink(()) => unreachable!("it takes all"),
        })?;
        let came = taken.len() - before;
        assert!(came <= most);
        whole += u64::from(answer == Answer::Whole);
    }
    assert_eq!(client.outstanding(), 0);
    change(client, &inbox, taken)?;
    Ok(whole)
}

/// Takes the messages of a folder as they come.
fn sync(
    client: &mut Client<&mut Memory>,
    taken: &mut Vec<u8>,
) -> Result<Option<Token>, ClientError> {
    let mut syncing = client.begin_sync()?;
    loop {
        let octets = match client.next_change(&mut syncing)? {
            Next::Change(_, octets) => octets,
            Next::End(Synced::Upto(token)) => return Ok(Some(token)),
            Next::End(_) => return Ok(None),
        };
        let before = taken.len();
        let mut sink = |octets: &[u8]| {
            taken.extend_from_slice(octets);
            Ok::<(), ()>(())
        };
        let outcome = client.sync_octets(&mut syncing, &mut sink);
        outcome.map_err(|error| match error {
            SinkError::Client(error) => error,
            SinkError::Sink(()) => unreachable!("it takes all"),
        })?;
        assert_eq!((taken.len() - before) as u64, octets.unwrap_or(0));
    }
}

/// Everything else that a client asks for.
fn change(
    client: &mut Client<&mut Memory>,
    inbox: &FolderName,
    taken: &mut Vec<u8>,
) -> Result<(), ClientError> {
    let message = "ab".repeat(32).parse().expect("a digest");
    let archive: FolderName = "archive".parse().expect("a name");
    let seen = FlagChange {
        flag: "seen".parse().expect("a flag"),
        set: true,
    };
    client.ask_flag(inbox, message, &[seen])?;
    client.ask_sync(inbox, None, SyncMode::Headers)?;
    client.ask_sync(inbox, None, SyncMode::Messages)?;
    client.ask_create(&archive)?;
    client.ask_move(inbox, message, &archive)?;
    client.ask_delete(&archive, message)?;
    client.ask_remove(&archive)?;
    client.acknowledged()?;
    let mut blocks = 0;
    client.sync_answer(&mut |_, block| blocks += usize::from(block.is_some()))?;
    assert!(blocks < 16 << 10);
    let last = sync(client, taken)?;
    for _ in 0..4 {
        client.acknowledged()?;
    }
    client.ask_store(inbox, 100, &mut &[b'x'; 100][..])?;
    client.ask_delete(inbox, message)?;
    if let Stored::Refused(reason) = client.stored()? {
        assert!(reason.len() <= 300);
    }
    client.acknowledged()?;
    assert_eq!(client.outstanding(), 0);
    if let Some(token) = last {
        let mut watch = client.watch(&[(inbox.clone(), token)])?;
        watch.next(None, Instant::now())?;
        watch.end()?;
    }
    client.folders().map(drop)
}

fuzz_target!(|octets: &[u8]| {
    let [chunk, input @ ..] = octets else {
        return;
    };
    let run = |chunk: usize| {
        let mut channel = Memory::new(input).in_chunks(chunk);
        let mut taken = Vec::new();
        let mut client = Client::new(&mut channel, Times::default());
        let fetched = fetch(&mut client, &mut taken).map_err(|error| error.to_string());
        if fetched.is_ok() {
            let _ = client.done();
        }
        (fetched, taken, channel.output().to_vec())
    };
    let (fetched, taken, said) = run((*chunk).into());
    // What was taken for octets came from the server, in its order.
    let mut left = input;
    for octet in &taken {
        let at = left.iter().position(|b| b == octet).expect("it was said");
        left = &left[at + 1..];
    }
    // Whatever it is told, a client says nothing that a server does not know.
    let mut again = Memory::new(said.clone());
    let end = Session::new(&mut again, OneLetter::default(), Limits::default()).run();
    assert!(format!("{end:?}").starts_with("Done"), "{end:?}");
    assert_eq!((fetched, taken, said), run(usize::MAX));
});
