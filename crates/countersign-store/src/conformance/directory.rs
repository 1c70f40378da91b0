//! Clients and the keys of all kinds.

use countersign_core::directory::{AdminKey, ApiKey, Client, SigningKey, TokenKey};
use countersign_core::id::Revision;

use super::StoreBackend;
use super::world::{World, admin_key, api_key, client, event, parsed, seconds, secret, signing_key, token_key};
use crate::{Added, Changed};

pub async fn a_client_is_added_once(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let added = world.store.add_client(&client(2), &event()).await.unwrap();
    expected.changed().directory.clients.push(client(2));
    assert_eq!(added, Added::Added(Revision(expected.revision)));
    for taken in [client(2), Client { name: client(0).name, ..client(3) }, Client { id: client(0).id, ..client(3) }] {
        assert_eq!(world.store.add_client(&taken, &event()).await.unwrap(), Added::AlreadyExists);
    }
    world.is(expected).await;
}

pub async fn a_client_is_switched(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    assert_eq!(world.store.enable_client(&client(0).id, true, &event()).await.unwrap(), Changed::NoChange);
    assert_eq!(world.store.enable_client(&client(3).id, false, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected.clone()).await;
    for enabled in [false, true] {
        let changed = world.store.enable_client(&client(0).id, enabled, &event()).await.unwrap();
        expected.changed().directory.clients[0].enabled = enabled;
        assert_eq!(changed, Changed::Changed(Revision(expected.revision)));
        world.is(expected.clone()).await;
    }
}

pub async fn a_client_is_removed_with_its_keys(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let used = crate::Use { id: api_key(1, 1).id.to_string(), count: 1, last: seconds(1) };
    let kept = crate::Use { id: secret(0).id.to_string(), count: 1, last: seconds(1) };
    let secret_used = crate::Use { id: secret(3).id.to_string(), count: 1, last: seconds(1) };
    let mut expected = world.everything().await;
    world.store.record_uses(&[used, kept.clone(), secret_used]).await.unwrap();

    let removed = world.store.remove_client(&client(1).id, &event()).await.unwrap();
    expected.changed().directory.clients.remove(1);
    expected.directory.signing_keys.remove(1);
    expected.directory.api_keys.remove(1);
    expected.lists[1].version += 1;
    for entry in &mut expected.lists[1].entries {
        entry.enabled = false;
        entry.version += 1;
    }
    expected.uses.push(kept);
    assert_eq!(removed, Changed::Changed(Revision(expected.revision)));
    world.is(expected.clone()).await;
    assert_eq!(world.store.remove_client(&client(1).id, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected).await;
}

pub async fn a_signing_key_needs_its_client(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let store = &world.store;
    assert_eq!(store.add_signing_key(&signing_key(2, 3), &event()).await.unwrap(), Added::NotFound);
    let taken = SigningKey { id: signing_key(0, 0).id, ..signing_key(2, 1) };
    assert_eq!(store.add_signing_key(&taken, &event()).await.unwrap(), Added::AlreadyExists);
    let secret_taken = SigningKey { secrets: vec![secret(4), secret(0)], ..signing_key(2, 1) };
    assert_eq!(store.add_signing_key(&secret_taken, &event()).await.unwrap(), Added::AlreadyExists);
    world.is(expected.clone()).await;

    let added = store.add_signing_key(&signing_key(2, 1), &event()).await.unwrap();
    expected.changed().directory.signing_keys.push(signing_key(2, 1));
    assert_eq!(added, Added::Added(Revision(expected.revision)));
    world.is(expected).await;
}

pub async fn a_signing_key_is_switched_and_removed(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let (store, id) = (&world.store, signing_key(0, 0).id);
    store.enable_signing_key(&id, false, &event()).await.unwrap();
    expected.changed().directory.signing_keys[0].enabled = false;
    assert_eq!(store.enable_signing_key(&id, false, &event()).await.unwrap(), Changed::NoChange);
    assert_eq!(store.enable_signing_key(&parsed("ck_nobody"), false, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected.clone()).await;
    for until in [Some(seconds(60)), None] {
        let changed = store.diagnose_signing_key(&id, until, &event()).await.unwrap();
        expected.changed().directory.signing_keys[0].diagnose_until = until;
        assert_eq!(changed, Changed::Changed(Revision(expected.revision)));
        world.is(expected.clone()).await;
    }
    assert_eq!(store.diagnose_signing_key(&parsed("ck_nobody"), None, &event()).await.unwrap(), Changed::NotFound);
    let removed = store.remove_signing_key(&id, &event()).await.unwrap();
    expected.changed().directory.signing_keys.remove(0);
    assert_eq!(removed, Changed::Changed(Revision(expected.revision)));
    assert_eq!(store.remove_signing_key(&id, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected).await;
}

pub async fn a_second_secret_plans_the_end_of_the_first(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let one = SigningKey { secrets: vec![secret(4)], ..signing_key(2, 0) };
    world.store.add_signing_key(&one, &event()).await.unwrap();
    let mut expected = world.everything().await;
    let changed = world.store.add_secret(&one.id, &secret(5), Some(seconds(600)), &event()).await.unwrap();
    expected.changed().directory.signing_keys[2].secrets[0].ends = Some(seconds(600));
    expected.directory.signing_keys[2].secrets.push(secret(5));
    assert_eq!(changed, Changed::Changed(Revision(expected.revision)));
    assert_eq!(world.store.add_secret(&parsed("ck_nobody"), &secret(6), None, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected).await;
}

pub async fn a_third_secret_waits_for_an_end(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let id = signing_key(1, 1).id;
    assert_eq!(world.store.add_secret(&id, &secret(6), None, &event()).await.unwrap(), Changed::Stale);
    world.is(expected.clone()).await;

    // The first of the two has ended at that moment, to the millisecond.
    let ends = secret(2).ends.unwrap();
    let late = countersign_core::directory::KeySecret { created: ends, ends: None, ..secret(6) };
    world.store.add_secret(&id, &late, None, &event()).await.unwrap();
    expected.changed().directory.signing_keys[1].secrets = vec![secret(3), late];
    world.is(expected).await;
}

pub async fn the_last_secret_stays(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let (store, id) = (&world.store, signing_key(0, 0).id);
    assert_eq!(store.remove_secret(&id, &secret(2).id, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected.clone()).await;
    let removed = store.remove_secret(&id, &secret(0).id, &event()).await.unwrap();
    expected.changed().directory.signing_keys[0].secrets.remove(0);
    assert_eq!(removed, Changed::Changed(Revision(expected.revision)));
    assert_eq!(store.remove_secret(&id, &secret(1).id, &event()).await.unwrap(), Changed::Stale);
    world.is(expected).await;
}

pub async fn an_api_key_needs_its_client(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let store = &world.store;
    assert_eq!(store.add_api_key(&api_key(2, 3), &event()).await.unwrap(), Added::NotFound);
    for taken in [ApiKey { id: api_key(0, 0).id, ..api_key(2, 1) }, ApiKey { hash: api_key(0, 0).hash, ..api_key(2, 1) }] {
        assert_eq!(store.add_api_key(&taken, &event()).await.unwrap(), Added::AlreadyExists);
    }
    world.is(expected.clone()).await;
    store.add_api_key(&api_key(2, 1), &event()).await.unwrap();
    expected.changed().directory.api_keys.push(api_key(2, 1));
    store.add_api_key(&ApiKey { expires: None, ..api_key(3, 1) }, &event()).await.unwrap();
    expected.changed().directory.api_keys.push(ApiKey { expires: None, ..api_key(3, 1) });
    world.is(expected).await;
}

pub async fn an_api_key_is_switched_and_removed(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let (store, id) = (&world.store, api_key(0, 0).id);
    store.enable_api_key(&id, false, &event()).await.unwrap();
    expected.changed().directory.api_keys[0].enabled = false;
    assert_eq!(store.enable_api_key(&id, false, &event()).await.unwrap(), Changed::NoChange);
    assert_eq!(store.enable_api_key(&api_key(5, 0).id, false, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected.clone()).await;
    store.remove_api_key(&id, &event()).await.unwrap();
    expected.changed().directory.api_keys.remove(0);
    assert_eq!(store.remove_api_key(&id, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected).await;
}

pub async fn an_admin_key_is_added_switched_and_removed(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let store = &world.store;
    for taken in [AdminKey { id: admin_key(0).id, ..admin_key(2) }, AdminKey { hash: admin_key(0).hash, ..admin_key(2) }] {
        assert_eq!(store.add_admin_key(&taken, &event()).await.unwrap(), Added::AlreadyExists);
    }
    store.add_admin_key(&admin_key(2), &event()).await.unwrap();
    expected.changed().directory.admin_keys.push(admin_key(2));
    world.is(expected.clone()).await;
    store.enable_admin_key(&admin_key(1).id, false, &event()).await.unwrap();
    expected.changed().directory.admin_keys[1].enabled = false;
    assert_eq!(store.enable_admin_key(&admin_key(1).id, false, &event()).await.unwrap(), Changed::NoChange);
    assert_eq!(store.enable_admin_key(&admin_key(5).id, false, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected.clone()).await;
    store.remove_admin_key(&admin_key(0).id, &event()).await.unwrap();
    expected.changed().directory.admin_keys.remove(0);
    assert_eq!(store.remove_admin_key(&admin_key(0).id, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected).await;
}

pub async fn one_token_key_signs_at_a_time(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let store = &world.store;
    // In the middle of the second day, and at its first moment.
    for from in [seconds(86_400 + 43_200), seconds(86_400)] {
        let clash = TokenKey { signs_from: from, ..token_key(5) };
        assert_eq!(store.add_token_key(&clash, &event()).await.unwrap(), Added::AlreadyExists);
    }
    let same_id = TokenKey { id: token_key(0).id, ..token_key(5) };
    assert_eq!(store.add_token_key(&same_id, &event()).await.unwrap(), Added::AlreadyExists);
    world.is(expected.clone()).await;

    // The second key stops at the moment from which this one signs, and this one does not stop.
    let endless = TokenKey { signs_until: None, ends: None, ..token_key(2) };
    store.add_token_key(&endless, &event()).await.unwrap();
    expected.changed().token_keys.push(endless);
    assert_eq!(store.add_token_key(&token_key(6), &event()).await.unwrap(), Added::AlreadyExists);
    world.is(expected).await;
}

pub async fn of_parallel_adds_one_adds(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let adds: Vec<_> = (2..9)
        .map(|n| {
            let store = world.store.clone();
            let added = Client { name: client(2).name, ..client(n) };
            tokio::spawn(async move { (added.clone(), store.add_client(&added, &event()).await.unwrap()) })
        })
        .collect();
    let mut winners = Vec::new();
    for add in adds {
        match add.await.unwrap() {
            (client, Added::Added(_)) => winners.push(client),
            (_, outcome) => assert_eq!(outcome, Added::AlreadyExists),
        }
    }
    assert_eq!(winners.len(), 1);
    expected.changed().directory.clients.append(&mut winners);
    world.is(expected).await;
}
