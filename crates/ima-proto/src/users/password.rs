//! Hashes of passwords, as PHC strings of Argon2id (RFC 9106):
//!
//! ```text
//! $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH
//! ```

use std::fmt;
use std::str::FromStr;

use argon2::password_hash::phc;
use argon2::password_hash::{self, PasswordHasher as _};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};

use super::memory::Memory;

/// The most memory that a hash may need, in KiB: 1 GiB.
const MAX_MEMORY: u32 = 1 << 20;
/// The most work, in KiB that are filled: 4 GiB, which take some seconds.
const MAX_WORK: u64 = 4 << 20;
/// The most lanes.
const MAX_LANES: u32 = 64;

/// The hash of nobody's password, with the parameters that new ones get.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The salt of work whose result nobody needs.
const FILLING: &[u8] = b"no result";

/// The hash of a password.
#[derive(Clone)]
pub struct PasswordHash {
    parsed: phc::PasswordHash,
    output: phc::Output,
    argon2: Argon2<'static>,
}

/// Why a text is no hash, or a password gets none.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Not a PHC string with a salt and a hash.
    #[error(
        "this is no hash of a password, which is written $argon2id$v=19$m=…,t=…,p=…$SALT$HASH; `server-user password` makes one"
    )]
    Form,
    /// A hash of another kind.
    #[error(
        "this hash is of the kind {kind}, and passwords here are of the kind argon2id; `server-user password` makes one"
    )]
    Kind {
        /// As written.
        kind: String,
    },
    /// Parameters with which a login would exhaust the machine.
    #[error(
        "to check this password would take {memory} KiB of memory, {passes} times, in {lanes} lanes; at most {MAX_MEMORY} KiB are taken, {MAX_WORK} KiB with all passes, and {MAX_LANES} lanes"
    )]
    Absurd {
        /// m.
        memory: u32,
        /// t.
        passes: u32,
        /// p.
        lanes: u32,
    },
    /// Argon2 gave up.
    #[error("the password's hash cannot be made: {0}")]
    Making(password_hash::Error),
}

impl PasswordHash {
    /// Hashes a password with a new salt: 19 MiB, two passes, one lane.
    ///
    /// # Errors
    /// Where the system gives no random octets or no memory.
    pub fn make(password: &[u8]) -> Result<Self, PasswordError> {
        let parsed = Argon2::default()
            .hash_password(password)
            .map_err(PasswordError::Making)?;
        parsed.to_string().parse()
    }

    /// Whether it is the hash of this password. It takes some 30 ms.
    #[must_use]
    pub fn is_of(&self, password: &[u8]) -> bool {
        self.is_of_in(password, &mut Memory::default())
    }

    /// The same, in memory that is there. The comparison takes the same time
    /// wherever the hashes differ.
    pub(super) fn is_of_in(&self, password: &[u8], memory: &mut Memory) -> bool {
        let salt = self.parsed.salt.as_ref().map_or(&[][..], |salt| salt);
        let blocks = memory.blocks(self.argon2.params().block_count());
        let mut output = [0; phc::Output::MAX_LENGTH];
        let output = output.get_mut(..self.output.len()).unwrap_or_default();
        self.argon2
            .hash_password_into_with_memory(password, salt, output, blocks)
            .is_ok_and(|()| phc::Output::new(output).is_ok_and(|made| made == self.output))
    }

    /// What a check costs, in KiB that are filled.
    pub(super) fn work(&self) -> u64 {
        let parameters = self.argon2.params();
        u64::from(parameters.m_cost()).saturating_mul(parameters.t_cost().into())
    }

    /// How much memory a check needs, in KiB.
    pub(super) fn memory(&self) -> u32 {
        self.argon2.params().m_cost()
    }

    /// A hash that no password has, as far as anybody knows.
    pub(super) fn of_nobody() -> Option<Self> {
        NOBODY.parse().ok()
    }
}

impl FromStr for PasswordHash {
    type Err = PasswordError;

    fn from_str(s: &str) -> Result<Self, PasswordError> {
        let parsed = phc::PasswordHash::new(s).map_err(|_| PasswordError::Form)?;
        if parsed.algorithm != ARGON2ID_IDENT {
            return Err(PasswordError::Kind {
                kind: parsed.algorithm.to_string(),
            });
        }
        let salt = parsed.salt.as_ref().map_or(0, |salt| salt.len());
        let output = parsed.hash.ok_or(PasswordError::Form)?;
        if salt < argon2::MIN_SALT_LEN {
            return Err(PasswordError::Form);
        }
        // None is the first version, 16 (RFC 9106 is 19).
        let version = parsed.version.map(Version::try_from).transpose();
        let version = version.map_err(|_| PasswordError::Form)?;
        let parameters = Params::try_from(&parsed).map_err(|_| PasswordError::Form)?;
        let (memory, passes) = (parameters.m_cost(), parameters.t_cost());
        let lanes = parameters.p_cost();
        let work = u64::from(memory).saturating_mul(passes.into());
        if memory > MAX_MEMORY || work > MAX_WORK || lanes > MAX_LANES {
            return Err(PasswordError::Absurd {
                memory,
                passes,
                lanes,
            });
        }
        let version = version.unwrap_or(Version::V0x10);
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, version, parameters),
            output,
            parsed,
        })
    }
}

