//! The store's port: durability, order, retries, look-ups, callbacks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use maybug::model::{ChannelProperties, Event, EventKind, JsonObject, MessageId, SmscMessageId, Timestamp};
use maybug::store::{Change, Delivery};

use crate::place::{Place, on_every_engine};
use crate::store_support::{ack, channel, contents, inbound, message, ready, ready_of};

on_every_engine!(
    what_was_committed_survives_a_crash_and_what_was_decided_stays_decided,
    what_another_server_sent_is_known_and_never_handed_out,
    an_id_that_is_too_long_for_a_key_is_found_by_nobody_and_harms_nothing,
    a_store_that_was_closed_in_order_suspects_nothing,
    higher_priorities_overtake_and_equals_keep_their_order,
    a_long_queue_waits_on_disk_and_comes_out_in_order,
    near_retries_wait_for_their_time_and_far_ones_survive_a_crash,
    dropping_a_queue_puts_back_what_it_held,
    callbacks_come_by_receiver_in_order_until_they_are_done_or_parked,
    a_deleted_channel_hands_out_nothing_and_its_messages_can_still_be_read,
    what_is_archived_is_final_from_the_moment_it_can_be_seen,
);

async fn what_was_committed_survives_a_crash_and_what_was_decided_stays_decided(place: Place) {
    let store = place.open().await;
    let batch = (0..5).map(|n| Change::Accept(message(&n.to_string(), 1))).collect();
    store.commit(batch).await.unwrap();
    let mut queue = store.outbound(&channel());
    let pulled = queue.pull(3).await.unwrap();
    assert_eq!(contents(&pulled), ["0", "1", "2"]);
    store.commit(vec![ack(&pulled[1], "ab12")]).await.unwrap();

    let copy = place.crashed().await;
    let revived = copy.open().await;
    assert_eq!(revived.depth(&channel()).waiting, 4);
    let mut queue = revived.outbound(&channel());
    let again = queue.pull(10).await.unwrap();
    assert_eq!(contents(&again), ["0", "2", "3", "4"]);
    assert!(again[0].possible_duplicate, "it had been handed out before the crash");
    let found = revived
        .correlate(&channel(), &[SmscMessageId("x".into()), SmscMessageId("ab12".into())])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.message.content, "1");
    assert_eq!(revived.events(&found).await.unwrap().len(), 1);
    assert_eq!(revived.message(&[channel()], found.message.id).await.unwrap().unwrap().message, found.message);
}

async fn what_another_server_sent_is_known_and_never_handed_out(place: Place) {
    let store = place.open().await;
    let sent = message("sent elsewhere", 1);
    let event = Event {
        id: MessageId::mint(),
        message: sent.id,
        channel: channel(),
        at: Timestamp::now(),
        kind: EventKind::Ack { sent_message_id: "x1,x2".to_owned() },
        details: JsonObject::new(),
    };
    let archive = || Change::Archive {
        message: sent.clone(),
        events: vec![event.clone()],
        correlate: ["x1", "x2"].map(|id| SmscMessageId(id.to_owned())).into(),
    };
    // One alone, one between messages that wait, and one whose queue somebody reads.
    store.commit(vec![archive()]).await.unwrap();
    assert_eq!(store.depth(&channel()).waiting, 0);
    store.commit(vec![Change::Accept(message("a", 1)), archive(), Change::Accept(message("b", 1))]).await.unwrap();
    let mut queue = store.outbound(&channel());
    assert_eq!(contents(&ready_of(&store, &mut queue, 10).await), ["a", "b"]);
    store.commit(vec![archive(), Change::Accept(message("c", 1))]).await.unwrap();
    assert_eq!(contents(&ready_of(&store, &mut queue, 10).await), ["c"]);

    let copy = place.crashed().await;
    for store in [store, copy.open().await] {
        assert_eq!(store.depth(&channel()).waiting, 3);
        let found = store.correlate(&channel(), &[SmscMessageId("x2".to_owned())]).await.unwrap().unwrap();
        assert_eq!((found.message.id, found.segments), (sent.id, 2));
        assert_eq!(store.events(&found).await.unwrap(), std::slice::from_ref(&event));
        assert_eq!(contents(&ready(&store, 10).await), ["a", "b", "c"]);
    }
}

