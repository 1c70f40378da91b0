//! Passwords: which are good enough, and how they are hashed and verified (NIST SP 800-63B-4 section 3.1.1, OWASP).
//!
//! Hashing takes about 20 ms and 19 MiB by design. Callers run it on a bounded pool, never on a data thread.

mod common;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use unicode_normalization::{UnicodeNormalization as _, is_nfkc};

pub use crate::directory::PasswordHash;
use crate::directory::Username;
use crate::fresh::Fresh;
use crate::secret::{SecretText, same_bytes};

/// The fewest characters (code points) of a new password, as it is the only factor.
pub const MIN_CHARS: usize = 15;

/// The most bytes of a password as it is sent. Long enough for any pass phrase, short enough to cost nothing to read.
pub const MOST_BYTES: usize = 1024;

/// Memory in KiB, passes and lanes of argon2id, as OWASP recommends them. They are also written in each hash.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The most that a stored hash may ask for: 256 MiB, 16 passes, 4 lanes. One that asks for more was not made by us.
const MOST: (u32, u32, u32) = (262_144, 16, 4);

/// A hash with our parameters that no password has. Absent users are verified against it.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y291bnRlcnNpZ25ub2JvZA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password in the one form in which it is hashed: NFKC, so that `é` typed in two ways is one password.
pub struct Password(SecretText);

impl Password {
    /// Reads a password that somebody logs in with. Nothing is trimmed and nothing is cut.
    pub fn new(text: &SecretText) -> Result<Self, BadPassword> {
        let given = text.expose();
        match given.len() {
            0 => return Err(BadPassword::Empty),
            1..=MOST_BYTES => (),
            _ => return Err(BadPassword::TooLong),
        }
        // NFKC makes at most 11 bytes of one. Room for them from the start leaves no half-written copy behind.
        let mut normal = String::with_capacity(if is_nfkc(given) { given.len() } else { given.len() * 11 });
        normal.extend(given.nfkc());
        Ok(Self(SecretText::new(normal)))
    }

    /// Whether `username` may choose this password. There are no rules about kinds of characters.
    pub fn check(&self, username: &Username) -> Result<(), BadPassword> {
        let text = self.0.expose();
        if text.chars().count() < MIN_CHARS {
            return Err(BadPassword::TooShort);
        }
        common::judge(text, username.as_str())
    }
}

/// A password that cannot be used. Says what to do next, never the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Nothing was given.
    #[error("the password is empty; type it")]
    Empty,
    /// More than [`MOST_BYTES`].
    #[error("the password is longer than {MOST_BYTES} bytes; choose a shorter one")]
    TooLong,
    /// Fewer than [`MIN_CHARS`].
    #[error("the password has fewer than {MIN_CHARS} characters; choose a longer one, four or five random words for example")]
    TooShort,
    /// It is on the list of common passwords.
    #[error("many people choose this password and attackers try it first; choose another, four or five random words for example")]
    Common,
    /// It is one unit again and again, or a walk along the alphabet or the keyboard.
    #[error("the password is a repetition or a sequence and easy to guess; choose four or five random words for example")]
    Pattern,
    /// Without the username and the name of this product little is left of it.
    #[error("the password is mostly the username or the name of this product; choose four or five random words for example")]
    OfTheName,
}

/// What came of verifying a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is the one.
    Good {
        /// The stored hash has other parameters than new ones: hash it again and store that.
        needs_rehash: bool,
    },
    /// It is not, or there is no such user.
    Bad,
}

/// Hashing failed: no memory, or a stored hash that is not one of ours. Nobody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password cannot be hashed: there is no memory for it, or the stored hash is not an argon2id hash of bounded cost")]
pub struct CannotHash;

/// Hashes a password with a salt of its own.
pub fn hash(password: &Password, salt: Fresh<16>) -> Result<PasswordHash, CannotHash> {
    let hash = ours()?.hash_password_with_salt(password.0.expose().as_bytes(), salt.bytes()).map_err(|_| CannotHash)?;
    Ok(PasswordHash(hash.to_string().into()))
}

/// Verifies a password against what is stored. `None` is for a user that does not exist: it costs the same, so that the time
/// does not tell which users there are.
pub fn verify(password: &Password, stored: Option<&PasswordHash>) -> Result<Outcome, CannotHash> {
    let hash = phc::PasswordHash::new(stored.map_or(NOBODY, |hash| &hash.0)).map_err(|_| CannotHash)?;
    let params = Params::try_from(&hash).map_err(|_| CannotHash)?;
    let cost = (params.m_cost(), params.t_cost(), params.p_cost());
    let bounded = cost.0 <= MOST.0 && cost.1 <= MOST.1 && cost.2 <= MOST.2;
    let (Some(salt), Some(expected), Some(19), "argon2id", true) = (hash.salt, hash.hash, hash.version, hash.algorithm.as_str(), bounded)
    else {
        return Err(CannotHash);
    };
    let mut found = [0; 64];
    let found = found.get_mut(..expected.len()).ok_or(CannotHash)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(password.0.expose().as_bytes(), salt.as_ref(), found).map_err(|_| CannotHash)?;
    let same = same_bytes(found, expected.as_bytes());
    let needs_rehash = cost != (MEMORY, PASSES, LANES) || expected.len() != Params::DEFAULT_OUTPUT_LEN;
    Ok(if same && stored.is_some() { Outcome::Good { needs_rehash } } else { Outcome::Bad })
}

