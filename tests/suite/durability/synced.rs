//! Changes of names that need no sync before an acknowledgement, and why.

use std::path::Path;

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Made,
    Removed,
}

struct Harmless {
    /// The name itself, or, with a slash, the directory that it is in.
    place: &'static str,
    /// `None`: whatever became of it.
    change: Option<Change>,
    #[allow(dead_code, reason = "it is there to be read")]
    why: &'static str,
}

const HARMLESS: &[Harmless] = &[
    Harmless {
        place: "tmp/",
        change: None,
        why: "nobody was told of it; what comes back is swept after a day",
    },
    Harmless {
        place: "messages/",
        change: Some(Change::Removed),
        why: "its `del` is on the disk by then; a file that comes back is swept",
    },
    Harmless {
        place: "attachments/",
        change: Some(Change::Removed),
        why: "no message links it; what comes back is swept",
    },
    Harmless {
        place: "summary",
        change: None,
        why: "derived from the journal, and held against its token",
    },
    Harmless {
        place: "partial/",
        change: None,
        why: "held against its digest before it is used",
    },
    Harmless {
        place: ".fetch-mail/lock",
        change: None,
        why: "it is empty, and made where it is not there",
    },
];

/// A folder that was removed has such a name until it is empty.
const REMOVED: &str = ".old-";

/// Whether a change needs no sync.
pub fn needs_none(path: &Path, change: Change) -> bool {
    let is_at = |place: &str| match place.strip_suffix('/') {
        Some(directory) => path
            .parent()
            .is_some_and(|parent| parent.ends_with(directory)),
        None => path.ends_with(place),
    };
    // Its new name was synced, and is no folder's; what comes back is swept.
    let mut names = path.iter().map(|name| name.to_string_lossy());
    let is_removed = names.any(|name| name.starts_with(REMOVED));
    (is_removed && change == Change::Removed)
        || HARMLESS.iter().any(|harmless| {
            is_at(harmless.place) && harmless.change.is_none_or(|which| which == change)
        })
}
