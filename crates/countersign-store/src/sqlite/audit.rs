//! The audit log with its chain of hashes, and the counters of uses.

use aws_lc_rs::digest::{Context, SHA256};
use countersign_core::audit::{AuditEvent, AuditRow};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

use super::act::{Act, statements};
use super::failed;
use crate::rows::{self, Columns};
use crate::{AuditVerdict, Result, Use};

statements! {
    AUDIT_END = "SELECT audit_rows, audit_head FROM state";
    MOVE_AUDIT_END = "UPDATE state SET audit_rows = ?1, audit_head = ?2";
    APPEND_AUDIT = "INSERT INTO audit (number, at, actor, action, target, detail, request, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    LIST_AUDIT = "SELECT number, at, actor, action, target, detail, request, hash FROM audit WHERE number > ?1 ORDER BY number LIMIT ?2";
    ADD_USES = "INSERT INTO uses (id, count, last) VALUES (?1, ?2, ?3)
        ON CONFLICT (id) DO UPDATE SET count = count + excluded.count, last = max(last, excluded.last)";
    LOAD_USES = "SELECT id, count, last FROM uses ORDER BY id";
}

/// Writes the row of an act, in the act.
pub(super) async fn append(act: &mut Act, event: &AuditEvent) -> Result<()> {
    let end = act.find(sqlx::query(AUDIT_END)).await?.ok_or_else(|| rows::corrupt("audit_rows", "is missing"))?;
    let number = end.number("audit_rows")?.saturating_add(1);
    let row = Content {
        number,
        at: event.at.millis(),
        actor: event.actor.render(),
        action: event.action.to_owned(),
        target: event.target.clone(),
        detail: event.detail.to_string(),
        request: event.request.as_ref().map(ToString::to_string),
    };
    let hash = row.hash(&end.hash("audit_head")?).to_vec();
    let insert = sqlx::query(APPEND_AUDIT).bind(row.number).bind(row.at).bind(row.actor).bind(row.action).bind(row.target);
    act.run(insert.bind(row.detail).bind(row.request).bind(hash.clone())).await?;
    act.run(sqlx::query(MOVE_AUDIT_END).bind(number).bind(hash)).await?;
    Ok(())
}

/// A row as it is hashed: the bytes that are stored, not what they mean.
struct Content {
    number: i64,
    at: i64,
    actor: String,
    action: String,
    target: String,
    detail: String,
    request: Option<String>,
}

impl Content {
    fn of(row: &SqliteRow) -> Result<Self> {
        Ok(Self {
            number: row.number("number")?,
            at: row.number("at")?,
            actor: row.text("actor")?,
            action: row.text("action")?,
            target: row.text("target")?,
            detail: row.text("detail")?,
            request: row.maybe_text("request")?,
        })
    }

    /// SHA-256 over the hash before it and every field with its length, so that bytes cannot move from one field to the next.
    fn hash(&self, before: &[u8; 32]) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(b"countersign audit 1");
        context.update(before);
        context.update(&self.number.to_be_bytes());
        context.update(&self.at.to_be_bytes());
        let (has_request, request) = self.request.as_deref().map_or(("no", ""), |request| ("yes", request));
        for field in [&self.actor, &self.action, &self.target, &self.detail, has_request, request] {
            context.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(field.as_bytes());
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

pub(super) async fn list(readers: &SqlitePool, after: u64, limit: u32) -> Result<Vec<AuditRow>> {
    let query = sqlx::query(LIST_AUDIT).bind(i64::try_from(after).unwrap_or(i64::MAX)).bind(limit);
    query.fetch_all(readers).await.map_err(failed)?.iter().map(rows::audit_row).collect()
}

/// How many rows are read at once while the chain is recomputed.
const PAGE: i64 = 1000;

pub(super) async fn verify(readers: &SqlitePool) -> Result<AuditVerdict> {
    // One snapshot for all pages, or the rows that are written meanwhile would look like a mistake.
    let mut reading = readers.begin().await.map_err(failed)?;
    let end = sqlx::query(AUDIT_END).fetch_one(&mut *reading).await.map_err(failed)?;
    let (last, head) = (end.number("audit_rows")?, end.hash("audit_head")?);
    let (mut number, mut hash) = (0i64, [0; 32]);
    loop {
        let page = sqlx::query(LIST_AUDIT).bind(number).bind(PAGE).fetch_all(&mut *reading).await.map_err(failed)?;
        if page.is_empty() {
            break;
        }
        for row in page {
            let content = Content::of(&row)?;
            let computed = content.hash(&hash);
            if content.number != number.saturating_add(1) || row.hash("hash")? != computed {
                return Ok(AuditVerdict::Broken(number.unsigned_abs().saturating_add(1)));
            }
            (number, hash) = (content.number, computed);
        }
    }
    // Rows cut from the end leave a chain that fits; the end that was noted does not. With as many rows, it is the last that differs.
    Ok(match number.cmp(&last) {
        std::cmp::Ordering::Less => AuditVerdict::Broken(number.unsigned_abs().saturating_add(1)),
        std::cmp::Ordering::Greater => AuditVerdict::Broken(last.unsigned_abs().saturating_add(1)),
        std::cmp::Ordering::Equal if hash != head => AuditVerdict::Broken(number.unsigned_abs()),
        std::cmp::Ordering::Equal => AuditVerdict::Intact(number.unsigned_abs()),
    })
}

pub(super) async fn record_uses(mut act: Act, uses: &[Use]) -> Result<()> {
    for used in uses {
        let count = i64::try_from(used.count).unwrap_or(i64::MAX);
        act.run(sqlx::query(ADD_USES).bind(used.id.clone()).bind(count).bind(used.last.millis())).await?;
    }
    act.done().await
}

pub(super) async fn load_uses(readers: &SqlitePool) -> Result<Vec<Use>> {
    sqlx::query(LOAD_USES).fetch_all(readers).await.map_err(failed)?.iter().map(rows::usage).collect()
}
