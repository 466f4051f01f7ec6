//! Message files of one delivery that further folders can link.

use std::borrow::Cow;
use std::ptr;
use std::sync::Arc;

use ima_message::HeaderBlock;

use super::message::{MessageFile, Use};
use crate::error::MailboxError;

/// Folders that can link the same file: those of one owner on one file system.
pub(super) type Group = (u64, u32);

/// Files of which each holds a descriptor. Where there are more, some folders have a
/// file of their own that could share one.
const MAX_FILES: usize = 16;

/// The files, the oldest first.
#[derive(Default)]
pub(super) struct Shelf<'a> {
    files: Vec<Shelved<'a>>,
}

struct Shelved<'a> {
    group: Group,
    /// What distinguishes it from the others of the message.
    header: Cow<'a, [u8]>,
    file: Arc<MessageFile>,
}

impl<'a> Shelf<'a> {
    /// The file with this header block for folders of this group, which is written
    /// where there is none yet.
    ///
    /// # Errors
    /// Those of writing it.
    pub(super) fn file(
        &mut self,
        group: Group,
        header: Cow<'a, HeaderBlock>,
        write: impl FnOnce(&HeaderBlock) -> Result<MessageFile, MailboxError>,
    ) -> Result<Arc<MessageFile>, MailboxError> {
        let is_it = |one: &Shelved<'_>| one.group == group && is_same(&one.header, &header);
        if let Some(place) = self.files.iter().position(is_it) {
            match self
                .files
                .get(place)
                .map(|one| (one.file.usable(), &one.file))
            {
                Some((Use::Any, file)) => return Ok(Arc::clone(file)),
                Some((Use::Apart, _)) => return write(&header).map(Arc::new),
                Some((Use::Replace, _)) | None => drop(self.files.remove(place)),
            }
        }
        let file = Arc::new(write(&header)?);
        let header = match header {
            Cow::Borrowed(header) => Cow::Borrowed(header.as_bytes()),
            // Mostly it is one folder's alone. The next one may have it too.
            Cow::Owned(own) => {
                let is_lent = |one: &Shelved<'_>| matches!(one.header, Cow::Borrowed(_));
                self.files.retain(is_lent);
                Cow::Owned(own.as_bytes().to_vec())
            }
        };
        if self.files.len() >= MAX_FILES {
            self.files.remove(0);
        }
        self.files.push(Shelved {
            group,
            header,
            file: Arc::clone(&file),
        });
        Ok(file)
    }
}

