//! One node at a time works for a slot, and knows when it may not any more.

use std::time::Duration;

use tokio::time::Instant;

use super::gate::Gate;
use super::{Lease, Server, TakeError, Tenure, Times, eventually, node, one, put, stands, take, times, until, write};
use crate::redis::{Table, WriteError};

const LOST: Tenure = Tenure::Lost { by: None };
const LEASE: &str = "EXISTS maybug:{channel}:lease";

fn lost_to(by: &str) -> Tenure {
    Tenure::Lost { by: Some(by.into()) }
}

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

fn is_good(tenure: &Tenure) -> bool {
    *tenure == Tenure::Good
}

/// How often a command was used.
fn calls(statistics: &str, command: &str) -> u64 {
    let of_it = format!("cmdstat_{command}:");
    let line = statistics.lines().find(|line| line.starts_with(&of_it));
    line.map_or(0, |line| line.split(['=', ',']).nth(1).unwrap().parse().unwrap())
}

#[tokio::test]
async fn one_node_at_a_time_has_a_slot() {
    let (server, redis) = one().await;
    let slot = redis.slot("channel");
    let (lease, mut epoch) = slot.take("one").await.unwrap();
    assert_eq!(lease.tenure(), Tenure::Good);
    slot.write(&mut epoch, &[put(Table::Msg, "a", "1")]).await.unwrap();

    let others = node(&url(server.port), Times::default()).await;
    let other = others.slot("channel");
    let busy = other.take("another").await.unwrap_err();
    let TakeError::Busy { slot: name, by, left } = &busy else { panic!("{busy}") };
    assert_eq!((name.as_str(), by.as_str()), ("channel", "one"));
    assert!(*left > Duration::ZERO && *left <= Times::default().lost, "{left:?}");
    let said = busy.to_string();
    assert!(said.starts_with("the node one has the lease on the slot channel for "), "{said}");
    // What another node is refused changes nothing.
    slot.write(&mut epoch, &[put(Table::Msg, "a", "2")]).await.unwrap();

    let watch = lease.watch();
    lease.release().await.unwrap();
    assert_eq!(*watch.borrow(), LOST);
    let given_up = slot.write(&mut epoch, &[put(Table::Msg, "a", "3")]).await.unwrap_err();
    assert!(matches!(given_up, WriteError::Fenced { .. }), "{given_up}");
    let (second, mut later) = other.take("another").await.unwrap();
    assert!(later.number() > epoch.number());
    let WriteError::Fenced { by, .. } = slot.write(&mut epoch, &[]).await.unwrap_err() else { panic!() };
    assert_eq!(by, "another");
    other.write(&mut later, &[put(Table::Msg, "b", "1")]).await.unwrap();
    assert_eq!(second.tenure(), Tenure::Good);
}

#[tokio::test]
async fn a_node_may_take_again_what_it_has() {
    let server = Server::start("").await;
    let redis = node(&url(server.port), times(20, 10_000, 20_000)).await;
    let slot = redis.slot("channel");
    let (first, mut early) = slot.take("one").await.unwrap();
    let (second, mut late) = slot.take("one").await.unwrap();
    assert_eq!(stands(&first, |tenure| !is_good(tenure)).await, lost_to("one"));
    assert!(slot.write(&mut early, &[put(Table::Msg, "a", "1")]).await.is_err());
    // To give up what one has no more takes nothing from whoever has it.
    first.release().await.unwrap();
    slot.write(&mut late, &[put(Table::Msg, "a", "1")]).await.unwrap();
    assert_eq!(server.ask::<u32>(LEASE).await, 1);
    assert_eq!(second.tenure(), Tenure::Good);
}

#[tokio::test]
async fn a_lease_is_renewed_as_long_as_it_is_held_and_no_longer() {
    let server = Server::start("").await;
    let redis = node(&url(server.port), times(50, 1000, 1500)).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let (lease, _) = redis.slot("channel").take("one").await.unwrap();
    let (kept, _) = redis.slot("kept").take("one").await.unwrap();
    // Longer than Redis would keep them by itself.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!([&lease, &kept].map(Lease::tenure), [Tenure::Good, Tenure::Good]);
    assert!(!lease.watch().has_changed().unwrap());
    drop(lease);
    take(&redis.slot("channel"), "another").await;
    assert_eq!(kept.tenure(), Tenure::Good);
    drop(kept);
    eventually(async || tasks() <= before).await;
}

