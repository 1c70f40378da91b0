//! What only SQLite can get wrong. What every backend must do is in `conformance`.

use std::os::unix::fs::PermissionsExt as _;

use sqlx::{Executor as _, SqlSafeStr as _};

use super::*;

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("state.db")).await.unwrap();
    let all = [
        act::STATEMENTS,
        allow_lists::STATEMENTS,
        audit::STATEMENTS,
        directory::STATEMENTS,
        login::STATEMENTS,
        sessions::STATEMENTS,
        users::STATEMENTS,
    ];
    let mut prepared = 0;
    for (name, sql) in all.into_iter().flatten().copied() {
        if let Err(error) = store.writer.prepare(sql.into_sql_str()).await {
            panic!("{name}: {error}");
        }
        prepared += 1;
    }
    assert!(prepared > 80, "{prepared}");
}

#[tokio::test]
async fn nobody_else_can_read_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data/state.db");
    let _store = SqliteStore::open(&path).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn each_write_is_synced_and_references_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("state.db")).await.unwrap();
    for (pragma, expected) in [("PRAGMA synchronous", 2), ("PRAGMA foreign_keys", 1), ("PRAGMA query_only", 0)] {
        let value: i64 = sqlx::query_scalar(pragma).fetch_one(&store.writer).await.unwrap();
        assert_eq!(value, expected, "{pragma}");
    }
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&store.writer).await.unwrap();
    assert_eq!(mode, "wal");
    sqlx::query("DELETE FROM users").execute(&store.readers).await.expect_err("readers cannot write");
}

#[test]
fn an_old_sqlite_is_refused() {
    for (version, good) in [("3.51.3", true), ("3.51.2", false), ("3.46.0", false), ("3.54.1", true), ("4.0.0", true), ("nonsense", false)]
    {
        assert_eq!(is_new_enough(version), good, "{version}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    std::fs::write(&path, "these are notes, not a database, and long enough to be looked at\n".repeat(40)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = SqliteStore::open(&path).await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
