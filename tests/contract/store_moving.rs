//! All that a store has, out of each kind of place and into each other: what comes out again, and what can be done with it.

use std::collections::BTreeMap;
use std::time::Duration;

use maybug::model::{
    Account, Callback, CallbackKind, CallbackTarget, ChannelId, ChannelProperties, DeliveryStatus,
    DestinationProperties, Event, EventKind, JsonObject, Level, MessageId, Permission, RouterProperties, SmscMessageId,
    Status, Timestamp, Token, TokenHash,
};
use maybug::moving::{self, MovingError};
use maybug::store::{Change, Contents, Delivery, OpenError, Record, Search, Standing, Store};
use sha2::Digest;

use crate::place::{Engine, Place, on_every_engine};
use crate::store_support::{
    SOON, accept, ack, at, callback, channel, contents, inbound, message, ready, ready_of, until,
};

on_every_engine!(
    one_of_everything_comes_out_of_another_place_as_it_was,
    what_has_been_kept_for_long_is_not_kept_longer_for_having_been_moved,
    an_import_that_was_broken_off_goes_on_and_no_server_starts_before,
    nothing_is_imported_where_something_is,
    nothing_is_imported_where_something_has_been,
    what_a_running_server_has_is_not_exported,
    what_was_read_must_not_be_written_while_the_rest_is_read,
    what_a_crash_made_doubtful_stays_so_and_no_more,
);

/// Far enough to wait on disk.
const FAR: Duration = Duration::from_secs(3600);

fn other() -> ChannelId {
    "c2".into()
}

fn object(value: serde_json::Value) -> JsonObject {
    value.as_object().unwrap().clone()
}

fn told(of: &Delivery, kind: EventKind) -> Change {
    Change::Record {
        event: Event {
            id: MessageId::mint(),
            message: of.message.id,
            channel: channel(),
            at: Timestamp::now(),
            kind,
            details: object(serde_json::json!({"n": 1})),
        },
        origin: of.origin,
        leaves: None,
        correlate: Vec::new(),
        callbacks: Vec::new(),
    }
}

fn queued(body: &str) -> Callback {
    let target = CallbackTarget::Queue { queue: "app".into(), owner: None };
    Callback { target, kind: CallbackKind::Event, ..callback(body, "http://unused/") }
}

/// Takes all callbacks that are owed now, by queue.
async fn owed(store: &Store, count: usize) -> BTreeMap<String, Vec<(String, u32)>> {
    let mut lanes = store.callback_lanes().unwrap();
    let (mut found, mut queues) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    while found.values().map(Vec::len).sum::<usize>() < count {
        let mut queue = tokio::time::timeout(SOON, lanes.next()).await.unwrap().unwrap();
        let of = found.entry(queue.lane().to_owned()).or_default();
        let all = tokio::time::timeout(SOON, queue.pull(100)).await.unwrap().unwrap();
        of.extend(all.iter().map(|owed| (owed.callback.body.get().to_owned(), owed.attempts)));
        queues.push(queue);
    }
    found
}

