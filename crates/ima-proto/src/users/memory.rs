//! The memory in which Argon2 works: as much as a password's hash asks for, taken
//! from the system once, and used again by whoever has the next turn.

use argon2::Block;

/// The most blocks of 1 KiB that are kept. The allocator gives what is larger
/// back to the system as soon as it is free; what is smaller it may keep, for
/// each thread that has ever asked for it.
const MAX_KEPT: usize = 32 << 10;

/// Blocks of 1 KiB, as many as were needed so far.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Memory {
    /// This many blocks, with anything in them.
    pub(super) fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.0.len() < count {
            // Not both at once, nor what nobody needs copied.
            self.0 = Vec::new();
            self.0 = vec![Block::new(); count];
        }
        self.0.get_mut(..count).unwrap_or_default()
    }

    /// Gives back what is too much to be kept.
    pub(super) fn shrink(&mut self) {
        if self.0.len() > MAX_KEPT {
            self.0 = Vec::new();
        }
    }

    /// How much there is, in KiB.
    #[cfg(test)]
    pub(super) fn kibibytes(&self) -> usize {
        self.0.len()
    }
}

/// Nothing of what is left in it of passwords.
impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({} KiB)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_what_is_large_is_not_kept() {
        let mut memory = Memory::default();
        for (asked, kept) in [(8, 8), (64, 64), (8, 64), (MAX_KEPT, MAX_KEPT)] {
            assert_eq!(memory.blocks(asked).len(), asked);
            memory.shrink();
            assert_eq!(memory.kibibytes(), kept);
        }
        assert_eq!(memory.blocks(MAX_KEPT + 1).len(), MAX_KEPT + 1);
        memory.shrink();
        assert_eq!(memory.kibibytes(), 0);
    }
}
