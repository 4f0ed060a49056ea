//! MTs that are to be sent at a time, or are worth nothing after one: never early, in time, and durable from the start.

use std::collections::BTreeSet;
use std::time::Duration;

use maybug::model::{ChannelProperties, JsonObject, Timestamp};
use maybug::store::{Change, Queued, Store, Tally};

use crate::place::{Place, on_every_engine};
use crate::store_support::{ack, at, channel, contents, events_of, message, ready, until, withdraw};

on_every_engine!(
    scheduled_messages_come_at_their_time_and_not_before_after_a_crash_either,
    a_time_that_has_passed_is_now_and_a_time_to_come_is_found_by_its_id,
    thousands_that_are_scheduled_for_one_instant_come_in_the_order_of_their_acceptance,
    what_was_scheduled_when_its_channel_was_deleted_stays_dead_when_the_id_is_used_again,
    what_expires_while_it_waits_is_told_once_and_handed_out_no_more,
    of_many_that_expire_at_one_instant_no_look_finds_those_of_an_earlier_one,
    what_expires_in_its_channels_hands_is_told_once_it_comes_back,
    a_message_that_would_be_tried_again_after_its_end_comes_back_at_its_end,
);

const HOUR: Duration = Duration::from_secs(3_600);

async fn scheduled_messages_come_at_their_time_and_not_before_after_a_crash_either(place: Place) {
    let store = place.open().await;
    let ms = Duration::from_millis;
    let batch = [("third", 900), ("first", 500), ("second", 700)];
    let batch = batch.map(|(content, later)| at(message(content, 1), ms(later)));
    store.commit(batch.iter().cloned().map(Change::Accept).collect()).await.unwrap();
    store.commit(vec![Change::Accept(message("now", 1))]).await.unwrap();
    let copy = place.crashed().await;
    for store in [store, copy.open().await] {
        let mut queue = store.outbound(&channel());
        assert_eq!(store.depth(&channel()).waiting, 4);
        let mut seen = Vec::new();
        while seen.len() < 4 {
            for delivery in queue.pull(10).await.unwrap() {
                assert!(delivery.message.send_at.is_none_or(|at| at <= Timestamp::now()));
                store.commit(vec![ack(&delivery, "")]).await.unwrap();
                seen.push(delivery.message.content.clone());
            }
        }
        assert_eq!(seen, ["now", "first", "second", "third"]);
        assert_eq!(store.depth(&channel()).waiting, 0);
        for sent in &batch {
            let found = store.message(&[channel()], sent.id).await.unwrap().unwrap();
            assert_eq!((&found.message, store.events(&found).await.unwrap().len()), (sent, 1));
        }
    }
}

async fn a_time_that_has_passed_is_now_and_a_time_to_come_is_found_by_its_id(place: Place) {
    let store = place.open().await;
    let mut past = at(message("past", 1), Duration::ZERO);
    std::sync::Arc::make_mut(&mut past).send_at = Some(Timestamp(1));
    let later = at(message("later", 1), HOUR);
    store.commit(vec![Change::Accept(later.clone()), Change::Accept(past)]).await.unwrap();
    assert_eq!(contents(&ready(&store, 9).await), ["past"]);
    let found = store.message(&[channel()], later.id).await.unwrap().unwrap();
    assert_eq!((found.message.clone(), store.events(&found).await.unwrap()), (later, Vec::new()));
    let length = store.queue_length(&channel());
    assert_eq!((length.scheduled, length.by_priority), (1, [1, 0, 0, 0, 0]));
}

async fn thousands_that_are_scheduled_for_one_instant_come_in_the_order_of_their_acceptance(place: Place) {
    let store = place.open_with(|config| config.sync = false).await;
    let total = 5_000;
    let instant = Timestamp::now().plus(Duration::from_secs(2));
    for block in 0..total / 500 {
        let message = |n: u64| {
            let mut message = message(&(block * 500 + n).to_string(), 1 + u8::try_from(n % 2).unwrap());
            std::sync::Arc::make_mut(&mut message).send_at = Some(instant);
            Change::Accept(message)
        };
        store.commit((0..500).map(message).collect()).await.unwrap();
    }
    let mut queue = store.outbound(&channel());
    let mut next = [0, 1];
    while next.iter().any(|next| *next < total) {
        let pulled = queue.pull(700).await.unwrap();
        assert!(Timestamp::now() >= instant);
        for delivery in &pulled {
            let number: u64 = delivery.message.content.parse().unwrap();
            let place = usize::try_from(number % 2).unwrap();
            assert_eq!(number, next[place]);
            next[place] += 2;
        }
        store.commit(pulled.iter().map(|delivery| ack(delivery, "")).collect()).await.unwrap();
    }
    assert_eq!(store.depth(&channel()).waiting, 0);
}

