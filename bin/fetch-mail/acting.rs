//! What the server changed, done here.

use std::collections::BTreeMap;

use ima_mailbox::Act;
use ima_message::MessageDigest;

use crate::failure::Failure;
use crate::part::Part;
use crate::plan::{Plan, behind, setting};
use crate::round::Run;
use crate::state::Missing;
use crate::transfer::Transfer;
use crate::wanted::Wanted;

impl Run<'_> {
    /// Brings what is wanted, then sets flags, moves, and deletes.
    ///
    /// # Errors
    /// What ended it; what was done is done.
    pub fn act(&mut self, parts: &mut [Part], plan: &mut Plan) -> Result<(), Failure> {
        for (at, wanted) in std::mem::take(&mut plan.wanted) {
            if let Some(part) = parts.get_mut(at) {
                self.bring(part, plan, at, wanted)?;
            }
        }
        self.apply(parts, &plan.flags)?;
        for ((from, to), moves) in &plan.moves {
            let digests: Vec<_> = moves.iter().map(|(digest, _)| *digest).collect();
            self.relocate(parts, *from, *to, &digests)?;
        }
        self.apply(parts, &plan.deletions)
    }

    fn apply(&mut self, parts: &[Part], acts: &BTreeMap<usize, Vec<Act>>) -> Result<(), Failure> {
        for (at, acts) in acts {
            if let Some(part) = parts.get(*at) {
                let applied = part.folder.apply(acts)?;
                let place = self.mirror.state.place_mut(&part.name);
                place.wrote(applied.written);
                self.tally.changed = self.tally.changed.saturating_add(acts.len());
            }
        }
        Ok(())
    }

    /// What [`Run::act`] will write, but for what it brings, is put into the state.
    pub fn foretell(&mut self, parts: &[Part], plan: &Plan) {
        for ((from, to), moves) in &plan.moves {
            for (digest, flags) in moves {
                if let Some(part) = parts.get(*from) {
                    let place = self.mirror.state.place_mut(&part.name);
                    place.coming.presence(*digest, false);
                }
                if let Some(part) = parts.get(*to) {
                    let place = self.mirror.state.place_mut(&part.name);
                    place.coming.presence(*digest, true);
                    place.coming.flags(*digest, &setting(flags));
                }
            }
        }
        for acts in [&plan.flags, &plan.deletions] {
            for (at, acts) in acts {
                let Some(part) = parts.get(*at) else {
                    continue;
                };
                let coming = &mut self.mirror.state.place_mut(&part.name).coming;
                for act in acts {
                    match act {
                        Act::Flag { digest, changes } => coming.flags(*digest, changes),
                        Act::Delete { digest } => coming.presence(*digest, false),
                    }
                }
            }
        }
    }

    /// Brings messages into a folder. What does not come is kept in mind.
    fn bring(
        &mut self,
        part: &mut Part,
        plan: &mut Plan,
        at: usize,
        wanted: Vec<Wanted>,
    ) -> Result<(), Failure> {
        let mut absent = Vec::new();
        for mut one in wanted {
            let is_here = part.folder.has_whole(one.digest)?
                && (part.now(one.digest)?.is_some() || self.add_again(part, &one)?);
            if !is_here {
                one.index = absent.len();
                absent.push(one);
                continue;
            }
            let flags = setting(&one.flags);
            if !flags.is_empty() {
                let acts = plan.flags.entry(at).or_default();
                acts.push(Act::Flag {
                    digest: one.digest,
                    changes: flags,
                });
            }
        }
        if absent.is_empty() {
            return Ok(());
        }
        let missing = Transfer::new(self, &part.name, &part.folder, &absent).fetch()?;
        for index in missing {
            let Some(one) = absent.get(index) else {
                continue;
            };
            let missing = Missing {
                added: one.added,
                flags: one.flags.iter().cloned().collect(),
            };
            part.missing.insert(one.digest, missing);
        }
        Ok(())
    }

    /// Tells the journal of a message whose files are here and that it does not
    /// know: whoever stored it was killed in between. False: they are not what they
    /// are to be.
    fn add_again(&mut self, part: &Part, one: &Wanted) -> Result<bool, Failure> {
        let Some(time) = one.time() else {
            return Ok(true);
        };
        let mut batch = part.folder.batch_of_user()?;
        batch.add_again(one.digest, time, one.added.octets);
        let committed = batch.commit()?;
        let place = self.mirror.state.place_mut(&part.name);
        place.wrote(committed.written);
        Ok(committed.missing.is_empty())
    }

    fn relocate(
        &mut self,
        parts: &mut [Part],
        from: usize,
        to: usize,
        digests: &[MessageDigest],
    ) -> Result<(), Failure> {
        let (Some(source), Some(target)) = (parts.get(from), parts.get(to)) else {
            return Ok(());
        };
        let mailbox = &self.mirror.mailbox;
        let moved = mailbox.move_messages(&source.name, digests, &target.name)?;
        let Some(moved) = moved else {
            behind(parts, from);
            behind(parts, to);
            return Ok(());
        };
        let state = &mut self.mirror.state;
        state.place_mut(&source.name).wrote(moved.here);
        state.place_mut(&target.name).wrote(moved.there);
        self.tally.changed = self.tally.changed.saturating_add(digests.len());
        if !moved.missing.is_empty() {
            // Somebody was quicker: the next round finds out.
            behind(parts, from);
            behind(parts, to);
        }
        Ok(())
    }
}
