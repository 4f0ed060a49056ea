//! Several channels: what is kept for each of them, and what is asked of all together. In Redis each has rows of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use maybug::model::{
    Callback, ChannelId, ChannelProperties, DestinationProperties, Inbound, JsonObject, MessageId, Outbound,
    RouterProperties, SmscMessageId, Timestamp,
};
use maybug::store::{Change, Kept, Search, Store, Tally, Ticket};

use crate::place::{Place, on_every_engine};
use crate::store_support::{SOON, ack, at, contents, inbound, message, until, withdraw};

on_every_engine!(
    what_is_written_together_for_several_channels_is_found_for_each,
    the_messages_of_all_channels_are_found_in_the_order_in_which_they_came,
    what_expires_first_is_told_first_whichever_channel_has_it,
    callbacks_of_all_channels_are_heard_of_by_one_listener,
    parked_callbacks_of_all_channels_are_listed_page_by_page_under_names_that_stay,
    what_there_is_survives_a_crash_with_the_channels_own_things,
    deleting_a_channel_leaves_the_others_alone,
);

/// Names that mean something to whoever puts names together.
const NAMES: [&str; 4] = ["c1", "a{b}:c", "%7B*?", "Mobilfunk über Köln"];

fn channels() -> Vec<ChannelId> {
    NAMES.map(ChannelId::from).into()
}

fn of(channel: &ChannelId, message: Arc<Outbound>) -> Arc<Outbound> {
    Arc::new(Outbound { channel: channel.clone(), ..Outbound::clone(&message) })
}

/// An MO of a channel's, and what is owed for it.
fn from_phone(channel: &ChannelId, body: &str) -> (MessageId, Change) {
    let Change::Receive { message, callbacks, joined_from } = inbound(body, "http://a/") else { unreachable!() };
    let message = Arc::new(Inbound { channel: channel.clone(), ..Inbound::clone(&message) });
    let callbacks = callbacks.into_iter().map(|callback| Callback { channel: channel.clone(), ..callback }).collect();
    (message.id, Change::Receive { message, callbacks, joined_from })
}

fn saved(channel: &ChannelId) -> Change {
    Change::SaveChannel(ChannelProperties { id: channel.clone(), properties: JsonObject::new() })
}

async fn what_is_written_together_for_several_channels_is_found_for_each(place: Place) {
    let store = place.open().await;
    let (mut batch, mut expected) = (Vec::new(), Vec::new());
    for channel in channels() {
        let mt = of(&channel, message(channel.as_str(), 1));
        let (mo, received) = from_phone(&channel, channel.as_str());
        batch.extend([Change::Accept(mt.clone()), received]);
        expected.push((channel, mt, mo));
    }
    store.commit(batch).await.unwrap();
    for (channel, mt, _) in &expected {
        let pulled = store.outbound(channel).pull(9).await.unwrap();
        assert_eq!(contents(&pulled), [&mt.content]);
        // Providers give the same ids.
        store.commit(vec![ack(&pulled[0], "same")]).await.unwrap();
    }
    let again = expected.iter().map(|(channel, ..)| Change::Accept(of(channel, message("again", 1)))).collect();
    store.commit(again).await.unwrap();
    let copy = place.crashed().await;
    for store in [store, copy.open().await] {
        for (channel, mt, mo) in &expected {
            assert_eq!(store.depth(channel).waiting, 1);
            let found = store.message(&channels(), mt.id).await.unwrap().unwrap();
            assert_eq!((&found.message, store.events(&found).await.unwrap().len()), (mt, 1));
            let sent = store.correlate(channel, &[SmscMessageId("same".into())]).await.unwrap().unwrap();
            assert_eq!(sent.message.id, mt.id);
            assert_eq!(store.inbound(channel, *mo).await.unwrap().unwrap().content.as_deref(), Some(channel.as_str()));
        }
        assert_eq!(store.depth(&"c".into()).waiting, 0);
    }
}

