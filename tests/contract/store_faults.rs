//! What must hold when things happen in an awkward order: restarts of channels, deletions, clocks, drops without a
//! close.

use std::time::Duration;

use maybug::model::{ChannelProperties, DeliveryStatus, Event, EventKind, JsonObject, MessageId, Timestamp};
use maybug::store::{Change, CommitError, Ticket};

use crate::place::{Place, on_every_engine};
use crate::store_support::{accept, ack, channel, contents, inbound, message, ready, ready_of};

on_every_engine!(
    a_result_that_arrives_after_its_channel_was_restarted_still_ends_the_message,
    a_queue_that_was_superseded_takes_nothing_and_gives_nothing_back,
    a_store_that_is_merely_dropped_lets_go_of_its_place,
    writes_after_a_close_are_refused,
    whoever_waits_for_callback_lanes_is_told_of_the_close,
    a_callback_remembers_its_tries_across_a_crash,
    parked_callbacks_survive_a_crash_and_can_be_listed,
    a_page_of_parked_callbacks_is_bounded_in_rows_and_in_octets,
    a_parked_callback_that_is_revived_twice_is_owed_once,
    what_waited_for_its_time_when_its_channel_was_deleted_stays_dead_when_the_id_is_used_again,
    asking_for_the_depth_of_a_channel_that_was_never_there_makes_nothing,
    only_what_may_have_been_handed_out_is_suspected,
    the_very_first_hand_out_is_suspected_after_a_crash_though_nothing_was_written_since,
    ten_stores_live_side_by_side,
    a_message_that_has_ended_does_not_come_back_by_a_late_retry,
    events_keep_their_order_when_the_store_is_opened_again,
    posts_beyond_the_bound_wait_and_are_all_written,
    deleting_a_channel_that_was_never_used_closes_no_other,
);

async fn a_result_that_arrives_after_its_channel_was_restarted_still_ends_the_message(place: Place) {
    let store = place.open().await;
    store.commit(vec![accept("a"), accept("b")]).await.unwrap();
    let mut queue = store.outbound(&channel());
    let pulled = queue.pull(2).await.unwrap();
    drop(queue);
    store.commit(vec![ack(&pulled[0], "1")]).await.unwrap();
    let again = ready(&store, 5).await;
    assert_eq!(contents(&again), ["b"], "the answered one is not sent twice");
}

async fn a_queue_that_was_superseded_takes_nothing_and_gives_nothing_back(place: Place) {
    let store = place.open().await;
    store.commit(vec![accept("a"), accept("b")]).await.unwrap();
    let mut old = store.outbound(&channel());
    assert_eq!(contents(&old.try_pull(1).unwrap()), ["a"]);
    let mut new = store.outbound(&channel());
    assert_eq!(contents(&ready_of(&store, &mut new, 1).await), ["a"]);
    assert!(old.try_pull(1).unwrap().is_empty());
    drop(old);
    assert_eq!(
        contents(&ready_of(&store, &mut new, 5).await),
        ["b"],
        "what the new queue holds is not handed out again"
    );
}

async fn a_store_that_is_merely_dropped_lets_go_of_its_place(place: Place) {
    for round in 0..3 {
        let store = place.open().await;
        assert_eq!(store.depth(&channel()).waiting, round);
        store.commit(vec![accept("a")]).await.unwrap();
    }
}

async fn writes_after_a_close_are_refused(place: Place) {
    let store = place.open().await;
    store.clone().close().await;
    assert!(matches!(store.post(vec![accept("a")]).await, Err(CommitError::NotReady(_))));
    assert!(matches!(store.commit(vec![accept("a")]).await, Err(CommitError::NotReady(_))));
    assert!(store.health().is_err());
}

async fn whoever_waits_for_callback_lanes_is_told_of_the_close(place: Place) {
    let store = place.open().await;
    let mut lanes = store.callback_lanes().unwrap();
    store.close().await;
    assert!(lanes.next().await.is_none());
}

async fn a_callback_remembers_its_tries_across_a_crash(place: Place) {
    let store = place.open().await;
    store.commit(vec![inbound("one", "http://a/")]).await.unwrap();
    let mut queue = store.callback_lanes().unwrap().next().await.unwrap();
    for tries in 0..3 {
        let owed = queue.pull(1).await.unwrap();
        assert_eq!(owed[0].attempts, tries);
        store.commit(vec![Change::CallbackRetry { ticket: owed[0].ticket, at: Timestamp::now() }]).await.unwrap();
    }
    let copy = place.crashed().await;
    let revived = copy.open().await;
    let mut queue = revived.callback_lanes().unwrap().next().await.unwrap();
    assert_eq!(queue.pull(1).await.unwrap()[0].attempts, 3);
}

