//! What is of the embedded engine alone, because it lies in a directory: its lock, a disk that is full or refuses to be
//! written, what a power cut leaves of a journal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use maybug::store::{Change, CommitError, OpenError, Store, StoreConfig};

use crate::place::Directory;
use crate::store_support::{accept, ack, channel, contents, inbound, message, ready};

#[tokio::test]
async fn a_second_process_is_told_that_the_store_is_in_use() {
    let directory = Directory::new();
    let _store = directory.open().await;
    let again = Store::open(&directory.config()).await;
    assert!(matches!(again.err(), Some(OpenError::Locked { .. })));
}

#[tokio::test]
async fn what_was_posted_to_a_store_that_is_merely_dropped_is_written_before_its_directory_is_free() {
    let directory = Directory::new();
    for round in 0..3 {
        let store = directory.open().await;
        assert_eq!(store.depth(&channel()).waiting, round);
        store.post(vec![accept("a")]).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_sends_first() {
    let directory = Directory::new();
    let config = StoreConfig { min_free: u64::MAX / 8, ..directory.config() };
    let store = Store::open(&config).await.unwrap();
    assert_eq!(store.commit(vec![Change::Accept(message("a", 1))]).await, Err(CommitError::Full("the disk")));
    assert!(store.health().is_err());
}

#[tokio::test]
async fn without_sync_a_crash_of_the_process_alone_loses_nothing() {
    let directory = Directory::new();
    let config = StoreConfig { sync: false, ..directory.config() };
    let store = Store::open(&config).await.unwrap();
    store.commit(vec![accept("a")]).await.unwrap();
    let copy = directory.crashed();
    assert_eq!(copy.open().await.depth(&channel()).waiting, 1);
}

#[tokio::test]
async fn a_quota_refuses_bulk_first_then_all_sends_then_what_providers_tell_us() {
    // What the engine sets aside for its journal at once; the quota is chosen around it.
    let taken = 64 * 1024 * 1024;
    for (percent, expected) in
        [(50, (true, true, true)), (88, (false, true, true)), (94, (false, false, true)), (98, (false, false, false))]
    {
        let directory = Directory::new();
        let config = StoreConfig { quota: Some(taken * 100 / percent), ..directory.config() };
        let store = Store::open(&config).await.unwrap();
        let bulk = store.commit(vec![accept("bulk")]).await.is_ok();
        let urgent = store.commit(vec![Change::Accept(message("urgent", 5))]).await.is_ok();
        let told = store.commit(vec![inbound("mo", "http://a/")]).await.is_ok();
        assert_eq!((bulk, urgent, told), expected, "at {percent} %");
        assert_eq!(store.health().is_ok(), percent == 50);
    }
}

/// The journal of a store.
fn journal(directory: &Path) -> PathBuf {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "jnl")).max().unwrap()
}

#[tokio::test]
async fn a_journal_torn_at_any_place_of_its_last_batch_loses_that_batch_alone() {
    let directory = Directory::new();
    let store = directory.open().await;
    for content in ["a", "b", "c"] {
        store.commit(vec![accept(content)]).await.unwrap();
    }
    drop(store);
    let whole = fs::read(journal(directory.path())).unwrap();
    let end = whole.iter().rposition(|octet| *octet != 0).unwrap() + 1;
    let text = b"\"content\":\"c\"";
    let at = whole.windows(text.len()).position(|window| window == text).unwrap();
    // From inside of the last accepted message to its end: every prefix opens and is consistent.
    for cut in (at - 40..end).step_by(97).chain([end - 1]) {
        let copy = directory.crashed();
        let mut torn = whole[..cut].to_vec();
        // What a power cut leaves behind the last octet that reached the disk.
        torn.resize(whole.len(), 0);
        fs::write(journal(copy.path()), &torn).unwrap();
        let revived = copy.open().await;
        let live = ready(&revived, 5).await;
        let live = contents(&live);
        assert!(["a", "b", "c"].starts_with(&live) && live.len() >= 2, "cut at {cut} of {end}: {live:?}");
        assert_eq!(revived.depth(&channel()).waiting, u64::try_from(live.len()).unwrap());
    }
}

/// Names the directory for the half of the next test that runs in a process whose files may not grow.
const LIMITED: &str = "MAYBUG_TEST_LIMITED_STORE";

#[tokio::test]
async fn a_write_that_fails_ends_all_writing_and_loses_nothing_that_was_acknowledged() {
    if let Some(path) = std::env::var_os(LIMITED) {
        return fail_to_write(&PathBuf::from(path)).await;
    }
    let directory = Directory::new();
    // 64 MiB, in units of 512 octets: exactly what the engine sets aside for its journal.
    let script = "trap '' XFSZ; ulimit -f 131072; exec \"$0\" --exact \"$1\" --nocapture";
    let name = "embedded_directory::a_write_that_fails_ends_all_writing_and_loses_nothing_that_was_acknowledged";
    let child = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(LIMITED, directory.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"));
    let live = ready(&directory.open().await, 5).await;
    assert_eq!(contents(&live), ["before"]);
}

async fn fail_to_write(path: &Path) {
    let config = StoreConfig { path: path.to_owned(), min_free: 0, ..StoreConfig::default() };
    let store = Store::open(&config).await.unwrap();
    store.commit(vec![Change::Accept(message("before", 1))]).await.unwrap();
    let before = store.outbound(&channel()).pull(1).await.unwrap();
    // Letters at random: the engine compresses, but does not look back as far as this.
    let letters: String = (0..1024 * 1024).map(|_| fastrand::alphanumeric()).collect();
    let huge = message(&letters.repeat(70), 1);
    let refused = store.commit(vec![Change::Accept(huge)]).await;
    assert!(matches!(refused, Err(CommitError::NotReady(_))), "{refused:?}");
    assert!(store.health().is_err());
    assert!(matches!(store.commit(vec![ack(&before[0], "1")]).await, Err(CommitError::NotReady(_))));
    assert!(matches!(store.post(vec![ack(&before[0], "1")]).await, Err(CommitError::NotReady(_))));
    assert!(store.message(&[channel()], before[0].message.id).await.unwrap().is_some(), "reads go on");
    store.close().await;
}
