//! A handler that stays, as a server hears it: a real process, ima-handler(7), that
//! answers whatever the input says. Octet 1: what is done and how the process ends.
//! Octet 2: how long the answer to HEADERS is, in units of 16 octets. The rest:
//! that answer, and behind it the one to DATA.
#![no_main]

use std::env;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ima_message::{Digester, HeaderBlock, Received, text};
use ima_proto::handlers::{Contract, Group, OwnCommands, Places, Stream};
use ima_proto::imdp::{DataAnswer, Drop, HeadersAnswer, Say};
use libfuzzer_sys::fuzz_target;

/// With this argument a target is the handler, and no target.
const HANDLER: &str = "--handler";
/// An answer is written at once, which a pipe takes as a whole.
const MOST: usize = 3900;
/// Octets of a line that a server keeps.
const MAX_LINE: usize = 4096;
/// More data than a server holds back, and than a pipe takes.
const LARGE: usize = 200 << 10;

thread_local! {
    static STREAM: Stream = {
        let program = env::current_exe().expect("a program");
        let program = program.to_str().expect("UTF-8").to_owned();
        let commands = OwnCommands {
            contract: Contract::Staying(vec![program, HANDLER.to_owned()]),
            config_dir: "/".into(),
            group: Group::Own,
        };
        Stream::new(Arc::new(commands), Places::unlimited())
    };
}

/// Answers as the header blocks say, until the end of its input.
fn handler() {
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    let mut answers = <[Vec<u8>; 2]>::default();
    let mut exit = 0;
    loop {
        let mut line = String::new();
        if stdin.read_line(&mut line).is_err() || line.is_empty() {
            process::exit(0);
        }
        let mut words = line.split_whitespace();
        let word = words.next().expect("a question").to_owned();
        let octets = words.next().map_or(0, |n| n.parse().expect("a number"));
        let mut body = vec![0; octets];
        if stdin.read_exact(&mut body).is_err() {
            process::exit(0);
        }
        let answer = match word.as_str() {
            "HEADERS" => {
                let header = HeaderBlock::parse(&body).expect("a header block");
                let value = |name: &str| {
                    let mut fields = header.fields();
                    fields
                        .find(|(known, ..)| *known == name)
                        .expect("a field")
                        .1
                        .to_owned()
                };
                answers = ["x-headers", "x-data"].map(|name| from_hex(&value(name)));
                exit = value("x-exit").parse().expect("a number");
                &answers[0]
            }
            "DATA" => &answers[1],
            "ABORT" => &b"OK\n".to_vec(),
            other => panic!("{other} is no question"),
        };
        let written = stdout.write_all(answer).and_then(|()| stdout.flush());
        if written.is_err() || final_line(answer).is_none() {
            process::exit(exit);
        }
    }
}

fn to_hex(octets: &[u8]) -> String {
    let digits = octets.iter().map(|octet| format!("{octet:02x}"));
    format!("0x{}", digits.collect::<String>())
}

fn from_hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes()[2..].chunks(2);
    let octet = |pair| u8::from_str_radix(str::from_utf8(pair).expect("digits"), 16);
    pairs.map(|pair| octet(pair).expect("digits")).collect()
}

/// The lines of an answer up to its final one, which is the last, as a server
/// reads them; and what comes behind. None where no final line ends.
fn final_line(answer: &[u8]) -> Option<(Vec<String>, &[u8])> {
    let mut lines = Vec::new();
    let mut rest = answer;
    while let Some(end) = rest.iter().position(|&octet| octet == b'\n') {
        let line = readable(&rest[..end]);
        rest = &rest[end + 1..];
        let is_final = !line.is_empty() && !line.starts_with("+ ");
        if !line.is_empty() {
            lines.push(line);
        }
        if is_final {
            return Some((lines, rest));
        }
    }
    None
}

/// A line that a process printed, made into text.
fn readable(octets: &[u8]) -> String {
    let mut line = String::new();
    for c in String::from_utf8_lossy(octets).chars() {
        line.push(if text::is_text(c) { c } else { '\u{fffd}' });
    }
    line.truncate(line.floor_char_boundary(MAX_LINE));
    line
}

/// An answer as it is given: what follows the final line is nothing, or lines.
fn cut(answer: &[u8]) -> Vec<u8> {
    let answer = &answer[..answer.len().min(MOST)];
    let Some((_, behind)) = final_line(answer) else {
        return answer.to_vec();
    };
    let mut cut = answer[..answer.len() - behind.len()].to_vec();
    if behind.iter().any(|&octet| octet != b'\n') {
        cut.extend_from_slice(behind);
        cut.push(b'\n');
    }
    cut
}

