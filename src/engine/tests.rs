//! The engine in a directory, as only somebody inside can see it: rows that are left, room in its inbox.

use tokio::sync::mpsc;

use super::committer::Job;
use super::draft::Op;
use super::rows::Row;
use super::*;
use crate::model::{Callback, CallbackKind, CallbackTarget, Inbound, JsonObject, MessageId, Outbound};
use crate::store::Change;

async fn open(config: &StoreConfig) -> Arc<Engine> {
    let (announce, _) = mpsc::unbounded_channel();
    let common = Common { announce, rings: Arc::default(), earlier: Arc::default(), guard: Guard::new("the disk") };
    Engine::in_directory(config, &common).await.unwrap()
}

fn inbound(id: MessageId) -> Inbound {
    Inbound {
        id,
        channel: ChannelId::from("c"),
        to: String::new(),
        from: String::new(),
        group: None,
        content: None,
        reply_to: None,
        session_event: None,
        channel_data: JsonObject::new(),
        transport_type: None,
        transport_metadata: JsonObject::new(),
        provider: None,
        destinations: Vec::new(),
        received_at: Timestamp::now(),
    }
}

fn owed(body: &str) -> Change {
    let message = inbound(MessageId::mint());
    let id = message.id;
    let callback = Callback {
        id,
        kind: CallbackKind::Mo,
        channel: message.channel.clone(),
        message: id,
        target: CallbackTarget::Channel,
        body: serde_json::value::to_raw_value(body).unwrap(),
        created_at: Timestamp::now(),
    };
    Change::Receive { message: Arc::new(message), callbacks: vec![callback], joined_from: Vec::new() }
}

async fn next(engine: &Engine, lane: &Arc<Lane>, generation: u64) -> Entry {
    loop {
        let notified = lane.work.notified();
        match engine.take(lane, generation, 1, |_| 1).unwrap() {
            Pulled::Entries(mut entries) => return entries.remove(0),
            Pulled::Nothing { due: Some(due) } => {
                let _ = tokio::time::timeout(Timestamp::now().until(due), notified).await;
            }
            Pulled::Soon | Pulled::Nothing { due: None } => notified.await,
        }
    }
}

#[tokio::test]
async fn what_waited_on_disk_comes_back_in_its_time_with_its_record_its_origin_and_its_tries() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig { path: directory.path().to_owned(), min_free: 0, ..StoreConfig::default() };
    let engine = open(&config).await;
    engine.write(vec![owed("first"), owed("second")], true).await.unwrap();
    let lane = engine.lanes.named("mo/c");
    let generation = engine.acquire(&lane);
    let first = next(&engine, &lane, generation).await;
    let Item::Callback(callback) = &first.item else { panic!("no callback") };
    // As a delay of more than a minute is written, only shorter.
    let at = Timestamp::now().plus(Duration::from_millis(1_500));
    let ticket = lane.ticket(first.seq);
    let op = || Op::Retry { ticket, at, record: Some(serde_json::to_vec(&**callback).unwrap()) };
    let room = engine.inbox.room(1, 1).await.unwrap();
    // Said twice, it counts once.
    engine.inbox.send(Job { ops: vec![op(), op()], octets: 1, done: None, room: Some(room) }).unwrap();
    engine.write(Vec::new(), true).await.unwrap();
    assert_eq!(lane.waiting(), 2);
    let second = next(&engine, &lane, generation).await;
    engine.write(vec![Change::CallbackDone(lane.ticket(second.seq))], true).await.unwrap();
    assert_eq!(lane.waiting(), 1);
    let back = next(&engine, &lane, generation).await;
    assert!(Timestamp::now() >= at);
    assert_eq!((back.origin, back.attempts, lane.waiting()), (ticket, 1, 1));
    let Item::Callback(again) = &back.item else { panic!("no callback") };
    assert_eq!(again.body.get(), "\"first\"");
    assert_ne!(back.seq, first.seq);
    engine.write(vec![Change::CallbackDone(lane.ticket(back.seq))], true).await.unwrap();
    assert_eq!(lane.waiting(), 0);
    drop(engine);
    assert_eq!(open(&config).await.lanes.named("mo/c").waiting(), 0);
}

