//! Servers that forget, stop, and come back.

use super::{all, one, put, until};
use crate::redis::{Table, WriteError};

#[tokio::test]
async fn forgotten_scripts_are_told_again() {
    let (mut server, redis) = one().await;
    let slot = redis.slot("scripts");
    let mut epoch = slot.claim("test").await.unwrap();
    slot.write(&mut epoch, &[put(Table::Msg, "a", "1")]).await.unwrap();
    let _: () = server.ask("SCRIPT FLUSH").await;
    slot.write(&mut epoch, &[put(Table::Msg, "b", "2")]).await.unwrap();
    let _: () = server.ask("SCRIPT FLUSH").await;
    assert_eq!(all(&slot, Table::Msg).await.len(), 2);
    server.kill().await;
    let away = slot.get(Table::Msg, b"a").await.unwrap_err();
    assert!(away.is_passing(), "{away}");
    server.revive().await;
    let write = async || match slot.write(&mut epoch, &[put(Table::Msg, "c", "3")]).await {
        Err(WriteError::Redis(error)) => Err(error),
        written => Ok(written.unwrap()),
    };
    until(write).await;
    assert_eq!(all(&slot, Table::Msg).await.len(), 3);
}