/// Fills a place with one of everything and closes it in order.
async fn fill(place: &Place) {
    let store = place.open().await;
    for id in [channel(), other()] {
        let properties = object(serde_json::json!({"type": "smpp", "config": {"password": "s3cret"}}));
        store.commit(vec![Change::SaveChannel(ChannelProperties { id, properties })]).await.unwrap();
    }
    let token = Token {
        id: "t".into(),
        label: None,
        hash: TokenHash([7; 32]),
        created_at: Timestamp(1),
        expires_at: Some(Timestamp(2)),
    };
    let account = Account {
        name: "shop".into(),
        scopes: vec![Permission::Send],
        channels: Some(vec![channel()]),
        sources: Vec::new(),
        disabled: true,
        password: None,
        tokens: vec![token],
        created_at: Timestamp(1),
    };
    let router: RouterProperties =
        serde_json::from_value(serde_json::json!({"id": "r", "properties": {"type": "x"}})).unwrap();
    let destination: DestinationProperties =
        serde_json::from_value(serde_json::json!({"id": "d", "router": "r", "properties": {"label": "l"}})).unwrap();
    let status = Status {
        channel_id: channel(),
        component: "smpp".into(),
        level: Level::Ok,
        kind: "bound".into(),
        message: "Bound".into(),
        details: JsonObject::new(),
    };
    let note = |name: &str| Change::SaveNote { channel: channel(), name: name.into(), record: Some(vec![0, 255, 10]) };
    let part = Change::SavePart { channel: channel(), id: MessageId::mint(), record: b"part\n".to_vec() };
    store
        .commit(vec![
            Change::SaveAccount(account.into()),
            Change::SaveRouter(router),
            Change::SaveDestination(destination),
            Change::SaveStatus { status, callback: None },
            part,
            note("session/1"),
            note("session/2"),
        ])
        .await
        .unwrap();

    // The first is sent, and delivered; then one that is tried again soon, one much later, and one that may have been sent.
    let names = ["sent", "soon", "far", "doubtful", "a", "b", "c"];
    store.commit(names.map(accept).into()).await.unwrap();
    let mut queue = store.outbound(&channel());
    let taken = ready_of(&store, &mut queue, 4).await;
    let mut sent = ack(&taken[0], "s1");
    if let Change::Record { correlate, .. } = &mut sent {
        correlate.push(SmscMessageId("s2".into()));
    }
    store
        .commit(vec![
            sent,
            told(&taken[0], EventKind::DeliveryReport { status: DeliveryStatus::Delivered }),
            Change::Retry { ticket: taken[1].ticket, at: Timestamp::now().plus(Duration::from_secs(1)) },
            Change::Retry { ticket: taken[2].ticket, at: Timestamp::now().plus(FAR) },
        ])
        .await
        .unwrap();
    store.suspect(&[taken[3].ticket], true);
    drop(queue);
    let expires = until(message("urgent", 5), FAR);
    let elsewhere = MessageId(uuid::Uuid::nil());
    let foreign = maybug::model::Outbound { id: elsewhere, channel: other(), ..(*message("foreign", 2)).clone() };
    store
        .commit(vec![
            Change::Accept(expires),
            Change::Accept(at(message("later", 3), FAR)),
            Change::Accept(at(message("latest", 3), 2 * FAR)),
            Change::Accept(foreign.into()),
            inbound("\"one\"", "http://a:1/x"),
            inbound("two", "http://a:1/y"),
            inbound("three", "http://a:1/z"),
            inbound("parked", "http://b:1/z"),
        ])
        .await
        .unwrap();
    let mut lanes = store.callback_lanes().unwrap();
    let mut left = 2;
    while left > 0 {
        let mut queue = lanes.next().await.unwrap();
        for owed in queue.pull(10).await.unwrap() {
            let change = match owed.callback.body.get() {
                "\"two\"" => Change::CallbackRetry { ticket: owed.ticket, at: Timestamp::now().plus(FAR) },
                "\"parked\"" => Change::CallbackParked { ticket: owed.ticket, reason: "gone".into() },
                _ => continue,
            };
            left -= 1;
            store.commit(vec![change]).await.unwrap();
        }
    }
    drop(lanes);
    for body in ["q1", "q2"] {
        let mut received = inbound("mo", "http://unused/");
        if let Change::Receive { callbacks, .. } = &mut received {
            *callbacks = vec![queued(body)];
        }
        store.commit(vec![received]).await.unwrap();
    }
    store.close().await;
}

/// The lines of an export.
async fn exported(place: &Place) -> Vec<u8> {
    let mut out = Vec::new();
    let contents = Contents::open(&place.config()).await.unwrap().unwrap();
    moving::check_in_order(&contents).unwrap();
    moving::export(contents, &mut out, |_| ()).await.unwrap();
    out
}

async fn import(lines: &[u8], place: &Place) -> Result<moving::Counts, MovingError> {
    moving::import(&mut &lines[..], &place.config(), |_, _| ()).await
}

