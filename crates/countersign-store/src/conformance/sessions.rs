//! Sessions and refresh tokens.

use std::time::Duration;

use countersign_core::directory::Sealed;
use countersign_core::id::Revision;
use countersign_core::refresh::{Judgement, RefreshToken, Session, Spent};

use super::StoreBackend;
use super::world::{LATER, NOW, World, event, hash, opened, parsed, seconds, session, token, user};
use crate::{Changed, FoundRefresh, NewSession, OpenOutcome, RotateOutcome, Rotation, UserChange};

const GRACE: Duration = Duration::from_secs(5);

/// The use of token `n`, which gives token `to`, some seconds from now.
fn rotation(n: u8, to: u8, after: u64) -> Rotation {
    Rotation {
        presented: hash(n),
        client: parsed("app"),
        session: None,
        successor: hash(to),
        successor_expires: seconds(86_400 * 2),
        answer: Sealed(vec![n, to, 0, 255]),
        now: seconds(after),
        grace: GRACE,
    }
}

fn spent(n: u8, to: u8, after: u64) -> Option<Spent> {
    Some(Spent { at: seconds(after), successor: hash(to), answer: Some(Sealed(vec![n, to, 0, 255])) })
}

fn successor(of: u8, to: u8, after: u64) -> (u8, FoundRefresh) {
    let token =
        RefreshToken { hash: hash(to), session: session(of, of).id, issued: seconds(after), expires: seconds(86_400 * 2), used: None };
    (to, FoundRefresh { token, session: session(of, of), user: Some(user(of)) })
}

pub async fn a_token_gets_one_successor(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    assert_eq!(world.store.rotate_refresh(&rotation(0, 10, 20), &event()).await.unwrap(), RotateOutcome::Rotated);
    // No change of anything that snapshots are made of, and nothing that an auditor wants to read about.
    expected.token(0).token.used = spent(0, 10, 20);
    expected.tokens.push(successor(0, 10, 20));
    world.is(expected.clone()).await;

    // Within the grace the same answer comes again, whatever successor is offered.
    for (offered, after) in [(11, 20), (12, 25)] {
        let again = world.store.rotate_refresh(&rotation(0, offered, after), &event()).await.unwrap();
        assert_eq!(again, RotateOutcome::Again(Sealed(vec![0, 10, 0, 255])));
    }
    world.is(expected).await;
}

pub async fn of_parallel_uses_one_rotates(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let uses: Vec<_> = (0..64)
        .map(|n| {
            let store = world.store.clone();
            tokio::spawn(async move { (n, store.rotate_refresh(&rotation(1, 100 + n, 20), &event()).await.unwrap()) })
        })
        .collect();
    let (mut rotated, mut again) = (Vec::new(), Vec::new());
    for used in uses {
        match used.await.unwrap() {
            (n, RotateOutcome::Rotated) => rotated.push(n),
            (_, RotateOutcome::Again(answer)) => again.push(answer),
            (_, outcome) => panic!("{outcome:?}"),
        }
    }
    assert_eq!((rotated.len(), again.len()), (1, 63));
    let winner = 100 + rotated[0];
    assert!(again.iter().all(|answer| answer.0 == [1, winner, 0, 255]), "all got the answer of the one that rotated");
    let everything = world.everything().await;
    let tokens: Vec<u8> = everything.tokens.iter().map(|(n, _)| *n).collect();
    assert_eq!(tokens, [0, 1, winner]);
}

pub async fn a_token_shown_late_ends_its_session(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    world.store.rotate_refresh(&rotation(0, 10, 20), &event()).await.unwrap();
    let mut expected = world.everything().await;
    let replayed = world.store.rotate_refresh(&rotation(0, 11, 26), &event()).await.unwrap();
    expected.changed().session_ended(&session(0, 0).id, seconds(26));
    assert_eq!(replayed, RotateOutcome::Replayed(Revision(expected.revision)));
    world.is(expected.clone()).await;

    for n in [0, 10] {
        let refused = world.store.rotate_refresh(&rotation(n, 12, 27), &event()).await.unwrap();
        assert_eq!(refused, RotateOutcome::Refused(Judgement::Ended));
    }
    world.is(expected).await;
}

