//! The life of a refresh token: one distinct successor at most, a short grace for a lost answer, the end of the session for
//! a replay (RFC 9700 section 4.14).

use std::time::Duration;

use crate::directory::Sealed;
use crate::id::{ClientName, SessionId, UserId};
use crate::now::UnixMillis;
use crate::principal::Scopes;
use crate::secret::CredentialHash;

/// A login, from its first token to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The `sid` claim of its access tokens.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// The application that logged in (`client_id`). Its tokens are no good to another.
    pub client: ClientName,
    /// What was granted; a refresh never gets more.
    pub scopes: Scopes,
    /// When the user logged in.
    pub opened: UnixMillis,
    /// When it ends whatever happens; refreshing does not move it.
    pub expires: UnixMillis,
    /// When it was ended before that.
    pub ended: Option<UnixMillis>,
}

/// A refresh token as it is stored. The token itself is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// How it is found.
    pub hash: CredentialHash,
    /// The session it continues.
    pub session: SessionId,
    /// When it was given out.
    pub issued: UnixMillis,
    /// When it is no longer good if it was not used.
    pub expires: UnixMillis,
    /// Its first use, if it was used.
    pub used: Option<Spent>,
}

/// The first use of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// When.
    pub at: UnixMillis,
    /// The one token that came of it.
    pub successor: CredentialHash,
    /// The answer that was given, encrypted under a key that only the presented token yields. Dropped once the grace is over.
    pub answer: Option<Sealed>,
}

/// What a refresh token that was shown is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Never used: give it its successor.
    Rotate,
    /// Used a moment ago and the successor is still unused: give the same answer again.
    Again,
    /// Used before and shown again: somebody has a copy. End the session.
    Replayed,
    /// It was good once.
    Expired,
    /// The session was ended.
    Ended,
    /// It belongs to another application. Nothing is changed, so that a stranger cannot end the session.
    WrongClient,
}

/// Judges a refresh token that was found. `successor_used` tells whether the token that came of it was used in turn;
/// `grace` is how long after its first use a token may be shown again (0 to 60 s).
pub fn judge(
    token: &RefreshToken,
    session: &Session,
    successor_used: bool,
    client: &ClientName,
    now: UnixMillis,
    grace: Duration,
) -> Judgement {
    if *client != session.client {
        return Judgement::WrongClient;
    }
    if session.ended.is_some() {
        return Judgement::Ended;
    }
    if now >= session.expires {
        return Judgement::Expired;
    }
    match &token.used {
        None if now >= token.expires => Judgement::Expired,
        None => Judgement::Rotate,
        Some(spent) => {
            // Uses at the same moment may read the clock in another order than the store takes them, so "before" is as near as
            // "after"; a clock that was set back further than the grace ends it.
            let in_grace = !grace.is_zero() && now.since(spent.at) <= grace && spent.at.since(now) <= grace;
            if in_grace && !successor_used && spent.answer.is_some() { Judgement::Again } else { Judgement::Replayed }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis::from_seconds(seconds)
    }

    fn session() -> Session {
        Session {
            id: "si_0000000000000001".parse().unwrap(),
            user: "us_0000000000000001".parse().unwrap(),
            client: "app".parse().unwrap(),
            scopes: Scopes::default(),
            opened: at(0),
            expires: at(1000),
            ended: None,
        }
    }

    fn token(used: Option<i64>) -> RefreshToken {
        let spent = |s| Spent { at: at(s), successor: CredentialHash([2; 32]), answer: Some(Sealed(vec![1])) };
        RefreshToken { hash: CredentialHash([1; 32]), session: session().id, issued: at(0), expires: at(500), used: used.map(spent) }
    }

    fn judged(used: Option<i64>, successor_used: bool, now: i64, grace: Duration) -> Judgement {
        judge(&token(used), &session(), successor_used, &"app".parse().unwrap(), at(now), grace)
    }

    #[test]
    fn every_small_state_has_one_answer() {
        assert_eq!(judged(None, false, 10, GRACE), Judgement::Rotate);
        assert_eq!(judged(None, false, 499, GRACE), Judgement::Rotate);
        assert_eq!(judged(None, false, 500, GRACE), Judgement::Expired);
        assert_eq!(judged(Some(10), false, 10, GRACE), Judgement::Again);
        assert_eq!(judged(Some(10), false, 15, GRACE), Judgement::Again);
        assert_eq!(judged(Some(10), false, 16, GRACE), Judgement::Replayed);
        assert_eq!(judged(Some(10), true, 11, GRACE), Judgement::Replayed);
        assert_eq!(judged(Some(10), false, 10, Duration::ZERO), Judgement::Replayed);
        assert_eq!(judged(Some(10), false, 9, GRACE), Judgement::Again);
        assert_eq!(judged(Some(10), false, 4, GRACE), Judgement::Replayed);
        assert_eq!(judged(Some(10), false, 1000, GRACE), Judgement::Expired);
    }

    #[test]
    fn another_application_changes_nothing() {
        let other = "other".parse().unwrap();
        for used in [None, Some(10)] {
            assert_eq!(judge(&token(used), &session(), false, &other, at(400), GRACE), Judgement::WrongClient);
        }
    }

    #[test]
    fn an_ended_session_gives_nothing() {
        let ended = Session { ended: Some(at(11)), ..session() };
        for used in [None, Some(10)] {
            assert_eq!(judge(&token(used), &ended, false, &"app".parse().unwrap(), at(12), GRACE), Judgement::Ended);
        }
    }
}
