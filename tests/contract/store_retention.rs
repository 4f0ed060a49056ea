//! What goes when it is old, what never goes while it waits, and what a disk that refuses to be written means.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use maybug::model::{Inbound, MessageId, Timestamp};
use maybug::store::{Change, CommitError, Store, StoreConfig};

use crate::store_support::{ack, channel, contents, inbound, message, open};

fn forgetful(path: &Path) -> Store {
    let config = StoreConfig { min_free: 0, retention: Duration::ZERO, ..StoreConfig::default() };
    Store::open(&StoreConfig { path: path.to_owned(), ..config }).await.unwrap()
}

/// Waits until something holds; the store works at its own pace.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap_or_else(|_| panic!("never {what}"));
}

#[tokio::test]
async fn old_messages_go_with_their_events_and_those_that_wait_stay() {
    let directory = tempfile::tempdir().unwrap();
    let store = forgetful(directory.path());
    let messages: Vec<_> = (0..3).map(|n| message(&n.to_string(), 1)).collect();
    store.commit(messages.iter().cloned().map(Change::Accept).collect()).await.unwrap();
    let mut queue = store.outbound(&channel());
    let pulled = queue.pull(2).await.unwrap();
    let done = store.message(pulled[0].message.id).await.unwrap().unwrap();
    store.commit(pulled.iter().map(|delivery| ack(delivery, "")).collect()).await.unwrap();
    let gone = |id: MessageId| store.message(id).await.unwrap().is_none();
    until("forgotten", || gone(messages[0].id) && gone(messages[1].id)).await;
    assert!(store.events(&done).await.unwrap().is_empty());
    assert!(!gone(messages[2].id));
    drop((queue, store));
    let store = open(directory.path());
    assert_eq!(store.depth(&channel()).waiting, 1);
    assert_eq!(contents(&store.outbound(&channel()).pull(5).await.unwrap()), ["2"]);
}

#[tokio::test]
async fn old_messages_from_phones_and_old_parked_callbacks_go_too() {
    let directory = tempfile::tempdir().unwrap();
    let store = forgetful(directory.path());
    let Change::Receive { message, callbacks, joined_from } = inbound("x", "http://a/") else { unreachable!() };
    let id = message.id;
    store.commit(vec![Change::Receive { message, callbacks, joined_from }]).await.unwrap();
    let mut queue = store.callback_lanes().unwrap().next().await.unwrap();
    let ticket = queue.pull(1).await.unwrap()[0].ticket;
    store.commit(vec![Change::CallbackParked { ticket, reason: "too old".into() }]).await.unwrap();
    until("forgotten", || store.inbound(&channel(), id).await.unwrap().is_none()).await;
    until("forgotten", || store.parked_callbacks(None, 1).await.unwrap().found.is_empty()).await;
}

#[tokio::test]
async fn of_imported_messages_from_phones_the_old_go_and_the_young_stay() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig { min_free: 0, retention: Duration::from_secs(3_600), ..StoreConfig::default() };
    let store = Store::open(&StoreConfig { path: directory.path().to_owned(), ..config }).await.unwrap();
    let mut imported = Vec::new();
    for (minutes_ago, number) in [(70, 9), (50, 8), (65, 7), (61, 0), (1, 1)] {
        let Change::Receive { message, joined_from, .. } = inbound("x", "http://a/") else { unreachable!() };
        let id = MessageId(uuid::Uuid::from_u128(number));
        let received_at = Timestamp(Timestamp::now().0 - minutes_ago * 60_000_000);
        let message = Arc::new(Inbound { id, received_at, ..Inbound::clone(&message) });
        store.commit(vec![Change::Receive { message, callbacks: Vec::new(), joined_from }]).await.unwrap();
        imported.push((id, minutes_ago > 60));
    }
    let is_gone = |id: MessageId| store.inbound(&channel(), id).await.unwrap().is_none();
    until("forgotten", || imported.iter().all(|(id, old)| !old || is_gone(*id))).await;
    assert!(imported.iter().all(|(id, old)| is_gone(*id) == *old));
}

#[tokio::test]
async fn a_callback_that_waits_is_kept_beyond_its_retention() {
    let directory = tempfile::tempdir().unwrap();
    let store = forgetful(directory.path());
    store.commit(vec![inbound("slow", "http://a/"), inbound("done", "http://a/")]).await.unwrap();
    let mut queue = store.callback_lanes().unwrap().next().await.unwrap();
    let owed = queue.pull(2).await.unwrap();
    let at = Timestamp::now().plus(Duration::from_secs(3_600));
    let done = Change::CallbackDone(owed[1].ticket);
    store.commit(vec![Change::CallbackRetry { ticket: owed[0].ticket, at }, done]).await.unwrap();
    let mark = message("mark", 1);
    store.commit(vec![Change::Accept(mark.clone())]).await.unwrap();
    let pulled = store.outbound(&channel()).pull(1).await.unwrap();
    store.commit(vec![ack(&pulled[0], "")]).await.unwrap();
    until("forgotten", || store.message(mark.id).await.unwrap().is_none()).await;
    assert!(!queue.is_drained(), "it still waits for its time");
}

/// Names the directory for the half of the next test that runs in a process whose files may not grow.
const LIMITED: &str = "MAYBUG_TEST_LIMITED_STORE";

#[tokio::test]
async fn a_write_that_fails_ends_all_writing_and_loses_nothing_that_was_acknowledged() {
    if let Some(path) = std::env::var_os(LIMITED) {
        return fail_to_write(&PathBuf::from(path)).await;
    }
    let directory = tempfile::tempdir().unwrap();
    // 64 MiB, in units of 512 octets: exactly what the engine sets aside for its journal.
    let script = "trap '' XFSZ; ulimit -f 131072; exec \"$0\" --exact \"$1\" --nocapture";
    let name = "store_retention::a_write_that_fails_ends_all_writing_and_loses_nothing_that_was_acknowledged";
    let child = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(LIMITED, directory.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"));
    let live = open(directory.path()).outbound(&channel()).try_pull(5).unwrap();
    assert_eq!(contents(&live), ["before"]);
}

async fn fail_to_write(path: &Path) {
    let store = open(path);
    store.commit(vec![Change::Accept(message("before", 1))]).await.unwrap();
    let before = store.outbound(&channel()).pull(1).await.unwrap();
    // Letters at random: the engine compresses.
    let huge: String = (0..70 * 1024 * 1024).map(|_| fastrand::alphanumeric()).collect();
    let huge = message(&huge, 1);
    let refused = store.commit(vec![Change::Accept(huge)]).await;
    assert!(matches!(refused, Err(CommitError::NotReady(_))), "{refused:?}");
    assert!(store.health().is_err());
    assert!(matches!(store.commit(vec![ack(&before[0], "1")]).await, Err(CommitError::NotReady(_))));
    assert!(matches!(store.post(vec![ack(&before[0], "1")]).await, Err(CommitError::NotReady(_))));
    assert!(store.message(before[0].message.id).await.unwrap().is_some(), "reads go on");
    store.close().await;
}