pub async fn a_used_successor_ends_the_grace(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    world.store.rotate_refresh(&rotation(0, 10, 20), &event()).await.unwrap();
    assert_eq!(world.store.rotate_refresh(&rotation(10, 11, 21), &event()).await.unwrap(), RotateOutcome::Rotated);
    let mut expected = world.everything().await;
    assert_eq!(expected.token(0).token.used.as_ref().unwrap().answer, None, "it can be of no use any more");
    let replayed = world.store.rotate_refresh(&rotation(0, 12, 22), &event()).await.unwrap();
    expected.changed().session_ended(&session(0, 0).id, seconds(22));
    assert_eq!(replayed, RotateOutcome::Replayed(Revision(expected.revision)));
    world.is(expected).await;
}

pub async fn another_application_changes_nothing(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    world.store.rotate_refresh(&rotation(0, 10, 20), &event()).await.unwrap();
    let expected = world.everything().await;
    for n in [0, 10, 1] {
        let stranger = Rotation { client: parsed("other"), ..rotation(n, 12, 100) };
        let refused = world.store.rotate_refresh(&stranger, &event()).await.unwrap();
        assert_eq!(refused, RotateOutcome::Refused(Judgement::WrongClient));
    }
    world.is(expected).await;
}

pub async fn an_unknown_token_changes_nothing(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let expected = world.everything().await;
    assert_eq!(world.store.rotate_refresh(&rotation(99, 10, 20), &event()).await.unwrap(), RotateOutcome::Unknown);
    assert_eq!(world.store.find_refresh(hash(99)).await.unwrap(), None);
    let expired = world.store.rotate_refresh(&rotation(0, 10, 86_400), &event()).await.unwrap();
    assert_eq!(expired, RotateOutcome::Refused(Judgement::Expired));
    world.is(expected).await;
}

pub async fn a_token_of_another_session_is_unknown(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let expected = world.everything().await;
    let mixed = Rotation { session: Some(session(1, 1).id), ..rotation(0, 10, 20) };
    assert_eq!(world.store.rotate_refresh(&mixed, &event()).await.unwrap(), RotateOutcome::Unknown);
    world.is(expected).await;
    let named = Rotation { session: Some(session(0, 0).id), ..rotation(0, 10, 20) };
    assert_eq!(world.store.rotate_refresh(&named, &event()).await.unwrap(), RotateOutcome::Rotated);
}

pub async fn a_disabled_user_gets_no_successor(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    world.store.change_user(&user(0).id, &UserChange::Enable(false), &event()).await.unwrap();
    let expected = world.everything().await;
    let refused = world.store.rotate_refresh(&rotation(0, 10, 20), &event()).await.unwrap();
    assert_eq!(refused, RotateOutcome::Refused(Judgement::Ended));
    world.is(expected).await;
    assert_eq!(world.store.rotate_refresh(&rotation(1, 11, 20), &event()).await.unwrap(), RotateOutcome::Rotated);
}

pub async fn an_ended_session_gives_nothing(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    world.store.rotate_refresh(&rotation(0, 10, 20), &event()).await.unwrap();
    world.store.end_session(&session(0, 0).id, &event()).await.unwrap();
    let expected = world.everything().await;
    for n in [0, 10] {
        let refused = world.store.rotate_refresh(&rotation(n, 12, 21), &event()).await.unwrap();
        assert_eq!(refused, RotateOutcome::Refused(Judgement::Ended));
    }
    world.is(expected).await;
}

pub async fn a_session_is_ended_once(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let mut expected = world.everything().await;
    let ended = world.store.end_session(&session(1, 1).id, &event()).await.unwrap();
    expected.changed().session_ended(&session(1, 1).id, event().at);
    assert_eq!(ended, Changed::Changed(Revision(expected.revision)));
    assert_eq!(world.store.end_session(&session(1, 1).id, &event()).await.unwrap(), Changed::NoChange);
    assert_eq!(world.store.end_session(&session(5, 1).id, &event()).await.unwrap(), Changed::NotFound);
    world.is(expected).await;
}

pub async fn ended_sessions_are_told_while_they_matter(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let short = NewSession { session: Session { expires: seconds(60), ..session(2, 0) }, ..opened(2, 0) };
    assert!(matches!(world.store.open_session(&short, &event()).await.unwrap(), OpenOutcome::Opened(_)));
    for n in [1, 2] {
        world.store.end_session(&session(n, 1).id, &event()).await.unwrap();
    }
    let life = Duration::from_secs(900);
    let (long, brief) = (session(1, 1).id, session(2, 0).id);
    for (at, told) in [
        (NOW, vec![long.clone(), brief.clone()]),
        // The session is over, but an access token of it may live for its whole life after the end.
        (seconds(7 + 899), vec![long.clone(), brief]),
        (seconds(7 + 901), vec![long.clone()]),
        (LATER.minus(Duration::from_millis(1)), vec![long]),
        (LATER.plus(life), vec![]),
    ] {
        assert_eq!(world.store.load_ended_sessions(at, life).await.unwrap(), told, "{at}");
    }
}

