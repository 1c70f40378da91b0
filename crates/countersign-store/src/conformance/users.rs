//! Users.

use super::StoreBackend;
use super::world::{World, event, hash, parsed, session, user};
use crate::{Added, Changed, FoundRefresh, UserChange};
use countersign_core::directory::PasswordHash;
use countersign_core::id::Revision;

pub async fn a_user_is_added_once(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let added = world.store.add_user(&user(2), &event()).await.unwrap();
    expected.changed().users.push(user(2));
    assert_eq!(added, Added::Added(Revision(expected.revision)));
    world.is(expected.clone()).await;

    let same_name = countersign_core::directory::User { username: user(0).username, ..user(3) };
    let same_id = countersign_core::directory::User { id: user(0).id, ..user(3) };
    for taken in [user(2), same_name, same_id] {
        assert_eq!(world.store.add_user(&taken, &event()).await.unwrap(), Added::AlreadyExists);
    }
    world.is(expected).await;
}

pub async fn users_are_found_and_listed_by_name(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    world.store.add_user(&user(3), &event()).await.unwrap();
    world.store.add_user(&user(2), &event()).await.unwrap();
    for n in 0..4 {
        assert_eq!(world.store.find_user(&user(n).username).await.unwrap(), Some(user(n)));
    }
    assert_eq!(world.store.find_user(&parsed("nobody")).await.unwrap(), None);
    assert_eq!(world.store.list_users(None, 3).await.unwrap(), [user(0), user(1), user(2)]);
    assert_eq!(world.store.list_users(Some(&user(1).username), 10).await.unwrap(), [user(2), user(3)]);
    assert_eq!(world.store.list_users(Some(&parsed("azalea")), 1).await.unwrap(), [user(1)]);
    assert_eq!(world.store.list_users(Some(&user(3).username), 10).await.unwrap(), []);
}

pub async fn disabling_a_user_ends_the_sessions(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let changed = world.store.change_user(&user(0).id, &UserChange::Enable(false), &event()).await.unwrap();
    expected.changed().users[0].enabled = false;
    expected.session_ended(&session(0, 0).id, event().at);
    expected.token(0).user = None;
    assert_eq!(changed, Changed::Changed(Revision(expected.revision)));
    world.is(expected.clone()).await;

    assert_eq!(world.store.change_user(&user(0).id, &UserChange::Enable(false), &event()).await.unwrap(), Changed::NoChange);
    assert_eq!(world.store.change_user(&user(3).id, &UserChange::Enable(false), &event()).await.unwrap(), Changed::NotFound);
    world.is(expected.clone()).await;

    // Enabled again, the user logs in anew: what was ended stays ended.
    world.store.change_user(&user(0).id, &UserChange::Enable(true), &event()).await.unwrap();
    expected.changed().users[0].enabled = true;
    expected.token(0).user = Some(user(0));
    world.is(expected).await;
}

pub async fn a_new_password_ends_the_sessions(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let new = PasswordHash("$argon2id$v=19$m=19456,t=2,p=1$other$new".into());
    let changed = world.store.change_user(&user(1).id, &UserChange::Password(new.clone()), &event()).await.unwrap();
    expected.changed().users[1].password = new.clone();
    expected.session_ended(&session(1, 1).id, event().at);
    expected.token(1).user.as_mut().unwrap().password = new;
    assert_eq!(changed, Changed::Changed(Revision(expected.revision)));
    world.is(expected).await;
}

pub async fn other_scopes_leave_sessions_open(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let change = UserChange::Scopes(parsed("read write"));
    world.store.change_user(&user(1).id, &change, &event()).await.unwrap();
    expected.changed().users[1].scopes = parsed("read write");
    expected.token(1).user.as_mut().unwrap().scopes = parsed("read write");
    world.is(expected.clone()).await;
    assert_eq!(world.store.change_user(&user(1).id, &change, &event()).await.unwrap(), Changed::NoChange);
    world.is(expected).await;
}

pub async fn a_removed_user_leaves_sessions_ended_and_entries_disabled(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let changed = world.store.remove_user(&user(0).id, &event()).await.unwrap();
    expected.changed().users.remove(0);
    expected.session_ended(&session(0, 0).id, event().at);
    expected.token(0).user = None;
    // Both entries of the first list are bound to this user.
    expected.lists[0].version += 1;
    for entry in &mut expected.lists[0].entries {
        entry.enabled = false;
        entry.version += 1;
    }
    assert_eq!(changed, Changed::Changed(Revision(expected.revision)));
    world.is(expected.clone()).await;
    assert_eq!(world.store.remove_user(&user(0).id, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected).await;
}

pub async fn everything_survives_a_restart(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let expected = world.everything().await;
    assert_eq!(expected.users.len(), 2);
    let found = world.store.find_refresh(hash(1)).await.unwrap();
    assert!(matches!(found, Some(FoundRefresh { user: Some(_), .. })));
    let world = world.reopened(backend).await;
    world.is(expected).await;
}
