//! What only SQLite can get wrong. What every backend must do is in `conformance`.

use std::os::unix::fs::PermissionsExt as _;

use sqlx::{Executor as _, SqlSafeStr as _};

use super::*;
use crate::SharedStore;
use crate::conformance::StoreBackend;
use crate::conformance::world::{World, entry, event};

struct SqliteBackend(tempfile::TempDir);

impl SqliteBackend {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("state.db")
    }
}

impl StoreBackend for SqliteBackend {
    async fn open(&self) -> SharedStore {
        std::sync::Arc::new(SqliteStore::open(&self.path()).await.unwrap())
    }
}

crate::store_suite!(sqlite, SqliteBackend::new());

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
async fn a_full_disk_is_no_longer_in_the_way_once_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("state.db")).await.unwrap();
    let add = async |n: u32| {
        let name: ListName = format!("list-{n}").parse().unwrap();
        store.add_allow_list(&name, UnixMillis::from_seconds(0), &event()).await
    };
    let mut writer = store.writer.acquire().await.unwrap();
    // As full as it gets: not a page more. The limit is the connection's own.
    writer.execute("PRAGMA max_page_count = 1".into_sql_str()).await.unwrap();
    drop(writer);
    let mut added = 0;
    let full = loop {
        match add(added).await {
            Ok(_) => added += 1,
            Err(error) => break error,
        }
        assert!(added < 10_000, "it is never full");
    };
    assert!(matches!(full, StoreError::Unavailable(_)), "{full}");
    // The connection that failed is not used again.
    add(added).await.unwrap();
    assert_eq!(store.load_allow_lists().await.unwrap().len(), added as usize + 1);
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

/// Rewrites the audit log behind our back, as somebody with the file can, and verifies it.
async fn verified_after(tampering: &'static str) -> AuditVerdict {
    let backend = SqliteBackend::new();
    let world = World::new(&backend).await;
    let store = SqliteStore::open(&backend.path()).await.unwrap();
    sqlx::raw_sql("DROP TRIGGER audit_keeps_its_rows; DROP TRIGGER audit_keeps_its_words").execute(&store.writer).await.unwrap();
    sqlx::raw_sql(tampering.into_sql_str()).execute(&store.writer).await.unwrap();
    world.store.verify_audit().await.unwrap()
}

#[tokio::test]
async fn tampering_with_the_audit_log_shows_where() {
    let rows = 20;
    assert_eq!(verified_after("SELECT 1").await, AuditVerdict::Intact(rows));
    for (tampering, broken) in [
        ("UPDATE audit SET target = 'else' WHERE number = 5", 5),
        ("UPDATE audit SET request = NULL WHERE number = 5", 5),
        ("UPDATE audit SET detail = replace(detail, '3', '4') WHERE number = 6", 6),
        ("UPDATE audit SET at = at + 1 WHERE number = 1", 1),
        ("UPDATE audit SET hash = zeroblob(32) WHERE number = 20", 20),
        ("DELETE FROM audit WHERE number = 7", 7),
        ("DELETE FROM audit WHERE number = 1", 1),
        ("DELETE FROM audit WHERE number > 18", 19),
        ("DELETE FROM audit", 1),
        ("DELETE FROM audit WHERE number = 7; UPDATE audit SET number = number - 1 WHERE number > 7", 7),
        (
            "UPDATE audit SET number = -1 WHERE number = 8; UPDATE audit SET number = 8 WHERE number = 9; UPDATE audit SET number = 9 WHERE number = -1",
            8,
        ),
        ("INSERT INTO audit SELECT 21, at, actor, action, target, detail, request, hash FROM audit WHERE number = 20", 21),
        ("UPDATE state SET audit_head = zeroblob(32)", 20),
    ] {
        assert_eq!(verified_after(tampering).await, AuditVerdict::Broken(broken), "{tampering}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_on_one_file_take_turns() {
    let backend = SqliteBackend::new();
    let world = World::new(&backend).await;
    let stores = [world.store.clone(), backend.open().await];
    let before = world.everything().await;
    let acts: Vec<_> = (0..60u64)
        .map(|n| {
            let store = stores[n as usize % 2].clone();
            let entry = Entry { note: format!("turn {n}"), ..entry(0, 0) };
            tokio::spawn(async move { store.save_entry(&entry, None, &event()).await.unwrap() })
        })
        .collect();
    for act in acts {
        assert!(matches!(act.await.unwrap(), Changed::Changed(_)));
    }
    assert_eq!(world.everything().await.revision, before.revision + 60);
    assert_eq!(world.store.verify_audit().await.unwrap(), AuditVerdict::Intact(before.audited as u64 + 60));
}

#[tokio::test]
async fn the_audit_log_does_not_let_itself_be_changed() {
    let backend = SqliteBackend::new();
    let _world = World::new(&backend).await;
    let store = SqliteStore::open(&backend.path()).await.unwrap();
    for statement in ["UPDATE audit SET target = 'else' WHERE number = 5", "DELETE FROM audit WHERE number = 5"] {
        let error = sqlx::query(statement).execute(&store.writer).await.unwrap_err();
        assert!(error.to_string().contains("only appended to"), "{error}");
    }
}

#[tokio::test]
async fn what_does_not_read_back_is_corrupt_and_not_a_default() {
    for damage in [
        "UPDATE entries SET network = '10.0.0.5/8'",
        "UPDATE entries SET path = 'no slash'",
        "UPDATE entries SET principal = 'xx_1'",
        "UPDATE allow_lists SET version = -1",
    ] {
        let backend = SqliteBackend::new();
        let world = World::new(&backend).await;
        let store = SqliteStore::open(&backend.path()).await.unwrap();
        sqlx::query(damage).execute(&store.writer).await.unwrap();
        let error = world.store.load_allow_lists().await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{damage}: {error}");
    }
}
