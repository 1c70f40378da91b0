//! Sessions and their refresh tokens.

use std::time::Duration;

use countersign_core::audit::AuditEvent;
use countersign_core::id::{SessionId, UserId};
use countersign_core::now::UnixMillis;
use countersign_core::refresh::{self, Judgement, Session};
use countersign_core::secret::CredentialHash;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

use super::act::{Act, statements};
use super::failed;
use super::users::FIND_USER_BY_ID;
use crate::rows::{self, Columns as _};
use crate::{Changed, FoundRefresh, Result, RotateOutcome, Rotation};

statements! {
    INSERT_TOKEN = "INSERT INTO refresh_tokens (hash, session, issued, expires) VALUES (?1, ?2, ?3, ?4)";
    FIND_TOKEN = "SELECT hash, session, issued, expires, used_at, successor, answer FROM refresh_tokens WHERE hash = ?1";
    FIND_SESSION = "SELECT id, user_id, client, scopes, opened, expires, ended FROM sessions WHERE id = ?1";
    SUCCESSOR_USED = "SELECT 1 FROM refresh_tokens WHERE hash = ?1 AND used_at IS NOT NULL";
    /// The condition makes a second successor impossible, whatever was read before.
    SPEND_TOKEN = "UPDATE refresh_tokens SET used_at = ?2, successor = ?3, answer = ?4 WHERE hash = ?1 AND used_at IS NULL";
    /// The first use of a token ends the grace of the one before it.
    DROP_ANSWER_BEFORE = "UPDATE refresh_tokens SET answer = NULL WHERE successor = ?1";
    DROP_OLD_ANSWERS = "UPDATE refresh_tokens SET answer = NULL WHERE rowid IN
        (SELECT rowid FROM refresh_tokens WHERE answer IS NOT NULL AND used_at < ?1 ORDER BY used_at LIMIT 32)";
    DROP_ANSWERS_OF_ENDED = "UPDATE refresh_tokens SET answer = NULL WHERE answer IS NOT NULL AND session IN
        (SELECT id FROM sessions WHERE id = ?1 OR user_id = ?2)";
    END_SESSION = "UPDATE sessions SET ended = ?2 WHERE id = ?1 AND ended IS NULL";
    END_SESSIONS_OF_USER = "UPDATE sessions SET ended = ?2 WHERE user_id = ?1 AND ended IS NULL";
    ENDED_SESSIONS = "SELECT id FROM sessions WHERE ended IS NOT NULL AND (expires > ?1 OR ended > ?2) ORDER BY id";
    LIST_SESSIONS = "SELECT id, user_id, client, scopes, opened, expires, ended FROM sessions
        WHERE ended IS NULL AND expires > ?1 ORDER BY opened DESC, id LIMIT ?2";
    LIST_SESSIONS_OF_USER = "SELECT id, user_id, client, scopes, opened, expires, ended FROM sessions
        WHERE user_id = ?3 AND ended IS NULL AND expires > ?1 ORDER BY opened DESC, id LIMIT ?2";
    /// A session can have thousands of spent tokens: they go a few at a time, faster than new ones come.
    SWEEP_TOKENS = "DELETE FROM refresh_tokens WHERE rowid IN (SELECT t.rowid FROM
        (SELECT id FROM sessions WHERE expires < ?1 ORDER BY expires LIMIT 16) AS dead
        JOIN refresh_tokens AS t ON t.session = dead.id LIMIT 64)";
    SWEEP_SESSIONS = "DELETE FROM sessions WHERE id IN (SELECT dead.id FROM
        (SELECT id FROM sessions WHERE expires < ?1 ORDER BY expires LIMIT 16) AS dead
        WHERE NOT EXISTS (SELECT 1 FROM refresh_tokens AS t WHERE t.session = dead.id))";
}

/// The longest grace that can be configured. Answers older than this are of no use to anybody.
const LONGEST_GRACE: Duration = Duration::from_secs(60);
/// How long a session that is over is kept: longer than any access token of it can be shown.
const KEPT_AFTER_END: Duration = Duration::from_secs(48 * 60 * 60);

pub(super) async fn find_refresh(readers: &SqlitePool, hash: CredentialHash) -> Result<Option<FoundRefresh>> {
    let mut reading = readers.begin().await.map_err(failed)?;
    let row = sqlx::query(FIND_TOKEN).bind(hash.0.to_vec()).fetch_optional(&mut *reading).await.map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let token = rows::refresh_token(&row)?;
    let session = sqlx::query(FIND_SESSION).bind(token.session.as_str().to_owned()).fetch_one(&mut *reading).await.map_err(failed)?;
    let session = rows::session(&session)?;
    let user = sqlx::query(FIND_USER_BY_ID).bind(session.user.as_str().to_owned());
    let user = user.fetch_optional(&mut *reading).await.map_err(failed)?;
    let user = user.as_ref().map(rows::user).transpose()?.filter(|user| user.enabled);
    Ok(Some(FoundRefresh { token, session, user }))
}

