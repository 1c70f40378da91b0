//! The audit log.

use super::call::{Answer, Call, Failure};
use crate::wire::{AuditOut, Page};

/// `GET /audit`, oldest first; `after` is the number of the last row that was read.
pub async fn list(call: Call) -> Result<Answer, Failure> {
    let (after, limit) = call.page()?;
    let after = after.map_or(Ok(0), str::parse).map_err(|_not_a_number| Failure::field("after", "after is the number of a row"))?;
    let wanted = u32::try_from(limit.saturating_add(1)).unwrap_or(u32::MAX);
    let mut rows = call.control.store.list_audit(after, wanted).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.number.to_string());
    Answer::ok(&Page { items: rows.iter().map(AuditOut::from).collect(), next })
}