/// The same has come out of two places.
fn assert_same(one: &[u8], other: &[u8]) {
    let (one, other) = (records(one), records(other));
    let missing: Vec<_> = one.iter().filter(|record| !other.contains(record)).collect();
    let more: Vec<_> = other.iter().filter(|record| !one.contains(record)).collect();
    assert!(missing.is_empty() && more.is_empty() && one.len() == other.len(), "{missing:#?} and not {more:#?}");
}

/// The records of an export, in an order that does not depend on the place.
fn records(lines: &[u8]) -> Vec<&str> {
    let lines = std::str::from_utf8(lines).unwrap();
    let mut records: Vec<&str> = lines.lines().filter(|line| !line.contains("\"sha256\"")).skip(1).collect();
    records.sort_unstable();
    records
}

async fn one_of_everything_comes_out_of_another_place_as_it_was(place: Place) {
    fill(&place).await;
    let lines = exported(&place).await;
    assert_eq!(lines, exported_again(&place, &lines).await, "an export changes nothing");
    let text = std::str::from_utf8(&lines).unwrap();
    for engine in [Engine::Embedded, Engine::Redis] {
        let target = Place::new(engine).await;
        let counts = import(&lines, &target).await.unwrap();
        assert_eq!(counts.total(), records(&lines).len() as u64);
        assert_eq!((counts.of("message"), counts.of("correlation"), counts.of("inbound")), (11, 2, 6));
        assert_eq!((counts.of("owed"), counts.of("parked"), counts.of("note")), (5, 1, 2), "{text}");
        assert_same(&exported(&target).await, &lines);

        let store = target.open().await;
        assert_eq!(store.channels().await.unwrap().len(), 2);
        let all = ready(&store, 10).await;
        assert_eq!(contents(&all), ["urgent", "soon", "doubtful", "a", "b", "c"]);
        assert_eq!(all.iter().map(|one| one.attempts).collect::<Vec<_>>(), [0, 1, 0, 0, 0, 0]);
        let doubtful: Vec<_> = all.iter().filter(|one| one.possible_duplicate).collect();
        assert!(matches!(&doubtful[..], [one] if one.message.content == "doubtful"), "{doubtful:?}");
        assert_eq!(store.queue_length(&channel()).scheduled, 3);

        for id in ["s1", "s2"] {
            let found = store.correlate(&channel(), &[SmscMessageId(id.into())]).await.unwrap().unwrap();
            assert_eq!((&*found.message.content, found.segments), ("sent", 2));
            let events = store.events(&found).await.unwrap();
            assert!(matches!(events[0].kind, EventKind::Ack { .. }) && events.len() == 2, "{events:?}");
        }
        assert!(store.message(&[other()], MessageId(uuid::Uuid::nil())).await.unwrap().is_some());
        let search = Search { address: Some("27820001001".into()), ..Search::default() };
        let of_phone = store.search(&search, &[channel(), other()], 100).await.unwrap().found;
        assert_eq!(of_phone.len(), 11);
        assert_eq!(of_phone.iter().filter(|found| found.standing == Standing::Scheduled).count(), 2);
        let mo = text.lines().find(|line| line.contains("\"content\":\"three\"")).unwrap();
        let Record::Inbound { message, .. } = serde_json::from_str(mo).unwrap() else { panic!("{mo}") };
        assert_eq!(store.inbound(&channel(), message.id).await.unwrap(), Some(message));

        let parked = store.parked_callbacks(None, 10).await.unwrap().found;
        assert!(matches!(&parked[..], [(_, _, reason)] if reason == "gone"));
        let (ticket, callback, _) = parked[0].clone();
        store.commit(vec![Change::CallbackRevived(ticket, callback)]).await.unwrap();
        assert!(store.parked_callbacks(None, 10).await.unwrap().found.is_empty());
        let owed = owed(&store, 5).await;
        let bodies = |lane: &str| owed[lane].iter().map(|(body, _)| &**body).collect::<Vec<_>>();
        assert_eq!(bodies("event/a:1/c1"), [r#""\"one\"""#, "\"three\""]);
        assert_eq!((bodies("event/b:1/c1"), bodies("amqp/app.event")), (vec!["\"parked\""], vec!["\"q1\"", "\"q2\""]));
        store.close().await;
    }
}

/// The same export, with the time of the first.
async fn exported_again(place: &Place, first: &[u8]) -> Vec<u8> {
    let head = |lines: &[u8]| lines.iter().position(|octet| *octet == b'\n').unwrap();
    let again = exported(place).await;
    [&first[..head(first)], &again[head(&again)..]].concat()
}

async fn what_has_been_kept_for_long_is_not_kept_longer_for_having_been_moved(place: Place) {
    let source = Place::new(Engine::Embedded).await;
    fill(&source).await;
    let text = String::from_utf8(exported(&source).await).unwrap();
    let since = regex::Regex::new(r#""since":\d+"#).unwrap();
    let mut lines: Vec<String> =
        text.lines().map(|line| since.replace_all(line, "\"since\":1700000000000000").into_owned() + "\n").collect();
    let between = lines[1..lines.len() - 1].concat();
    let digest: String = sha2::Sha256::digest(&between).iter().map(|octet| format!("{octet:02x}")).collect();
    let tail = lines.pop().unwrap();
    let was = tail.split('"').rev().nth(1).unwrap();
    lines.push(tail.replace(was, &digest));
    let lines = lines.concat().into_bytes();
    import(&lines, &place).await.unwrap();
    assert_same(&exported(&place).await, &lines);
}

async fn an_import_that_was_broken_off_goes_on_and_no_server_starts_before(place: Place) {
    let source = Place::new(Engine::Embedded).await;
    fill(&source).await;
    let store = source.open().await;
    for chunk in (0..600).collect::<Vec<_>>().chunks(100) {
        store.commit(chunk.iter().map(|n| accept(&format!("n{n}"))).collect()).await.unwrap();
    }
    store.close().await;
    let lines = exported(&source).await;
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', &lines).collect();
    // In the middle of a batch, and of a line; later; before the last line.
    for end in [ends[300] - 3, ends[500], ends[ends.len() - 2] + 1] {
        let broken = import(&lines[..end], &place).await;
        assert!(matches!(broken, Err(MovingError::Truncated(_))), "{broken:?}");
        assert!(matches!(Store::open(&place.config()).await.err(), Some(OpenError::Unfinished)));
    }
    let mut changed = lines.clone();
    changed[ends[20] - 3] ^= 1;
    assert!(import(&changed, &place).await.is_err(), "another export went on with this one");
    let counts = import(&lines, &place).await.unwrap();
    assert_eq!(counts.of("message"), 611);
    assert_same(&exported(&place).await, &lines);
    let store = place.open().await;
    let ready = ready(&store, 606).await;
    let expected = (0..600).map(|n| format!("n{n}"));
    assert_eq!(contents(&ready[6..]), expected.collect::<Vec<_>>());
    assert_eq!(ready.iter().filter(|one| one.possible_duplicate).count(), 1);
    store.close().await;
}

async fn nothing_is_imported_where_something_is(place: Place) {
    fill(&place).await;
    let lines = exported(&place).await;
    assert!(matches!(import(&lines, &place).await, Err(MovingError::NotEmpty)));
    let target = place.another();
    // What a server that had nothing to do leaves behind is nothing.
    target.open().await.close().await;
    import(&lines, &target).await.unwrap();
    assert!(matches!(import(&lines, &target).await, Err(MovingError::NotEmpty)));
    let text = String::from_utf8(lines).unwrap();
    let fresh = place.another();
    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    assert!(matches!(import(newer.as_bytes(), &fresh).await, Err(MovingError::Version(2))));
    assert!(matches!(import(b"{}\n", &fresh).await, Err(MovingError::Format)));
    let fewer = text.replacen("\"shop\"", "\"sale\"", 1);
    assert!(matches!(import(fewer.as_bytes(), &fresh).await, Err(MovingError::Damaged)));
    assert!(Contents::open(&target.another().config()).await.unwrap().is_none());
}

async fn nothing_is_imported_where_something_has_been(place: Place) {
    let source = place.another();
    fill(&source).await;
    let lines = exported(&source).await;
    // Its only channel is deleted, with what was scheduled on it: its queues are there still, and closed.
    let store = place.open().await;
    let properties = ChannelProperties { id: channel(), properties: JsonObject::new() };
    store.commit(vec![Change::SaveChannel(properties)]).await.unwrap();
    store.commit(vec![Change::Accept(at(message("later", 1), FAR))]).await.unwrap();
    store.commit(vec![Change::DeleteChannel(channel())]).await.unwrap();
    store.close().await;
    assert!(records(&exported(&place).await).is_empty());
    assert!(matches!(import(&lines, &place).await, Err(MovingError::NotEmpty)));
    place.open().await.close().await;
}

async fn what_was_read_must_not_be_written_while_the_rest_is_read(place: Place) {
    fill(&place).await;
    let store = place.open().await;
    let Place::Redis(_) = &place else {
        assert!(matches!(Contents::open(&place.config()).await.err(), Some(OpenError::Locked { .. })));
        return;
    };
    let mut contents = Contents::open(&place.config()).await.unwrap().unwrap();
    while !contents.next().await.unwrap().unwrap().iter().any(|record| matches!(record, Record::Message { .. })) {}
    // Not those of the messages: only what there is, which has been read.
    let router = RouterProperties { id: "r2".into(), properties: JsonObject::new() };
    store.commit(vec![Change::SaveRouter(router)]).await.unwrap();
    let ended = moving::count(contents, |_| ()).await.unwrap_err().to_string();
    assert!(ended.contains("meanwhile"), "{ended}");
    store.close().await;
}

async fn what_a_running_server_has_is_not_exported(place: Place) {
    let store = place.open().await;
    let properties = ChannelProperties { id: channel(), properties: JsonObject::new() };
    store.commit(vec![Change::SaveChannel(properties), accept("a")]).await.unwrap();
    match &place {
        Place::Directory(_) => {
            let locked = Contents::open(&place.config()).await.err();
            assert!(matches!(locked, Some(OpenError::Locked { .. })), "{locked:?}");
        }
        Place::Redis(_) => {
            let contents = Contents::open(&place.config()).await.unwrap().unwrap();
            let refused = moving::check_in_order(&contents).unwrap_err().to_string();
            assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
            store.commit(vec![accept("b")]).await.unwrap();
            let written = moving::count(contents, |_| ()).await.unwrap_err().to_string();
            assert!(written.contains("meanwhile"), "{written}");
            let into = import(b"{\"format\":\"maybug-store\",\"version\":1}\n", &place).await;
            assert!(matches!(into, Err(MovingError::InUse { .. })), "{into:?}");
        }
    }
    store.commit(vec![accept("c")]).await.unwrap();
    store.close().await;
    exported(&place).await;
}

async fn what_a_crash_made_doubtful_stays_so_and_no_more(place: Place) {
    let store = place.open().await;
    // More than are marked as handed out before anybody asks.
    store.commit((0..100).map(|n| accept(&n.to_string())).collect()).await.unwrap();
    let mut queue = store.outbound(&channel());
    assert_eq!(contents(&ready_of(&store, &mut queue, 2).await), ["0", "1"]);
    let crashed = place.crashed().await;
    let mut lines = Vec::new();
    let contents = Contents::open(&crashed.config()).await.unwrap().unwrap();
    moving::export(contents, &mut lines, |_| ()).await.unwrap();
    let target = place.another();
    import(&lines, &target).await.unwrap();
    let store = target.open().await;
    let doubtful = async |store: &Store| -> Vec<bool> {
        ready(store, 100).await.iter().map(|one| one.possible_duplicate).collect()
    };
    // Before anybody takes any of them, nothing more is in doubt after another crash.
    let again = target.crashed().await.open().await;
    let there = doubtful(&crashed.open().await).await;
    assert!(there.starts_with(&[true, true]) && !there[99], "{there:?}");
    assert_eq!(doubtful(&store).await, there);
    assert_eq!(doubtful(&again).await, there);
}