pub(super) async fn rotate(mut act: Act, rotation: &Rotation, audit: &AuditEvent) -> Result<RotateOutcome> {
    let Some(row) = act.find(sqlx::query(FIND_TOKEN).bind(rotation.presented.0.to_vec())).await? else {
        return act.undone(RotateOutcome::Unknown).await;
    };
    let token = rows::refresh_token(&row)?;
    if rotation.session.as_ref().is_some_and(|named| *named != token.session) {
        return act.undone(RotateOutcome::Unknown).await;
    }
    let row = act.find(sqlx::query(FIND_SESSION).bind(token.session.as_str().to_owned())).await?;
    let session = rows::session(&row.ok_or_else(|| rows::corrupt("session", "names no session"))?)?;
    let successor_used = match &token.used {
        Some(spent) => act.find(sqlx::query(SUCCESSOR_USED).bind(spent.successor.0.to_vec())).await?.is_some(),
        None => false,
    };
    match refresh::judge(&token, &session, successor_used, &rotation.client, rotation.now, rotation.grace) {
        Judgement::Rotate => {
            let user = act.find(sqlx::query(FIND_USER_BY_ID).bind(session.user.as_str().to_owned())).await?;
            if !user.as_ref().map(rows::user).transpose()?.is_some_and(|user| user.enabled) {
                return act.undone(RotateOutcome::Refused(Judgement::Ended)).await;
            }
            give_successor(&mut act, rotation, &session).await?;
            act.done().await?;
            Ok(RotateOutcome::Rotated)
        }
        Judgement::Again => match token.used.and_then(|spent| spent.answer) {
            Some(answer) => act.undone(RotateOutcome::Again(answer)).await,
            None => Err(rows::corrupt("answer", "was there a moment ago")),
        },
        Judgement::Replayed => {
            end_one(&mut act, &session.id, rotation.now).await?;
            Ok(RotateOutcome::Replayed(act.changed(audit).await?))
        }
        refused @ (Judgement::Expired | Judgement::Ended | Judgement::WrongClient) => act.undone(RotateOutcome::Refused(refused)).await,
    }
}

async fn give_successor(act: &mut Act, rotation: &Rotation, session: &Session) -> Result<()> {
    let insert = sqlx::query(INSERT_TOKEN).bind(rotation.successor.0.to_vec()).bind(session.id.as_str().to_owned());
    act.run(insert.bind(rotation.now.millis()).bind(rotation.successor_expires.millis())).await?;
    let spend = sqlx::query(SPEND_TOKEN).bind(rotation.presented.0.to_vec()).bind(rotation.now.millis());
    let spent = act.run(spend.bind(rotation.successor.0.to_vec()).bind(rotation.answer.0.clone())).await?;
    if spent != 1 {
        return Err(rows::corrupt("used_at", "changed inside the act"));
    }
    act.run(sqlx::query(DROP_ANSWER_BEFORE).bind(rotation.presented.0.to_vec())).await?;
    sweep(act, rotation.now).await
}

/// Clears away a bounded number of rows that are of no use any more.
pub(super) async fn sweep(act: &mut Act, now: UnixMillis) -> Result<()> {
    act.run(sqlx::query(DROP_OLD_ANSWERS).bind(now.minus(LONGEST_GRACE).millis())).await?;
    let dead = now.minus(KEPT_AFTER_END).millis();
    act.run(sqlx::query(SWEEP_TOKENS).bind(dead)).await?;
    act.run(sqlx::query(SWEEP_SESSIONS).bind(dead)).await?;
    Ok(())
}

async fn end_one(act: &mut Act, id: &SessionId, at: UnixMillis) -> Result<u64> {
    let ended = act.run(sqlx::query(END_SESSION).bind(id.as_str().to_owned()).bind(at.millis())).await?;
    act.run(sqlx::query(DROP_ANSWERS_OF_ENDED).bind(id.as_str().to_owned()).bind(None::<String>)).await?;
    Ok(ended)
}

/// Ends every session of a user.
pub(super) async fn end_all_of(act: &mut Act, user: &UserId, at: UnixMillis) -> Result<()> {
    act.run(sqlx::query(END_SESSIONS_OF_USER).bind(user.as_str().to_owned()).bind(at.millis())).await?;
    act.run(sqlx::query(DROP_ANSWERS_OF_ENDED).bind(None::<String>).bind(user.as_str().to_owned())).await?;
    Ok(())
}

pub(super) async fn end(mut act: Act, id: &SessionId, audit: &AuditEvent) -> Result<Changed> {
    let Some(row) = act.find(sqlx::query(FIND_SESSION).bind(id.as_str().to_owned())).await? else {
        return act.undone(Changed::NotFound).await;
    };
    if rows::session(&row)?.ended.is_some() {
        return act.undone(Changed::NoChange).await;
    }
    end_one(&mut act, id, audit.at).await?;
    Ok(Changed::Changed(act.changed(audit).await?))
}

pub(super) async fn load_ended(readers: &SqlitePool, now: UnixMillis, token_life: Duration) -> Result<Vec<SessionId>> {
    let query = sqlx::query(ENDED_SESSIONS).bind(now.millis()).bind(now.minus(token_life).millis());
    query.fetch_all(readers).await.map_err(failed)?.iter().map(|row: &SqliteRow| row.parsed("id")).collect()
}

pub(super) async fn list(readers: &SqlitePool, user: Option<&UserId>, now: UnixMillis, limit: u32) -> Result<Vec<Session>> {
    let query = match user {
        None => sqlx::query(LIST_SESSIONS).bind(now.millis()).bind(limit),
        Some(user) => sqlx::query(LIST_SESSIONS_OF_USER).bind(now.millis()).bind(limit).bind(user.as_str().to_owned()),
    };
    query.fetch_all(readers).await.map_err(failed)?.iter().map(rows::session).collect()
}
