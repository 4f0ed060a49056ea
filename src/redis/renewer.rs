//! Keeps the leases that this process holds: all of them every few seconds, in one piece per server; those that could
//! not be renewed again and again until they can.
//!
//! One task does it for all leases of a [`Redis`], and ends with the last one. It also sees that the process was paused:
//! then it comes late itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use redis::{ErrorKind, from_redis_value, pipe};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Redis;
use super::error::RedisError;
use super::lease::Held;
use super::node::Node;
use super::term::Tenure;

/// See the file's head.
#[derive(Default)]
pub(super) struct Renewer {
    state: Mutex<State>,
    /// Whether it has been told that leases cannot be renewed.
    troubled: AtomicBool,
}

#[derive(Default)]
struct State {
    held: Vec<Weak<Held>>,
    /// When the task last looked at them, while there is one.
    looked: Option<Instant>,
}

impl Renewer {
    /// From now on this one is renewed.
    pub(super) fn add(&self, redis: &Redis, held: &Arc<Held>) {
        let mut state = self.state();
        state.held.push(Arc::downgrade(held));
        if state.looked.is_none() {
            state.looked = Some(Instant::now());
            tokio::spawn(run(redis.clone()));
        }
    }

    /// How long nobody has looked at the leases.
    pub(super) fn since_look(&self, now: Instant) -> Duration {
        self.state().looked.map_or(Duration::ZERO, |looked| now.saturating_duration_since(looked))
    }

    /// The leases that there are, and since when nobody has looked at them; `None` if there are none.
    fn look(&self, now: Instant) -> Option<(Vec<Arc<Held>>, Duration)> {
        let mut state = self.state();
        let mut held = Vec::with_capacity(state.held.len());
        state.held.retain(|one| one.upgrade().map(|one| held.push(one)).is_some());
        let before = state.looked.take().filter(|_| !held.is_empty())?;
        state.looked = Some(now);
        Some((held, now.saturating_duration_since(before)))
    }

    /// Says once what keeps leases from being renewed.
    fn trouble(&self, error: &RedisError) {
        if !self.troubled.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "leases on slots cannot be renewed for now");
        }
    }

    /// Says once that nothing does any more.
    fn well(&self) {
        if self.troubled.swap(false, Ordering::Relaxed) {
            tracing::info!("all leases on slots are renewed again");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(redis: Redis) {
    let (renewer, times) = (&redis.0.renewer, redis.0.times);
    let mut rounds = JoinSet::new();
    let mut beat = Instant::now() + times.renew;
    loop {
        let now = Instant::now();
        let Some((held, unseen)) = renewer.look(now) else { return };
        let paused = unseen > times.pause;
        if paused {
            tracing::warn!(
                milliseconds = unseen.as_millis(),
                "this process was paused; all leases are looked at again"
            );
        }
        let is_time = paused || now >= beat;
        if is_time {
            beat = now + times.renew;
        }
        let mut next = beat.min(now + times.tick());
        let (mut due, mut troubled, mut doubtful, mut lost) = (Vec::new(), false, 0_usize, 0_usize);
        for one in held {
            troubled |= one.is_troubled();
            let ask = one.ask(now, is_time, paused);
            let (news, change) = one.publish(now);
            match news {
                Some(Tenure::Doubtful) => doubtful += 1,
                Some(Tenure::Lost { .. }) => lost += 1,
                Some(Tenure::Good) | None => {}
            }
            next = change.map_or(next, |change| next.min(change));
            if ask {
                due.push(one);
            }
        }
        if doubtful + lost > 0 {
            tracing::warn!(doubtful, lost, "leases on slots were not renewed in time");
        }
        if !troubled {
            renewer.well();
        }
        if !due.is_empty() {
            rounds.spawn(round(redis.clone(), due));
        }
        while rounds.try_join_next().is_some() {}
        sleep_until(next).await;
    }
}

/// Renews these, those of each server in one piece.
async fn round(redis: Redis, due: Vec<Arc<Held>>) {
    let mut servers: Vec<(Arc<Node>, Vec<Arc<Held>>)> = Vec::new();
    for held in due {
        let sent = Instant::now();
        match redis.0.router.node(held.slot.named.hash_slot).await {
            Ok(node) => match servers.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &node)) {
                Some((_, its)) => its.push(held),
                None => servers.push((node, vec![held])),
            },
            Err(error) => {
                redis.0.renewer.trouble(&error);
                held.answered(sent, Err(error));
            }
        }
    }
    join_all(servers.iter().map(|(node, held)| renew(&redis, node, held))).await;
}

async fn renew(redis: &Redis, node: &Arc<Node>, leases: &[Arc<Held>]) {
    let mut renewals = pipe();
    for (index, held) in leases.iter().enumerate() {
        // The first one tells the server the script.
        renewals.add_command(held.renewal(index == 0));
    }
    renewals.ignore_errors();
    let sent = Instant::now();
    let mut answers = node.ask_all(&renewals, redis.0.times.patience()).await.map(Vec::into_iter);
    let mut failed: Vec<(&Arc<Held>, RedisError)> = Vec::new();
    for held in leases {
        let answer = match &mut answers {
            Ok(answers) => {
                let answer = answers.next().unwrap_or_else(|| Err((ErrorKind::Parse, "an answer is missing").into()));
                let answer = answer.and_then(|answer| Ok(from_redis_value(answer)?));
                answer.map_err(|error| RedisError::of(node.address(), &error))
            }
            Err(error) => Err(error.clone()),
        };
        match answer {
            Ok(by) => held.answered(sent, Ok(by)),
            Err(error) => failed.push((held, error)),
        }
    }
    // What is wrong with the server is looked into once.
    let mut looked_into = false;
    for (held, error) in failed {
        redis.0.renewer.trouble(&error);
        let of_this_slot = matches!(error, RedisError::Moved { .. });
        if of_this_slot || !looked_into {
            redis.0.router.reconsider(held.slot.named.hash_slot, node, &error).await;
        }
        looked_into |= !of_this_slot;
        held.answered(sent, Err(error));
    }
}
