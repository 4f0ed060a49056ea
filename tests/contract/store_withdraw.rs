//! MTs that leave their queue without their channel: all of them that wait, none that is in hand, each once.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::future::join_all;
use maybug::model::{ChannelProperties, JsonObject, Priority, Timestamp};
use maybug::store::{Change, Delivery, Look, Tally};

use crate::place::{Place, on_every_engine};
use crate::store_support::{
    ack, at, cancel_all, channel, contents, events_of, inbound, message, ready, ready_of, withdraw,
};

on_every_engine!(
    everything_that_waits_is_cancelled_wherever_it_waits_and_what_is_in_hand_is_not,
    a_withdrawal_that_comes_too_late_says_so_and_writes_nothing,
    what_leaves_its_queue_in_the_same_write_is_not_cancelled_any_more,
    what_may_have_been_sent_before_a_crash_says_so_when_it_is_found_and_the_rest_does_not,
    what_may_have_been_sent_since_it_was_found_is_looked_at_again_wherever_it_waits,
    what_was_scheduled_for_a_channel_that_was_deleted_is_cancelled_for_no_other,
    what_is_cancelled_while_it_waits_for_its_time_is_not_counted_any_more,
    while_a_channel_sends_and_applications_send_each_message_is_cancelled_or_handed_out_once,
    a_crash_at_any_place_leaves_each_message_either_queued_or_cancelled,
    every_hand_out_is_suspected_after_a_crash_however_many_there_were_at_once,
    who_asks_for_it_has_few_suspected_that_were_not_handed_out,
    the_length_of_a_queue_is_told_by_priority_and_a_channels_callbacks_are_its_own,
    what_is_only_looked_at_can_be_cancelled_and_what_is_chosen_is_taken_from_any_depth,
);

const HOUR: Duration = Duration::from_secs(3_600);

async fn everything_that_waits_is_cancelled_wherever_it_waits_and_what_is_in_hand_is_not(place: Place) {
    let store = place.open().await;
    let batch = ["held", "near", "far", "waits", "urgent"].map(|content| message(content, 1));
    let scheduled = [at(message("scheduled", 1), HOUR), at(message("other", 4), HOUR)];
    let ids: Vec<_> = batch.iter().chain(&scheduled).map(|message| message.id).collect();
    store.commit(batch.into_iter().chain(scheduled).map(Change::Accept).collect()).await.unwrap();
    let mut queue = store.outbound(&channel());
    let held = queue.pull(3).await.unwrap();
    let retry =
        |delivery: &Delivery, later| Change::Retry { ticket: delivery.ticket, at: Timestamp::now().plus(later) };
    store.commit(vec![retry(&held[1], Duration::from_secs(30)), retry(&held[2], HOUR)]).await.unwrap();
    assert_eq!(cancel_all(&store, Some(1)).await, 5);
    assert_eq!(cancel_all(&store, Some(1)).await, 0);
    assert_eq!(cancel_all(&store, None).await, 1);
    store.commit(vec![ack(&held[0], "x")]).await.unwrap();
    let copy = place.crashed().await;
    for store in [store, copy.open().await] {
        assert_eq!(store.depth(&channel()).waiting, 0);
        assert!(ready(&store, 9).await.is_empty());
        for id in &ids {
            let found = store.message(&[channel()], *id).await.unwrap().unwrap();
            assert_eq!(store.events(&found).await.unwrap().len(), 1, "{}", found.message.content);
            assert!(store.queued(&channel(), *id).await.unwrap().is_none());
        }
    }
}

async fn a_withdrawal_that_comes_too_late_says_so_and_writes_nothing(place: Place) {
    let store = place.open().await;
    let sent = message("a", 1);
    store.commit(vec![Change::Accept(sent.clone())]).await.unwrap();
    let found = async || store.queued(&channel(), sent.id).await.unwrap().unwrap();
    let (first, second, third) = (found().await, found().await, found().await);
    let mut queue = store.outbound(&channel());
    queue.pull(1).await.unwrap();
    let tally = Tally::default();
    store.commit(vec![withdraw(first, &tally)]).await.unwrap();
    assert_eq!(tally.total(), 0, "it is in hand");
    drop(queue);
    store.commit(vec![withdraw(second, &tally), withdraw(third, &tally)]).await.unwrap();
    assert_eq!(tally.total(), 1, "once");
    assert_eq!(events_of(&store, sent.id).await, 1);
}

