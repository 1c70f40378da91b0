//! Counting attempts and opening sessions.

use std::time::Duration;

use countersign_core::directory::PasswordHash;
use countersign_core::id::Revision;
use countersign_core::network::Network;
use countersign_core::now::UnixMillis;

use super::StoreBackend;
use super::world::{NOW, World, event, network, opened, parsed, seconds, session, token, user};
use crate::{FoundRefresh, LoginReservation, NewSession, OpenOutcome, UserChange};

/// Tries at one moment until it has to wait: how many attempts were let in, and until when to wait.
async fn knock(world: &World, name: &str, from: Network, now: UnixMillis) -> (u32, UnixMillis) {
    for let_in in 0..1000 {
        if let LoginReservation::Wait(until) = world.store.reserve_login(&parsed(name), from, now).await.unwrap() {
            return (let_in, until);
        }
    }
    panic!("never told to wait");
}

/// A network from which nobody succeeded.
fn elsewhere(n: u8) -> Network {
    parsed(&format!("203.0.113.{n}/32"))
}

/// A time when what the world counted is forgotten.
fn fresh() -> UnixMillis {
    seconds(3 * 86_400)
}

pub async fn an_attempt_is_counted_for_those_it_concerns(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let expected = world.everything().await;
    // Five are free for one account from one network.
    let (let_in, until) = knock(&world, "ann", elsewhere(1), fresh()).await;
    assert_eq!((let_in, until), (5, fresh().plus(Duration::from_secs(1))));
    // Another account from there, and the same account from elsewhere, are others' business.
    assert_eq!(knock(&world, "bob", elsewhere(1), fresh()).await.0, 5);
    // Ten are free for the account from networks it never came from; five were used.
    assert_eq!(knock(&world, "ann", elsewhere(2), fresh()).await.0, 5);
    assert_eq!(knock(&world, "ann", elsewhere(3), fresh()).await, (0, fresh().plus(Duration::from_secs(5))));
    world.is(expected).await;
}

pub async fn an_unknown_user_is_counted_like_a_known_one(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    assert_eq!(world.store.reserve_login(&parsed("nobody"), elsewhere(1), fresh()).await.unwrap(), LoginReservation::Reserved(None));
    assert_eq!(world.store.reserve_login(&parsed("ann"), elsewhere(2), fresh()).await.unwrap(), LoginReservation::Reserved(Some(user(0))));
    let absent = knock(&world, "nobody", elsewhere(1), fresh()).await;
    let present = knock(&world, "ann", elsewhere(2), fresh()).await;
    assert_eq!(absent, present);
    // From one network with ever new names: fifty are free.
    let mut let_in = 0;
    for n in 0..100 {
        let name = format!("guess {n}");
        let reserved = world.store.reserve_login(&parsed(&name), elsewhere(9), fresh()).await.unwrap();
        let_in += u32::from(reserved == LoginReservation::Reserved(None));
    }
    assert_eq!(let_in, 50);
}

pub async fn parallel_attempts_are_counted_exactly(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let attempts: Vec<_> = (0..64)
        .map(|_| {
            let store = world.store.clone();
            tokio::spawn(async move { store.reserve_login(&parsed("ann"), elsewhere(1), fresh()).await.unwrap() })
        })
        .collect();
    let mut let_in = 0;
    for attempt in attempts {
        let_in += u32::from(matches!(attempt.await.unwrap(), LoginReservation::Reserved(_)));
    }
    assert_eq!(let_in, 5);
}

