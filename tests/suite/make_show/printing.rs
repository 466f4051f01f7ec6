//! `--json`.

use serde_json::{Value, json};

use super::bench::{Bench, with_lines};

fn parse(text: &str) -> Value {
    assert_eq!(text.matches('\n').count(), 1, "one line");
    serde_json::from_str(text).unwrap()
}

#[test]
fn everything_in_the_header_block_is_there() {
    let bench = Bench::new();
    bench.write("a.html", "<p>");
    bench.write("a b.pdf", "pdf");
    let key = bench.key("a.test", "key");
    bench.write("keys", &key);
    let arguments = [
        "--to",
        "carol@c.test Carol",
        "--cc",
        "dave@d.test",
        "--bcc",
        "eve@e.test",
        "--subject",
        "Lunch?",
        "--reply-to",
        "office@a.test",
        "--in-reply-to",
        "2@b.test",
        "--references",
        "1@b.test",
        "--references",
        "2@b.test",
        "--header",
        "x-mood=good",
        "--header",
        "x-mood=better",
        "--html",
        "a.html",
        "--attach",
        "a b.pdf",
        "--sign",
        "key",
    ];
    let message = with_lines(
        &bench.message(&arguments, "Hi\n"),
        "deliver: bob@b.test\nmailer: list@l.test\n\
         received: b.test 2026-11-22T09:30:02Z from=l.test address=192.0.2.7 tls=TLSv1.3 author=none\n",
    );
    let header = ima_message::HeaderBlock::read(&mut &*message).unwrap();
    let sha256 = |index: usize| header.parts()[index].digest().to_string();
    let public_key = key.split(' ').nth(3).unwrap();
    let wanted = json!({
        "ima": 1,
        "digest": header.digest().to_string(),
        "from": { "address": "alice@a.test", "name": null },
        "to": [
            { "address": "bob@b.test", "name": null },
            { "address": "carol@c.test", "name": "Carol" },
        ],
        "cc": [{ "address": "dave@d.test", "name": null }],
        "bcc": [{ "address": "eve@e.test", "name": null }],
        "reply-to": [{ "address": "office@a.test", "name": null }],
        "subject": "Lunch?",
        "date": "2026-11-22T09:30:00Z",
        "id": "1@a.test",
        "in-reply-to": "2@b.test",
        "references": ["1@b.test", "2@b.test"],
        "fields": [{ "name": "x-mood", "value": "good" }, { "name": "x-mood", "value": "better" }],
        "parts": [
            { "number": 1, "type": "text/plain", "length": 3, "sha256": sha256(0), "name": null,
              "attributes": {}, "verdict": "ok" },
            { "number": 2, "type": "text/html", "length": 3, "sha256": sha256(1), "name": null,
              "attributes": { "alternative-of": "1" }, "verdict": "ok" },
            { "number": 3, "type": "application/pdf", "length": 3, "sha256": sha256(2),
              "name": "a b.pdf", "attributes": {}, "verdict": "ok" },
        ],
        "size": 9,
        "deliver": ["bob@b.test"],
        "mailer": ["list@l.test"],
        "recipients": ["bob@b.test"],
        "signatures": [
            { "signer": "a.test", "algorithm": "ed25519", "public-key": public_key,
              "verdict": "unknown-key" },
        ],
        "received": { "host": "b.test", "time": "2026-11-22T09:30:02Z", "from": "l.test",
            "address": "192.0.2.7", "tls": "TLSv1.3", "author": "none" },
        "data": "right",
    });
    assert_eq!(
        parse(&bench.show(&["--json"], &message).is(0).text()),
        wanted
    );
    assert_eq!(
        parse(&bench.show(&["--json", "--verify"], &message).is(0).text()),
        wanted
    );
    let known = parse(
        &bench
            .show(
                &["--json", "--keys", "keys"],
                bench.message(&["--sign", "key"], ""),
            )
            .is(0)
            .text(),
    );
    assert_eq!(known["signatures"][0]["verdict"], "valid");
    assert_eq!(
        (
            &known["subject"],
            &known["received"],
            &known["to"][0]["name"]
        ),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

#[test]
fn a_header_block_alone_will_do() {
    let bench = Bench::new();
    let message = bench.message(&[], "text");
    let header = &message[..message.len() - 4];
    let object = parse(&bench.show(&["--json"], header).is(0).text());
    assert_eq!(
        (&object["data"], &object["parts"][0]["verdict"]),
        (&json!("absent"), &Value::Null)
    );
    assert_eq!(object["recipients"], json!(["bob@b.test"]));

    let answer = bench.show(&["--json", "--verify"], header).is(1);
    assert_eq!(parse(&answer.text())["data"], "absent");
}

#[test]
fn data_that_are_there_must_be_right() {
    let bench = Bench::new();
    let message = bench.message(&[], "text");
    let wrong = String::from_utf8(message.clone())
        .unwrap()
        .replace("\ntext", "\ntixt");
    let long = [&message[..], b"x"].concat();
    for (octets, verdict) in [
        (wrong.as_bytes(), "wrong"),
        (&message[..message.len() - 1], "short"),
        (&long, "ok"),
    ] {
        assert_eq!(bench.show(&["--json"], octets).is(1).text(), "");
        let object = parse(&bench.show(&["--json", "--verify"], octets).is(1).text());
        assert_eq!(
            (&object["data"], &object["parts"][0]["verdict"]),
            (&json!("wrong"), &json!(verdict))
        );
    }
}

#[test]
fn what_changes_the_direction_of_writing_is_escaped() {
    let bench = Bench::new();
    let subject = "gpj.\u{202e}exe \"\\ ü";
    let text = bench
        .show(&["--json"], bench.message(&["--subject", subject], ""))
        .is(0)
        .text();
    assert!(text.contains("gpj.\\u202eexe"), "{text}");
    assert_eq!(parse(&text)["subject"], subject);
}