pub async fn sessions_are_listed_newest_first(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    for (n, after) in [(2, 30), (3, 10), (4, 20)] {
        let new = NewSession { session: Session { opened: seconds(after), ..session(n, 0) }, ..opened(n, 0) };
        world.store.open_session(&new, &event()).await.unwrap();
    }
    world.store.end_session(&session(4, 0).id, &event()).await.unwrap();
    let listed = async |user: Option<u8>, at, limit| -> Vec<String> {
        let user = user.map(|n| super::world::user(n).id);
        let sessions = world.store.list_sessions(user.as_ref(), at, limit).await.unwrap();
        sessions.into_iter().map(|session| session.id.to_string()).collect()
    };
    let name = |n: u8| session(n, 0).id.to_string();
    assert_eq!(listed(None, NOW, 10).await, [name(2), name(3), name(0), name(1)]);
    assert_eq!(listed(Some(0), NOW, 10).await, [name(2), name(3), name(0)]);
    assert_eq!(listed(Some(0), NOW, 1).await, [name(2)]);
    assert_eq!(listed(Some(2), NOW, 10).await, Vec::<String>::new());
    assert_eq!(listed(None, LATER, 10).await, Vec::<String>::new());
}

pub async fn a_chain_survives_a_restart(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    world.store.rotate_refresh(&rotation(0, 10, 20), &event()).await.unwrap();
    let world = world.reopened(backend).await;
    let again = world.store.rotate_refresh(&rotation(0, 11, 21), &event()).await.unwrap();
    assert_eq!(again, RotateOutcome::Again(Sealed(vec![0, 10, 0, 255])));
    world.store.rotate_refresh(&rotation(10, 11, 22), &event()).await.unwrap();
    let world = world.reopened(backend).await;
    let replayed = world.store.rotate_refresh(&rotation(0, 12, 23), &event()).await.unwrap();
    assert!(matches!(replayed, RotateOutcome::Replayed(_)), "{replayed:?}");
    let world = world.reopened(backend).await;
    let refused = world.store.rotate_refresh(&rotation(11, 12, 24), &event()).await.unwrap();
    assert_eq!(refused, RotateOutcome::Refused(Judgement::Ended));
    assert_eq!(world.store.rotate_refresh(&rotation(1, 13, 24), &event()).await.unwrap(), RotateOutcome::Rotated);
}

pub async fn old_answers_are_dropped(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    world.store.rotate_refresh(&rotation(0, 10, 20), &event()).await.unwrap();
    // A minute is the longest grace there is.
    world.store.rotate_refresh(&rotation(1, 11, 81), &event()).await.unwrap();
    let found = world.store.find_refresh(hash(0)).await.unwrap().unwrap();
    assert_eq!(found.token.used, Some(Spent { answer: None, ..spent(0, 10, 20).unwrap() }));
    let kept = world.store.find_refresh(hash(1)).await.unwrap().unwrap();
    assert_eq!(kept.token.used, spent(1, 11, 81));
}

pub async fn old_sessions_are_swept(backend: &impl StoreBackend) {
    let world = World::new(backend).await;
    let (day, short) = (86_400, Session { expires: seconds(60), ..session(2, 0) });
    let brief = NewSession { session: short, token: token(2), ..opened(2, 0) };
    world.store.open_session(&brief, &event()).await.unwrap();
    // Over for less than two days: still there, for the endpoint that is shown old access tokens.
    let next = |n: u8, after: u64| NewSession {
        session: Session { opened: seconds(after), ..session(n, 0) },
        token: RefreshToken { issued: seconds(after), ..token(n) },
        ..opened(n, 0)
    };
    world.store.open_session(&next(3, day), &event()).await.unwrap();
    assert!(world.store.find_refresh(hash(2)).await.unwrap().is_some());
    world.store.open_session(&next(4, 3 * day), &event()).await.unwrap();
    assert_eq!(world.store.find_refresh(hash(2)).await.unwrap(), None);
    assert_eq!(world.store.end_session(&session(2, 0).id, &event()).await.unwrap(), Changed::NotFound);
    for n in [0, 1, 3, 4] {
        assert!(world.store.find_refresh(hash(n)).await.unwrap().is_some(), "{n}");
    }
}
