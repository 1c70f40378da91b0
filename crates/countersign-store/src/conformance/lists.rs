//! Allow-lists and entries.

use countersign_core::allow_list::{AllowList, Entry, Methods};
use countersign_core::id::Revision;

use super::StoreBackend;
use super::world::{NOW, World, entry, event, list, parsed, seconds};
use crate::{Added, Changed};

pub async fn a_list_is_added_once_and_removed_with_its_entries(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let added = world.store.add_allow_list(&list(2), NOW, &event()).await.unwrap();
    expected.changed().lists.push(AllowList { name: list(2), version: 1, created: NOW, entries: Vec::new() });
    assert_eq!(added, Added::Added(Revision(expected.revision)));
    assert_eq!(world.store.add_allow_list(&list(0), NOW, &event()).await.unwrap(), Added::AlreadyExists);
    world.is(expected.clone()).await;

    let version = expected.lists[1].version;
    assert_eq!(world.store.remove_allow_list(&list(1), Some(version + 1), &event()).await.unwrap(), Changed::Stale);
    assert_eq!(world.store.remove_allow_list(&list(3), None, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected.clone()).await;

    let removed = world.store.remove_allow_list(&list(1), Some(version), &event()).await.unwrap();
    let gone = expected.changed().lists.remove(1);
    expected.uses.retain(|used| gone.entries.iter().all(|entry| entry.id.as_str() != used.id));
    assert_eq!(removed, Changed::Changed(Revision(expected.revision)));
    world.is(expected.clone()).await;

    world.store.remove_allow_list(&list(2), None, &event()).await.unwrap();
    expected.changed().lists.remove(1);
    world.is(expected).await;
}

pub async fn an_entry_needs_its_list(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    assert_eq!(world.store.add_entry(&entry(4, 2), &event()).await.unwrap(), Added::NotFound);
    assert_eq!(world.store.add_entry(&entry(1, 0), &event()).await.unwrap(), Added::AlreadyExists);
    world.is(expected.clone()).await;

    // Its first version is 1, whatever the value says.
    let added = world.store.add_entry(&Entry { version: 9, ..entry(4, 0) }, &event()).await.unwrap();
    expected.changed().lists[0].entries.push(entry(4, 0));
    expected.lists[0].version += 1;
    assert_eq!(added, Added::Added(Revision(expected.revision)));
    world.is(expected).await;
}

/// An entry that differs in everything that can be changed.
fn other(n: u8, of: u8) -> Entry {
    Entry {
        network: parsed("2001:db8::/32"),
        methods: parsed("DELETE"),
        path: Some(parsed("/other/*")),
        principal: Some(parsed("us_0000000000000009")),
        note: "other".into(),
        valid_from: Some(NOW),
        valid_until: Some(seconds(60)),
        enabled: false,
        ..entry(n, of)
    }
}

pub async fn an_entry_is_saved_by_version(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    // What cannot be changed is not.
    let asked = Entry { version: 77, created_by: "somebody else".into(), created: NOW, ..other(2, 0) };
    for (expected_version, id) in [(Some(2), 2), (Some(0), 2)] {
        let stale = world.store.save_entry(&Entry { id: entry(id, 0).id, ..asked.clone() }, expected_version, &event()).await.unwrap();
        assert_eq!(stale, Changed::Stale);
    }
    assert_eq!(world.store.save_entry(&other(5, 0), None, &event()).await.unwrap(), Changed::NotFound);
    assert_eq!(world.store.save_entry(&other(2, 1), None, &event()).await.unwrap(), Changed::NotFound);
    assert_eq!(world.store.save_entry(&entry(2, 0), Some(1), &event()).await.unwrap(), Changed::NoChange);
    world.is(expected.clone()).await;

    let saved = world.store.save_entry(&asked, Some(1), &event()).await.unwrap();
    expected.changed().lists[0].version += 1;
    expected.lists[0].entries[1] = Entry { version: 2, ..other(2, 0) };
    assert_eq!(saved, Changed::Changed(Revision(expected.revision)));
    world.is(expected.clone()).await;

    let emptied = Entry { methods: Methods::default(), path: None, principal: None, valid_from: None, valid_until: None, ..other(2, 0) };
    world.store.save_entry(&emptied, None, &event()).await.unwrap();
    expected.changed().lists[0].version += 1;
    expected.lists[0].entries[1] = Entry { version: 3, ..emptied };
    world.is(expected).await;
}

pub async fn every_field_of_an_entry_is_kept(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let changes: [fn(&mut Entry); 8] = [
        |e| e.network = parsed("203.0.113.0/24"),
        |e| e.methods = parsed("PUT"),
        |e| e.path = None,
        |e| e.principal = None,
        |e| e.note = "new".into(),
        |e| e.valid_from = None,
        |e| e.valid_until = None,
        |e| e.enabled = false,
    ];
    let mut expected = world.everything().await;
    for (n, change) in changes.into_iter().enumerate() {
        let mut asked = expected.lists[1].entries[0].clone();
        change(&mut asked);
        let saved = world.store.save_entry(&asked, Some(n as u64 + 1), &event()).await.unwrap();
        assert!(matches!(saved, Changed::Changed(_)), "{n}: {saved:?}");
        expected.changed().lists[1].version += 1;
        expected.lists[1].entries[0] = Entry { version: n as u64 + 2, ..asked };
        world.is(expected.clone()).await;
    }
}

pub async fn an_entry_is_removed_by_version(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let store = &world.store;
    assert_eq!(store.remove_entry(&list(0), &entry(0, 0).id, Some(2), &event()).await.unwrap(), Changed::Stale);
    assert_eq!(store.remove_entry(&list(1), &entry(0, 0).id, None, &event()).await.unwrap(), Changed::NotFound);
    assert_eq!(store.remove_entry(&list(0), &entry(7, 0).id, None, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected.clone()).await;

    let removed = store.remove_entry(&list(0), &entry(0, 0).id, Some(1), &event()).await.unwrap();
    let gone = expected.changed().lists[0].entries.remove(0);
    expected.lists[0].version += 1;
    expected.uses.retain(|used| used.id != gone.id.as_str());
    assert_eq!(removed, Changed::Changed(Revision(expected.revision)));
    world.is(expected).await;
}

pub async fn of_parallel_saves_of_one_version_one_saves(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let saves: Vec<_> = (0..32)
        .map(|n| {
            let store = world.store.clone();
            let asked = Entry { note: format!("by {n}"), ..entry(3, 1) };
            tokio::spawn(async move { (n, store.save_entry(&asked, Some(1), &event()).await.unwrap()) })
        })
        .collect();
    let mut winners = Vec::new();
    for save in saves {
        match save.await.unwrap() {
            (n, Changed::Changed(_)) => winners.push(n),
            (_, outcome) => assert_eq!(outcome, Changed::Stale),
        }
    }
    assert_eq!(winners.len(), 1);
    expected.changed().lists[1].version += 1;
    expected.lists[1].entries[1] = Entry { note: format!("by {}", winners[0]), version: 2, ..entry(3, 1) };
    world.is(expected).await;
}