async fn the_messages_of_all_channels_are_found_in_the_order_in_which_they_came(place: Place) {
    let store = place.open().await;
    let mut sent = Vec::new();
    for round in 0..5 {
        for channel in channels() {
            let content = format!("{round} {channel}");
            store.commit(vec![Change::Accept(of(&channel, message(&content, 1)))]).await.unwrap();
            sent.insert(0, content);
        }
    }
    let copy = place.crashed().await;
    for store in [store, copy.open().await] {
        for limit in [1, 3, 50] {
            assert_eq!(found(&store, Search::default(), limit).await, sent, "{limit} at a time");
            let phone = Search { address: Some("27820001001".into()), ..Search::default() };
            assert_eq!(found(&store, phone, limit).await, sent, "{limit} of a phone's at a time");
        }
        for channel in channels() {
            let of_one: Vec<_> = sent.iter().filter(|content| content.ends_with(channel.as_str())).cloned().collect();
            let one = Search { channel: Some(channel), ..Search::default() };
            assert_eq!(found(&store, one, 2).await, of_one);
        }
    }
}

/// All that a search finds.
async fn found(store: &Store, mut search: Search, limit: usize) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let page = store.search(&search, &channels(), limit).await.unwrap();
        all.extend(page.found.iter().map(|found| match &found.message {
            Kept::Outbound(message) => message.content.clone(),
            Kept::Inbound(message) => message.content.clone().unwrap_or_default(),
        }));
        search.before = page.next;
        if search.before.is_none() {
            return all;
        }
    }
}

async fn what_expires_first_is_told_first_whichever_channel_has_it(place: Place) {
    let store = place.open().await;
    let hour = Duration::from_secs(3_600);
    let expiring = |channel: &ChannelId, later| Change::Accept(of(channel, until(message(channel.as_str(), 1), later)));
    let [last, second, first, new] = <[ChannelId; 4]>::try_from(channels()).unwrap();
    store.commit(vec![expiring(&last, hour), expiring(&second, Duration::from_millis(600))]).await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move {
            let mut told = Vec::new();
            while told.len() < 3 {
                store.expiring().await;
                let found = store.expired(Timestamp::now()).await.unwrap();
                told.extend(found.iter().map(|queued| queued.message.channel.clone()));
                let tally = Tally::default();
                store.commit(found.into_iter().map(|queued| withdraw(queued, &tally)).collect()).await.unwrap();
            }
            told
        }
    });
    // While somebody waits: earlier than all that was known, and of a channel that had nothing.
    store.commit(vec![expiring(&first, Duration::from_millis(300))]).await.unwrap();
    store.commit(vec![expiring(&new, Duration::from_millis(100))]).await.unwrap();
    let told = tokio::time::timeout(SOON, waiting).await.unwrap().unwrap();
    assert_eq!(told, [new, first, second]);
    assert_eq!(store.depth(&last).waiting, 1);
}

async fn callbacks_of_all_channels_are_heard_of_by_one_listener(place: Place) {
    let store = place.open().await;
    let mut lanes = store.callback_lanes().unwrap();
    let (mut heard, mut held) = (BTreeSet::new(), Vec::new());
    for channel in channels() {
        store.commit(vec![from_phone(&channel, "x").1]).await.unwrap();
        let mut queue = tokio::time::timeout(SOON, lanes.next()).await.unwrap().unwrap();
        let owed = queue.pull(5).await.unwrap();
        assert_eq!((owed.len(), &owed[0].callback.channel), (1, &channel));
        heard.insert(queue.lane().to_owned());
        held.push(queue);
    }
    assert_eq!(heard.len(), NAMES.len());
    // After a crash all of them are told of again.
    let revived = place.crashed().await.open().await;
    let mut lanes = revived.callback_lanes().unwrap();
    let (mut again, mut held) = (BTreeSet::new(), Vec::new());
    while again.len() < NAMES.len() {
        let mut queue = tokio::time::timeout(SOON, lanes.next()).await.unwrap().unwrap();
        assert_eq!(queue.pull(5).await.unwrap().len(), 1);
        again.insert(queue.lane().to_owned());
        held.push(queue);
    }
    assert_eq!(again, heard);
}

