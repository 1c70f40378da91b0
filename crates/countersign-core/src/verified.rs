//! The proof that a credential was checked.

use std::sync::Arc;

use crate::id::SessionId;
use crate::now::UnixMillis;
use crate::principal::{Principal, Scopes};
use crate::rule::Kind;

/// Something that a verifier of this crate has checked. Nobody else can make one. Small, because it goes through many hands.
#[derive(Debug)]
pub struct Verified<T>(Arc<T>);

impl<T> Verified<T> {
    pub(crate) fn new(checked: T) -> Self {
        Self(Arc::new(checked))
    }

    /// What was checked.
    pub fn get(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for Verified<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What a good credential says.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Which kind of credential said it.
    pub kind: Kind,
    /// Who.
    pub principal: Arc<Principal>,
    /// Which credential: the session, the key id. Not the credential itself.
    pub credential: Arc<str>,
    /// What it may do.
    pub scopes: Arc<Scopes>,
    /// The session, for access tokens.
    pub session: Option<SessionId>,
    /// When the credential stops being good; long streams end then.
    pub expires: Option<UnixMillis>,
}
