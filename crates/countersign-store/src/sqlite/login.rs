//! Logging in: attempts are counted before the password is looked at, and a success opens a session.

use aws_lc_rs::digest::{SHA256, digest};
use countersign_core::audit::AuditEvent;
use countersign_core::directory::Username;
use countersign_core::network::Network;
use countersign_core::now::UnixMillis;
use countersign_core::throttle::{self, Attempts, Lane};

use super::act::{Act, statements};
use super::sessions::{self, INSERT_TOKEN};
use super::users::{FIND_USER_BY_ID, FIND_USER_BY_NAME, SET_PASSWORD};
use crate::rows::{self, Columns as _};
use crate::{LoginReservation, NewSession, OpenOutcome, Result};

statements! {
    FIND_ATTEMPTS = "SELECT failures, last FROM login_attempts WHERE lane = ?1 AND account = ?2 AND network = ?3";
    SET_ATTEMPTS = "INSERT INTO login_attempts (lane, account, network, failures, last) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (lane, account, network) DO UPDATE SET failures = excluded.failures, last = excluded.last";
    /// Counters that a day of quiet has cleared. A few at a time: each login pays for a few old ones.
    FORGET_ATTEMPTS = "DELETE FROM login_attempts WHERE (lane, account, network) IN
        (SELECT lane, account, network FROM login_attempts WHERE last < ?1 ORDER BY last LIMIT 16)";
    CLEAR_ATTEMPTS = "DELETE FROM login_attempts WHERE lane = ?1 AND account = ?2 AND network = ?3";
    GIVE_BACK_ATTEMPT = "UPDATE login_attempts SET failures = failures - 1 WHERE lane = ?1 AND account = ?2 AND network = ?3 AND failures > 0";
    KNOWS_NETWORK = "SELECT 1 FROM known_networks WHERE user_id = ?1 AND network = ?2";
    REMEMBER_NETWORK = "INSERT INTO known_networks (user_id, network, last) VALUES (?1, ?2, ?3)
        ON CONFLICT (user_id, network) DO UPDATE SET last = max(last, excluded.last)";
    /// A user who travels does not fill the table: the latest 64 are kept.
    FORGET_NETWORKS = "DELETE FROM known_networks WHERE user_id = ?1 AND network NOT IN
        (SELECT network FROM known_networks WHERE user_id = ?1 ORDER BY last DESC LIMIT 64)";
    INSERT_SESSION = "INSERT INTO sessions (id, user_id, client, scopes, opened, expires, ended) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
}

/// A day, as `countersign_core::throttle` forgets.
const FORGOTTEN_AFTER: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// What a lane counts by, as stored: number, account, network.
type CounterKey = (i64, Vec<u8>, String);

fn counter(lane: Lane, username: &Username, network: Network) -> CounterKey {
    let account = || digest(&SHA256, username.as_str().as_bytes()).as_ref().to_vec();
    match lane {
        Lane::AccountAndNetwork => (0, account(), network.to_string()),
        Lane::Network => (1, Vec::new(), network.to_string()),
        Lane::Account => (2, account(), String::new()),
    }
}

pub(super) async fn reserve(mut act: Act, username: &Username, network: Network, now: UnixMillis) -> Result<LoginReservation> {
    let user = act.find(sqlx::query(FIND_USER_BY_NAME).bind(username.as_str().to_owned())).await?;
    let user = user.as_ref().map(rows::user).transpose()?;
    // An absent user is looked for too, so that both take as long.
    let id = user.as_ref().map_or("us_nobody", |user| user.id.as_str()).to_owned();
    let known = act.find(sqlx::query(KNOWS_NETWORK).bind(id).bind(network.to_string())).await?.is_some();

    let mut let_in = Vec::with_capacity(Lane::ALL.len());
    let mut wait: Option<UnixMillis> = None;
    for &lane in throttle::lanes(known) {
        let (number, account, from) = counter(lane, username, network);
        let row = act.find(sqlx::query(FIND_ATTEMPTS).bind(number).bind(account.clone()).bind(from.clone())).await?;
        let so_far = match row {
            None => None,
            Some(row) => {
                let failures = u32::try_from(row.count("failures")?).unwrap_or(u32::MAX);
                Some(Attempts { failures, last: row.moment("last")? })
            }
        };
        // One that was given back counts as none.
        match throttle::reserve(lane, so_far.filter(|attempts| attempts.failures > 0), now) {
            Ok(next) => let_in.push(((number, account, from), next)),
            Err(until) => wait = wait.max(Some(until)),
        }
    }
    if let Some(until) = wait {
        return act.undone(LoginReservation::Wait(until)).await;
    }
    for ((number, account, from), next) in let_in {
        let query = sqlx::query(SET_ATTEMPTS).bind(number).bind(account).bind(from);
        act.run(query.bind(next.failures).bind(next.last.millis())).await?;
    }
    act.run(sqlx::query(FORGET_ATTEMPTS).bind(now.minus(FORGOTTEN_AFTER).millis())).await?;
    act.done().await?;
    Ok(LoginReservation::Reserved(user))
}

pub(super) async fn open_session(mut act: Act, opened: &NewSession, audit: &AuditEvent) -> Result<OpenOutcome> {
    let session = &opened.session;
    let row = act.find(sqlx::query(FIND_USER_BY_ID).bind(session.user.as_str().to_owned())).await?;
    let user = row.as_ref().map(rows::user).transpose()?;
    let Some(user) = user.filter(|user| user.enabled && user.password == opened.password) else {
        return act.undone(OpenOutcome::UserChanged).await;
    };
    let user_id = user.id.as_str().to_owned();
    if let Some(better) = &opened.rehashed {
        act.run(sqlx::query(SET_PASSWORD).bind(user_id.clone()).bind(better.0.to_string())).await?;
    }

    let network = opened.network.to_string();
    let known = act.find(sqlx::query(KNOWS_NETWORK).bind(user_id.clone()).bind(network.clone())).await?.is_some();
    for &lane in throttle::lanes(known) {
        let (number, account, from) = counter(lane, &user.username, opened.network);
        // What counts others' guesses too gets only this attempt back: a success must not wipe the traces of an attack.
        let statement = if lane == Lane::AccountAndNetwork { CLEAR_ATTEMPTS } else { GIVE_BACK_ATTEMPT };
        act.run(sqlx::query(statement).bind(number).bind(account).bind(from)).await?;
    }
    act.run(sqlx::query(REMEMBER_NETWORK).bind(user_id.clone()).bind(network).bind(session.opened.millis())).await?;
    act.run(sqlx::query(FORGET_NETWORKS).bind(user_id.clone())).await?;

    let insert = sqlx::query(INSERT_SESSION).bind(session.id.as_str().to_owned()).bind(user_id).bind(session.client.to_string());
    let insert = insert.bind(session.scopes.to_string()).bind(session.opened.millis()).bind(session.expires.millis());
    act.run(insert.bind(session.ended.map(UnixMillis::millis))).await?;
    let token = &opened.token;
    let insert = sqlx::query(INSERT_TOKEN).bind(token.hash.0.to_vec()).bind(session.id.as_str().to_owned());
    act.run(insert.bind(token.issued.millis()).bind(token.expires.millis())).await?;
    sessions::sweep(&mut act, session.opened).await?;
    Ok(OpenOutcome::Opened(act.told(audit).await?))
}