async fn an_id_that_is_too_long_for_a_key_is_found_by_nobody_and_harms_nothing(place: Place) {
    let store = place.open().await;
    let id = "x".repeat(70_000);
    assert!(store.correlate(&channel(), &[SmscMessageId(id.clone())]).await.unwrap().is_none());
    store.commit(vec![Change::Accept(message("a", 1))]).await.unwrap();
    let pulled = store.outbound(&channel()).pull(1).await.unwrap();
    store.commit(vec![ack(&pulled[0], &id)]).await.unwrap();
    let candidates = [SmscMessageId(id), SmscMessageId("other".to_owned())];
    assert!(store.correlate(&channel(), &candidates).await.unwrap().is_none());
    let stored = store.message(&[channel()], pulled[0].message.id).await.unwrap().unwrap();
    assert_eq!(store.events(&stored).await.unwrap().len(), 1);
}

async fn a_store_that_was_closed_in_order_suspects_nothing(place: Place) {
    let store = place.open().await;
    store.commit(vec![Change::Accept(message("a", 1))]).await.unwrap();
    let mut queue = store.outbound(&channel());
    queue.pull(1).await.unwrap();
    drop(queue);
    store.close().await;
    let store = place.open().await;
    let pulled = store.outbound(&channel()).pull(1).await.unwrap();
    assert_eq!((contents(&pulled), pulled[0].possible_duplicate), (vec!["a"], false));
}

async fn higher_priorities_overtake_and_equals_keep_their_order(place: Place) {
    let store = place.open().await;
    for (content, priority) in [("bulk1", 1), ("now1", 5), ("bulk2", 1), ("mid", 3), ("now2", 5)] {
        store.commit(vec![Change::Accept(message(content, priority))]).await.unwrap();
    }
    let pulled = store.outbound(&channel()).pull(10).await.unwrap();
    assert_eq!(contents(&pulled), ["now1", "now2", "mid", "bulk1", "bulk2"]);
}

async fn a_long_queue_waits_on_disk_and_comes_out_in_order(place: Place) {
    let store = place.open_with(|config| config.sync = false).await;
    let total = 20_000;
    for block in 0..total / 500 {
        let batch = (0..500).map(|n| Change::Accept(message(&(block * 500 + n).to_string(), 1))).collect();
        store.commit(batch).await.unwrap();
    }
    assert_eq!(store.depth(&channel()).waiting, total);
    let mut queue = store.outbound(&channel());
    let mut expected = 0_u64;
    while expected < total {
        let pulled = queue.pull(700).await.unwrap();
        let mut batch = Vec::new();
        for delivery in &pulled {
            assert_eq!(delivery.message.content, expected.to_string());
            expected += 1;
            batch.push(ack(delivery, ""));
        }
        store.commit(batch).await.unwrap();
    }
    assert_eq!(store.depth(&channel()).waiting, 0);
    assert!(ready_of(&store, &mut queue, 1).await.is_empty());
}

async fn near_retries_wait_for_their_time_and_far_ones_survive_a_crash(place: Place) {
    let store = place.open().await;
    let batch = ["near", "far", "other"].map(|content| Change::Accept(message(content, 1)));
    store.commit(batch.into()).await.unwrap();
    let mut queue = store.outbound(&channel());
    let pulled = queue.pull(2).await.unwrap();
    let (near, far) = (Duration::from_millis(300), Duration::from_secs(61));
    let retry =
        |delivery: &Delivery, after| Change::Retry { ticket: delivery.ticket, at: Timestamp::now().plus(after) };
    store.commit(vec![retry(&pulled[0], near), retry(&pulled[1], far)]).await.unwrap();
    assert_eq!(store.depth(&channel()).waiting, 3);
    assert_eq!(contents(&ready_of(&store, &mut queue, 5).await), ["other"]);
    assert_eq!(contents(&queue.pull(5).await.unwrap()), ["near"]);

    let copy = place.crashed().await;
    let revived = copy.open().await;
    assert_eq!(revived.depth(&channel()).waiting, 3);
    let live = ready(&revived, 5).await;
    assert_eq!(contents(&live), ["near", "other"], "the far one still waits for its time");
}

