//! What leaves a queue without having been handed out holds nobody up who comes behind it.

use std::time::Duration;

use maybug::model::Timestamp;
use maybug::store::{Change, Store};

use crate::place::{Place, on_every_engine};
use crate::store_support::{SOON, cancel_all, channel, contents, message, until};

on_every_engine!(
    a_queue_that_was_cancelled_while_its_channel_was_down_goes_on_with_what_comes_next,
    a_queue_that_expired_while_its_channel_was_down_goes_on_with_what_comes_next,
    a_queue_behind_an_archive_is_sent,
);

/// More than any mark of what may have been handed out runs ahead.
const MANY: usize = 1_000;

fn accept(content: &str, priority: u8) -> Change {
    Change::Accept(message(content, priority))
}

/// What is accepted now comes, and what is less urgent behind it.
async fn assert_flows(store: &Store) {
    store.commit(vec![accept("next", 2), accept("bulk", 1)]).await.unwrap();
    let mut queue = store.outbound(&channel());
    for expected in ["next", "bulk"] {
        let pulled = tokio::time::timeout(SOON, queue.pull(1)).await.expect("the queue stands still");
        assert_eq!(contents(&pulled.unwrap()), [expected]);
    }
}

async fn a_queue_that_was_cancelled_while_its_channel_was_down_goes_on_with_what_comes_next(place: Place) {
    let store = place.open().await;
    store.commit((0..MANY).map(|_| accept("cancelled", 2)).collect()).await.unwrap();
    assert_eq!(cancel_all(&store, None).await, 1_000);
    assert_flows(&store).await;
}

async fn a_queue_that_expired_while_its_channel_was_down_goes_on_with_what_comes_next(place: Place) {
    let store = place.open().await;
    let expiring = until(message("expired", 2), Duration::from_millis(50));
    let end = expiring.expires_at.unwrap();
    store.commit((0..MANY).map(|_| Change::Accept(expiring.clone())).collect()).await.unwrap();
    while Timestamp::now() < end {
        store.expiring().await;
        tokio::task::yield_now().await;
    }
    assert_flows(&store).await;
}

async fn a_queue_behind_an_archive_is_sent(place: Place) {
    let store = place.open().await;
    let archived = (0..MANY).map(|_| Change::Archive {
        message: message("archived", 2),
        events: Vec::new(),
        correlate: Vec::new(),
    });
    store.commit(archived.collect()).await.unwrap();
    assert_flows(&store).await;
}
