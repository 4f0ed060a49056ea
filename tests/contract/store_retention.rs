//! What goes when it is old, and what never goes while it waits.

use std::sync::Arc;
use std::time::Duration;

use maybug::model::{Inbound, MessageId, Timestamp};
use maybug::store::{Change, Store};

use crate::place::{Place, on_every_engine};
use crate::store_support::{SOON, ack, channel, contents, inbound, message, ready};

on_every_engine!(
    old_messages_go_with_their_events_and_those_that_wait_stay,
    old_messages_from_phones_and_old_parked_callbacks_go_too,
    what_is_old_goes_as_fast_as_it_comes,
    of_imported_messages_from_phones_the_old_go_and_the_young_stay,
    a_callback_that_waits_is_kept_beyond_its_retention,
);

async fn forgetful(place: &Place) -> Store {
    place.open_with(|config| config.retention = Duration::ZERO).await
}

/// Waits until something holds; the store works at its own pace.
async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, waited).await.unwrap_or_else(|_| panic!("never {what}"));
}

async fn old_messages_go_with_their_events_and_those_that_wait_stay(place: Place) {
    let store = forgetful(&place).await;
    let messages: Vec<_> = (0..3).map(|n| message(&n.to_string(), 1)).collect();
    store.commit(messages.iter().cloned().map(Change::Accept).collect()).await.unwrap();
    let mut queue = store.outbound(&channel());
    let pulled = queue.pull(2).await.unwrap();
    let done = store.message(&[channel()], pulled[0].message.id).await.unwrap().unwrap();
    store.commit(pulled.iter().map(|delivery| ack(delivery, "")).collect()).await.unwrap();
    let gone = async |id: MessageId| store.message(&[channel()], id).await.unwrap().is_none();
    until("forgotten", async || gone(messages[0].id).await && gone(messages[1].id).await).await;
    assert!(store.events(&done).await.unwrap().is_empty());
    assert!(!gone(messages[2].id).await);
    drop((queue, store));
    let store = place.open().await;
    assert_eq!(store.depth(&channel()).waiting, 1);
    assert_eq!(contents(&store.outbound(&channel()).pull(5).await.unwrap()), ["2"]);
}

async fn old_messages_from_phones_and_old_parked_callbacks_go_too(place: Place) {
    let store = forgetful(&place).await;
    let Change::Receive { message, callbacks, joined_from } = inbound("x", "http://a/") else { unreachable!() };
    let id = message.id;
    store.commit(vec![Change::Receive { message, callbacks, joined_from }]).await.unwrap();
    let mut queue = store.callback_lanes().unwrap().next().await.unwrap();
    let ticket = queue.pull(1).await.unwrap()[0].ticket;
    store.commit(vec![Change::CallbackParked { ticket, reason: "too old".into() }]).await.unwrap();
    until("forgotten", async || store.inbound(&channel(), id).await.unwrap().is_none()).await;
    until("forgotten", async || store.parked_callbacks(None, 1).await.unwrap().found.is_empty()).await;
}

/// Whatever a message leaves behind: what goes slower than it comes fills up what there is.
async fn what_is_old_goes_as_fast_as_it_comes(place: Place) {
    const MANY: usize = 5_000;
    let store = forgetful(&place).await;
    let messages: Vec<_> = (0..MANY).map(|number| message(&number.to_string(), 1)).collect();
    let last = messages[MANY - 1].id;
    store.commit(messages.into_iter().map(Change::Accept).collect()).await.unwrap();
    let sent = ready(&store, MANY).await;
    let results = sent.iter().enumerate().map(|(number, delivery)| ack(delivery, &format!("id-{number}")));
    store.commit(results.collect()).await.unwrap();
    let received = (0..MANY).map(|_| match inbound("x", "") {
        Change::Receive { message, joined_from, .. } => Change::Receive { message, callbacks: Vec::new(), joined_from },
        other => other,
    });
    store.commit(received.collect()).await.unwrap();
    until("forgotten", async || store.message(&[channel()], last).await.unwrap().is_none()).await;
    match &place {
        Place::Redis(keys) => until("forgotten, with its ids", async || keys.rows().await < 100).await,
        Place::Directory(_) => {}
    }
}

async fn of_imported_messages_from_phones_the_old_go_and_the_young_stay(place: Place) {
    let store = place.open_with(|config| config.retention = Duration::from_secs(3_600)).await;
    let mut imported = Vec::new();
    for (minutes_ago, number) in [(70, 9), (50, 8), (65, 7), (61, 0), (1, 1)] {
        let Change::Receive { message, joined_from, .. } = inbound("x", "http://a/") else { unreachable!() };
        let id = MessageId(uuid::Uuid::from_u128(number));
        let received_at = Timestamp(Timestamp::now().0 - minutes_ago * 60_000_000);
        let message = Arc::new(Inbound { id, received_at, ..Inbound::clone(&message) });
        store.commit(vec![Change::Receive { message, callbacks: Vec::new(), joined_from }]).await.unwrap();
        imported.push((id, minutes_ago > 60));
    }
    let are_gone = async || {
        let mut gone = Vec::new();
        for (id, _) in &imported {
            gone.push(store.inbound(&channel(), *id).await.unwrap().is_none());
        }
        gone
    };
    let old: Vec<_> = imported.iter().map(|(_, old)| *old).collect();
    until("forgotten", async || are_gone().await.iter().zip(&old).all(|(gone, old)| *gone || !old)).await;
    assert_eq!(are_gone().await, old);
}

async fn a_callback_that_waits_is_kept_beyond_its_retention(place: Place) {
    let store = forgetful(&place).await;
    store.commit(vec![inbound("slow", "http://a/"), inbound("done", "http://a/")]).await.unwrap();
    let mut queue = store.callback_lanes().unwrap().next().await.unwrap();
    let owed = queue.pull(2).await.unwrap();
    let at = Timestamp::now().plus(Duration::from_secs(3_600));
    let done = Change::CallbackDone(owed[1].ticket);
    store.commit(vec![Change::CallbackRetry { ticket: owed[0].ticket, at }, done]).await.unwrap();
    let mark = message("mark", 1);
    store.commit(vec![Change::Accept(mark.clone())]).await.unwrap();
    let pulled = store.outbound(&channel()).pull(1).await.unwrap();
    store.commit(vec![ack(&pulled[0], "")]).await.unwrap();
    until("forgotten", async || store.message(&[channel()], mark.id).await.unwrap().is_none()).await;
    assert!(!queue.is_drained(), "it still waits for its time");
}
