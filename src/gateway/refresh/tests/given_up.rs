//! Channels that go to another process, seen from inside: what is left of them here, and who waits for whom.

use futures_util::StreamExt;
use serde_json::value::RawValue;

use super::*;
use crate::model::{Callback, CallbackKind, CallbackTarget, Inbound, MessageId};

const NONE: fn() -> Assigned = || Assigned::Only(HashSet::new());

/// An event that is owed for a channel, whether or not it is there still, to somebody whom nobody may call.
fn owed(channel: &ChannelId) -> Change {
    let id = MessageId::mint();
    let message = Inbound {
        id,
        channel: channel.clone(),
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
    };
    let callback = Callback {
        id,
        kind: CallbackKind::Event,
        channel: channel.clone(),
        message: id,
        target: CallbackTarget::Url { url: "http://localhost/".to_owned(), token: None },
        body: RawValue::from_string("{}".to_owned()).unwrap(),
        created_at: Timestamp::now(),
    };
    Change::Receive { message: Arc::new(message), callbacks: vec![callback], joined_from: Vec::new() }
}

fn recorded(number: u8) -> Edit {
    Edit::Channel(number, object(json!({"type": "recorder", "config": {}})))
}

/// Waits for something that comes to pass without being told.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), wait).await.is_ok(), "{what} has not come to pass");
}

#[tokio::test]
async fn nothing_here_keeps_the_engine_of_a_channel_that_has_gone_even_of_one_that_was_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let (store, recorder) = (store(directory.path()).await, Recorder::default());
    let gateway = gateway(directory.path(), &store, &recorder, (Activity::Full, Assigned::All)).await;
    let [there, deleted] = [0, 1].map(named::<ChannelId>);
    here(&gateway, recorded(0)).await;
    store.commit(vec![owed(&there), owed(&deleted)]).await.unwrap();
    until("a try of each", || gateway.0.served.ids().len() == 2).await;
    assert!(store.holders() > 1);
    gateway.assign(NONE()).await.unwrap();
    assert!(gateway.0.served.ids().is_empty());
    until("that nobody has it", || store.holders() == 1).await;
    // What comes now waits as well, and is served when it is ours again.
    store.commit(vec![owed(&there), owed(&deleted)]).await.unwrap();
    until("that nobody has it", || store.holders() == 1).await;
    gateway.assign(Assigned::All).await.unwrap();
    until("a try of each", || gateway.0.served.ids().len() == 2).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn callbacks_end_while_their_channel_still_unbinds() {
    let directory = tempfile::tempdir().unwrap();
    let (store, recorder) = (store(directory.path()).await, Recorder::default());
    let gateway = gateway(directory.path(), &store, &recorder, (Activity::Full, Assigned::All)).await;
    here(&gateway, recorded(0)).await;
    running(&gateway, &recorder).await;
    store.commit(vec![owed(&named(0))]).await.unwrap();
    until("a try", || gateway.0.served.ids().len() == 1).await;
    recorder.ran().lingers = true;
    let leaving = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.assign(NONE()).await }
    });
    until("the end of callbacks", || gateway.0.served.ids().is_empty()).await;
    assert_eq!(recorder.ran().running.len(), 1);
    recorder.ran().lingers = false;
    leaving.await.unwrap().unwrap();
    assert!(recorder.ran().running.is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn whoever_assigns_the_same_again_waits_for_those_that_end_already() {
    let directory = tempfile::tempdir().unwrap();
    let (store, recorder) = (store(directory.path()).await, Recorder::default());
    let gateway = gateway(directory.path(), &store, &recorder, (Activity::Full, Assigned::All)).await;
    here(&gateway, recorded(0)).await;
    running(&gateway, &recorder).await;
    recorder.ran().lingers = true;
    let first = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.assign(NONE()).await }
    });
    until("that it is to end", || !gateway.0.directory.load().runs(&named(0))).await;
    let again = async {
        gateway.assign(NONE()).await.unwrap();
        assert!(recorder.ran().running.is_empty(), "it still unbinds");
    };
    let end = async {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        recorder.ran().lingers = false;
    };
    tokio::join!(again, end);
    first.await.unwrap().unwrap();
    gateway.shutdown().await;
}

#[tokio::test]
async fn in_a_hurry_a_channel_is_cut_off_that_does_not_unbind() {
    let directory = tempfile::tempdir().unwrap();
    let (store, recorder) = (store(directory.path()).await, Recorder::default());
    let gateway = gateway(directory.path(), &store, &recorder, (Activity::Full, Assigned::All)).await;
    here(&gateway, recorded(0)).await;
    running(&gateway, &recorder).await;
    recorder.ran().lingers = true;
    // Far sooner than it would have to otherwise.
    let cut = tokio::time::timeout(DRAIN / 4, gateway.reassign(NONE(), Duration::ZERO).collect::<Vec<_>>()).await;
    assert!(cut.unwrap().iter().all(|(_, settled)| settled.is_ok()));
    gateway.assign(Assigned::All).await.unwrap();
    until("another start", || recorder.ran().starts[&named::<ChannelId>(0)] == 2).await;
    recorder.ran().lingers = false;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_change_is_made_to_what_the_look_before_it_has_found() {
    let directory = tempfile::tempdir().unwrap();
    let (store, recorder) = (store(directory.path()).await, Recorder::default());
    let gateway = gateway(directory.path(), &store, &recorder, (Activity::Full, Assigned::All)).await;
    let id: ChannelId = named(0);
    here(&gateway, recorded(0)).await;
    let theirs = json!({"type": "recorder", "config": {}, "mo_url": "http://localhost/"});
    elsewhere(&store, Edit::Channel(0, object(theirs))).await;
    let turn = gateway.0.defining.lock().await;
    let look = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.refresh().await }
    });
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let change = tokio::spawn({
        let (gateway, id) = (gateway.clone(), id.clone());
        async move { gateway.update_channel(&id, object(json!({"label": "ours"}))).await }
    });
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    drop(turn);
    look.await.unwrap().unwrap();
    let changed = change.await.unwrap().unwrap();
    assert_eq!((changed.text("label"), changed.text("mo_url")), (Some("ours"), Some("http://localhost/")));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_destinations_queue_is_read_where_its_own_channel_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (store, recorder) = (store(directory.path()).await, Recorder::default());
    let gateway = gateway(directory.path(), &store, &recorder, (Activity::Full, Assigned::All)).await;
    let one = |number| Assigned::Only([named(number)].into());
    for number in 0..3 {
        here(&gateway, recorded(number)).await;
    }
    here(&gateway, Edit::Router(1, object(json!({"type": "outbound", "config": {}})))).await;
    for (number, queue) in [(0, json!(null)), (1, json!("own")), (2, json!("shared"))] {
        let destination = json!({"config": {"channel": id(number)}, "amqp_queue": queue});
        here(&gateway, Edit::Destination(1, number, object(destination))).await;
    }
    for (number, reads) in [(0, false), (1, true), (2, false)] {
        gateway.assign(one(number)).await.unwrap();
        assert_eq!(gateway.reads(&gateway.0.directory.load(), "own"), reads, "where {number} runs");
    }
    assert!(gateway.placed_by().is_empty());
    here(&gateway, Edit::Channel(0, object(json!({"type": "recorder", "config": {}, "amqp_queue": "shared"})))).await;
    assert_eq!(gateway.placed_by(), [(named(0), named(0)), (named(2), named(0))].into());
    gateway.shutdown().await;
}
