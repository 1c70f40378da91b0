//! One act: a transaction that ends with its audit row, or leaves nothing behind.

use countersign_core::audit::AuditEvent;
use countersign_core::id::Revision;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::{audit, failed};
use crate::rows::Columns as _;
use crate::{Changed, Result};

/// Declares statements as constants, and lists them so that a test can prepare each.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:literal;)*) => {
        $($(#[$doc])* pub(super) const $name: &str = $sql;)*
        /// Every statement of this file, for the test that prepares them.
        #[cfg(test)]
        pub(super) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}
pub(super) use statements;

statements! {
    SQLITE_VERSION = "SELECT sqlite_version()";
    REVISION = "SELECT revision FROM state";
    NEXT_REVISION = "UPDATE state SET revision = revision + 1 RETURNING revision";
}

/// A statement with its arguments.
pub(super) type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

/// A transaction that may write. Dropped before its end, it rolls back.
pub(super) struct Act {
    transaction: Transaction<'static, Sqlite>,
}

impl Act {
    /// Waits for the writer and begins.
    pub async fn begin(writer: &SqlitePool) -> Result<Self> {
        // IMMEDIATE: an act that reads first and writes later would otherwise fail when another process wrote in between.
        Ok(Self { transaction: writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)? })
    }

    /// Runs a statement: how many rows it touched.
    pub async fn run(&mut self, query: Query) -> Result<u64> {
        Ok(query.execute(&mut *self.transaction).await.map_err(failed)?.rows_affected())
    }

    /// The first row, if there is one.
    pub async fn find(&mut self, query: Query) -> Result<Option<SqliteRow>> {
        query.fetch_optional(&mut *self.transaction).await.map_err(failed)
    }

    /// All rows.
    pub async fn load(&mut self, query: Query) -> Result<Vec<SqliteRow>> {
        query.fetch_all(&mut *self.transaction).await.map_err(failed)
    }

    /// Ends an act that changed what snapshots are made of: the next revision, the audit row, and all of it is so.
    pub async fn changed(mut self, event: &AuditEvent) -> Result<Revision> {
        let row = self.find(sqlx::query(NEXT_REVISION)).await?;
        let revision = row.map_or_else(|| Err(crate::rows::corrupt("revision", "is missing")), |row| row.count("revision"))?;
        audit::append(&mut self, event).await?;
        self.done().await?;
        Ok(Revision(revision))
    }

    /// Ends an act that is told of but changed nothing that snapshots are made of.
    pub async fn told(mut self, event: &AuditEvent) -> Result<Revision> {
        let row = self.find(sqlx::query(REVISION)).await?;
        let revision = row.map_or_else(|| Err(crate::rows::corrupt("revision", "is missing")), |row| row.count("revision"))?;
        audit::append(&mut self, event).await?;
        self.done().await?;
        Ok(Revision(revision))
    }

    /// Ends an act that is not told of.
    pub async fn done(self) -> Result<()> {
        self.transaction.commit().await.map_err(failed)
    }

    /// Leaves everything as it was.
    pub async fn undone<T>(self, outcome: T) -> Result<T> {
        // Not left to the drop, so that the next act does not have to wait for it.
        self.transaction.rollback().await.map_err(failed)?;
        Ok(outcome)
    }

    /// Switches a thing on or off.
    pub async fn enable(mut self, switch: Switch, id: &str, enabled: bool, event: &AuditEvent) -> Result<Changed> {
        let Some(row) = self.find(sqlx::query(switch.find).bind(id.to_owned())).await? else { return self.undone(Changed::NotFound).await };
        if row.flag("enabled")? == enabled {
            return self.undone(Changed::NoChange).await;
        }
        self.run(sqlx::query(switch.set).bind(id.to_owned()).bind(enabled)).await?;
        Ok(Changed::Changed(self.changed(event).await?))
    }
}

/// How one kind of thing is switched.
#[derive(Clone, Copy)]
pub(super) struct Switch {
    /// Reads `enabled` by id.
    pub find: &'static str,
    /// Writes it.
    pub set: &'static str,
}

pub(super) async fn revision(readers: &SqlitePool) -> Result<Revision> {
    let row = sqlx::query(REVISION).fetch_one(readers).await.map_err(failed)?;
    Ok(Revision(row.count("revision")?))
}