async fn what_leaves_its_queue_in_the_same_write_is_not_cancelled_any_more(place: Place) {
    let store = place.open().await;
    let sent = ["acknowledged", "delayed"].map(|content| message(content, 1));
    store.commit(sent.iter().cloned().map(Change::Accept).collect()).await.unwrap();
    let found = async |place: usize| store.queued(&channel(), sent[place].id).await.unwrap().unwrap();
    let found = [found(0).await, found(1).await];
    let mut queue = store.outbound(&channel());
    let pulled = queue.pull(2).await.unwrap();
    let tally = Tally::default();
    let mut batch =
        vec![ack(&pulled[0], "1"), Change::Retry { ticket: pulled[1].ticket, at: Timestamp::now().plus(HOUR) }];
    batch.extend(found.map(|found| withdraw(found, &tally)));
    store.commit(batch).await.unwrap();
    assert_eq!(tally.total(), 0);
    assert_eq!([events_of(&store, sent[0].id).await, events_of(&store, sent[1].id).await], [1, 0]);
    assert_eq!(store.depth(&channel()).waiting, 1, "the one that is tried again later");
}

async fn what_may_have_been_sent_before_a_crash_says_so_when_it_is_found_and_the_rest_does_not(place: Place) {
    let store = place.open().await;
    let sent: Vec<_> = (0..1_000).map(|number: u32| message(&number.to_string(), 1)).collect();
    store.commit(sent.iter().cloned().map(Change::Accept).collect()).await.unwrap();
    let mut queue = store.outbound(&channel());
    queue.pull(1).await.unwrap();
    let copy = place.crashed().await;
    let mut revived = copy.open().await;
    // As it is read from disk, once it is in memory, and after an end in order.
    for round in 0..3 {
        for (number, doubtful) in [(0, true), (999, false)] {
            let found = revived.queued(&channel(), sent[number].id).await.unwrap().unwrap();
            assert_eq!(found.possible_duplicate(), doubtful, "{number} in round {round}");
        }
        let mut all = revived.all_queued(&channel(), Priority::new(1));
        let found = all.look().await.unwrap().unwrap();
        assert!(found[0].possible_duplicate() && !found[511].possible_duplicate(), "in round {round}");
        if round == 0 {
            drop(revived.outbound(&channel()).pull(1).await.unwrap());
        } else {
            drop(all);
            revived.close().await;
            revived = copy.open().await;
        }
    }
}

async fn what_may_have_been_sent_since_it_was_found_is_looked_at_again_wherever_it_waits(place: Place) {
    let store = place.open().await;
    let sent = ["at once", "later"].map(|content| message(content, 1));
    store.commit(sent.iter().cloned().map(Change::Accept).collect()).await.unwrap();
    let found = async |place: usize| store.queued(&channel(), sent[place].id).await.unwrap().unwrap();
    let early = found(0).await;
    let mut queue = store.outbound(&channel());
    let pulled = queue.pull(2).await.unwrap();
    store.suspect(&[pulled[0].ticket, pulled[1].ticket], true);
    store.commit(vec![Change::Retry { ticket: pulled[1].ticket, at: Timestamp::now().plus(HOUR) }]).await.unwrap();
    drop(queue);
    let tally = Tally::default();
    store.commit(vec![withdraw(early, &tally)]).await.unwrap();
    assert_eq!(tally.total(), 0, "its event would not say that it may have been sent");
    for place in [0, 1] {
        assert!(found(place).await.possible_duplicate());
        store.commit(vec![withdraw(found(place).await, &tally)]).await.unwrap();
    }
    assert_eq!(tally.total(), 2);
}

async fn what_was_scheduled_for_a_channel_that_was_deleted_is_cancelled_for_no_other(place: Place) {
    let store = place.open().await;
    let properties = || Change::SaveChannel(ChannelProperties { id: channel(), properties: JsonObject::new() });
    let [dead, alive] = ["dead", "alive"].map(|content| at(message(content, 1), HOUR));
    store.commit(vec![properties(), Change::Accept(dead.clone())]).await.unwrap();
    let found = store.queued(&channel(), dead.id).await.unwrap().unwrap();
    store.commit(vec![Change::DeleteChannel(channel())]).await.unwrap();
    store.commit(vec![properties(), Change::Accept(alive)]).await.unwrap();
    assert!(store.queued(&channel(), dead.id).await.unwrap().is_none());
    let tally = Tally::default();
    store.commit(vec![withdraw(found, &tally)]).await.unwrap();
    assert_eq!((tally.total(), store.depth(&channel()).waiting), (0, 1));
    assert_eq!(cancel_all(&store, None).await, 1);
}