async fn parked_callbacks_survive_a_crash_and_can_be_listed(place: Place) {
    let store = place.open().await;
    store.commit(vec![inbound("one", "http://a/")]).await.unwrap();
    let mut queue = store.callback_lanes().unwrap().next().await.unwrap();
    let ticket = queue.pull(1).await.unwrap()[0].ticket;
    // Its receiver's task has ended in the meantime.
    drop(queue);
    store.commit(vec![Change::CallbackParked { ticket, reason: "too old".into() }]).await.unwrap();
    let copy = place.crashed().await;
    let parked = copy.open().await.parked_callbacks(None, 5).await.unwrap().found;
    assert_eq!((parked[0].1.body.get(), parked[0].2.as_str()), ("\"one\"", "too old"));
}

async fn a_page_of_parked_callbacks_is_bounded_in_rows_and_in_octets(place: Place) {
    const MIB: usize = 1024 * 1024;
    let store = place.open().await;
    let text = |number: usize| number.to_string().repeat(MIB);
    for number in 0..6 {
        store.commit(vec![inbound(&text(number), "http://a/")]).await.unwrap();
    }
    let mut queue = store.callback_lanes().unwrap().next().await.unwrap();
    let mut tickets = Vec::new();
    while tickets.len() < 6 {
        tickets.extend(queue.pull(6).await.unwrap().iter().map(|delivery| delivery.ticket));
    }
    let parked = |ticket: &Ticket| Change::CallbackParked { ticket: *ticket, reason: "too old".into() };
    store.commit(tickets.iter().map(parked).collect()).await.unwrap();

    let (mut sizes, mut found, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = store.parked_callbacks(after, 100).await.unwrap();
        sizes.push(page.found.len());
        found.extend(page.found.iter().map(|(ticket, ..)| *ticket));
        after = page.next;
        if after.is_none() {
            break;
        }
        assert_eq!(after, found.last().copied());
    }
    assert_eq!((sizes, found), (vec![4, 2], tickets.clone()));
    // Rows end a page too, and the last one says that it is the last.
    for (after, next) in [(None, Some(tickets[1])), (Some(tickets[3]), None)] {
        let page = store.parked_callbacks(after, 2).await.unwrap();
        assert_eq!((page.found.len(), page.next), (2, next));
    }
}

async fn a_parked_callback_that_is_revived_twice_is_owed_once(place: Place) {
    let store = place.open().await;
    store.commit(vec![inbound("one", "http://a/")]).await.unwrap();
    let mut queue = store.callback_lanes().unwrap().next().await.unwrap();
    let ticket = queue.pull(1).await.unwrap()[0].ticket;
    store.commit(vec![Change::CallbackParked { ticket, reason: "too old".into() }]).await.unwrap();
    let (_, callback, _) = store.parked_callbacks(None, 5).await.unwrap().found.remove(0);
    let revived = || Change::CallbackRevived(ticket, callback.clone());
    store.commit(vec![revived(), revived()]).await.unwrap();
    store.commit(vec![revived()]).await.unwrap();
    assert_eq!(queue.pull(5).await.unwrap().len(), 1);
    assert!(store.parked_callbacks(None, 5).await.unwrap().found.is_empty());
}

async fn what_waited_for_its_time_when_its_channel_was_deleted_stays_dead_when_the_id_is_used_again(place: Place) {
    let store = place.open().await;
    let properties = ChannelProperties { id: channel(), properties: JsonObject::new() };
    store.commit(vec![Change::SaveChannel(properties.clone()), accept("far"), accept("near")]).await.unwrap();
    let pulled = store.outbound(&channel()).pull(2).await.unwrap();
    assert!(pulled.len() == 2);
    let mut queue = store.outbound(&channel());
    let pulled = queue.pull(2).await.unwrap();
    let far = Timestamp::now().plus(Duration::from_secs(61));
    store.commit(vec![Change::Retry { ticket: pulled[0].ticket, at: far }]).await.unwrap();
    assert_eq!(store.depth(&channel()).waiting, 2);
    drop(queue);
    store.commit(vec![Change::DeleteChannel(channel()), accept("late")]).await.unwrap();
    let copy = place.crashed().await;
    let revived = copy.open().await;
    assert!(revived.outbound(&channel()).try_pull(5).unwrap().is_empty(), "still deleted after a crash");
    revived.commit(vec![Change::SaveChannel(properties), accept("fresh")]).await.unwrap();
    assert_eq!(contents(&ready(&revived, 5).await).last(), Some(&"fresh"));
}

async fn asking_for_the_depth_of_a_channel_that_was_never_there_makes_nothing(place: Place) {
    let store = place.open().await;
    assert_eq!(store.depth(&"nobody".into()).waiting, 0);
}

