//! How many callbacks a host gets at a time, and when it is spared: shared by every queue whose receiver is there.
//!
//! A host that hangs or fails costs its own places only. After a few failures in a row it gets one request at a time,
//! ever less often, until it takes one. What is retried when is not decided here (`retry`), nor in which order
//! (`callbacks`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use url::Url;

use super::retry::RetryPolicy;

/// Every host that somebody calls now, or that is spared.
pub(super) struct Hosts {
    places: usize,
    retry: RetryPolicy,
    known: Mutex<HashMap<String, Arc<Host>>>,
}

/// One host: scheme, name and port.
pub(super) struct Host {
    places: Arc<Semaphore>,
    retry: RetryPolicy,
    health: Mutex<Health>,
    recovered: Notify,
}

/// May one request be made? Give it back with how that went; dropped, it says nothing about the host.
pub(super) struct Pass {
    host: Arc<Host>,
    probe: bool,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct Health {
    /// Failures since the last success.
    failures: u32,
    /// Pauses since the last success.
    pauses: u32,
    /// No request before.
    until: Option<Instant>,
    /// The one request that is allowed to a failing host is on its way.
    probing: bool,
}

/// Failures in a row after which a host is spared.
const FAILURES: u32 = 5;
/// Hosts in the table at which those that nobody calls any more are looked for.
const SWEEP: usize = 1_024;

impl Hosts {
    /// Hosts with so many places each, paused as `retry` waits.
    pub(super) fn new(places: usize, retry: RetryPolicy) -> Self {
        Self { places, retry, known: Mutex::default() }
    }

    /// The host of a URL.
    pub(super) fn of(&self, url: &Url) -> Arc<Host> {
        let mut known = self.known();
        let name = name(url);
        if let Some(host) = known.get(&name) {
            return host.clone();
        }
        if known.len() >= SWEEP {
            let now = Instant::now();
            known.retain(|_, host| Arc::strong_count(host) > 1 || host.health().is_spared(now));
        }
        let host = Arc::new(Host {
            places: Arc::new(Semaphore::new(self.places)),
            retry: self.retry,
            health: Mutex::default(),
            recovered: Notify::new(),
        });
        known.insert(name, host.clone());
        host
    }

    /// Whether the host of a URL gets no requests at present.
    pub(super) fn is_spared(&self, url: &Url) -> bool {
        self.known().get(&name(url)).is_some_and(|host| host.health().is_spared(Instant::now()))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Arc<Host>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    /// Waits for a place; `Err` with the time from which to ask again while the host is spared.
    pub(super) async fn enter(self: Arc<Self>) -> Result<Pass, Instant> {
        let place = self.places.clone().acquire_owned().await.expect("the places are never closed");
        // Asked only now: others may have found out meanwhile.
        let probe = self.health().begin(Instant::now(), self.retry.longest)?;
        Ok(Pass { host: self, probe, _place: place })
    }

    /// Resolves when the host takes requests again.
    pub(super) async fn recovered(&self) {
        self.recovered.notified().await;
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    fn is_spared(&self, now: Instant) -> bool {
        self.failures >= FAILURES && (self.probing || self.until.is_some_and(|until| until > now))
    }

    /// Whether a request may be made, and whether it is the one that finds out.
    fn begin(&mut self, now: Instant, longest: Duration) -> Result<bool, Instant> {
        if self.failures < FAILURES {
            return Ok(false);
        }
        match self.until {
            Some(until) if until > now => Err(until),
            _ if self.probing => Err(now + longest),
            _ => {
                self.probing = true;
                Ok(true)
            }
        }
    }
}

impl Pass {
    /// The host took the request.
    pub(super) fn succeeded(self) {
        let spared = std::mem::take(&mut *self.host.health()).failures >= FAILURES;
        if spared {
            self.host.recovered.notify_waiters();
        }
    }

    /// The host did not take it; `jitter` is in 0 to 1.
    pub(super) fn failed(self, jitter: f64) {
        let mut health = self.host.health();
        health.failures = health.failures.saturating_add(1);
        // Requests that were on their way when the pause began do not make it longer.
        if self.probe || health.failures == FAILURES {
            health.pauses = health.pauses.saturating_add(1);
            health.until = Some(Instant::now() + self.host.retry.delay(health.pauses, jitter));
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe {
            self.host.health().probing = false;
            // Whoever waits for the probe's end may have its turn.
            self.host.recovered.notify_waiters();
        }
    }
}

fn name(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}://{}:{port}", url.scheme(), url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(hosts: &Hosts, url: &str) -> Arc<Host> {
        hosts.of(&Url::parse(url).unwrap())
    }

    fn hosts(places: usize) -> Hosts {
        Hosts::new(places, RetryPolicy::default())
    }

    async fn fail(host: &Arc<Host>, times: u32) {
        for _ in 0..times {
            let pass = host.clone().enter().await.unwrap_or_else(|until| panic!("spared until {until:?}"));
            pass.failed(0.5);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_has_its_places_whatever_the_path_and_the_user() {
        let hosts = hosts(2);
        let same = host(&hosts, "http://a.example:80/two");
        let first = host(&hosts, "http://a.example/one").enter().await.ok();
        let second = host(&hosts, "http://me:pw@a.example/one").enter().await.ok();
        let third = tokio::time::timeout(Duration::from_secs(1), same.clone().enter()).await;
        assert!(first.is_some() && second.is_some() && third.is_err());
        assert!(host(&hosts, "http://b.example/").enter().await.is_ok());
        drop(first);
        assert!(same.enter().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_host_gets_one_request_at_a_time_ever_less_often_until_it_takes_one() {
        let hosts = hosts(8);
        let host = host(&hosts, "http://a.example/");
        fail(&host, FAILURES).await;
        for pause in [1, 2, 4] {
            let begun = Instant::now();
            let until = host.clone().enter().await.err().unwrap();
            assert_eq!(until - begun, Duration::from_secs(pause));
            tokio::time::sleep_until(until).await;
            let probe = host.clone().enter().await.ok().unwrap();
            assert!(host.clone().enter().await.is_err(), "one at a time");
            probe.failed(0.5);
        }
        tokio::time::sleep(Duration::from_secs(8)).await;
        let probe = host.clone().enter().await.ok().unwrap();
        let watched = host.clone();
        let told = watched.recovered();
        tokio::pin!(told);
        assert!(futures_util::poll!(&mut told).is_pending());
        probe.succeeded();
        told.await;
        fail(&host, FAILURES - 1).await;
        assert!(host.enter().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_already_on_their_way_do_not_make_the_pause_longer_and_a_lost_probe_is_replaced() {
        let hosts = hosts(8);
        let host = host(&hosts, "http://a.example/");
        let mut on_their_way = Vec::new();
        for _ in 0..8 {
            on_their_way.push(host.clone().enter().await.ok().unwrap());
        }
        on_their_way.into_iter().for_each(|pass| pass.failed(0.5));
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(host.clone().enter().await.ok().unwrap());
        assert!(host.enter().await.is_ok());
    }

    #[tokio::test]
    async fn hosts_that_nobody_calls_are_forgotten() {
        let hosts = hosts(1);
        for number in 0..3 * SWEEP {
            host(&hosts, &format!("http://h{number}.example/"));
        }
        assert!(hosts.known.lock().unwrap().len() <= SWEEP);
    }
}