async fn what_is_cancelled_while_it_waits_for_its_time_is_not_counted_any_more(place: Place) {
    let store = place.open().await;
    let sent = message("near", 1);
    store.commit(vec![Change::Accept(sent.clone()), Change::Accept(message("waits", 1))]).await.unwrap();
    let mut queue = store.outbound(&channel());
    let ticket = queue.pull(1).await.unwrap()[0].ticket;
    store.commit(vec![Change::Retry { ticket, at: Timestamp::now().plus(Duration::from_secs(30)) }]).await.unwrap();
    let found = store.queued(&channel(), sent.id).await.unwrap().unwrap();
    store.commit(vec![withdraw(found, &Tally::default())]).await.unwrap();
    let length = store.queue_length(&channel());
    assert_eq!((length.by_priority, length.scheduled, length.in_hand), ([1, 0, 0, 0, 0], 0, 0));
}

async fn while_a_channel_sends_and_applications_send_each_message_is_cancelled_or_handed_out_once(place: Place) {
    let store = place.open_with(|config| config.sync = false).await;
    store.open_channel(&channel()).await.unwrap();
    let total = 6_000;
    let sender = tokio::spawn({
        let store = store.clone();
        async move {
            for number in 0..total {
                let message = message(&number.to_string(), 1 + u8::try_from(number % 5).unwrap());
                let message = if number % 7 == 0 { at(message, Duration::from_millis(200)) } else { message };
                store.post(vec![Change::Accept(message)]).await.unwrap();
            }
            store.commit(Vec::new()).await.unwrap();
        }
    });
    let mut queue = store.outbound(&channel());
    let (mut handed_out, mut cancelled) = (BTreeSet::new(), 0);
    let done = |handed_out: &BTreeSet<String>, cancelled: u64| handed_out.len() + usize::try_from(cancelled).unwrap();
    while done(&handed_out, cancelled) < total {
        let pulled = queue.try_pull(37).unwrap();
        let cancelling = tokio::spawn({
            let store = store.clone();
            async move { cancel_all(&store, None).await }
        });
        for delivery in &pulled {
            assert!(handed_out.insert(delivery.message.content.clone()));
            store.post(vec![ack(delivery, "")]).await.unwrap();
        }
        let more = queue.try_pull(5).unwrap();
        for delivery in &more {
            assert!(handed_out.insert(delivery.message.content.clone()));
            store.post(vec![ack(delivery, "")]).await.unwrap();
        }
        cancelled += cancelling.await.unwrap();
    }
    sender.await.unwrap();
    assert_eq!(done(&handed_out, cancelled), total);
    store.commit(Vec::new()).await.unwrap();
    assert_eq!(store.depth(&channel()).waiting, 0);
}

async fn a_crash_at_any_place_leaves_each_message_either_queued_or_cancelled(place: Place) {
    let store = place.open().await;
    let sent: Vec<_> = (0..1_500).map(|number: u32| message(&number.to_string(), 1)).collect();
    store.commit(sent.iter().cloned().map(Change::Accept).collect()).await.unwrap();
    let mut all = store.all_queued(&channel(), None);
    let tally = Tally::default();
    while let Some(found) = all.look().await.unwrap() {
        store.commit(found.into_iter().map(|queued| withdraw(queued, &tally)).collect()).await.unwrap();
        let copy = place.crashed().await;
        let revived = copy.open().await;
        let counted = join_all(sent.iter().map(|message| events_of(&revived, message.id))).await;
        assert_eq!(u64::try_from(counted.iter().sum::<usize>()).unwrap(), tally.total());
        assert_eq!(revived.depth(&channel()).waiting, 1_500 - tally.total());
    }
    assert_eq!(tally.total(), 1_500);
}

