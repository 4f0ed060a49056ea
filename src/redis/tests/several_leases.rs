//! Leases where several servers belong together: one of them goes, or another one takes over and has forgotten some.

use super::gate::Gate;
use super::servers::{SERVICE, Watched, cluster};
use super::several::names;
use super::{Lease, Tenure, eventually, node, put, stands, take, times, until, write};
use crate::redis::route::hash_slot;
use crate::redis::{Table, WriteError};

fn is_lost(tenure: &Tenure) -> bool {
    matches!(tenure, Tenure::Lost { .. })
}

#[tokio::test]
async fn a_master_of_a_cluster_that_goes_costs_the_leases_on_it_alone() {
    let mut nodes = cluster().await;
    let url = format!("redis+cluster://127.0.0.1:{}", nodes[1].port);
    let redis = node(&url, times(100, 2000, 3000)).await;
    let slots = names().map(|name| redis.slot(&name));
    let (mut leases, mut epochs) = (Vec::new(), Vec::new());
    for slot in &slots {
        let (lease, epoch) = slot.take("one").await.unwrap();
        leases.push(lease);
        epochs.push(epoch);
    }
    let watches: Vec<_> = leases.iter().map(Lease::watch).collect();
    nodes[0].kill().await;
    assert_eq!(stands(&leases[0], is_lost).await, Tenure::Lost { by: None });
    for (lease, watch) in leases.iter().zip(&watches).skip(1) {
        assert_eq!(lease.tenure(), Tenure::Good);
        assert!(!watch.has_changed().unwrap(), "it was in doubt meanwhile");
    }
    nodes[0].revive().await;
    stands(&leases[0], |tenure| *tenure == Tenure::Good).await;
    until(async || write(&slots[0], &mut epochs[0], &[put(Table::Msg, "a", "1")]).await).await;
}

#[tokio::test]
async fn a_slot_that_moves_to_another_master_keeps_its_holder() {
    let nodes = cluster().await;
    let url = format!("redis+cluster://127.0.0.1:{}", nodes[0].port);
    let redis = node(&url, times(100, 5000, 6000)).await;
    let [name, _, _] = names();
    let (lease, mut epoch) = redis.slot(&name).take("one").await.unwrap();
    let watch = lease.watch();
    let number = hash_slot(name.as_bytes());
    let target: String = nodes[2].ask("CLUSTER MYID").await;
    let give = format!("CLUSTER SETSLOT {number} NODE {target}");
    let _: () = nodes[2].ask(&give).await;
    // Redis moves the keys with it; here they are forgotten, which is worse, and made again until it goes.
    eventually(async || {
        for key in ["lease", "fence"] {
            let _: u32 = nodes[0].ask(&format!("DEL maybug:{{{name}}}:{key}")).await;
        }
        nodes[0].try_ask::<()>(&give).await.is_ok()
    })
    .await;
    eventually(async || nodes[2].ask::<u32>("DBSIZE").await == 2).await;
    assert!(!watch.has_changed().unwrap() && lease.tenure() == Tenure::Good);
    write(&redis.slot(&name), &mut epoch, &[put(Table::Msg, "a", "1")]).await.unwrap();
}

#[tokio::test]
async fn a_fail_over_that_forgets_leases_leaves_one_holder_each() {
    let mut servers = Watched::start().await;
    let sentinel = servers.sentinels[0].port;
    let gate = Gate::around(sentinel).await;
    let at = |port| format!("redis+sentinel://127.0.0.1:{port}/{SERVICE}?timeout_ms=1000");
    let times = times(200, 30_000, 60_000);
    let (redis, others) = (node(&at(gate.port), times).await, node(&at(sentinel), times).await);
    let (kept, stolen) = (redis.slot("kept"), redis.slot("stolen"));
    // The replica hears nothing any more.
    let _: () = servers.master.ask("ACL SETUSER default -psync -sync").await;
    let _: u32 = servers.master.ask("CLIENT KILL TYPE replica").await;
    let (kept_lease, mut kept_epoch) = kept.take("one").await.unwrap();
    // Earlier holders, whom it does not know either.
    for node in ["one", "two", "three"] {
        stolen.take(node).await.unwrap().0.release().await.unwrap();
    }
    let (stolen_lease, mut stolen_epoch) = stolen.take("one").await.unwrap();
    assert_eq!(servers.replica.ask::<u32>("DBSIZE").await, 0);
    // Its holder is the last one to learn who is master now.
    gate.open(false);
    servers.master.kill().await;
    let [others_kept, others_stolen] = ["kept", "stolen"].map(|name| others.slot(name));
    let (another, mut later) = take(&others_stolen, "another").await;
    gate.open(true);
    assert_eq!(stands(&stolen_lease, is_lost).await, Tenure::Lost { by: Some("another".into()) });
    let refused = stolen.write(&mut stolen_epoch, &[put(Table::Msg, "a", "1")]).await.unwrap_err();
    assert!(matches!(refused, WriteError::Fenced { .. }), "{refused}");
    others_stolen.write(&mut later, &[put(Table::Msg, "a", "2")]).await.unwrap();
    assert_eq!(another.tenure(), Tenure::Good);
    // What nobody else wanted is its holder's still, and nobody else's.
    assert_eq!(kept_lease.tenure(), Tenure::Good);
    eventually(async || servers.replica.ask::<u32>("EXISTS maybug:{kept}:lease").await == 1).await;
    kept.write(&mut kept_epoch, &[put(Table::Msg, "a", "1")]).await.unwrap();
    assert!(others_kept.take("another").await.is_err());
}