/// What is said to the sender of an answer: all before its final line.
fn information(answer: &[u8]) -> Vec<String> {
    let text = |line: &str| line.strip_prefix("+ ").map(str::to_owned);
    match final_line(answer) {
        Some((lines, _)) => lines.iter().filter_map(|line| text(line)).collect(),
        None => {
            let whole = answer.iter().rposition(|&octet| octet == b'\n');
            let lines = answer[..whole.unwrap_or(0)].split(|&octet| octet == b'\n');
            lines.filter_map(|line| text(&readable(line))).collect()
        }
    }
}

/// What an answer comes to, by the final line or the exit status.
fn outcome<T>(
    answer: &[u8],
    exit: u8,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Drop> {
    match final_line(answer) {
        Some((lines, _)) => Ok(lines.last().and_then(|line| parse(line))),
        None if exit == 3 => Err(Drop),
        None => Ok(None),
    }
}

#[derive(Default)]
struct Heard(Vec<String>);

impl Say for Heard {
    fn line(&mut self, line: &str) {
        self.0.push(line.to_owned());
    }

    fn alive(&mut self) {}
}

fn message(answers: [&[u8]; 2], exit: u8, data: &[u8]) -> HeaderBlock {
    let mut digester = Digester::new();
    digester.update(data);
    let (length, digest) = (data.len(), digester.finish());
    let [headers, of_data] = answers.map(to_hex);
    let block = format!(
        "ima: 1\nfrom: alice@a.test\nto: bob@b.test\nx-headers: {headers}\nx-data: {of_data}\n\
         x-exit: {exit}\ndate: 2026-11-22T09:30:00Z\nid: 1@a.test\n\
         part: text/plain {length} sha256:{digest}\nsize: {length}\n\n"
    );
    HeaderBlock::parse(block.as_bytes()).expect("a good message")
}

fn ask(stream: &Stream, how: u8, headers: &[u8], of_data: &[u8]) {
    let exit = how & 7;
    let data = match how & 8 {
        0 => b"Noon?\n".to_vec(),
        _ => vec![b'x'; LARGE],
    };
    let header = message([headers, of_data], exit, &data);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut heard = Heard::default();
    let received = "b.test 2026-11-22T09:30:02Z from=a.test address=::1 tls=TLSv1.3 author=host";
    let received = Received::parse(received).expect("a good value");
    let asked = stream.check(&header, &received, deadline, &mut heard);
    assert_eq!(heard.0, information(headers));
    let wanted = outcome(headers, exit, HeadersAnswer::parse);
    let (answer, exchange) = match (asked, wanted) {
        (Ok(asked), Ok(wanted)) => {
            match (&asked.0, wanted) {
                (
                    answer,
                    Some(
                        wanted @ (HeadersAnswer::Accept
                        | HeadersAnswer::Reject(..)
                        | HeadersAnswer::Defer(..)),
                    ),
                ) => {
                    assert_eq!(answer, &wanted);
                }
                // What is no answer, and what cannot be carried out, is a fault of ours.
                (answer, _) => assert!(matches!(answer, HeadersAnswer::Defer(300, _)), "{answer}"),
            }
            asked
        }
        (asked, wanted) => return assert!(asked.is_err() && wanted.is_err()),
    };
    assert_eq!(exchange.is_some(), answer == HeadersAnswer::Accept);
    let Some(mut exchange) = exchange else {
        return;
    };
    if how & 16 != 0 {
        let some = &data[..data.len() / 2];
        exchange.write_all(some).expect("it takes all");
        return;
    }
    exchange.write_all(&data).expect("it takes all");
    let mut heard = Heard::default();
    let delivered = exchange.deliver(&mut heard);
    let (_, behind) = final_line(headers).expect("it accepted");
    if !behind.is_empty() {
        // It spoke before it was asked for the next.
        assert_eq!(delivered, Ok(DataAnswer::Partial));
        assert!(heard.0.is_empty());
        return;
    }
    let wanted = outcome(of_data, exit, DataAnswer::parse);
    assert_eq!(
        delivered,
        wanted.map(|answer| answer.unwrap_or(DataAnswer::Partial))
    );
    assert_eq!(heard.0, information(of_data));
}

fuzz_target!(
    init: {
        if env::args().nth(1).as_deref() == Some(HANDLER) {
            handler();
        }
    },
    |octets: &[u8]| {
        let [how, length, input @ ..] = octets else {
            return;
        };
        let (headers, of_data) = input.split_at(input.len().min(usize::from(*length) * 16));
        let (headers, of_data) = (cut(headers), cut(of_data));
        STREAM.with(|stream| ask(stream, *how, &headers, &of_data));
    }
);