#[tokio::test]
async fn a_scheduled_message_is_found_by_its_phone_until_it_is_sent_and_by_nothing_once_its_channel_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig { path: directory.path().to_owned(), min_free: 0, ..StoreConfig::default() };
    let engine = open(&config).await;
    let later = |later| {
        let send_at = Some(Timestamp::now().plus(later));
        Arc::new(Outbound { send_at, ..Outbound::plain("27820001001", "later") })
    };
    let (far, near) = (later(Duration::from_secs(1_000_000)), later(Duration::from_millis(300)));
    engine.write(vec![Change::Accept(far.clone()), Change::Accept(near.clone())], true).await.unwrap();
    let phone = engine.rows.get(Table::Phone, &keys::phone(&far.to, far.id.0.as_bytes())).await.unwrap().unwrap();
    assert_eq!(keys::written(&phone).map(i64::from), far.send_at.map(|at| at.0 / 1_000_000));
    engine.write(vec![Change::DeleteChannel(near.channel.clone())], true).await.unwrap();
    while engine.rows.all(Table::Due, Span::since([])).await.unwrap().len() > 1 {
        engine.write(Vec::new(), true).await.unwrap();
    }
    assert!(engine.rows.get(Table::Id, near.id.0.as_bytes()).await.unwrap().is_none());
    assert!(engine.rows.get(Table::Id, far.id.0.as_bytes()).await.unwrap().is_some());
}

#[tokio::test]
async fn messages_with_ids_of_others_leave_no_alias_behind() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let config = StoreConfig { path, min_free: 0, retention: Duration::ZERO, ..StoreConfig::default() };
    let engine = open(&config).await;
    let mt = |send_at| Arc::new(Outbound { id: MessageId(uuid::Uuid::new_v4()), send_at, ..Outbound::plain("1", "x") });
    let mo = inbound(MessageId(uuid::Uuid::new_v4()));
    let soon = mt(Some(Timestamp::now().plus(Duration::from_millis(100))));
    let receive = Change::Receive { message: Arc::new(mo), callbacks: Vec::new(), joined_from: Vec::new() };
    let channel = soon.channel.clone();
    let archive = Change::Archive { message: mt(None), events: Vec::new(), correlate: Vec::new() };
    let changes = vec![archive, Change::Accept(soon), receive, Change::DeleteChannel(channel)];
    engine.write(changes, true).await.unwrap();
    let count = async |table| engine.rows.all(table, Span::since([1])).await.unwrap().len();
    let swept = async {
        while count(Table::Id).await + count(Table::Inbound).await > 0 {
            engine.write(Vec::new(), true).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), swept).await.unwrap();
}

#[tokio::test]
async fn a_full_inbox_makes_commits_busy() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig { path: directory.path().to_owned(), min_free: 0, ..StoreConfig::default() };
    let engine = open(&config).await;
    let all = engine.inbox.room(inbox::MOST_OPS, 0).await.unwrap();
    assert_eq!(engine.write(vec![owed("a")], true).await, Err(CommitError::Busy));
    assert_eq!(engine.lanes.named("mo/c").waiting(), 0, "nothing of it was written");
    drop(all);
    assert_eq!(engine.write(vec![owed("a")], true).await, Ok(()));
    let octets = engine.inbox.room(1, inbox::MOST_KIB * 1024).await.unwrap();
    assert_eq!(engine.write(vec![owed("a")], true).await, Err(CommitError::Busy));
    drop(octets);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_costs_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig { path: directory.path().to_owned(), min_free: 0, ..StoreConfig::default() };
    let engine = open(&config).await;
    let all = (0..600).map(|n| owed(&n.to_string())).collect();
    engine.write(all, true).await.unwrap();
    let lane = engine.lanes.named("mo/c");
    let key = keys::entry(lane.ticket(10)).to_vec();
    engine.rows.write(vec![Row { table: Table::Msg, key, value: Some(b"rubbish".to_vec()) }]).await.unwrap();
    drop((engine, lane));
    let engine = open(&config).await;
    let lane = engine.lanes.named("mo/c");
    let generation = engine.acquire(&lane);
    let mut seqs = Vec::new();
    while let Pulled::Entries(entries) = engine.take(&lane, generation, 100, |_| 1).unwrap() {
        seqs.extend(entries.into_iter().map(|entry| entry.seq));
    }
    assert_eq!(seqs, (0..600).filter(|seq| *seq != 10).collect::<Vec<_>>());
}

#[tokio::test]
async fn whoever_waits_for_what_came_before_is_never_told_that_there_is_no_room() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig { path: directory.path().to_owned(), min_free: 0, ..StoreConfig::default() };
    let engine = open(&config).await;
    let mut taken = Vec::new();
    for size in [1_000, 1] {
        while let Ok(room) = tokio::time::timeout(Duration::from_millis(1), engine.inbox.room(size, 0)).await {
            taken.push(room.unwrap());
        }
    }
    assert_eq!(engine.write(vec![owed("a")], true).await, Err(CommitError::Busy));
    assert_eq!(engine.write(Vec::new(), true).await, Ok(()));
}