pub async fn an_attempt_that_waits_is_not_counted(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let (_, until) = knock(&world, "ann", elsewhere(1), fresh()).await;
    for _ in 0..20 {
        let wait = world.store.reserve_login(&parsed("ann"), elsewhere(1), fresh()).await.unwrap();
        assert_eq!(wait, LoginReservation::Wait(until));
    }
    let world = world.reopened(backend).await;
    // In no lane: the network has as many left as it had, and the account too.
    assert!(matches!(world.store.reserve_login(&parsed("ann"), elsewhere(1), until).await.unwrap(), LoginReservation::Reserved(_)));
    assert_eq!(knock(&world, "ann", elsewhere(2), until).await.0, 4);
    for account in ["bob", "c", "d", "e", "f", "g", "h", "i", "j"] {
        let left = knock(&world, account, elsewhere(1), until).await.0;
        assert_eq!(left, if account == "j" { 4 } else { 5 }, "{account}");
    }
}

pub async fn a_success_clears_the_way(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    for _ in 0..4 {
        world.store.reserve_login(&user(0).username, elsewhere(1), NOW).await.unwrap();
    }
    let mut expected = world.everything().await;
    let new = NewSession { network: elsewhere(1), ..opened(2, 0) };
    let outcome = world.store.open_session(&new, &event()).await.unwrap();
    // Told of, but nothing that snapshots are made of has changed.
    assert_eq!(outcome, OpenOutcome::Opened(Revision(expected.revision)));
    expected.audited += 1;
    expected.sessions.push(session(2, 0));
    expected.sessions.sort_by(|a, b| a.id.cmp(&b.id));
    expected.tokens.push((2, FoundRefresh { token: token(2), session: session(2, 0), user: Some(user(0)) }));
    world.is(expected).await;
    // The account's counter for this network begins anew, and the account is known there.
    assert_eq!(knock(&world, "ann", elsewhere(1), NOW).await.0, 5);
    // Of the four attempts from a strange network, one was given back: seven of ten are left, five from one network.
    assert_eq!(knock(&world, "ann", elsewhere(2), NOW).await.0, 5);
    assert_eq!(knock(&world, "ann", elsewhere(3), NOW).await.0, 2);
}

pub async fn a_known_network_is_not_kept_out_by_strangers(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    for n in 1..5 {
        knock(&world, "ann", elsewhere(n), fresh()).await;
    }
    assert_eq!(knock(&world, "ann", elsewhere(9), fresh()).await.0, 0, "the account's own lane is full");
    assert_eq!(knock(&world, "ann", network(0), fresh()).await.0, 5, "its owner gets in");
    // It is known to this account and to no other.
    for n in 10..15 {
        knock(&world, "bob", elsewhere(n), fresh()).await;
    }
    assert_eq!(knock(&world, "bob", network(0), fresh()).await.0, 0);
    // A known network stays known when its user changes the password.
    let change = UserChange::Password(PasswordHash("$argon2id$new".into()));
    world.store.change_user(&user(1).id, &change, &event()).await.unwrap();
    assert_eq!(knock(&world, "bob", network(1), fresh()).await.0, 5);
}

pub async fn a_session_needs_the_user_that_was_verified(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    world.store.change_user(&user(1).id, &UserChange::Enable(false), &event()).await.unwrap();
    let expected = world.everything().await;
    let old_password = NewSession { password: user(1).password, ..opened(2, 0) };
    for refused in [old_password, opened(2, 1), opened(2, 3)] {
        assert_eq!(world.store.open_session(&refused, &event()).await.unwrap(), OpenOutcome::UserChanged);
    }
    world.is(expected).await;
}

pub async fn a_better_hash_replaces_the_old_one(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let better = PasswordHash("$argon2id$v=19$m=65536,t=3,p=1$salt$better".into());
    let new = NewSession { rehashed: Some(better.clone()), ..opened(2, 0) };
    world.store.open_session(&new, &event()).await.unwrap();
    expected.audited += 1;
    expected.users[0].password = better;
    expected.token(0).user = Some(expected.users[0].clone());
    expected.sessions.insert(1, session(2, 0));
    expected.sessions.sort_by(|a, b| a.id.cmp(&b.id));
    expected.tokens.push((2, FoundRefresh { token: token(2), session: session(2, 0), user: Some(expected.users[0].clone()) }));
    world.is(expected).await;
}
