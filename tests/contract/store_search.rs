//! Looking messages up: by phone among many others, a bounded amount of work at a time, and no longer than they are kept.

use std::sync::Arc;
use std::time::Duration;

use maybug::model::{ChannelId, MessageId, Outbound};
use maybug::store::{Change, Direction, Kept, Page, Search, Standing, Store, StoreConfig, Tally};

use crate::store_support::{ack, at, channel, crashed, inbound, message, open, withdraw};

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
fn all(store: &Store, mut search: Search) -> (Vec<String>, usize) {
    let (mut found, mut looks) = (Vec::new(), 0);
    loop {
        let page = store.search(&search, &[channel()], 50).unwrap();
        looks += 1;
        found.extend(contents(&page));
        match page.next {
            Some(next) => search.before = Some(next),
            None => return (found, looks),
        }
    }
}

#[tokio::test]
async fn a_phone_is_found_at_once_among_many_and_a_rare_fate_in_bounded_looks() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig { path: directory.path().to_owned(), min_free: 0, sync: false, ..StoreConfig::default() };
    let store = Store::open(&config).unwrap();
    store.commit(vec![Change::Accept(to("+27820001001", "rare"))]).await.unwrap();
    let mut queue = store.outbound(&channel());
    let first = queue.pull(1).await.unwrap();
    store.commit(vec![ack(&first[0], "x")]).await.unwrap();
    for _ in 0..10 {
        let batch = (0..500).map(|n| Change::Accept(to(&format!("2782{n}"), "other"))).collect();
        store.commit(batch).await.unwrap();
    }
    for spelling in ["27820001001", "+27820001001", " 27820001001 "] {
        let page = store.search(&of_phone(spelling), &[channel()], 50).unwrap();
        assert_eq!((contents(&page), page.next), (vec!["rare".to_owned()], None), "{spelling}");
        assert_eq!(page.found[0].standing, Standing::Submitted);
    }
    let (found, looks) = all(&store, Search { status: Some(Standing::Submitted), ..Search::default() });
    assert_eq!(found, ["rare"]);
    assert!((4..=6).contains(&looks), "{looks}: a look reads a thousand messages at most");
    let other = Search { channel: Some("c2".into()), ..Search::default() };
    assert_eq!(all(&store, other), (Vec::new(), 1), "others' messages need not be read");
}

#[tokio::test]
async fn scheduled_messages_are_found_before_and_after_their_time_and_when_they_were_cancelled() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let long = "9".repeat(70_000);
    let soon = at(to(&long, "soon"), Duration::from_millis(200));
    let far = at(to("1", "far"), Duration::from_secs(3_600));
    store.commit(vec![Change::Accept(soon), Change::Accept(far.clone())]).await.unwrap();
    let standing = |store: &Store, phone: &str| {
        let page = store.search(&of_phone(phone), &[channel()], 9).unwrap();
        page.found.iter().map(|found| found.standing).collect::<Vec<_>>()
    };
    assert_eq!(
        (standing(&store, &long), standing(&store, "1")),
        (vec![Standing::Scheduled], vec![Standing::Scheduled])
    );
    assert!(standing(&store, &"9".repeat(60_000)).is_empty(), "the beginning is not the whole");
    store.outbound(&channel()).pull(1).await.unwrap();
    let queued = store.queued(far.id).unwrap().unwrap();
    store.commit(vec![withdraw(queued, &Tally::default())]).await.unwrap();
    let copy = crashed(directory.path());
    for store in [store, open(copy.path())] {
        assert_eq!(
            (standing(&store, &long), standing(&store, "1")),
            (vec![Standing::Queued], vec![Standing::Rejected])
        );
    }
}

#[tokio::test]
async fn messages_of_both_kinds_come_in_the_order_of_their_ids() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for n in 0..3 {
        store.commit(vec![Change::Accept(message(&format!("mt{n}"), 1))]).await.unwrap();
        store.commit(vec![inbound(&format!("mo{n}"), "http://a/")]).await.unwrap();
    }
    let both = ["mo2", "mt2", "mo1", "mt1", "mo0", "mt0"];
    assert_eq!(all(&store, Search::default()).0, both);
    let only = |direction| Search { direction: Some(direction), ..Search::default() };
    assert_eq!(all(&store, only(Direction::Inbound)).0, ["mo2", "mo1", "mo0"]);
    assert_eq!(all(&store, only(Direction::Outbound)).0, ["mt2", "mt1", "mt0"]);
    assert_eq!(all(&store, Search { status: Some(Standing::Received), ..of_phone("2") }).0, ["mo2", "mo1", "mo0"]);
    let none: [ChannelId; 0] = [];
    let before = Search { before: Some(MessageId::first_of(maybug::model::Timestamp(0))), ..Search::default() };
    assert!(store.search(&before, &none, 9).unwrap().found.is_empty());
}
