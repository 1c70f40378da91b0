//! Refreshing: a refresh token is used once and gives one successor (`countersign_core::refresh`).
//!
//! The pair is made before the store is asked, so that the store can keep it encrypted for a lost answer, and given out only
//! when the store says that this use was the first. What was made by a loser of the race is dropped.

use countersign_core::access_token;
use countersign_core::audit::Actor;
use countersign_core::code::{Code, Refusal};
use countersign_core::id::SessionId;
use countersign_core::principal::{PrincipalId, Scopes};
use countersign_core::refresh_answer;
use countersign_core::secret::{CredentialHash, MadeSecret, SecretText};
use countersign_store::{RotateOutcome, Rotation};

use super::Asked;
use super::answer::{TokenAnswer, TokenPair};
use super::fields::Fields;
use super::login::{client_name, grant, make_pair, wanted_scopes};
use crate::control::{audit_event, store_failed};
use crate::publish::Parts;

/// The refresh grant (RFC 6749 section 6).
pub async fn refresh(asked: &Asked, mut fields: Fields) -> Result<TokenAnswer, Refusal> {
    let shown = fields.require("refresh_token")?;
    let client = client_name(&mut fields)?;
    let wanted = wanted_scopes(&mut fields)?;
    rotate(asked, &shown, Shows::Client(client), wanted).await
}

/// `POST /api/Auth/RefreshToken`: the access token beside the refresh token names the session, and may have expired.
pub async fn refresh_pair(asked: Asked) -> Result<TokenAnswer, Refusal> {
    let mut fields = Fields::read_json(&asked.headers, &asked.body)?;
    let access = fields.require("AccessToken")?;
    let shown = fields.require("RefreshToken")?;
    let keys = asked.control.publisher.token_keys();
    let session =
        access_token::verify_ignoring_expiry(access.expose().as_bytes(), &keys.trust().ring, &keys.trust().expected, asked.control.now())?;
    rotate(&asked, &shown, Shows::AccessTokenOf(session), None).await
}

/// What is shown beside the refresh token.
enum Shows {
    /// The name of the application.
    Client(countersign_core::id::ClientName),
    /// An access token of ours: proof of the session, and so of the application.
    AccessTokenOf(SessionId),
}

async fn rotate(asked: &Asked, shown: &SecretText, beside: Shows, wanted: Option<Scopes>) -> Result<TokenAnswer, Refusal> {
    let control = &asked.control;
    if !MadeSecret::RefreshToken.is_well_formed(shown.expose()) {
        return Err(wrong());
    }
    let presented = CredentialHash::of(shown.expose());
    let found = control.store.find_refresh(presented).await.map_err(store_failed)?.ok_or_else(wrong)?;
    let (client, session) = match beside {
        Shows::Client(client) => (client, None),
        Shows::AccessTokenOf(session) if session != found.session.id => return Err(wrong()),
        Shows::AccessTokenOf(session) => (found.session.client.clone(), Some(session)),
    };
    let user = found.user.as_ref().filter(|user| user.enabled).ok_or_else(wrong)?;
    // What was taken from the user since the login is not given out again.
    let scopes = grant(wanted, &found.session.scopes.shared_with(&user.scopes))?;

    let now = control.now();
    let made = make_pair(control, user, &found.session, scopes, now)?;
    let answer = refresh_answer::seal(made.pair.to_bytes().expose(), shown.expose(), control.fresh()?).map_err(|error| {
        tracing::error!(%error, "an answer could not be kept");
        Refusal::from(Code::Internal)
    })?;
    let rotation = Rotation {
        presented,
        client,
        session,
        successor: made.token.hash,
        successor_expires: made.token.expires,
        answer,
        now,
        grace: control.tokens.grace_time,
    };
    let id = &found.session.id;
    let actor = Actor::Principal(PrincipalId::User(found.session.user.clone()));
    // Written only when the token was spent before: what changes then is that the session ends.
    let detail = serde_json::json!({"by": "replay", "client": rotation.client.as_str(), "address": asked.address.to_string()});
    let audit = audit_event(now, actor, "session.ended", id, detail, &asked.request);
    match control.store.rotate_refresh(&rotation, &audit).await.map_err(store_failed)? {
        RotateOutcome::Rotated => Ok(TokenAnswer { pair: made.pair, now }),
        RotateOutcome::Again(kept) => {
            let pair = refresh_answer::open(&kept, shown.expose()).ok().and_then(|bytes| TokenPair::from_bytes(&bytes));
            let pair = pair.ok_or_else(|| {
                tracing::error!(request_id = %asked.request, session = %id, "a kept answer cannot be read");
                Refusal::from(Code::Internal)
            })?;
            Ok(TokenAnswer { pair, now })
        }
        RotateOutcome::Replayed(_) => {
            tracing::warn!(request_id = %asked.request, session = %id, address = %asked.address, "a spent refresh token was shown again: the session is ended");
            // Refused either way; the publisher keeps trying when this fails.
            let _published = control.publish(Parts::ENDED).await;
            Err(wrong())
        }
        RotateOutcome::Refused(_) | RotateOutcome::Unknown => Err(wrong()),
    }
}

/// What every refused refresh says.
fn wrong() -> Refusal {
    Refusal::with(Code::InvalidGrant, "the refresh token is not valid")
}
