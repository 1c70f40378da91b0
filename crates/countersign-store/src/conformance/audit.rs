//! The audit log and the counters of uses.

use countersign_core::audit::{Actor, AuditEvent};
use countersign_core::now::UnixMillis;

use super::StoreBackend;
use super::world::{World, client, entry, event, list, parsed, seconds, user};
use crate::{AuditVerdict, Use};

pub async fn an_edit_by_anyone_is_told_in_order(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let before = world.store.list_audit(0, 1000).await.unwrap().len() as u64;
    let actors = [Actor::AdminKey(parsed("ad_1")), Actor::LocalUser(1000), Actor::Principal(parsed("cl_2")), Actor::Gateway];
    for (n, actor) in actors.iter().enumerate() {
        let told = AuditEvent {
            at: UnixMillis::from_millis(n as i64 - 1),
            actor: actor.clone(),
            action: "client.switched",
            target: format!("target {n}"),
            detail: serde_json::json!({ "n": n, "text": "\"quoted\" ünï\n" }),
            request: (n == 0).then(|| parsed("rq_0")),
        };
        world.store.enable_client(&client(0).id, n % 2 == 1, &told).await.unwrap();
    }
    let rows = world.store.list_audit(before, 100).await.unwrap();
    assert_eq!(rows.len(), 4);
    for (n, (row, actor)) in rows.iter().zip(&actors).enumerate() {
        assert_eq!(row.number, before + 1 + n as u64);
        assert_eq!(row.at, UnixMillis::from_millis(n as i64 - 1));
        assert_eq!(row.actor, actor.render());
        assert_eq!(row.action, "client.switched");
        assert_eq!(row.target, format!("target {n}"));
        assert_eq!(row.detail, serde_json::json!({ "n": n, "text": "\"quoted\" ünï\n" }));
        assert_eq!(row.request.as_deref(), (n == 0).then_some("rq_0"));
    }
    assert_eq!(world.store.list_audit(before + 1, 2).await.unwrap(), rows[1..3]);
    assert_eq!(world.store.list_audit(before + 4, 2).await.unwrap(), []);
}

pub async fn a_change_and_its_row_come_together(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let start = world.everything().await;
    // Dropped at any point, an act has happened with its row or not at all.
    let mut happened = 0;
    for n in 0..60u32 {
        let (store, note) = (world.store.clone(), format!("turn {n}"));
        let act = tokio::spawn(async move {
            let asked = countersign_core::allow_list::Entry { note, ..entry(0, 0) };
            store.save_entry(&asked, None, &event()).await
        });
        for _ in 0..n % 12 {
            tokio::task::yield_now().await;
        }
        act.abort();
        let _ = act.await;
        // An act that was dropped may still commit, between two of these reads as well.
        let mut now = world.everything().await;
        loop {
            let again = world.everything().await;
            if again == now {
                break;
            }
            now = again;
        }
        let version = now.lists[0].entries[0].version;
        happened = version - start.lists[0].entries[0].version;
        assert_eq!(now.audited - start.audited, happened as usize);
        assert_eq!(now.revision - start.revision, happened);
        assert_eq!(now.lists[0].version - start.lists[0].version, happened);
    }
    let world = world.reopened(backend).await;
    let now = world.everything().await;
    assert_eq!(now.lists[0].entries[0].version - start.lists[0].entries[0].version, happened);
    assert_eq!(world.store.verify_audit().await.unwrap(), AuditVerdict::Intact(now.audited as u64));
    // And the next act gets through.
    let removed = world.store.remove_entry(&list(1), &entry(1, 1).id, None, &event()).await.unwrap();
    assert!(matches!(removed, crate::Changed::Changed(_)));
}

pub async fn the_chain_of_an_untouched_log_is_intact(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let rows = world.store.list_audit(0, 1000).await.unwrap();
    assert_eq!(world.store.verify_audit().await.unwrap(), AuditVerdict::Intact(rows.len() as u64));
    let mut hashes: Vec<_> = rows.iter().map(|row| row.hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), rows.len(), "rows that say the same differ in their place");
    let world = world.reopened(backend).await;
    world.store.remove_user(&user(0).id, &event()).await.unwrap();
    assert_eq!(world.store.verify_audit().await.unwrap(), AuditVerdict::Intact(rows.len() as u64 + 1));
}

pub async fn uses_add_up_and_change_nothing_else(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let used = |n: u8, count, after| Use { id: entry(n, 0).id.to_string(), count, last: seconds(after) };
    world.store.record_uses(&[used(0, 3, 10), used(5, 1, 11), used(0, 2, 4)]).await.unwrap();
    world.store.record_uses(&[]).await.unwrap();
    expected.uses[0] = used(0, 10, 10);
    expected.uses.push(used(5, 1, 11));
    world.is(expected).await;
}