async fn dropping_a_queue_puts_back_what_it_held(place: Place) {
    let store = place.open().await;
    store.commit(["a", "b", "c"].map(|content| Change::Accept(message(content, 1))).into()).await.unwrap();
    let mut queue = store.outbound(&channel());
    assert_eq!(contents(&queue.pull(2).await.unwrap()), ["a", "b"]);
    drop(queue);
    assert_eq!(contents(&store.outbound(&channel()).pull(3).await.unwrap()), ["a", "b", "c"]);
}

async fn callbacks_come_by_receiver_in_order_until_they_are_done_or_parked(place: Place) {
    let store = place.open().await;
    let mut lanes = store.callback_lanes().unwrap();
    assert!(store.callback_lanes().is_none());
    store.commit(vec![inbound("one", "http://u:p@a:1/x"), inbound("two", "http://a:1/y")]).await.unwrap();
    let mut queue = lanes.next().await.unwrap();
    assert_eq!(queue.lane(), "event/a:1/c1");
    let owed = queue.pull(5).await.unwrap();
    let bodies: Vec<_> = owed.iter().map(|delivery| delivery.callback.body.get()).collect();
    assert_eq!(bodies, ["\"one\"", "\"two\""]);
    let retry = Change::CallbackRetry { ticket: owed[0].ticket, at: Timestamp::now() };
    let parked = Change::CallbackParked { ticket: owed[1].ticket, reason: "too old".into() };
    store.commit(vec![retry, parked]).await.unwrap();
    let again = queue.pull(5).await.unwrap();
    assert_eq!((again.len(), again[0].attempts), (1, 1));
    let kept = store.parked_callbacks(None, 10).await.unwrap().found;
    assert_eq!((kept[0].1.body.get(), kept[0].2.as_str()), ("\"two\"", "too old"));

    let copy = place.crashed().await;
    let revived = copy.open().await;
    let mut lanes_after = revived.callback_lanes().unwrap();
    let owed_after = lanes_after.next().await.unwrap().pull(5).await.unwrap();
    assert_eq!(owed_after.len(), 1);

    store.commit(vec![Change::CallbackDone(again[0].ticket)]).await.unwrap();
    assert!(queue.is_drained());
    drop(queue);
    store.commit(vec![inbound("three", "http://a:1/z")]).await.unwrap();
    assert_eq!(lanes.next().await.unwrap().pull(1).await.unwrap()[0].callback.body.get(), "\"three\"");
}

async fn a_deleted_channel_hands_out_nothing_and_its_messages_can_still_be_read(place: Place) {
    let store = place.open().await;
    let properties = ChannelProperties { id: channel(), properties: JsonObject::new() };
    let sent = message("a", 1);
    store.commit(vec![Change::SaveChannel(properties.clone()), Change::Accept(sent.clone())]).await.unwrap();
    assert_eq!(store.channels().await.unwrap(), std::slice::from_ref(&properties));
    store.commit(vec![Change::DeleteChannel(channel())]).await.unwrap();
    assert!(store.channels().await.unwrap().is_empty());
    assert!(ready(&store, 1).await.is_empty());
    assert!(store.message(&[channel()], sent.id).await.unwrap().is_some());
    store.commit(vec![Change::SaveChannel(properties), Change::Accept(message("b", 1))]).await.unwrap();
    assert_eq!(contents(&store.outbound(&channel()).pull(5).await.unwrap()), ["b"]);
}

async fn what_is_archived_is_final_from_the_moment_it_can_be_seen(place: Place) {
    let store = place.open().await;
    let (watched, stop) = (store.clone(), Arc::new(AtomicBool::new(false)));
    let stopped = stop.clone();
    let watching = std::thread::spawn(move || {
        let mut most = 0;
        while !stopped.load(Ordering::Relaxed) {
            most = most.max(watched.depth(&channel()).waiting);
        }
        most
    });
    for _ in 0..20 {
        let archive = |_| Change::Archive { message: message("old", 1), events: Vec::new(), correlate: Vec::new() };
        store.commit((0..500).map(archive).collect()).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    assert_eq!(watching.join().unwrap(), 0, "some were seen waiting");
    assert!(ready(&store, 1).await.is_empty());
}
