//! Looking messages up: by phone among many others, a bounded amount of work at a time, and no longer than they are kept.

use std::sync::Arc;
use std::time::Duration;

use maybug::model::{ChannelId, Inbound, MessageId, Outbound, Timestamp};
use maybug::store::{Change, Direction, Kept, Page, Search, Standing, Store, Tally};

use crate::place::{Place, on_every_engine};
use crate::store_support::{ack, at, channel, inbound, message, withdraw};

on_every_engine!(
    a_phone_is_found_at_once_among_many_and_a_rare_fate_in_bounded_looks,
    scheduled_messages_are_found_before_and_after_their_time_and_when_they_were_cancelled,
    whoever_looks_while_scheduled_messages_get_their_places_finds_them,
    messages_of_both_kinds_come_in_the_order_in_which_they_came,
    whoever_made_their_ids_messages_come_in_the_order_of_time_and_are_found_by_both,
);

fn to(phone: &str, content: &str) -> Arc<Outbound> {
    Arc::new(Outbound { to: phone.into(), ..Outbound::clone(&message(content, 1)) })
}

fn contents(page: &Page) -> Vec<String> {
    let content = |kept: &Kept| match kept {
        Kept::Outbound(message) => message.content.clone(),
        Kept::Inbound(message) => message.content.clone().unwrap_or_default(),
    };
    page.found.iter().map(|found| content(&found.message)).collect()
}

fn of_phone(phone: &str) -> Search {
    Search { address: Some(phone.into()), ..Search::default() }
}

/// Everything that a search finds, and in how many looks.
async fn all(store: &Store, mut search: Search) -> (Vec<String>, usize) {
    let (mut found, mut looks) = (Vec::new(), 0);
    loop {
        let page = store.search(&search, &[channel()], 50).await.unwrap();
        looks += 1;
        found.extend(contents(&page));
        match page.next {
            Some(next) => search.before = Some(next),
            None => return (found, looks),
        }
    }
}

async fn a_phone_is_found_at_once_among_many_and_a_rare_fate_in_bounded_looks(place: Place) {
    let store = place.open_with(|config| config.sync = false).await;
    store.commit(vec![Change::Accept(to("+27820001001", "rare"))]).await.unwrap();
    let mut queue = store.outbound(&channel());
    let first = queue.pull(1).await.unwrap();
    store.commit(vec![ack(&first[0], "x")]).await.unwrap();
    for _ in 0..10 {
        let batch = (0..500).map(|n| Change::Accept(to(&format!("2782{n}"), "other"))).collect();
        store.commit(batch).await.unwrap();
    }
    for spelling in ["27820001001", "+27820001001", " 27820001001 "] {
        let page = store.search(&of_phone(spelling), &[channel()], 50).await.unwrap();
        assert_eq!((contents(&page), page.next), (vec!["rare".to_owned()], None), "{spelling}");
        assert_eq!(page.found[0].standing, Standing::Submitted);
    }
    let (found, looks) = all(&store, Search { status: Some(Standing::Submitted), ..Search::default() }).await;
    assert_eq!(found, ["rare"]);
    assert!((4..=6).contains(&looks), "{looks}: a look reads a thousand messages at most");
    let other = Search { channel: Some("c2".into()), ..Search::default() };
    assert_eq!(all(&store, other).await, (Vec::new(), 1), "others' messages need not be read");
}

async fn scheduled_messages_are_found_before_and_after_their_time_and_when_they_were_cancelled(place: Place) {
    let store = place.open().await;
    let long = "9".repeat(70_000);
    let soon = at(to(&long, "soon"), Duration::from_millis(200));
    let far = at(to("1", "far"), Duration::from_secs(3_600));
    store.commit(vec![Change::Accept(soon), Change::Accept(far.clone())]).await.unwrap();
    let standing = async |store: &Store, phone: &str| {
        let page = store.search(&of_phone(phone), &[channel()], 9).await.unwrap();
        page.found.iter().map(|found| found.standing).collect::<Vec<_>>()
    };
    assert_eq!(
        (standing(&store, &long).await, standing(&store, "1").await),
        (vec![Standing::Scheduled], vec![Standing::Scheduled])
    );
    assert!(standing(&store, &"9".repeat(60_000)).await.is_empty(), "the beginning is not the whole");
    store.outbound(&channel()).pull(1).await.unwrap();
    let queued = store.queued(&channel(), far.id).await.unwrap().unwrap();
    store.commit(vec![withdraw(queued, &Tally::default())]).await.unwrap();
    let copy = place.crashed().await;
    for store in [store, copy.open().await] {
        assert_eq!(
            (standing(&store, &long).await, standing(&store, "1").await),
            (vec![Standing::Queued], vec![Standing::Rejected])
        );
    }
}

async fn whoever_looks_while_scheduled_messages_get_their_places_finds_them(place: Place) {
    let store = place.open().await;
    let soon = |n: u64| {
        let message = at(message("soon", 1), Duration::from_millis(200 + n / 100));
        Arc::new(Outbound { id: MessageId(uuid::Uuid::new_v4()), ..Outbound::clone(&message) })
    };
    let messages: Vec<_> = (0..4_000).map(soon).collect();
    store.commit(messages.iter().cloned().map(Change::Accept).collect()).await.unwrap();
    let ids: Vec<_> = messages.iter().map(|message| message.id).collect();
    let (reader, (done, mut is_done)) = (store.clone(), tokio::sync::oneshot::channel());
    let looks = tokio::spawn(async move {
        while is_done.try_recv().is_err() {
            for id in &ids {
                assert!(reader.message(&[channel()], *id).await.unwrap().is_some());
            }
        }
    });
    let mut queue = store.outbound(&channel());
    let mut pulled = 0;
    while pulled < messages.len() {
        pulled += queue.pull(64).await.unwrap().len();
    }
    done.send(()).unwrap();
    looks.await.unwrap();
}