async fn what_was_scheduled_when_its_channel_was_deleted_stays_dead_when_the_id_is_used_again(place: Place) {
    let store = place.open().await;
    let properties = || Change::SaveChannel(ChannelProperties { id: channel(), properties: JsonObject::new() });
    let soon = at(message("dead", 1), Duration::from_millis(300));
    store.commit(vec![properties(), Change::Accept(soon)]).await.unwrap();
    store.commit(vec![Change::DeleteChannel(channel())]).await.unwrap();
    assert_eq!(store.depth(&channel()).waiting, 0);
    let copy = place.crashed().await;
    for store in [store, copy.open().await] {
        let alive = at(message("alive", 1), Duration::from_millis(400));
        store.commit(vec![properties(), Change::Accept(alive)]).await.unwrap();
        assert_eq!(contents(&store.outbound(&channel()).pull(9).await.unwrap()), ["alive"]);
        assert_eq!(store.depth(&channel()).waiting, 1);
    }
}

/// The next that expire.
async fn found_expired(store: &Store) -> Vec<Queued> {
    loop {
        store.expiring().await;
        let found = store.expired(Timestamp::now()).await.unwrap();
        if !found.is_empty() {
            return found;
        }
        store.commit(Vec::new()).await.unwrap();
    }
}

async fn what_expires_while_it_waits_is_told_once_and_handed_out_no_more(place: Place) {
    let store = place.open().await;
    let soon = Duration::from_millis(400);
    let scheduled = until(at(message("scheduled", 1), Duration::from_millis(200)), soon);
    let batch = [until(message("late", 1), soon), scheduled, until(message("early", 1), HOUR), message("never", 1)];
    let ids = batch.clone().map(|message| message.id);
    store.commit(batch.into_iter().map(Change::Accept).collect()).await.unwrap();
    let copy = place.crashed().await;
    for store in [store, copy.open().await] {
        let mut expired = Vec::new();
        while expired.len() < 2 {
            let found = found_expired(&store).await;
            expired.extend(found.iter().map(|queued| queued.message.content.clone()));
            // Before that is written, too: the earlier one is among the first.
            assert!(!contents(&store.outbound(&channel()).try_pull(9).unwrap()).contains(&"late"));
            let tally = Tally::default();
            let count = u64::try_from(found.len()).unwrap();
            store.commit(found.into_iter().map(|queued| withdraw(queued, &tally)).collect()).await.unwrap();
            assert_eq!(tally.total(), count);
        }
        expired.sort();
        assert_eq!(expired, ["late", "scheduled"]);
        assert!(store.expired(Timestamp::now()).await.unwrap().is_empty());
        assert_eq!(contents(&ready(&store, 9).await), ["early", "never"]);
        for (id, events) in ids.iter().zip([1, 1, 0, 0]) {
            assert_eq!(events_of(&store, *id).await, events);
        }
    }
}

async fn of_many_that_expire_at_one_instant_no_look_finds_those_of_an_earlier_one(place: Place) {
    let store = place.open().await;
    let total = 1_200;
    let expiring = until(message("late", 1), Duration::ZERO);
    let batch = (0..total).map(|n: u32| {
        let mut message = maybug::model::Outbound::clone(&expiring);
        (message.id, message.content) = (maybug::model::MessageId::mint(), n.to_string());
        Change::Accept(std::sync::Arc::new(message))
    });
    store.commit(batch.collect()).await.unwrap();
    let mut seen = BTreeSet::new();
    loop {
        let found = store.expired(Timestamp::now()).await.unwrap();
        if found.is_empty() {
            break;
        }
        // None of them has been withdrawn.
        for queued in found {
            assert!(seen.insert(queued.message.content.clone()), "{} was found twice", queued.message.content);
        }
    }
    assert_eq!(seen.len(), 1_200);
    // What is noted behind that for an earlier instant is found all the same.
    let mut earlier = message("earlier", 1);
    std::sync::Arc::make_mut(&mut earlier).expires_at = Some(Timestamp(1));
    store.commit(vec![Change::Accept(earlier)]).await.unwrap();
    assert_eq!(store.expired(Timestamp::now()).await.unwrap()[0].message.content, "earlier");
}

async fn what_expires_in_its_channels_hands_is_told_once_it_comes_back(place: Place) {
    let store = place.open().await;
    store.commit(vec![Change::Accept(until(message("late", 1), Duration::from_millis(100)))]).await.unwrap();
    let mut queue = store.outbound(&channel());
    assert_eq!(contents(&queue.pull(1).await.unwrap()), ["late"]);
    let end = Timestamp::now().plus(Duration::from_millis(100));
    while Timestamp::now() < end {
        store.expiring().await;
        assert!(store.expired(Timestamp::now()).await.unwrap().is_empty(), "it is in hand");
    }
    store.commit(Vec::new()).await.unwrap();
    drop(queue);
    assert_eq!(found_expired(&store).await[0].message.content, "late");
}

async fn a_message_that_would_be_tried_again_after_its_end_comes_back_at_its_end(place: Place) {
    let store = place.open().await;
    store.commit(vec![Change::Accept(until(message("late", 1), Duration::from_millis(300)))]).await.unwrap();
    let mut queue = store.outbound(&channel());
    let pulled = queue.pull(1).await.unwrap();
    let retry = Change::Retry { ticket: pulled[0].ticket, at: Timestamp::now().plus(HOUR) };
    store.commit(vec![retry]).await.unwrap();
    assert_eq!(found_expired(&store).await.len(), 1);
}