async fn every_hand_out_is_suspected_after_a_crash_however_many_there_were_at_once(place: Place) {
    let store = place.open().await;
    let batch = (0..1_000).map(|number: u32| Change::Accept(message(&number.to_string(), 1))).collect();
    store.commit(batch).await.unwrap();
    store.close().await;
    let store = place.open().await;
    let mut queue = store.outbound(&channel());
    let mut handed_out = 0;
    while handed_out < 600 {
        handed_out += queue.pull(600 - handed_out).await.unwrap().len();
    }
    // Nothing has been answered; the window is full.
    let copy = place.crashed().await;
    let revived = copy.open().await;
    let mut queue = revived.outbound(&channel());
    let mut again = Vec::new();
    while again.len() < 1_000 {
        again.extend(queue.pull(1_000).await.unwrap());
    }
    assert!(again[..600].iter().all(|delivery| delivery.possible_duplicate));
    assert!(again[900..].iter().all(|delivery| !delivery.possible_duplicate), "far from all");
}

async fn who_asks_for_it_has_few_suspected_that_were_not_handed_out(place: Place) {
    let store = place.open().await;
    let batch = (0..1_000).map(|number: u32| Change::Accept(message(&number.to_string(), 1))).collect();
    store.commit(batch).await.unwrap();
    let mut queue = store.outbound(&channel()).exactly();
    for _ in 0..50 {
        for delivery in queue.pull(10).await.unwrap() {
            store.commit(vec![ack(&delivery, "")]).await.unwrap();
        }
    }
    let held = queue.pull(10).await.unwrap().len();
    let copy = place.crashed().await;
    let again = copy.open().await.outbound(&channel()).pull(1_000).await.unwrap();
    let suspected = again.iter().take_while(|delivery| delivery.possible_duplicate).count();
    assert!((held..=10).contains(&suspected), "{held} were handed out, {suspected} are suspected");
    assert!(again[suspected..].iter().all(|delivery| !delivery.possible_duplicate));
}

async fn the_length_of_a_queue_is_told_by_priority_and_a_channels_callbacks_are_its_own(place: Place) {
    let store = place.open().await;
    let accept = |content, priority| Change::Accept(message(content, priority));
    let scheduled = Change::Accept(at(message("d", 3), HOUR));
    store.commit(vec![accept("a", 1), accept("b", 1), accept("c", 5), scheduled]).await.unwrap();
    store.commit(vec![inbound("e", "http://a/"), inbound("f", "http://b/")]).await.unwrap();
    let mut queue = store.outbound(&channel());
    assert_eq!(contents(&ready_of(&store, &mut queue, 1).await), ["c"]);
    let length = store.queue_length(&channel());
    assert_eq!((length.by_priority, length.scheduled, length.in_hand), ([2, 0, 0, 0, 0], 1, 1));
    assert_eq!((length.inbound, length.events), (0, 2));
    assert_eq!(store.queue_length(&"c2".into()), maybug::store::QueueLength::default());
}

async fn what_is_only_looked_at_can_be_cancelled_and_what_is_chosen_is_taken_from_any_depth(place: Place) {
    let store = place.open().await;
    let accept = |number: usize| Change::Accept(message(&number.to_string(), 1));
    store.commit((0..3_000).map(accept).collect()).await.unwrap();
    store.commit(vec![Change::Accept(message("urgent", 5))]).await.unwrap();
    drop(store);
    let store = place.open().await;
    let mut queue = store.outbound(&channel());
    let (mut look, mut waiting) = (Look::default(), Vec::new());
    loop {
        let some = queue.peek(&mut look, 700).await.unwrap();
        if some.is_empty() {
            break;
        }
        waiting.extend(some);
    }
    let seen: Vec<_> = waiting.iter().map(|waiting| waiting.message().content.clone()).collect();
    let expected: Vec<_> = std::iter::once("urgent".to_owned()).chain((0..3_000).map(|n| n.to_string())).collect();
    assert_eq!(seen, expected);
    assert_eq!(store.queue_length(&channel()).in_hand, 0);
    let mut chosen: VecDeque<_> =
        waiting.into_iter().filter(|waiting| ["urgent", "5", "2999"].contains(&&*waiting.message().content)).collect();
    let mut taken = Vec::new();
    while !chosen.is_empty() {
        taken.extend(queue.take(&mut chosen));
        store.commit(Vec::new()).await.unwrap();
    }
    assert_eq!(contents(&taken), ["urgent", "5", "2999"]);
    assert_eq!(store.queue_length(&channel()).in_hand, 3);
    assert_eq!(cancel_all(&store, None).await, 2_998);
    queue.put_back(&taken.iter().map(|delivery| delivery.ticket).collect::<Vec<_>>());
    assert_eq!(contents(&queue.pull(9).await.unwrap()), ["urgent", "5", "2999"]);
}