fn is_same(one: &[u8], header: &HeaderBlock) -> bool {
    ptr::eq(one, header.as_bytes()) || one == header.as_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs;

    use rustix::io::Errno;

    use super::*;
    use crate::deliver::links::Links;
    use crate::error::Step;
    use crate::folder::Folder;
    use crate::stage::{Stage, Syncing};

    const GROUP: Group = (1, 2);

    fn header(transport: &str) -> HeaderBlock {
        let text = format!(
            "ima: 1\nfrom: alice@a.test\nto: bob@b.test\n{transport}date: 2026-11-22T09:30:00Z\nid: 1@a.test\nsize: 0\n\n"
        );
        HeaderBlock::parse(text.as_bytes()).unwrap()
    }

    /// The file of a message for such a folder.
    fn file<'a>(
        shelf: &mut Shelf<'a>,
        group: Group,
        header: Cow<'a, HeaderBlock>,
        stage: &Stage,
    ) -> Arc<MessageFile> {
        let write = |_: &HeaderBlock| {
            let mut draft = stage.begin()?;
            draft.write(b"message")?;
            MessageFile::finish(stage, draft, 7)
        };
        shelf.file(group, header, write).unwrap()
    }

    fn stage(folder: &Folder) -> Stage {
        Stage::new(&folder.tmp, false, Syncing::Each)
    }

    #[test]
    fn a_file_with_as_many_names_as_it_can_have_is_copied_and_then_the_copy_is_shared() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("inbox")).unwrap();
        let (header, stage) = (header(""), stage(&folder));
        let header = Cow::Borrowed(&header);
        let mut shelf = Shelf::default();
        let first = file(&mut shelf, GROUP, header.clone(), &stage);
        let mut links = Links::default();
        links
            .add_message(&folder.messages, "first", &first, &stage)
            .unwrap();
        let (name, names) = (folder.messages.path().join("first"), dir.path().join("n"));
        fs::create_dir(&names).unwrap();
        // Most file systems have a limit that can be reached; ext4 has 65,000.
        let is_full =
            (0..66_000).any(|n: u32| fs::hard_link(&name, names.join(n.to_string())).is_err());
        let again = file(&mut shelf, GROUP, header.clone(), &stage);
        assert!(Arc::ptr_eq(&first, &again));
        let second = links
            .add_message(&folder.messages, "second", &again, &stage)
            .unwrap();
        let octets = fs::read(folder.messages.path().join("second")).unwrap();
        assert_eq!(octets, b"message");
        let third = file(&mut shelf, GROUP, header.clone(), &stage);
        let fourth = file(&mut shelf, GROUP, header.clone(), &stage);
        assert!(Arc::ptr_eq(&third, &fourth));
        for other in [second, third] {
            assert_eq!(!Arc::ptr_eq(&first, &other), is_full);
            assert!(!other.is_synced());
        }
    }

    #[test]
    fn what_could_not_be_synced_is_no_further_folder_s() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("inbox")).unwrap();
        let (header, stage) = (header(""), stage(&folder));
        let header = Cow::Borrowed(&header);
        let failed = || Err(MailboxError::io(Step::Sync, dir.path(), Errno::IO));
        let mut shelf = Shelf::default();
        let lost = file(&mut shelf, GROUP, header.clone(), &stage);
        lost.was_synced(&failed()).unwrap_err();
        for synced in [lost.sync(), lost.was_synced(&Ok(()))] {
            assert!(matches!(synced, Err(MailboxError::Io { .. })));
        }
        assert!(!lost.is_synced());
        let sound = file(&mut shelf, GROUP, header.clone(), &stage);
        assert!(!Arc::ptr_eq(&lost, &sound));
        sound.sync().unwrap();
        // It is there, whatever comes later.
        sound.was_synced(&failed()).unwrap();
        let again = file(&mut shelf, GROUP, header.clone(), &stage);
        assert!(Arc::ptr_eq(&sound, &again) && again.is_synced());
    }

    #[test]
    fn folders_that_cannot_link_each_other_s_files_are_not_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("inbox")).unwrap();
        let (header, stage) = (header(""), stage(&folder));
        let header = Cow::Borrowed(&header);
        let mut shelf = Shelf::default();
        let first = file(&mut shelf, GROUP, header.clone(), &stage);
        first.refuse(Errno::XDEV);
        let mut files: Vec<_> = (0..3)
            .map(|_| file(&mut shelf, GROUP, header.clone(), &stage))
            .collect();
        files.push(first);
        for (place, file) in files.iter().enumerate() {
            let others = files.iter().skip(place.saturating_add(1));
            others.for_each(|other| assert!(!Arc::ptr_eq(file, other)));
        }
    }

    #[test]
    fn what_is_lent_stays_however_many_are_made_and_groups_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("inbox")).unwrap();
        let (lent, stage) = (header(""), stage(&folder));
        let lent = Cow::Borrowed(&lent);
        let mut shelf = Shelf::default();
        let first = file(&mut shelf, GROUP, lent.clone(), &stage);
        for user in 0..40 {
            let own: Cow<'_, HeaderBlock> =
                Cow::Owned(header(&format!("bcc: user{user}@b.test\n")));
            let one = file(&mut shelf, GROUP, own.clone(), &stage);
            let same = file(&mut shelf, GROUP, own.clone(), &stage);
            assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &first));
            let again = file(&mut shelf, GROUP, lent.clone(), &stage);
            assert!(Arc::ptr_eq(&first, &again));
            assert_eq!(shelf.files.len(), 2);
        }
        for device in 0..40 {
            file(&mut shelf, (device, 0), lent.clone(), &stage);
        }
        assert_eq!(shelf.files.len(), MAX_FILES);
    }
}