/// Work without a result: fills this much, in KiB times passes, with no more than
/// `most` KiB at a time. What is left of it is less than 8 KiB, with which Argon2
/// does not work; that is returned.
pub(super) fn fill(mut work: u64, most: u32, password: &[u8], memory: &mut Memory) -> u64 {
    let most = most.max(Params::MIN_M_COST);
    while work >= Params::MIN_M_COST.into() {
        // All whole passes, then one over what is left.
        let kibibytes = u32::try_from(work).unwrap_or(u32::MAX).min(most);
        let passes = u32::try_from(work / u64::from(kibibytes)).unwrap_or(u32::MAX);
        let Ok(parameters) = Params::new(kibibytes, passes, 1, None) else {
            break;
        };
        let blocks = memory.blocks(parameters.block_count());
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        let made = argon2.hash_password_into_with_memory(password, FILLING, &mut output, blocks);
        let _ = std::hint::black_box((made, output));
        work = work.saturating_sub(u64::from(kibibytes).saturating_mul(passes.into()));
    }
    work
}

/// The PHC string.
impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parsed.fmt(f)
    }
}

/// Nothing of the hash.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// By the reference implementation: argon2(1) -id -t 2 -k 65536 -p 1.
    const REFERENCE: &str =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    #[test]
    fn a_hash_is_of_its_password_alone() {
        let made = PasswordHash::make("Grüße\0".as_bytes()).unwrap();
        let read: PasswordHash = made.to_string().parse().unwrap();
        assert!(
            made.to_string()
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
        );
        assert!(read.is_of("Grüße\0".as_bytes()));
        for other in [&b""[..], "Grüße".as_bytes(), b"hunter2"] {
            assert!(!read.is_of(other));
        }
        let again = PasswordHash::make("Grüße\0".as_bytes()).unwrap();
        assert_ne!(again.to_string(), made.to_string());
        assert!(!format!("{made:?}").contains("argon2"));
    }

    #[test]
    fn the_reference_implementation_agrees() {
        assert!(
            REFERENCE
                .parse::<PasswordHash>()
                .unwrap()
                .is_of(b"password")
        );
    }

    #[test]
    fn memory_that_was_used_before_changes_nothing() {
        let reference: PasswordHash = REFERENCE.parse().unwrap();
        let made = PasswordHash::make(b"right").unwrap();
        let mut memory = Memory::default();
        for _ in 0..2 {
            assert!(reference.is_of_in(b"password", &mut memory));
            assert!(made.is_of_in(b"right", &mut memory));
            assert!(!made.is_of_in(b"wrong", &mut memory));
            assert_eq!(fill(1000, 64, b"wrong", &mut memory), 0);
        }
    }

    #[test]
    fn whatever_is_asked_for_is_filled() {
        let mut memory = Memory::default();
        for (work, most, left) in [
            (0, 64, 0),
            (7, 64, 7),
            (8, 8, 0),
            (8, 0, 0),
            (63, 64, 0),
            (64 * 3, 64, 0),
            (64 * 3 + 7, 64, 7),
            (64 * 3 + 9, 64, 0),
        ] {
            assert_eq!(fill(work, most, b"x", &mut memory), left, "{work} {most}");
            assert!(memory.kibibytes() <= 64, "{work} {most}");
        }
    }

    #[test]
    fn nobody_costs_what_a_new_password_costs() {
        let nobody = PasswordHash::of_nobody().unwrap();
        assert_eq!(nobody.to_string(), NOBODY);
        assert_eq!(nobody.work(), PasswordHash::make(b"x").unwrap().work());
    }

    #[test]
    fn what_is_no_hash_or_absurd_is_refused() {
        let parameters = |text: &str| NOBODY.replace("m=19456,t=2,p=1", text);
        for (text, says) in [
            ("", "this is no hash"),
            ("hunter2", "this is no hash"),
            ("$argon2id$v=19$m=19456,t=2,p=1", "this is no hash"),
            (
                "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ",
                "this is no hash",
            ),
            (&NOBODY.replace("v=19", "v=20"), "this is no hash"),
            (
                &NOBODY.replace(&"A".repeat(22), "AAAAAA"),
                "this is no hash",
            ),
            (&NOBODY.replace("argon2id", "argon2i"), "kind argon2i,"),
            ("$2b$12$abcdefghijklmnopqrstuv", "this is no hash"),
            (
                &parameters("m=4294967295,t=1,p=1"),
                "would take 4294967295 KiB",
            ),
            (&parameters("m=1048577,t=1,p=1"), "would take 1048577 KiB"),
            (&parameters("m=19456,t=4294967295,p=1"), "4294967295 times"),
            (&parameters("m=19456,t=2,p=65"), "65 lanes"),
        ] {
            let error = text.parse::<PasswordHash>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("AAAA"), "{error}");
        }
        for most in ["m=1048576,t=4,p=1", "m=8,t=1,p=1"] {
            parameters(most).parse::<PasswordHash>().unwrap();
        }
    }
}
