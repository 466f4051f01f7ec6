//! `--verify` and `--keys`.

use super::bench::{Bench, with_lines};

#[test]
fn each_part_and_each_signature_has_its_line() {
    let bench = Bench::new();
    bench.write("a", "one");
    bench.write("b", "two");
    let message = bench.message(&["--attach", "a", "--attach", "b"], "text");
    let refusal = "show-ima-message: standard input: not a valid message: ";
    let verify = |octets: &[u8]| bench.show(&["--verify"], octets);
    assert_eq!(
        verify(&message).is(0).text(),
        "part 1 ok\npart 2 ok\npart 3 ok\n"
    );

    let wrong = String::from_utf8(message.clone())
        .unwrap()
        .replace("textonetwo", "textONEtwo");
    let answer = verify(wrong.as_bytes());
    assert_eq!(answer.text(), "part 1 ok\npart 2 wrong\npart 3 ok\n");
    answer.fails(
        1,
        &format!("{refusal}the octets of part 2 do not match its digest"),
    );

    let answer = verify(&message[..message.len() - 5]);
    assert_eq!(answer.text(), "part 1 ok\npart 2 short\npart 3 missing\n");
    answer.fails(1, &format!("{refusal}the data end 5 octets too early"));

    let answer = verify(&message[..message.len() - 10]);
    assert_eq!(
        answer.text(),
        "part 1 missing\npart 2 missing\npart 3 missing\n"
    );
    answer.fails(1, &format!("{refusal}the data end 10 octets too early"));

    let answer = verify(&[&message[..], b"!"].concat());
    assert_eq!(
        answer.text(),
        "part 1 ok\npart 2 ok\npart 3 ok\ndata long\n"
    );
    answer.fails(
        1,
        &format!("{refusal}more data follow than the header block announces"),
    );
}

#[test]
fn a_wrong_signature_is_refused_with_its_place() {
    let bench = Bench::new();
    bench.key("a.test", "key");
    let message = bench.message(&["--subject", "Lunch?", "--sign", "key"], "");
    let changed = String::from_utf8(message)
        .unwrap()
        .replace("Lunch?", "Dinner");
    let answer = bench.show(&["--verify"], changed);
    assert_eq!(answer.text(), "");
    answer.fails(
        1,
        "show-ima-message: standard input: not a valid message: line 8, column 12: the signature is invalid: it is not over this letter, or not by this key",
    );
}

#[test]
fn keys_are_known_by_signer_key_and_time() {
    let bench = Bench::new();
    let alice = bench.key("alice@a.test", "alice.key");
    let other = bench.key("alice@a.test", "other.key");
    let message = bench.message(&["--sign", "alice.key"], "");
    let message = with_lines(&message, "signature: c.test zz-9 AA== AA==\n");
    let verdict = |keys: &str, message: &[u8]| {
        bench.write("keys", keys);
        let text = bench
            .show(&["--verify", "--keys", "keys"], message)
            .is(0)
            .text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("signature alice@a.test "));
        assert!(text.contains("signature c.test unknown-algorithm\n"));
        line.unwrap().to_owned()
    };
    assert_eq!(verdict(&alice, &message), "valid");
    assert_eq!(
        verdict(&format!("# known\n\n{other}{alice}"), &message),
        "valid"
    );
    assert_eq!(verdict(alice.trim_end(), &message), "valid");
    assert_eq!(verdict("", &message), "unknown-key");
    assert_eq!(verdict(&other, &message), "unknown-key");
    assert_eq!(
        verdict(&alice.replace("alice@", "bob@"), &message),
        "unknown-key"
    );
    assert_eq!(
        verdict(&alice.replace(" alice@a.test ", " a.test "), &message),
        "unknown-key"
    );

    // For the time of receipt, and that is now where nobody has received it.
    let words: Vec<_> = alice.split(' ').take(4).collect();
    let in_2020 = format!(
        "{} 2020-01-01T00:00:00Z 2021-01-01T00:00:00Z\n",
        words.join(" ")
    );
    assert_eq!(verdict(&in_2020, &message), "unknown-key");
    let received = |time: &str| {
        let line = format!(
            "received: b.test {time} from=a.test address=192.0.2.7 tls=TLSv1.3 author=valid\n"
        );
        with_lines(&message, &line)
    };
    assert_eq!(
        verdict(&in_2020, &received("2020-06-01T00:00:00Z")),
        "valid"
    );
    assert_eq!(
        verdict(&in_2020, &received("2021-01-01T00:00:01Z")),
        "unknown-key"
    );
    assert_eq!(
        verdict(&alice, &received("2020-06-01T00:00:00Z")),
        "unknown-key"
    );
}

#[test]
fn what_the_receiving_server_says_is_said() {
    let bench = Bench::new();
    let message = bench.message(&[], "");
    for author in ["host", "valid", "unknown-key", "none", "local"] {
        let line = format!(
            "received: b.test 2026-11-22T09:30:02Z from=a.test address=192.0.2.7 tls=TLSv1.3 author={author}\n"
        );
        let text = bench
            .show(&["--verify"], with_lines(&message, &line))
            .is(0)
            .text();
        assert_eq!(text, format!("author {author} b.test\n"));
    }
}

#[test]
fn files_of_keys_that_are_wrong_are_named() {
    let bench = Bench::new();
    let key = bench.key("a.test", "key");
    bench.write("m.ima", bench.message(&["--sign", "key"], ""));
    bench.write("keys", format!("{key}# a comment\nKEY a.test\n"));
    bench.show(&["--keys", "keys", "m.ima"], "").fails(
        2,
        "show-ima-message: --keys keys: line 3: a published key reads: KEY signer ed25519 public-key not-before not-after",
    );
    bench.show(&["--keys", "none", "m.ima"], "").fails(
        2,
        "show-ima-message: --keys none: cannot be read: No such file or directory (os error 2)",
    );
    bench.show(&["--keys", "-"], "").fails(
        2,
        "show-ima-message: --keys -: standard input is the message; name a file with the keys",
    );
    let answer = bench.show(&["--verify", "--keys", "-", "m.ima"], key).is(0);
    assert_eq!(answer.text(), "signature a.test valid\n");
}