#[tokio::test]
async fn what_a_killed_node_had_is_free_when_its_lease_ends() {
    let server = Server::start("").await;
    let (redis, url) = (node(&url(server.port), times(50, 300, 500)).await, url(server.port));
    let slot = redis.slot("channel");
    let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let held = doomed.spawn(async move {
        let (lease, _) = node(&url, times(50, 300, 500)).await.slot("channel").take("doomed").await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        lease
    });
    let lease = held.await.unwrap();
    assert!(matches!(slot.take("heir").await, Err(TakeError::Busy { .. })), "it was not renewed");
    // As kill -9 does: nobody renews it, and nobody says good-bye.
    doomed.shutdown_background();
    let Err(TakeError::Busy { left, .. }) = slot.take("heir").await else { panic!("it has gone already") };
    assert!(left <= Duration::from_millis(500), "{left:?}");
    tokio::time::sleep(left + Duration::from_millis(5)).await;
    assert_eq!(lease.tenure(), LOST);
    slot.take("heir").await.unwrap();
}

/// With the true times, and a clock that goes on when nothing else does.
#[tokio::test]
async fn who_is_cut_off_doubts_and_gives_up_by_its_own_clock() {
    let server = Server::start("").await;
    let gate = Gate::around(server.port).await;
    let redis = node(&url(gate.port), Times::default()).await;
    let earliest = Instant::now();
    let (lease, _) = redis.slot("channel").take("one").await.unwrap();
    let latest = Instant::now();
    gate.open(false);
    tokio::time::pause();
    let at = |seconds: u64| {
        let (seconds, timer) = (Duration::from_secs(seconds), Duration::from_millis(2));
        earliest + seconds..=latest + seconds + timer
    };
    assert_eq!(stands(&lease, |tenure| !is_good(tenure)).await, Tenure::Doubtful);
    assert!(at(8).contains(&Instant::now()), "{:?}", earliest.elapsed());
    assert_eq!(stands(&lease, |tenure| *tenure != Tenure::Doubtful).await, LOST);
    assert!(at(12).contains(&Instant::now()), "{:?}", earliest.elapsed());
    // Redis has seen no second of that.
    tokio::time::resume();
    gate.open(true);
    assert_eq!(stands(&lease, is_good).await, Tenure::Good);
}

#[tokio::test]
async fn nobody_believes_in_a_lease_that_another_one_has() {
    let server = Server::start("").await;
    let gate = Gate::around(server.port).await;
    let redis = node(&url(gate.port), times(50, 300, 400)).await;
    let slot = redis.slot("channel");
    let (lease, mut epoch) = slot.take("one").await.unwrap();
    let others = node(&url(server.port), times(50, 300, 400)).await;
    gate.open(false);
    let (_another, _) = take(&others.slot("channel"), "another").await;
    // It cannot have heard of it.
    assert_eq!(lease.tenure(), LOST);
    gate.open(true);
    assert_eq!(stands(&lease, |tenure| *tenure != Tenure::Doubtful && *tenure != LOST).await, lost_to("another"));
    assert!(matches!(slot.write(&mut epoch, &[]).await, Err(WriteError::Fenced { .. })));
}

/// Whatever happens to the ways to Redis: three nodes want the same slot, and are cut off at random.
#[tokio::test]
async fn at_no_time_two_believe() {
    let server = Server::start("").await;
    let (mut gates, mut slots, mut leases) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        let gate = Gate::around(server.port).await;
        let redis = node(&format!("{}?timeout_ms=100", url(gate.port)), times(20, 60, 100)).await;
        slots.push(redis.slot("channel"));
        gates.push(gate);
        leases.push(None::<Lease>);
    }
    let (begun, mut holders) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(3) || (holders <= 3 && begun.elapsed() < Duration::from_secs(60)) {
        gates[fastrand::usize(..3)].open(fastrand::u8(..3) > 0);
        for index in 0..3 {
            leases[index].take_if(|lease| matches!(lease.tenure(), Tenure::Lost { by: Some(_) }));
            if leases[index].is_none()
                && let Ok((lease, _)) = slots[index].take(&index.to_string()).await
            {
                leases[index] = Some(lease);
                holders += 1;
            }
            // Nothing else happens in between.
            let believers = || {
                let believes = |index: &usize| leases[*index].as_ref().is_some_and(|lease| is_good(&lease.tenure()));
                (0..3).filter(believes).collect::<Vec<_>>()
            };
            let (before, after) = (believers(), believers());
            let both: Vec<_> = before.iter().filter(|index| after.contains(index)).collect();
            assert!(both.len() <= 1, "{both:?}");
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..40))).await;
    }
    assert!(holders > 3, "nothing happened");
}

