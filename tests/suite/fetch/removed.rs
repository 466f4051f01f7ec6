//! A folder that was taken away here.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use super::{Place, contents, folder};
use crate::peer::office::Office;
use crate::site::{code, stderr};

/// Once the token of a folder outlived the folder: a run that did not bring
/// everything into the new one forgot what was missing.
#[test]
fn what_was_in_it_comes_again_also_where_a_run_is_cut_off() {
    let place = Place::new();
    let letters: Vec<_> = (0..3)
        .map(|n| place.letter(&format!("This is {n}.\n"), &[]))
        .collect();
    let inbox = folder("inbox", &letters);
    let refuses = std::sync::Arc::new(AtomicBool::new(false));
    let refusing = refuses.clone();
    let office = Office::start(&place.identity(), &[inbox], move |line, said| {
        match line.starts_with("FETCH") && refusing.load(SeqCst) {
            true => b"FAIL no such message\n".to_vec(),
            false => said,
        }
    });
    place.fetch_well(office.address);
    let whole = contents(&place.mail().join("inbox"));
    fs::remove_dir_all(place.mail().join("inbox")).unwrap();

    refuses.store(true, SeqCst);
    let output = place.fetch(office.address);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let state = fs::read_to_string(place.mail().join(".fetch-mail/state")).unwrap();
    assert_eq!(state.matches("\nmissing ").count(), 3, "{state}");

    refuses.store(false, SeqCst);
    place.fetch_well(office.address);
    assert_eq!(contents(&place.mail().join("inbox")).0, whole.0);
    place.check();
}