async fn messages_of_both_kinds_come_in_the_order_in_which_they_came(place: Place) {
    let store = place.open().await;
    for n in 0..3 {
        store.commit(vec![Change::Accept(message(&format!("mt{n}"), 1))]).await.unwrap();
        store.commit(vec![inbound(&format!("mo{n}"), "http://a/")]).await.unwrap();
    }
    let both = ["mo2", "mt2", "mo1", "mt1", "mo0", "mt0"];
    assert_eq!(all(&store, Search::default()).await.0, both);
    let only = |direction| Search { direction: Some(direction), ..Search::default() };
    assert_eq!(all(&store, only(Direction::Inbound)).await.0, ["mo2", "mo1", "mo0"]);
    assert_eq!(all(&store, only(Direction::Outbound)).await.0, ["mt2", "mt1", "mt0"]);
    assert_eq!(
        all(&store, Search { status: Some(Standing::Received), ..of_phone("2") }).await.0,
        ["mo2", "mo1", "mo0"]
    );
    let none: [ChannelId; 0] = [];
    let before = Search { before: Some(MessageId::first_of(Timestamp(0))), ..Search::default() };
    assert!(store.search(&before, &none, 9).await.unwrap().found.is_empty());
}

/// An hour's messages, one a minute: MTs and MOs in turn, with ids of ours, of applications, of counters.
fn an_hour(begin: Timestamp) -> Vec<Change> {
    let came = |minute: u64| begin.plus(Duration::from_secs(60 * minute));
    let made = |at: Timestamp| {
        let unix = uuid::Timestamp::from_unix(uuid::NoContext, u64::try_from(at.0).unwrap() / 1_000_000, 0);
        MessageId(uuid::Uuid::new_v7(unix))
    };
    let id = |minute: u64| match minute % 5 {
        0 => made(came(minute)),
        1 => MessageId(uuid::Uuid::new_v4()),
        2 => made(came(minute + 60)),
        3 => {
            let tail = [u8::try_from(minute).unwrap(); 10];
            MessageId(uuid::Builder::from_unix_timestamp_millis(u64::MAX, &tail).into_uuid())
        }
        _ => MessageId(uuid::Uuid::from_u128(u128::from(1_000 - minute))),
    };
    let change = |minute: u64| {
        if minute.is_multiple_of(2) {
            let mt = Outbound {
                id: id(minute),
                accepted_at: came(minute),
                ..Outbound::clone(&to("2", &minute.to_string()))
            };
            return Change::Accept(Arc::new(mt));
        }
        let Change::Receive { message, joined_from, .. } = inbound(&minute.to_string(), "http://a/") else {
            unreachable!()
        };
        let mo = Inbound { id: id(minute), received_at: came(minute), ..Inbound::clone(&message) };
        Change::Receive { message: Arc::new(mo), callbacks: Vec::new(), joined_from }
    };
    (0..60).map(change).collect()
}

async fn whoever_made_their_ids_messages_come_in_the_order_of_time_and_are_found_by_both(place: Place) {
    let store = place.open().await;
    let begin = Timestamp(Timestamp::now().0 - 7_200_000_000);
    let mut changes = an_hour(begin);
    let ids: Vec<_> = changes
        .iter()
        .map(|change| match change {
            Change::Accept(message) => message.id,
            Change::Receive { message, .. } => message.id,
            _ => unreachable!(),
        })
        .collect();
    // As they are imported: not in the order of time.
    changes.reverse();
    let later = changes.split_off(20);
    store.commit(later).await.unwrap();
    store.commit(changes).await.unwrap();
    let names = |minutes: std::ops::Range<u64>| minutes.rev().map(|minute| minute.to_string()).collect::<Vec<_>>();
    let copy = place.crashed().await;
    for store in [&store, &copy.open().await] {
        for search in [Search::default(), of_phone("2")] {
            assert_eq!(all(store, search.clone()).await.0, names(0..60));
            let minute = |minute: u64| Some(begin.plus(Duration::from_secs(60 * minute)));
            let part = Search { since: minute(20), until: minute(40), ..search.clone() };
            assert_eq!(all(store, part).await.0, names(20..40));
            let (mut one, mut found) = (search, Vec::new());
            loop {
                let page = store.search(&one, &[channel()], 1).await.unwrap();
                found.extend(contents(&page));
                one.before = page.next;
                if one.before.is_none() {
                    break;
                }
            }
            assert_eq!(found, names(0..60), "one at a time");
        }
        for (minute, id) in ids.iter().enumerate() {
            let content = match store.message(&[channel()], *id).await.unwrap() {
                Some(found) => Some(found.message.content.clone()),
                None => store.inbound(&channel(), *id).await.unwrap().and_then(|found| found.content),
            };
            assert_eq!(content, Some(minute.to_string()));
        }
        let behind_all = Search { before: Some(MessageId(uuid::Uuid::max())), ..Search::default() };
        assert_eq!(all(store, behind_all).await.0.len(), 60);
    }
    assert_eq!(store.queued(&channel(), ids[4]).await.unwrap().map(|queued| queued.message.id), Some(ids[4]));
}