#[tokio::test]
async fn after_a_pause_it_is_looked_at_again() {
    let server = Server::start("").await;
    let pause = Times::default().pause;
    let redis = node(&url(server.port), Times::default()).await;
    let (lease, _) = redis.slot("channel").take("one").await.unwrap();
    let mut watch = lease.watch();
    // Nothing goes on in this process meanwhile, as when it is stopped.
    std::thread::sleep(pause + Duration::from_millis(1));
    assert_eq!(lease.tenure(), Tenure::Doubtful);
    watch.wait_for(|tenure| *tenure == Tenure::Doubtful).await.unwrap();
    stands(&lease, is_good).await;
    assert_eq!(lease.tenure(), Tenure::Good);
    // Somebody may have taken it meanwhile.
    let other = node(&url(server.port), Times::default()).await.slot("channel");
    let _: () = server.ask("DEL maybug:{channel}:lease").await;
    let _taken = other.take("another").await.unwrap();
    std::thread::sleep(pause + Duration::from_millis(1));
    assert_eq!(lease.tenure(), Tenure::Doubtful);
    assert_eq!(stands(&lease, |tenure| matches!(tenure, Tenure::Lost { .. })).await, lost_to("another"));
}

#[tokio::test]
async fn what_lapsed_while_redis_hung_is_taken_again_with_its_epoch() {
    let server = Server::durable(&[]).await;
    let redis = node(&url(server.port), times(50, 300, 500)).await;
    let slot = redis.slot("channel");
    let (lease, mut epoch) = slot.take("one").await.unwrap();
    slot.write(&mut epoch, &[put(Table::Msg, "a", "1")]).await.unwrap();
    server.signal("-STOP").await;
    assert_eq!(stands(&lease, |tenure| !is_good(tenure)).await, Tenure::Doubtful);
    assert_eq!(stands(&lease, |tenure| *tenure != Tenure::Doubtful).await, LOST);
    server.signal("-CONT").await;
    stands(&lease, is_good).await;
    until(async || write(&slot, &mut epoch, &[put(Table::Msg, "b", "2")]).await).await;
    assert!(matches!(slot.take("another").await, Err(TakeError::Busy { .. })));
}

#[tokio::test]
async fn a_renewal_that_arrives_after_the_release_takes_nothing_back() {
    let server = Server::start("").await;
    let gate = Gate::before(server.port).await;
    let redis = node(&format!("{}?timeout_ms=1000", url(gate.port)), times(100, 10_000, 20_000)).await;
    let slot = redis.slot("channel");
    let (lease, _) = slot.take("one").await.unwrap();
    gate.open(false);
    // Soon it goes by another way, with a renewal or two behind the gate.
    until(async || slot.get(Table::Msg, b"a").await).await;
    lease.release().await.unwrap();
    let runs = async || {
        let statistics: String = server.ask("INFO commandstats").await;
        calls(&statistics, "eval")
    };
    let before = runs().await;
    gate.open(true);
    eventually(async || runs().await > before).await;
    assert_eq!(server.ask::<u32>(LEASE).await, 0);
}

#[tokio::test]
async fn a_full_server_keeps_leases_and_gives_new_ones() {
    let server = Server::start("").await;
    let redis = node(&url(server.port), times(50, 1000, 1500)).await;
    let (kept, mut epoch) = redis.slot("kept").take("one").await.unwrap();
    let _: () = server.ask("CONFIG SET maxmemory 1").await;
    let full = write(&redis.slot("kept"), &mut epoch, &[put(Table::Msg, "a", "1")]).await.unwrap_err();
    assert!(full.to_string().contains("out of memory"), "{full}");
    let (lease, _) = redis.slot("channel").take("one").await.unwrap();
    // It is forgotten, and taken again.
    let _: () = server.ask("DEL maybug:{channel}:lease").await;
    eventually(async || server.ask::<u32>(LEASE).await == 1).await;
    lease.release().await.unwrap();
    assert_eq!(server.ask::<u32>(LEASE).await, 0);
    assert_eq!(kept.tenure(), Tenure::Good);
}

#[tokio::test]
async fn a_thousand_leases_are_renewed_in_one_piece() {
    let server = Server::start("").await;
    let redis = node(&url(server.port), times(300, 10_000, 20_000)).await;
    let mut leases = Vec::new();
    for number in 0..1000 {
        leases.push(redis.slot(&format!("channel-{number}")).take("one").await.unwrap().0);
    }
    let _: () = server.ask("CONFIG RESETSTAT").await;
    let (mut pieces, mut others) = (0, 0);
    eventually(async || {
        let statistics: String = server.ask("INFO commandstats").await;
        [pieces, others] = ["eval", "evalsha"].map(|command| calls(&statistics, command));
        others >= 3 * 999
    })
    .await;
    // Each piece begins with the script itself, and is seen while it is under way.
    assert!((3..=others / 999 + 1).contains(&pieces), "{pieces} pieces for {others} other renewals");
    assert!(leases.iter().all(|lease| lease.tenure() == Tenure::Good));
}
