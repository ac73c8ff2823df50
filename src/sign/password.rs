//! Passwords of shares, and their hashes: argon2id (RFC 9106), written as PHC strings.
//!
//! A hash takes 19 MiB of memory and two passes on one lane, the second set of OWASP's Password Storage Cheat Sheet. A
//! string that is read says its own parameters, and those are bounded: whoever could write a row must not be able to
//! have a gateway fill its memory. Hashing keeps a processor busy for some twenty milliseconds, so nobody hashes on
//! the thread of a connection.

use std::fmt;

use argon2::password_hash::phc;
use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
};
use zeroize::Zeroizing;

/// The longest password, in bytes of UTF-8.
pub const PASSWORD_BYTES_MAX: usize = 128;

/// The bytes of a salt: 128 bits, as RFC 9106, §3.1 has it for passwords.
pub const SALT_BYTES: usize = 16;

/// What a new hash costs.
const NEW: Cost = Cost {
    memory_kib: 19_456,
    passes: 2,
    lanes: 1,
};

/// The most that a hash which is read may cost.
const MOST: Cost = Cost {
    memory_kib: 65_536,
    passes: 10,
    lanes: 4,
};

/// The bytes of a new hash, and the least of one that is read.
const OUTPUT_BYTES: usize = 32;

/// The parameters of argon2id.
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// A password: 1 to 128 bytes of UTF-8 without NUL. Wiped when dropped; `Debug` shows nothing of it.
pub struct Password(Zeroizing<String>);

/// The reason why a text is no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {PASSWORD_BYTES_MAX} bytes of UTF-8, and no NUL")]
pub struct UnfitPassword;

/// The reason why a hash was not made, or not compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashFault {
    /// The stored text is no hash of argon2id, or one that costs more than any may.
    #[error("the stored hash of a password is none, or costs too much")]
    Unfit,
    /// There is no memory for it.
    #[error("hashing a password failed: {0}")]
    Failed(String),
}

impl Password {
    /// Takes a text. One that is refused is wiped, too.
    ///
    /// # Errors
    /// [`UnfitPassword`] for an empty text, more than [`PASSWORD_BYTES_MAX`] bytes, and one with a NUL.
    pub fn new(text: String) -> Result<Self, UnfitPassword> {
        let text = Zeroizing::new(text);
        let is_good = (1..=PASSWORD_BYTES_MAX).contains(&text.len()) && !text.contains('\0');
        is_good.then_some(Self(text)).ok_or(UnfitPassword)
    }

    /// Returns its hash under this salt, which is drawn at random for each: a PHC string. It takes 19 MiB while it is made.
    ///
    /// # Errors
    /// `Failed` where there is no memory for it.
    pub fn hash(&self, salt: [u8; SALT_BYTES]) -> Result<String, HashFault> {
        let failed = |error: &dyn fmt::Display| HashFault::Failed(error.to_string());
        let params = Params::new(NEW.memory_kib, NEW.passes, NEW.lanes, Some(OUTPUT_BYTES));
        let params = params.map_err(|error| failed(&error))?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hashed = hasher.hash_password_with_salt(self.0.as_bytes(), &salt);
        let hashed = hashed.map_err(|error| failed(&error))?;
        Ok(hashed.to_string())
    }

    /// Returns whether this PHC string is its hash: hashes it as that one was, and compares in constant time.
    ///
    /// # Errors
    /// `Unfit` for what is no hash of argon2id, version 19, with a salt and at least 32 bytes, and for more than 64 MiB, 10
    /// passes or 4 lanes: nothing is hashed then. `Failed` where there is no memory for it.
    pub fn has_hash(&self, phc: &str) -> Result<bool, HashFault> {
        use argon2::password_hash::Error::PasswordInvalid;
        let hash = parsed(phc).ok_or(HashFault::Unfit)?;
        match Argon2::default().verify_password(self.0.as_bytes(), &hash) {
            Ok(()) => Ok(true),
            Err(PasswordInvalid) => Ok(false),
            Err(error) => Err(HashFault::Failed(error.to_string())),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Reads a PHC string within the bounds.
fn parsed(phc: &str) -> Option<phc::PasswordHash> {
    let hash = phc::PasswordHash::new(phc).ok()?;
    let params = Params::try_from(&hash).ok()?;
    let is_good = hash.algorithm == ARGON2ID_IDENT
        && hash.version == Some(Version::V0x13.into())
        && hash.salt.is_some()
        && hash.hash.is_some_and(|output| output.len() >= OUTPUT_BYTES)
        && params.m_cost() <= MOST.memory_kib
        && params.t_cost() <= MOST.passes
        && params.p_cost() <= MOST.lanes;
    is_good.then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned()).unwrap()
    }

    /// Made with the reference implementation, by `argon2-cffi` 25.1:
    /// `PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash("correct horse", salt=bytes(range(16)))`.
    const OF_REFERENCE: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw\
                                $0AuQxA+RjPiJeA19Op7DwrFxnfh9xeTU2T6mFj2wThc";

    #[test]
    fn a_hash_is_the_reference_implementation_s() {
        let mut salt = [0; SALT_BYTES];
        (0..).zip(&mut salt).for_each(|(at, byte)| *byte = at);
        let hash = password("correct horse").hash(salt).unwrap();
        assert_eq!(hash, OF_REFERENCE);
        assert_eq!(password("correct horse").has_hash(&hash), Ok(true));
        for wrong in ["correct hors", "correct horse ", "Correct horse", "x"] {
            assert_eq!(password(wrong).has_hash(&hash), Ok(false), "{wrong}");
        }
    }

    #[test]
    fn a_password_has_1_to_128_bytes_and_no_nul() {
        for good in [
            "a",
            "\u{e9}",
            " ",
            "\n",
            &"x".repeat(128),
            &"\u{e9}".repeat(64),
        ] {
            assert!(Password::new(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "\0", "a\0b", &"x".repeat(129), &"\u{e9}".repeat(65)] {
            assert!(Password::new(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_shown_of_one() {
        assert_eq!(format!("{:?}", password("correct horse")), "Password(..)");
    }

    #[test]
    fn a_hash_of_other_kinds_or_beyond_the_bounds_is_none() {
        let with = |from: &str, to: &str| {
            assert!(OF_REFERENCE.contains(from), "{from}");
            OF_REFERENCE.replacen(from, to, 1)
        };
        for good in [
            with("m=19456", "m=65536"),
            with("t=2", "t=10"),
            with("p=1", "p=4"),
        ] {
            assert!(parsed(&good).is_some(), "{good}");
        }
        let output = OF_REFERENCE.rsplit_once('$').unwrap().1;
        for bad in [
            String::new(),
            "correct horse".to_owned(),
            with("m=19456", "m=65537"),
            with("m=19456", "m=4294967295"),
            with("t=2", "t=11"),
            with("p=1", "p=5"),
            with("m=19456", "m=1"),
            with("argon2id", "argon2i"),
            with("argon2id", "argon2d"),
            with("argon2id", "scrypt"),
            with("v=19", "v=16"),
            with("$v=19", ""),
            with(&format!("${output}"), ""),
            with(output, &output[..32]),
        ] {
            assert_eq!(password("x").has_hash(&bad), Err(HashFault::Unfit), "{bad}");
        }
    }
}
