//! What `strace -f -y` writes, line by line.
//!
//! ```text
//! 4711 openat2(7</m/tmp>, ".", {flags=O_RDWR|O_TMPFILE, mode=0600}, 24) = 8</m/tmp/#12>(deleted)
//! 4711 fsync(8</m/tmp/#12>(deleted) <unfinished ...>
//! 4712 write(1<pipe:[3]>, "OK\n", 3) = 3
//! 4711 <... fsync resumed>) = -1 EIO (Input/output error) (INJECTED)
//! 4711 +++ exited with 0 +++
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A system call that has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub thread: u32,
    pub name: String,
    pub arguments: Vec<String>,
    pub result: Result<i64, String>,
    /// What the descriptor that it returned is open on.
    pub opened: Option<PathBuf>,
    /// The lines on which it begins and returns.
    pub lines: (usize, usize),
}

/// The calls of a trace, in the order in which they returned. A call that never
/// returned is left out, but for `exit_group`.
pub fn calls(text: &str) -> Vec<Call> {
    let mut begun: BTreeMap<u32, (usize, String)> = BTreeMap::new();
    let mut calls = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (thread, rest) = line.split_once(' ').expect("a thread");
        let thread = thread.parse().expect("its number");
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        if let Some(beginning) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(thread, (number, beginning.trim_end().to_owned()));
            continue;
        }
        let (first, whole) = match rest.strip_prefix("<... ") {
            None => (number, rest.to_owned()),
            Some(rest) => {
                let (_, end) = rest.split_once(" resumed>").expect("resumed");
                let (first, beginning) = begun.remove(&thread).expect("begun before");
                (first, beginning + end)
            }
        };
        calls.extend(call(thread, &whole, (first, number)));
    }
    calls
}

/// A whole line without its thread; `None` where the call has not returned.
fn call(thread: u32, line: &str, lines: (usize, usize)) -> Option<Call> {
    let (name, rest) = line.split_once('(').expect("a call");
    let (arguments, result) = arguments(rest);
    let result = result.trim_start().strip_prefix("= ").expect("a result");
    let (number, behind) = match result.split_once([' ', '<']) {
        Some((number, _)) => (number, &result[number.len()..]),
        None => (result, ""),
    };
    let result = match number {
        "?" if name == "exit_group" => Ok(0),
        "?" => return None,
        "-1" => Err(behind.split_whitespace().next()?.to_owned()),
        hex if hex.starts_with("0x") => Ok(0),
        number => Ok(number.parse().expect("a number")),
    };
    Some(Call {
        thread,
        name: name.to_owned(),
        arguments,
        result,
        opened: behind.starts_with('<').then(|| path_in(behind)).flatten(),
        lines,
    })
}

/// The arguments up to the bracket that ends them, and what follows.
fn arguments(text: &str) -> (Vec<String>, &str) {
    let (mut arguments, mut argument) = (Vec::new(), String::new());
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, sign) in text.char_indices() {
        if quoted {
            quoted = escaped || sign != '"';
            escaped = !escaped && sign == '\\';
            argument.push(sign);
            continue;
        }
        match sign {
            ')' if depth == 0 => {
                if !argument.is_empty() {
                    arguments.push(argument);
                }
                return (arguments, &text[at + 1..]);
            }
            ',' if depth == 0 => {
                arguments.push(std::mem::take(&mut argument));
                continue;
            }
            ' ' if argument.is_empty() => continue,
            '"' => quoted = true,
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth -= 1,
            _ => {}
        }
        argument.push(sign);
    }
    panic!("no end of the arguments: {text:?}");
}

/// The path in `8</m/tmp/#12>(deleted)`.
pub fn path_in(descriptor: &str) -> Option<PathBuf> {
    let (_, rest) = descriptor.split_once('<')?;
    let (path, _) = rest.rsplit_once('>')?;
    path.starts_with('/').then(|| unescape(path).into())
}

/// The text of a string, as far as it was written down.
pub fn string(argument: &str) -> Option<String> {
    let text = argument.strip_prefix('"')?;
    let (text, _) = text.rsplit_once('"')?;
    Some(unescape(text))
}

