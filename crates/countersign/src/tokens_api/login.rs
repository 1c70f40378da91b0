//! Logging in with username and password, and logging out.
//!
//! A username that nobody has, a disabled user and a wrong password cost the same and are answered with the same bytes.

use countersign_core::access_token;
use countersign_core::audit::Actor;
use countersign_core::code::{Code, Refusal};
use countersign_core::directory::{User, Username};
use countersign_core::id::{ClientName, SessionId};
use countersign_core::network::Network;
use countersign_core::now::UnixMillis;
use countersign_core::password::Password;
use countersign_core::principal::{PrincipalId, Scopes};
use countersign_core::refresh::{RefreshToken, Session};
use countersign_core::secret::{CredentialHash, MadeSecret, SecretText};
use countersign_store::{LoginReservation, NewSession, OpenOutcome};

use super::Asked;
use super::answer::{TokenAnswer, TokenPair};
use super::fields::Fields;
use crate::control::{Control, audit_event, store_failed};
use crate::passwords::{self, Shown};
use crate::publish::Parts;

/// The application of a login that names none.
const FIRST_PARTY: &str = "first-party";

/// The password grant: counted, then hashed, then judged.
pub async fn log_in(asked: &Asked, mut fields: Fields) -> Result<TokenAnswer, Refusal> {
    let control = &asked.control;
    let username = fields.require("username")?;
    let shown = fields.require("password")?;
    let client = client_name(&mut fields)?;
    let wanted = wanted_scopes(&mut fields)?;
    // No user has a name or a password that cannot be one.
    let username: Username = username.expose().parse().map_err(|_bad| wrong())?;
    let shown = Password::new(&shown).map_err(|_bad| wrong())?;

    // A place first: a full pool costs no write, and no attempt is counted that was never made.
    let place = control.hashing.enter()?;
    let now = control.now();
    let network = Network::for_counting(asked.address);
    let user = match control.store.reserve_login(&username, network, now).await.map_err(store_failed)? {
        LoginReservation::Reserved(user) => user,
        LoginReservation::Wait(until) => return Err(Refusal::from(Code::TooManyAttempts).after(until.since(now))),
    };
    let stored = user.as_ref().map(|user| user.password.clone());
    let checked = passwords::check(control, place, shown, stored).await?;
    let (user, rehashed) = match (user, checked) {
        (Some(user), Shown::Good { rehashed }) if user.enabled => (user, rehashed),
        (user, _) => {
            let user = user.as_ref().map(|user| user.id.as_str());
            tracing::info!(request_id = %asked.request, %network, user, "a login failed");
            return Err(wrong());
        }
    };
    let scopes = grant(wanted, &user.scopes)?;
    let now = control.now();
    let session = Session {
        id: SessionId::new(control.fresh()?),
        user: user.id.clone(),
        client,
        scopes,
        opened: now,
        expires: now.plus(control.tokens.session_time),
        ended: None,
    };
    let made = make_pair(control, &user, &session, session.scopes.clone(), now)?;
    let opened = NewSession { token: made.token, password: user.password.clone(), network, rehashed, session };
    let detail = serde_json::json!({
        "user": user.username.as_str(), "client": opened.session.client.as_str(), "network": network.to_string(),
        "scopes": opened.session.scopes.to_string(),
    });
    let audit =
        audit_event(now, Actor::Principal(PrincipalId::User(user.id)), "session.opened", &opened.session.id, detail, &asked.request);
    match control.store.open_session(&opened, &audit).await.map_err(store_failed)? {
        OpenOutcome::Opened(_) => Ok(TokenAnswer { pair: made.pair, now }),
        OpenOutcome::UserChanged => Err(wrong()),
    }
}

/// Ends the session of the access token that is shown. A session that has ended already has ended.
pub async fn log_out(asked: Asked) -> Result<(), Refusal> {
    let control = &asked.control;
    let now = control.now();
    let shown = asked.bearer()?;
    let keys = control.publisher.token_keys();
    let verified = access_token::verify(shown.expose().as_bytes(), &keys.trust().ring, &keys.trust().expected, now)?;
    let identity = verified.get();
    let session = identity.session.as_ref().ok_or(Code::InvalidToken)?;
    let actor = Actor::Principal(identity.principal.id.clone());
    let audit = audit_event(now, actor, "session.ended", session, serde_json::json!({"by": "logout"}), &asked.request);
    control.store.end_session(session, &audit).await.map_err(store_failed)?;
    control.publish(Parts::ENDED).await
}

/// What every failed login says.
fn wrong() -> Refusal {
    Refusal::with(Code::InvalidGrant, "the username or the password is wrong")
}

/// Which application asks.
pub(super) fn client_name(fields: &mut Fields) -> Result<ClientName, Refusal> {
    let given = fields.take("client_id")?;
    given
        .as_ref()
        .map_or(FIRST_PARTY, SecretText::expose)
        .parse()
        .map_err(|bad: countersign_core::id::BadId| Refusal::with(Code::InvalidRequest, format!("client_id is not {}", bad.what)))
}

/// Which scopes are asked for, if any are named.
pub(super) fn wanted_scopes(fields: &mut Fields) -> Result<Option<Scopes>, Refusal> {
    let Some(given) = fields.take("scope")? else { return Ok(None) };
    given.expose().parse().map(Some).map_err(|_bad: countersign_core::id::BadId| Code::InvalidScope.into())
}

/// What is granted: what was asked for, or everything. Never more than there is.
pub(super) fn grant(wanted: Option<Scopes>, most: &Scopes) -> Result<Scopes, Refusal> {
    match wanted {
        None => Ok(most.clone()),
        Some(wanted) if wanted.is_within(most) => Ok(wanted),
        Some(_) => Err(Code::InvalidScope.into()),
    }
}

/// A pair that was made and is not given out yet, with the refresh token as it is to be stored.
pub(super) struct Made {
    pub pair: TokenPair,
    pub token: RefreshToken,
}

/// Makes a pair for a session. Neither outlives it.
pub(super) fn make_pair(control: &Control, user: &User, session: &Session, scopes: Scopes, now: UnixMillis) -> Result<Made, Refusal> {
    let expires = now.plus(control.tokens.access_time).min(session.expires);
    let access = control.publisher.token_keys().sign(session, user.principal(), &scopes, expires, now, control.fresh()?)?;
    let refresh = MadeSecret::RefreshToken.make(control.fresh()?);
    let token = RefreshToken {
        hash: CredentialHash::of(refresh.expose()),
        session: session.id.clone(),
        issued: now,
        expires: now.plus(control.tokens.refresh_idle_time).min(session.expires),
        used: None,
    };
    Ok(Made { pair: TokenPair { access, expires, refresh, scopes }, token })
}