async fn parked_callbacks_of_all_channels_are_listed_page_by_page_under_names_that_stay(place: Place) {
    let store = place.open().await;
    let mut lanes = store.callback_lanes().unwrap();
    for channel in channels() {
        store.commit((0..3).map(|n: u32| from_phone(&channel, &n.to_string()).1).collect()).await.unwrap();
        let mut queue = lanes.next().await.unwrap();
        let owed = queue.pull(5).await.unwrap();
        assert_eq!(owed.len(), 3);
        let parked = |ticket| Change::CallbackParked { ticket, reason: "too old".into() };
        store.commit(owed.iter().map(|delivery| parked(delivery.ticket)).collect()).await.unwrap();
    }
    let all = parked(&store, 100).await;
    assert_eq!(all.len(), 3 * NAMES.len());
    let copy = place.crashed().await;
    let revived = copy.open().await;
    for limit in [1, 2, 3, 5, 12, 100] {
        assert_eq!(parked(&revived, limit).await, all, "{limit} at a time");
    }
    for ticket in &all {
        let (callback, _) = revived.parked_callback(*ticket).await.unwrap().unwrap();
        revived.commit(vec![Change::CallbackRevived(*ticket, callback)]).await.unwrap();
        assert!(revived.parked_callback(*ticket).await.unwrap().is_none());
    }
    assert!(parked(&revived, 100).await.is_empty());
    let mut lanes = revived.callback_lanes().unwrap();
    let mut held = Vec::new();
    for _ in NAMES {
        let mut queue = lanes.next().await.unwrap();
        let mut owed = 0;
        while owed < 3 {
            owed += queue.pull(5).await.unwrap().len();
        }
        held.push(queue);
    }
}

/// All that is parked, so many at a time.
async fn parked(store: &Store, limit: usize) -> Vec<Ticket> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.parked_callbacks(after, limit).await.unwrap();
        assert!(page.found.len() <= limit);
        all.extend(page.found.iter().map(|(ticket, ..)| *ticket));
        after = page.next;
        if after.is_none() {
            assert!(all.is_sorted());
            return all;
        }
    }
}

async fn what_there_is_survives_a_crash_with_the_channels_own_things(place: Place) {
    let store = place.open().await;
    let mut batch: Vec<_> = channels().iter().map(saved).collect();
    let router = RouterProperties { id: "r".into(), properties: JsonObject::new() };
    let destination = DestinationProperties { id: "d".into(), router: "r".into(), properties: JsonObject::new() };
    batch.extend([Change::SaveRouter(router.clone()), Change::SaveDestination(destination.clone())]);
    let part = MessageId::mint();
    for channel in channels() {
        let record = channel.as_str().as_bytes().to_vec();
        batch.push(Change::SavePart { channel: channel.clone(), id: part, record: record.clone() });
        for name in ["session/1", "session/2", "receipt/1"] {
            let (channel, name, record) = (channel.clone(), name.to_owned(), Some(record.clone()));
            batch.push(Change::SaveNote { channel, name, record });
        }
    }
    store.commit(batch).await.unwrap();
    let copy = place.crashed().await;
    for store in [store, copy.open().await] {
        let mut expected = channels();
        expected.sort();
        let found: Vec<_> = store.channels().await.unwrap().into_iter().map(|channel| channel.id).collect();
        assert_eq!(found, expected);
        assert_eq!(store.routers().await.unwrap(), std::slice::from_ref(&router));
        assert_eq!(store.destinations().await.unwrap(), std::slice::from_ref(&destination));
        for channel in channels() {
            let record = channel.as_str().as_bytes().to_vec();
            assert_eq!(store.parts(&channel).await.unwrap(), [(part, record.clone())]);
            let notes = store.notes(&channel, "session/").await.unwrap();
            assert_eq!(notes, ["session/1", "session/2"].map(|name| (name.to_owned(), record.clone())));
        }
    }
}

async fn deleting_a_channel_leaves_the_others_alone(place: Place) {
    let store = place.open().await;
    let hour = Duration::from_secs(3_600);
    let accept = |channel: &ChannelId, content: &str| Change::Accept(of(channel, message(content, 1)));
    let mut batch: Vec<_> = channels().iter().map(saved).collect();
    for channel in channels() {
        batch.extend([accept(&channel, "waits"), Change::Accept(of(&channel, at(message("later", 1), hour)))]);
    }
    store.commit(batch).await.unwrap();
    let (deleted, others) = (channels().remove(1), [0, 2, 3].map(|number| channels().remove(number)));
    store.commit(vec![Change::DeleteChannel(deleted.clone())]).await.unwrap();
    let copy = place.crashed().await;
    for store in [store, copy.open().await] {
        assert_eq!(store.channels().await.unwrap().len(), 3);
        assert!(store.channel(&deleted).await.unwrap().is_none());
        assert_eq!(store.depth(&deleted).waiting, 0);
        for channel in &others {
            let length = store.queue_length(channel);
            assert_eq!((length.by_priority[0], length.scheduled), (1, 1), "{channel}");
        }
        store.commit(vec![saved(&deleted), accept(&deleted, "new")]).await.unwrap();
        assert_eq!(contents(&store.outbound(&deleted).pull(9).await.unwrap()), ["new"]);
    }
}