fn unescape(text: &str) -> String {
    let (mut plain, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'\\' {
            plain.push(*first);
            continue;
        }
        let octal = rest.iter().take(3).take_while(|b| (b'0'..b'8').contains(b));
        let digits = octal.count();
        if digits > 0 {
            let number = rest[..digits].iter();
            plain.push(number.fold(0u8, |sum, digit| sum.wrapping_mul(8) + (digit - b'0')));
            rest = &rest[digits..];
        } else if let [sign, behind @ ..] = rest {
            plain.push(match sign {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'v' => 11,
                b'f' => 12,
                other => *other,
            });
            rest = behind;
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Call {
        let mut calls = calls(line);
        assert_eq!(calls.len(), 1, "{line}");
        calls.remove(0)
    }

    #[test]
    fn an_open_says_where_its_descriptor_leads() {
        let call = one(
            "4711  openat2(7</m/inbox/tmp>, \".\", {flags=O_RDWR|O_TMPFILE, mode=0600, \
             resolve=RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH}, 24) = 8</m/inbox/tmp/#102>(deleted)",
        );
        assert_eq!(
            (call.thread, &*call.name, &call.result),
            (4711, "openat2", &Ok(8))
        );
        assert_eq!(call.arguments.len(), 4);
        assert_eq!(path_in(&call.arguments[0]), Some("/m/inbox/tmp".into()));
        assert_eq!(string(&call.arguments[1]), Some(".".to_owned()));
        assert_eq!(call.opened, Some("/m/inbox/tmp/#102".into()));
    }

    #[test]
    fn a_path_is_none_where_there_is_none_and_whole_where_it_is_odd() {
        assert_eq!(path_in("1<pipe:[3]>"), None);
        assert_eq!(path_in("1"), None);
        assert_eq!(path_in("AT_FDCWD</m\\40\\303\\266>"), Some("/m ö".into()));
    }

    #[test]
    fn what_is_written_may_look_like_anything() {
        let call = one(r#"1 write(3</m/journal>, "a\") = 0, (<{\n\0", 4) = 4"#);
        assert_eq!(call.arguments.len(), 3);
        assert_eq!(string(&call.arguments[1]).unwrap(), "a\") = 0, (<{\n\0");
        let call = one(r#"1 write(3</m/journal>, "cut"..., 400) = 400"#);
        assert_eq!(string(&call.arguments[1]).unwrap(), "cut");
    }

    #[test]
    fn a_failure_has_a_name() {
        let call = one("1 fsync(3</m>) = -1 EIO (Input/output error) (INJECTED)");
        assert_eq!((call.result, call.opened), (Err("EIO".to_owned()), None));
        let call = one("1 fcntl(3</m>, F_GETFD)   = 0x1 (flags FD_CLOEXEC)");
        assert_eq!(call.result, Ok(0));
    }

    #[test]
    fn what_was_interrupted_is_put_together_by_thread() {
        let calls = calls(
            "7 fsync(3</a> <unfinished ...>\n\
             8 fsync(4</b> <unfinished ...>\n\
             7 <... fsync resumed>) = 0\n\
             8 <... fsync resumed>)              = -1 EIO (Input/output error)\n\
             8 futex(0x7f, FUTEX_WAIT, 2, NULL) = ?\n\
             8 --- SIGTERM {si_signo=SIGTERM} ---\n\
             7 exit_group(0)                     = ?\n\
             7 +++ exited with 0 +++\n",
        );
        let told: Vec<_> = calls.iter().map(|c| (c.thread, &*c.name)).collect();
        assert_eq!(told, [(7, "fsync"), (8, "fsync"), (7, "exit_group")]);
        assert_eq!(calls[0].arguments, ["3</a>"]);
        assert_eq!(calls[1].result, Err("EIO".to_owned()));
        assert_eq!(calls[2].arguments, ["0"]);
        assert_eq!([calls[0].lines, calls[1].lines], [(0, 2), (1, 3)]);
    }
}
