//! What a folder says of itself, and its summary.

use std::fs;

use ima_mailbox::{Act, Folder, Status};

use crate::letter::Letter;
use crate::place::{Place, flags};

fn figures(folder: &Folder) -> (u64, u64, u64) {
    let status = folder.status().unwrap();
    assert_eq!(status.token, folder.token().unwrap());
    (status.messages, status.unseen, status.octets)
}

fn size(letter: &Letter) -> u64 {
    letter.whole().len() as u64
}

#[test]
fn the_summary_is_brought_forward_by_what_came_since() {
    let place = Place::new();
    let folder = place.open();
    assert_eq!(figures(&folder), (0, 0, 0));
    let letters = [Letter::plain("1"), Letter::full("2"), Letter::plain("3")];
    for letter in &letters {
        place.deliver(letter).unwrap();
        place.deliver(letter).unwrap();
    }
    let all: u64 = letters.iter().map(size).sum();
    assert_eq!(figures(&folder), (3, 3, all));
    // No journal is read where the summary still holds.
    let kept = fs::read_to_string(place.path("summary")).unwrap();
    let forged = kept.replace(" 3 3 ", " 14 13 ");
    assert_ne!(kept, forged);
    fs::write(place.path("summary"), forged).unwrap();
    assert_eq!(figures(&folder), (14, 13, all));
    let digest = |n: usize| letters[n].header.digest();
    let flag = |n: usize, text: &str| Act::Flag {
        digest: digest(n),
        changes: flags(text),
    };
    // And what is brought forward starts from what it says.
    folder.apply(&[flag(0, "+seen")]).unwrap();
    assert_eq!(figures(&folder), (14, 12, all));
    fs::remove_file(place.path("summary")).unwrap();
    assert_eq!(figures(&folder), (3, 2, all));
    let delete = Act::Delete { digest: digest(1) };
    let two = all - size(&letters[1]);
    for (act, expected) in [
        (flag(1, "+seen +x"), (3, 1, all)),
        (flag(1, "+seen"), (3, 1, all)),
        (flag(0, "+seen -seen"), (3, 2, all)),
        (delete, (2, 2, two)),
    ] {
        folder.apply(std::slice::from_ref(&act)).unwrap();
        assert_eq!(figures(&folder), expected, "{act:?}");
    }
    // An add that is repeated changes nothing, and one that follows a deletion does.
    let again = |letter: &Letter| {
        let mut batch = folder.batch_of_user().unwrap();
        let time = ima_message::DateTime::utc(1).unwrap();
        batch
            .stage(&letter.header, &mut &*letter.data, time)
            .unwrap();
        batch.commit().unwrap();
    };
    again(&letters[0]);
    assert_eq!(figures(&folder), (2, 2, two));
    again(&letters[1]);
    assert_eq!(figures(&folder), (3, 3, all));
    assert!(place.names("tmp").is_empty());
}

#[test]
fn a_summary_that_is_none_or_another_folders_counts_for_nothing() {
    let place = Place::new();
    let folder = place.open();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    let whole = (1, 1, size(&letter));
    assert_eq!(figures(&folder), whole);
    let right = fs::read_to_string(place.path("summary")).unwrap();
    let Status { token, .. } = folder.status().unwrap();
    let digits = token.generation.to_string();
    let turned: String = digits.chars().rev().collect();
    let beyond = right.replace(
        &token.to_string(),
        &format!("{digits}.{}", token.offset + 1),
    );
    for summary in [
        "",
        "nonsense",
        right.trim_end(),
        &right.replace(&digits, &turned),
        &right.replace(&token.to_string(), &format!("{digits}.32")),
        &beyond,
        &"9".repeat(10_000),
    ] {
        fs::write(place.path("summary"), summary).unwrap();
        assert_eq!(figures(&folder), whole, "{summary:.40}");
    }
}

#[test]
fn a_status_at_every_place_comes_to_what_a_whole_reading_does() {
    let place = Place::new();
    let folder = place.open();
    let letters: Vec<Letter> = (0..6).map(|n| Letter::plain(&n.to_string())).collect();
    let mut summaries = vec![(String::new(), folder.token().unwrap())];
    for step in 0..60_usize {
        let letter = &letters[step * step % letters.len()];
        let digest = letter.header.digest();
        match step % 5 {
            0 | 1 => {
                let mut batch = folder.batch_of_user().unwrap();
                let time = ima_message::DateTime::utc(step.try_into().unwrap()).unwrap();
                batch
                    .stage(&letter.header, &mut &*letter.data, time)
                    .unwrap();
                batch.commit().unwrap();
            }
            2 => drop(folder.apply(&[Act::Delete { digest }]).unwrap()),
            n => {
                let changes = flags(if n == 3 { "+seen" } else { "-seen +x" });
                folder.apply(&[Act::Flag { digest, changes }]).unwrap();
            }
        }
        fs::remove_file(place.path("summary")).unwrap_or_default();
        let whole = figures(&folder);
        let made = fs::read_to_string(place.path("summary")).unwrap();
        // The last one, and one in seven of the others.
        let count = summaries.len();
        let some = summaries.iter().enumerate();
        for (_, (summary, token)) in some.filter(|(n, _)| n + 1 == count || (n + step) % 7 == 0) {
            fs::write(place.path("summary"), summary).unwrap();
            assert_eq!(figures(&folder), whole, "step {step} from {token}");
        }
        summaries.push((made, folder.token().unwrap()));
    }
}
