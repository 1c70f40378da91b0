//! Passwords on the hashing pool: checking one that is shown, and hashing one that is new.

use countersign_core::code::{Code, Refusal};
use countersign_core::directory::{PasswordHash, Username};
use countersign_core::password::{self, BadPassword, CannotHash, Outcome, Password};
use countersign_core::secret::SecretText;

use crate::control::Control;
use crate::hashing::HashingPlace;

/// What came of checking a password that was shown.
pub enum Shown {
    /// It is the one.
    Good {
        /// A better hash of it, where the stored one is out of date.
        rehashed: Option<PasswordHash>,
    },
    /// It is not, or there is no such user.
    Bad,
}

/// Checks a password. An absent user costs what a present one costs.
///
/// # Errors
/// When it could not be hashed. Nobody is let in then.
pub async fn check(control: &Control, place: HashingPlace, shown: Password, stored: Option<PasswordHash>) -> Result<Shown, Refusal> {
    let salt = control.fresh()?;
    let work = move || {
        Ok(match password::verify(&shown, stored.as_ref())? {
            Outcome::Good { needs_rehash: true } => Shown::Good { rehashed: Some(password::hash(&shown, salt)?) },
            Outcome::Good { needs_rehash: false } => Shown::Good { rehashed: None },
            Outcome::Bad => Shown::Bad,
        })
    };
    place.run(work).await?.map_err(cannot)
}

/// Why a new password was not hashed.
#[derive(Debug)]
pub enum NotHashed {
    /// It is not good enough.
    Bad(BadPassword),
    /// It could not be done.
    Refused(Refusal),
}

/// Hashes a new password, if it is good enough.
///
/// # Errors
/// When it is not, or when it could not be done.
pub async fn hash_new(control: &Control, username: &Username, text: &SecretText) -> Result<PasswordHash, NotHashed> {
    let new = Password::new(text).map_err(NotHashed::Bad)?;
    new.check(username).map_err(NotHashed::Bad)?;
    let (place, salt) = (control.hashing.enter().map_err(NotHashed::Refused)?, control.fresh().map_err(NotHashed::Refused)?);
    let hashed = place.run(move || password::hash(&new, salt)).await.map_err(NotHashed::Refused)?;
    hashed.map_err(|error| NotHashed::Refused(cannot(error)))
}

fn cannot(error: CannotHash) -> Refusal {
    tracing::error!(%error, "a password could not be hashed");
    Code::CouldNotDecide.into()
}