async fn only_what_may_have_been_handed_out_is_suspected(place: Place) {
    let store = place.open().await;
    store.commit((0..2_000).map(|n| accept(&n.to_string())).collect()).await.unwrap();
    let mut queue = store.outbound(&channel());
    let pulled = queue.pull(10).await.unwrap();
    store.commit(vec![ack(&pulled[0], "1")]).await.unwrap();
    let copy = place.crashed().await;
    let revived = copy.open().await;
    let again = revived.outbound(&channel()).pull(1_999).await.unwrap();
    let suspects = again.iter().filter(|delivery| delivery.possible_duplicate).count();
    assert!(again[..9].iter().all(|delivery| delivery.possible_duplicate));
    assert!(suspects <= 128, "{suspects} suspects for 10 in hand");
}

async fn the_very_first_hand_out_is_suspected_after_a_crash_though_nothing_was_written_since(place: Place) {
    let store = place.open().await;
    store.commit(vec![accept("a")]).await.unwrap();
    let mut queue = store.outbound(&channel());
    queue.pull(1).await.unwrap();
    let copy = place.crashed().await;
    assert!(copy.open().await.outbound(&channel()).pull(1).await.unwrap()[0].possible_duplicate);
}

async fn ten_stores_live_side_by_side(place: Place) {
    let mut stores = Vec::new();
    let mut places = vec![place];
    while stores.len() < 10 {
        stores.push(places[stores.len()].open().await);
        places.push(places[0].another());
    }
    for (n, store) in stores.iter().enumerate() {
        store.commit((0..=n).map(|_| accept("a")).collect()).await.unwrap();
    }
    for (n, store) in stores.iter().enumerate() {
        assert_eq!(ready(store, 20).await.len(), n + 1);
    }
}

async fn a_message_that_has_ended_does_not_come_back_by_a_late_retry(place: Place) {
    let store = place.open().await;
    store.commit(vec![accept("a"), accept("b")]).await.unwrap();
    let mut queue = store.outbound(&channel());
    let pulled = queue.pull(2).await.unwrap();
    let retry = |at| pulled.iter().map(move |delivery| Change::Retry { ticket: delivery.ticket, at });
    let mut batch: Vec<_> = pulled.iter().map(|delivery| ack(delivery, "1")).collect();
    batch.extend(retry(Timestamp::now().plus(Duration::from_secs(61))));
    store.commit(batch).await.unwrap();
    store.commit(retry(Timestamp(1)).collect()).await.unwrap();
    store.commit(pulled.iter().map(|delivery| ack(delivery, "1")).collect()).await.unwrap();
    assert_eq!(store.depth(&channel()).waiting, 0);
    assert!(ready_of(&store, &mut queue, 5).await.is_empty());
}

async fn events_keep_their_order_when_the_store_is_opened_again(place: Place) {
    let sent = message("a", 1);
    let mut expected = Vec::new();
    for round in 0..3 {
        let store = place.open().await;
        if round == 0 {
            store.commit(vec![Change::Accept(sent.clone())]).await.unwrap();
        }
        let stored = store.message(&[channel()], sent.id).await.unwrap().unwrap();
        for step in 0..3 {
            // The clock of the event says nothing: it goes backwards here.
            let status = DeliveryStatus::Pending;
            let event = Event {
                id: MessageId::mint(),
                message: sent.id,
                channel: channel(),
                at: Timestamp(1_000 - round * 10 - step),
                kind: EventKind::DeliveryReport { status },
                details: JsonObject::new(),
            };
            expected.push(event.id);
            let origin = stored.origin;
            let record = Change::Record { event, origin, leaves: None, correlate: Vec::new(), callbacks: Vec::new() };
            store.commit(vec![record]).await.unwrap();
        }
        let found: Vec<_> = store.events(&stored).await.unwrap().into_iter().map(|event| event.id).collect();
        assert_eq!(found, expected);
    }
}

async fn posts_beyond_the_bound_wait_and_are_all_written(place: Place) {
    let store = place.open().await;
    // More than the inbox takes at a time, from more callers than it has room for.
    let content = "x".repeat(400 * 1024);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (store, content) = (store.clone(), content.clone());
        callers.spawn(async move { store.post((0..30).map(|_| accept(&content)).collect()).await });
    }
    for posted in callers.join_all().await {
        posted.unwrap();
    }
    store.commit(Vec::new()).await.unwrap();
    assert_eq!(store.depth(&channel()).waiting, 120);
}

async fn deleting_a_channel_that_was_never_used_closes_no_other(place: Place) {
    for round in 0..3 {
        let store = place.open().await;
        if round == 0 {
            let unused = ChannelProperties { id: "unused".into(), properties: JsonObject::new() };
            store.commit(vec![Change::SaveChannel(unused)]).await.unwrap();
            store.commit(vec![Change::DeleteChannel("unused".into())]).await.unwrap();
        } else {
            store.commit(vec![accept("a")]).await.unwrap();
            assert_eq!(ready(&store, 5).await.len(), round);
        }
    }
}