fn ours() -> Result<Argon2<'static>, CannotHash> {
    let params = Params::new(MEMORY, PASSES, LANES, None).map_err(|_| CannotHash)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(&SecretText::new(text.to_owned())).ok().unwrap()
    }

    fn stored(text: &str, params: Params) -> PasswordHash {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        PasswordHash(argon2.hash_password_with_salt(text.as_bytes(), &[5; 16]).unwrap().to_string().into())
    }

    #[test]
    fn a_hashed_password_verifies_and_no_other_does() {
        let hash = hash(&password("cobalt walrus teapot orbit"), Fresh::new([3; 16])).unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert_eq!(verify(&password("cobalt walrus teapot orbit"), Some(&hash)), Ok(Outcome::Good { needs_rehash: false }));
        for other in ["cobalt walrus teapot orbi", "cobalt walrus teapot orbit ", "Cobalt walrus teapot orbit", "x"] {
            assert_eq!(verify(&password(other), Some(&hash)), Ok(Outcome::Bad), "{other}");
        }
    }

    #[test]
    fn an_absent_user_costs_the_same_and_is_never_let_in() {
        let nobody = phc::PasswordHash::new(NOBODY).unwrap();
        let params = Params::try_from(&nobody).unwrap();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (MEMORY, PASSES, LANES));
        assert_eq!(nobody.hash.unwrap().len(), Params::DEFAULT_OUTPUT_LEN);
        assert_eq!(nobody.salt.unwrap().len(), 16);
        assert_eq!(verify(&password("cobalt walrus teapot orbit"), None), Ok(Outcome::Bad));
    }

    #[test]
    fn a_hash_of_other_cost_verifies_and_asks_to_be_renewed() {
        let old = stored("x", Params::new(64, 1, 1, None).unwrap());
        assert_eq!(verify(&password("x"), Some(&old)), Ok(Outcome::Good { needs_rehash: true }));
        assert_eq!(verify(&password("y"), Some(&old)), Ok(Outcome::Bad));
    }

    #[test]
    fn a_stored_text_that_is_no_bounded_argon2id_hash_lets_nobody_in() {
        let good = stored("x", Params::new(64, 1, 1, None).unwrap()).0;
        for bad in [
            String::new(),
            "x".to_owned(),
            "$2b$12$abcdefghijklmnopqrstuu".to_owned(),
            good.replace("m=64", "m=4294967295"),
            good.replace("m=64", "m=262145"),
            good.replace("t=1", "t=17"),
            good.replace("p=1", "p=5"),
            good.replace("v=19", "v=16"),
            good.replace("argon2id", "argon2i"),
            good.replace("argon2id", "argon2d"),
            good.rsplit_once('$').unwrap().0.to_owned(),
        ] {
            assert_eq!(verify(&password("x"), Some(&PasswordHash(bad.as_str().into()))), Err(CannotHash), "{bad}");
        }
    }

    #[test]
    fn two_ways_to_type_one_character_are_one_password() {
        let (composed, decomposed) = (password("caf\u{e9} du monde"), password("cafe\u{301} du monde"));
        assert_eq!(composed.0.expose(), decomposed.0.expose());
        assert_eq!(password("\u{ff50}ass").0.expose(), "pass");
        // U+FDFA has the longest NFKC form there is.
        assert!(password(&"\u{fdfa}".repeat(341)).0.expose().len() <= MOST_BYTES * 11);
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        let bob: Username = "bob".parse().unwrap();
        let check = |text: &str| password(text).check(&bob);
        assert_eq!(check("k9#vPz2!mQx7&w"), Err(BadPassword::TooShort));
        assert_eq!(check("k9#vPz2!mQx7&wL"), Ok(()));
        assert_eq!(
            check(
                "\u{1f600}\u{1f411}\u{1f4a1}\u{1f680}\u{1f34e}\u{1f9ff}\u{1f30b}\u{1f3b8}\u{1f525}\u{1f40d}\u{1f4bb}\u{1f955}\u{1f6f6}\u{1f9ca}"
            ),
            Err(BadPassword::TooShort)
        );
        assert_eq!(Password::new(&SecretText::new(String::new())).err(), Some(BadPassword::Empty));
        assert_eq!(Password::new(&SecretText::new("x".repeat(1025))).err(), Some(BadPassword::TooLong));
        assert!(Password::new(&SecretText::new("x".repeat(1024))).is_ok());
    }
}
