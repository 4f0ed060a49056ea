//! Backup hosts: who serves, what is said of it meanwhile, and how often a host that refuses us is asked again.

use serde_json::{Value, json};
use smpp::CommandStatus;

use crate::peer::ScriptedSmsc;
use crate::support::{Maybug, Receiver, soon};

/// The types of the status events up to one of this type.
async fn until(receiver: &mut Receiver, kind: &str) -> Vec<String> {
    let mut told = Vec::new();
    while told.last().is_none_or(|last| last != kind) {
        let body: Value = receiver.next().await.body;
        told.push(body["type"].as_str().unwrap_or_default().to_owned());
    }
    told
}

fn host(smsc: &ScriptedSmsc) -> String {
    format!("tcp:127.0.0.1:{}", smsc.address().port())
}

#[tokio::test]
async fn a_channel_that_goes_back_to_its_primary_is_bound_throughout() {
    let (primary, backup) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let config = json!({"backup_hosts": [host(&backup)], "failback_interval": 0.2});
    let id = maybug.smpp_channel(primary.address(), config, json!({"status_url": receiver.url("/s")})).await;
    primary.accept().await.refuse_bind(CommandStatus::ESME_RSYSERR).await;
    let mut spare = backup.bound().await;
    until(&mut receiver, "bound").await;
    let mut main = primary.bound().await;
    spare.unbound().await;
    maybug.send(&id, json!({"to": "+27820001001", "content": "over the primary"})).await;
    let (raw, _) = main.submit().await;
    main.take(&raw, "1").await;
    drop(main);
    assert_eq!(until(&mut receiver, "connection_lost").await, ["bound", "connection_lost"]);
}

#[tokio::test]
async fn trying_the_primary_does_not_make_a_bound_channel_down() {
    let (primary, backup) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let config = json!({"backup_hosts": [host(&backup)], "failback_interval": 0.2});
    maybug.smpp_channel(primary.address(), config, json!({"status_url": receiver.url("/s")})).await;
    primary.accept().await.refuse_bind(CommandStatus::ESME_RSYSERR).await;
    let spare = backup.bound().await;
    until(&mut receiver, "bound").await;
    // One refusal, and one connection whose bind is not answered.
    primary.accept().await.refuse_bind(CommandStatus::ESME_RSYSERR).await;
    let mut silent = primary.accept().await;
    silent.read().await.expect("a bind");
    drop(spare);
    assert_eq!(until(&mut receiver, "connection_lost").await, ["connection_lost"]);
}

#[tokio::test]
async fn a_host_that_refuses_who_we_are_is_left_alone_while_backups_are_tried() {
    let (primary, backup) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let maybug = Maybug::start().await;
    maybug.smpp_channel(primary.address(), json!({"backup_hosts": [host(&backup)]}), json!({})).await;
    primary.accept().await.refuse_bind(CommandStatus::ESME_RINVPASWD).await;
    let others = async {
        for _ in 0..6 {
            backup.accept().await.refuse_bind(CommandStatus::ESME_RSYSERR).await;
        }
    };
    tokio::select! {
        () = soon("six more rounds", others) => {}
        _ = primary.accept() => panic!("the primary was sent the refused password again"),
    }
}

#[tokio::test]
async fn a_primary_that_refuses_who_we_are_is_left_alone_while_a_backup_serves() {
    let (primary, backup) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let maybug = Maybug::start().await;
    let config = json!({"backup_hosts": [host(&backup)], "failback_interval": 0.05});
    let id = maybug.smpp_channel(primary.address(), config, json!({})).await;
    primary.accept().await.refuse_bind(CommandStatus::ESME_RSYSERR).await;
    let spare = backup.bound().await;
    primary.accept().await.refuse_bind(CommandStatus::ESME_RINVPASWD).await;
    // Neither as long as the backup serves nor when its bind ends.
    let served = async {
        soon("the log", async {
            while !maybug.get(&format!("/channels/{id}/logs?n=100")).await.1.to_string().contains("ESME_RINVPASWD") {}
        })
        .await;
        drop(spare);
        backup.bound().await
    };
    tokio::select! {
        _ = served => {}
        _ = primary.accept() => panic!("the primary was sent the refused password again"),
    }
}

#[tokio::test]
async fn a_backup_is_tried_although_the_primary_agrees_and_hangs_up_at_once() {
    let (primary, backup) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let maybug = Maybug::start().await;
    let config = json!({"backup_hosts": [host(&backup)], "initial_reconnect_delay": 0.1, "max_reconnect_delay": 0.2});
    maybug.smpp_channel(primary.address(), config, json!({})).await;
    let dropping = async {
        for _ in 0..8 {
            drop(primary.bound().await);
        }
    };
    tokio::select! {
        () = dropping => panic!("eight binds of the primary ended at once, and the backup was not tried"),
        _ = backup.accept() => {}
    }
}
