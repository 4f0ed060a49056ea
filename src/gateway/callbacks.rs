//! Callbacks: each owed request is made until its receiver takes it or it has become too old.
//!
//! One task per queue, and a bound per host (`hosts`), so that a slow receiver costs nobody else. Callbacks of one
//! message leave in order: while one waits to be tried again those behind it wait too. What is about a channel that runs
//! elsewhere rests.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use url::Url;

use super::Gateway;
use super::hosts::Host;
use super::intake::{destination_targets, mo_callback};
use super::queues;
use super::retry::{RetryPolicy, Verdict};
use super::templates::{self, Values};
use crate::model::{Callback, CallbackKind, CallbackTarget, ChannelId, EventId, MessageId, Status, Timestamp};
use crate::store::{CallbackDelivery, CallbackLanes, CallbackQueue, Change, ReadError, Ticket};
use crate::telemetry::ChannelLog;
use crate::web::client::{Answer, Client, ClientError};

/// How callbacks are made.
#[derive(Clone, Debug)]
pub struct CallbackPolicy {
    /// When they are tried again and given up.
    pub retry: RetryPolicy,
    /// How long a receiver may take to answer.
    pub timeout: Duration,
    /// Most requests at a time to one host.
    pub per_host: usize,
    /// Most requests at a time to all.
    pub total: usize,
}

impl Default for CallbackPolicy {
    fn default() -> Self {
        Self { retry: RetryPolicy::default(), timeout: Duration::from_secs(10), per_host: 8, total: 256 }
    }
}

/// How often a request has been made, this time included.
const ATTEMPT: HeaderName = HeaderName::from_static("x-junebug-attempt");
/// Callbacks of one receiver that may be in hand at a time.
const IN_HAND: usize = 64;
/// How long a spared host is waited for before its URL is looked up again: somebody may have corrected it.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long the broker may take to confirm what is on its way when the gateway stops.
pub(super) const CONFIRMED: Duration = Duration::from_secs(3);
/// How long a receiver's task waits for more before it ends.
const IDLE: Duration = Duration::from_secs(30);
/// Wait before a store that could not be read is asked again.
const UNREADABLE: Duration = Duration::from_secs(5);

/// Makes callbacks until the gateway stops.
pub(super) async fn dispatch(gateway: Gateway, mut lanes: CallbackLanes, client: Client, policy: CallbackPolicy) {
    let total = Arc::new(Semaphore::new(policy.total));
    let stop = gateway.0.stop.clone();
    let (mut receivers, mut published) = (JoinSet::new(), JoinSet::new());
    loop {
        let (queue, serving) = tokio::select! {
            next = lanes.next_admitted(|channel| Serving::begin(&gateway, channel)) => match next {
                Some(next) => next,
                None => break,
            },
            // Somebody's channel may have come.
            () = gateway.0.served.changed.notified() => {
                lanes.wake();
                continue;
            }
            Some(_) = receivers.join_next() => continue,
            Some(_) = published.join_next() => continue,
            () = stop.cancelled() => break,
        };
        if let Some(key) = queue.routing_key() {
            let key = key.to_owned();
            published.spawn(queues::owed::run(gateway.clone(), queue, key, policy.retry, serving));
            continue;
        }
        let receiver = Receiver {
            gateway: gateway.clone(),
            client: client.clone(),
            policy: policy.clone(),
            total: total.clone(),
            spared: None,
            busy: HashSet::new(),
            behind: HashMap::new(),
            held: HashMap::new(),
        };
        receivers.spawn(receiver.run(queue, serving));
    }
    // Requests on their way are cut off; their callbacks are still owed and made again after the next start.
    receivers.shutdown().await;
    // What the broker has and has not confirmed would come again: its answer is waited for.
    let _ = tokio::time::timeout(CONFIRMED, async { while published.join_next().await.is_some() {} }).await;
    published.shutdown().await;
}

/// Whose callbacks are made here, and how that ends when a channel goes elsewhere.
#[derive(Default)]
pub(super) struct Served {
    channels: Mutex<HashMap<ChannelId, Service>>,
    /// Other channels may run here than before.
    changed: Notify,
}

/// What is done for the callbacks of one channel.
#[derive(Default)]
struct Service {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A queue that is being served, until this is dropped: to be dropped after the queue.
pub(super) struct Serving {
    /// Told when it is to end. What is on its way then is waited for.
    pub(super) stop: CancellationToken,
    task: Option<TaskTrackerToken>,
    of: Option<(Gateway, ChannelId)>,
}

impl Serving {
    /// A queue is to be served, unless it is about a channel that is another process's.
    fn begin(gateway: &Gateway, channel: Option<&ChannelId>) -> Option<Self> {
        let Some(channel) = channel else {
            return Some(Self { stop: CancellationToken::new(), task: None, of: None });
        };
        let mut channels = gateway.0.served.channels();
        // Read while nobody can end what begins now. Of one that was deleted it is asked too: what it owes is one's alone.
        if !gateway.0.directory.load().assigned.includes(channel) {
            return None;
        }
        let Service { stop, tasks } = channels.entry(channel.clone()).or_default();
        Some(Self { stop: stop.clone(), task: Some(tasks.token()), of: Some((gateway.clone(), channel.clone())) })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let Some((gateway, channel)) = &self.of else { return };
        let mut channels = gateway.0.served.channels();
        self.task = None;
        if channels.get(channel).is_some_and(|service| service.tasks.is_empty()) {
            channels.remove(channel);
        }
    }
}

impl Served {
    fn channels(&self) -> MutexGuard<'_, HashMap<ChannelId, Service>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of whose callbacks any are being made.
    pub(super) fn ids(&self) -> Vec<ChannelId> {
        self.channels().keys().cloned().collect()
    }

    /// Ends what is done for a channel that is not this process's any more; returns when it has ended.
    pub(super) async fn end(&self, channel: &ChannelId) {
        let Some(service) = self.channels().remove(channel) else { return };
        service.stop.cancel();
        service.tasks.close();
        service.tasks.wait().await;
    }

    /// The directory has changed.
    pub(super) fn look(&self) {
        self.changed.notify_one();
    }
}

/// One receiver's callbacks.
struct Receiver {
    gateway: Gateway,
    client: Client,
    policy: CallbackPolicy,
    total: Arc<Semaphore>,
    /// The host gets nothing more before.
    spared: Option<(Arc<Host>, Instant)>,
    /// Messages with a request on its way.
    busy: HashSet<MessageId>,
    /// What waits for those.
    behind: HashMap<MessageId, VecDeque<CallbackDelivery>>,
    /// Messages of which this callback waits to be tried again, and until when.
    held: HashMap<MessageId, (EventId, Timestamp)>,
}

/// Why a receiver did not take a request.
#[derive(Debug, thiserror::Error)]
enum CallbackError {
    #[error("the answer {0}")]
    Answer(StatusCode),
    #[error("the answer {0} (redirects are not followed)")]
    Redirect(StatusCode),
    // Not the URL itself: it may have a password in it.
    #[error("the URL, which is none: {0}")]
    Url(url::ParseError),
    #[error("the message, which its URL speaks of: {0}")]
    Message(ReadError),
    #[error("the host, which has failed so often that it gets hardly anything")]
    Spared,
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A try that the receiver did not take.
struct Failure {
    /// This one included.
    attempts: u32,
    why: CallbackError,
    /// The beginning of what the receiver says; it may repeat the message.
    said: String,
}

impl Failure {
    fn of(delivery: &CallbackDelivery, why: CallbackError, said: String) -> Self {
        Self { attempts: delivery.attempts + 1, why, said }
    }

    /// As it may stand in a log.
    fn reason(&self, log: &ChannelLog) -> String {
        if log.privacy() { self.why.to_string() } else { format!("{}{}", self.why, self.said) }
    }
}

/// How a receiver has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    /// So many times in a row, and perhaps not the next time.
    Times(u32),
    /// By an answer that will be the same next time.
    ForGood,
    /// By so much that it gets nothing at present.
    Spared,
}

/// How a request ended.
enum Outcome {
    Taken,
    /// Nobody wants it any more.
    Unwanted,
    /// The receiver has read it and will never take it.
    Refused {
        why: CallbackError,
        said: String,
    },
    Failed {
        why: CallbackError,
        /// The beginning of what the receiver says; it may repeat the message.
        said: String,
        retry_after: Option<Duration>,
    },
    /// Not made: the host is spared.
    Spared(Arc<Host>, Instant),
}

impl From<CallbackError> for Outcome {
    fn from(why: CallbackError) -> Self {
        Self::Failed { why, said: String::new(), retry_after: None }
    }
}

impl Receiver {
    async fn run(mut self, mut queue: CallbackQueue, serving: Serving) {
        let mut requests = FuturesUnordered::new();
        let mut ready: VecDeque<CallbackDelivery> = VecDeque::new();
        loop {
            let spared = self.spared.is_some();
            while !spared
                && requests.len() < self.policy.per_host
                && let Some(delivery) = ready.pop_front()
            {
                requests.push(self.request(delivery));
            }
            let in_hand = requests.len() + ready.len() + self.behind.values().map(VecDeque::len).sum::<usize>();
            tokio::select! {
                Some((delivery, outcome)) = requests.next(), if !requests.is_empty() => {
                    self.ended(delivery, outcome, &mut ready).await;
                }
                pulled = next_owed(&mut queue, IN_HAND), if in_hand < IN_HAND && !spared => match pulled {
                    Some(pulled) => self.sort(pulled, &mut ready).await,
                    None if in_hand == 0 => break,
                    None => {}
                },
                () = again(self.spared.as_ref()), if spared => self.spared = None,
                () = serving.stop.cancelled() => break,
            }
        }
        // Cut off, they are made again by whoever has the channel next, who waits for this.
        let timeout = self.policy.timeout.min(self.gateway.0.config.channel_drain);
        let rest = async {
            while let Some((delivery, outcome)) = requests.next().await {
                self.ended(delivery, outcome, &mut ready).await;
            }
        };
        let _ = tokio::time::timeout(timeout, rest).await;
        // The queue is free before it is said to be.
        drop(queue);
        drop(serving);
    }

    /// Decides what of the pulled may leave now.
    async fn sort(&mut self, pulled: Vec<CallbackDelivery>, ready: &mut VecDeque<CallbackDelivery>) {
        let mut later = Vec::new();
        for delivery in pulled {
            let message = delivery.callback.message;
            if self.busy.contains(&message) {
                self.behind.entry(message).or_default().push_back(delivery);
            } else if let Some((first, at)) = self.held.get(&message)
                && *first != delivery.callback.id
            {
                later.push(Change::CallbackRetry { ticket: delivery.ticket, at: *at });
            } else {
                self.held.remove(&message);
                self.busy.insert(message);
                ready.push_back(delivery);
            }
        }
        self.post(later).await;
    }

    async fn ended(&mut self, delivery: CallbackDelivery, outcome: Outcome, ready: &mut VecDeque<CallbackDelivery>) {
        let message = delivery.callback.message;
        let mut changes = Vec::new();
        match outcome {
            Outcome::Taken => changes.push(Change::CallbackDone(delivery.ticket)),
            // What was owed to a destination that is no more may be another one's.
            Outcome::Unwanted => match self.hand_over(&delivery, Failing::ForGood).await {
                Some(handed) => changes.extend(handed),
                None => changes.push(Change::CallbackDone(delivery.ticket)),
            },
            Outcome::Refused { why, said } => match self.hand_over(&delivery, Failing::ForGood).await {
                Some(handed) => changes.extend(handed),
                None => {
                    let failure = Failure::of(&delivery, why, said);
                    changes.push(self.given_up(&delivery.callback, delivery.ticket, &failure));
                }
            },
            Outcome::Failed { why, said, retry_after } => {
                let failure = Failure::of(&delivery, why, said);
                match self.hand_over(&delivery, Failing::Times(failure.attempts)).await {
                    Some(handed) => changes.extend(handed),
                    None => changes.push(self.failed(&delivery, &failure, retry_after)),
                }
            }
            // Only one at a time finds out whether the receiver is back: the others would wait long beyond their time.
            Outcome::Spared(..) if self.is_too_old(&delivery.callback) => {
                let failure = Failure { attempts: delivery.attempts, why: CallbackError::Spared, said: String::new() };
                changes.push(self.given_up(&delivery.callback, delivery.ticket, &failure));
            }
            // Whoever would wait for a receiver that is spared may have another one at once.
            Outcome::Spared(host, until) => match self.hand_over(&delivery, Failing::Spared).await {
                Some(handed) => changes.extend(handed),
                None => {
                    self.spared = Some((host, until));
                    ready.push_front(delivery);
                    return;
                }
            },
        }
        if let Some(Change::CallbackRetry { at, .. }) = changes.first() {
            let at = *at;
            self.held.insert(message, (delivery.callback.id, at));
            // At the same instant, in the same order.
            let behind = self.behind.remove(&message).unwrap_or_default();
            changes.extend(behind.into_iter().map(|next| Change::CallbackRetry { ticket: next.ticket, at }));
            self.busy.remove(&message);
        } else {
            match self.behind.get_mut(&message).and_then(VecDeque::pop_front) {
                Some(next) => ready.push_back(next),
                None => {
                    self.busy.remove(&message);
                    self.behind.remove(&message);
                }
            }
        }
        self.post(changes).await;
    }

    /// Whether it is not worth waiting for a receiver that is spared. What is to be tried once is tried once.
    fn is_too_old(&self, callback: &Callback) -> bool {
        let retry = &self.policy.retry;
        !retry.max_age.is_zero() && retry.is_too_old(callback.created_at, Timestamp::now())
    }

    fn failed(&self, delivery: &CallbackDelivery, failure: &Failure, retry_after: Option<Duration>) -> Change {
        let callback = &delivery.callback;
        let now = Timestamp::now();
        let attempts = failure.attempts;
        match self.policy.retry.verdict(callback.created_at, now, attempts, retry_after, fastrand::f64()) {
            Verdict::At(at) => {
                let wait = now.until(at).as_secs_f64();
                if let Some(log) = self.log(callback) {
                    let why = failure.reason(&log);
                    let said = format!("{} failed because of {why}; next try in {wait:.1} s", what(callback));
                    log.about(about(callback)).warn(said);
                }
                Change::CallbackRetry { ticket: delivery.ticket, at }
            }
            Verdict::GiveUp => self.given_up(callback, delivery.ticket, failure),
        }
    }

    /// Kept aside, where it can be looked at and made again.
    fn given_up(&self, callback: &Callback, ticket: Ticket, failure: &Failure) -> Change {
        if let Some(log) = self.log(callback) {
            let (attempts, why) = (failure.attempts, failure.reason(&log));
            let tries = if attempts == 1 { "try" } else { "tries" };
            let said = format!("{} was given up after {attempts} {tries}: {why}", what(callback));
            log.about(about(callback)).failure(said, &failure.why);
        }
        Change::CallbackParked { ticket, reason: format!("{}{}", failure.why, failure.said) }
    }

    /// The log that a callback's fate belongs into; one of a deleted channel or destination has been deleted too.
    fn log(&self, callback: &Callback) -> Option<ChannelLog> {
        let gateway = &self.gateway;
        let id = match &callback.target {
            CallbackTarget::Destination { router, destination } => {
                gateway.destination(router, destination).is_ok().then_some(&destination.0)
            }
            _ => gateway.channel(&callback.channel).is_ok().then_some(&callback.channel.0),
        };
        id.map(|id| gateway.0.logs.of(id))
    }

    /// What lets another destination have an MO which this one has failed to take, if its router says so.
    async fn hand_over(&self, delivery: &CallbackDelivery, failure: Failing) -> Option<[Change; 2]> {
        let callback = &delivery.callback;
        let CallbackTarget::Destination { router, destination: failed } = &callback.target else { return None };
        let failures = match failure {
            Failing::Times(failures) => failures,
            Failing::ForGood | Failing::Spared => u32::MAX,
        };
        let heir = self.gateway.heir(router, failed, failures)?;
        let mut message = self.gateway.0.store.inbound(&callback.channel, callback.message).await.ok()??;
        let mut targets = destination_targets(&self.gateway.0.directory.load(), router, &heir);
        if message.destinations.contains(&heir) {
            // Each has its turn once; back to one that has had it only where nothing else is left, and not to its queue.
            if failure != Failing::Spared {
                return None;
            }
            targets.retain(|target| matches!(target, CallbackTarget::Destination { .. }));
        } else {
            message.destinations.push(heir.clone());
        }
        if targets.is_empty() {
            return None;
        }
        if let Some(log) = self.log(callback) {
            let message = callback.message;
            log.about(message).warn(format!("Message {message} goes on to destination {heir}"));
        }
        let owed = targets.into_iter().map(|target| mo_callback(&message, target, callback.created_at)).collect();
        let received = Change::Receive { message: Arc::new(message), callbacks: owed, joined_from: Vec::new() };
        Some([Change::CallbackDone(delivery.ticket), received])
    }

    async fn post(&self, changes: Vec<Change>) {
        if !changes.is_empty()
            && let Err(error) = self.gateway.0.store.post(changes).await
        {
            tracing::error!(%error, "results of callbacks could not be stored; they will be made again");
        }
    }

    /// Makes one request.
    fn request(&self, delivery: CallbackDelivery) -> impl Future<Output = (CallbackDelivery, Outcome)> + use<> {
        let (client, total, timeout) = (self.client.clone(), self.total.clone(), self.policy.timeout);
        let (target, gateway) = (self.target(&delivery.callback), self.gateway.clone());
        async move {
            let Some((url, token)) = target else { return (delivery, Outcome::Unwanted) };
            if delivery.attempts > 0 && gateway.is_superseded(&delivery.callback) {
                return (delivery, Outcome::Unwanted);
            }
            let url = match gateway.expanded(&delivery.callback, url).await {
                Ok(url) => url,
                Err(error) => return (delivery, CallbackError::Message(error).into()),
            };
            let url = match Url::parse(&url) {
                Ok(url) => url,
                Err(error) => return (delivery, CallbackError::Url(error).into()),
            };
            let host = gateway.0.hosts.of(&url);
            let pass = match host.clone().enter().await {
                Ok(pass) => pass,
                Err(until) => return (delivery, Outcome::Spared(host, until)),
            };
            let _place = total.acquire().await;
            let body = Bytes::copy_from_slice(delivery.callback.body.get().as_bytes());
            let headers = headers(token.as_deref(), delivery.attempts + 1);
            let outcome = judge(client.request(Method::POST, &url, headers, body, timeout).await);
            match outcome {
                Outcome::Failed { .. } => pass.failed(fastrand::f64()),
                // A host that refuses one request has read it.
                _ => pass.succeeded(),
            }
            (delivery, outcome)
        }
    }

    fn target(&self, callback: &Callback) -> Option<(String, Option<String>)> {
        match &callback.target {
            CallbackTarget::Url { url, token } => Some((url.clone(), token.clone())),
            CallbackTarget::Channel => self.gateway.channel_target(&callback.channel, callback.kind),
            CallbackTarget::Destination { router, destination } => self.gateway.destination_target(router, destination),
            // Published, not posted.
            CallbackTarget::Queue { .. } => None,
        }
    }
}

impl Gateway {
    /// A callback's URL with its escapes replaced.
    async fn expanded(&self, callback: &Callback, url: String) -> Result<String, ReadError> {
        if callback.kind == CallbackKind::Status || !templates::has_escapes(&url) {
            return Ok(url);
        }
        let channel = self.channel(&callback.channel).ok();
        let channel = channel.as_deref();
        let (mo, mt, events);
        let values = match callback.kind {
            CallbackKind::Mo => {
                mo = self.0.store.inbound(&callback.channel, callback.message).await?;
                mo.as_ref().map(Values::of_mo)
            }
            CallbackKind::Event => {
                mt = self.0.store.message(std::slice::from_ref(&callback.channel), callback.message).await?;
                events = match &mt {
                    Some(stored) => self.0.store.events(stored).await?,
                    None => Vec::new(),
                };
                mt.as_ref().map(|stored| Values::of_event(&stored.message, callback.id, &events))
            }
            CallbackKind::Status => None,
        };
        Ok(templates::expand(&url, &values.unwrap_or_default().on(channel)))
    }

    /// Whether a status is not its component's latest any more.
    fn is_superseded(&self, callback: &Callback) -> bool {
        if callback.kind != CallbackKind::Status {
            return false;
        }
        let Ok(status) = serde_json::from_str::<Status>(callback.body.get()) else { return false };
        let told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = told.get(&callback.channel).and_then(|components| components.get(status.component.as_str()));
        latest.is_some_and(|word| word.callback != callback.id)
    }
}

/// What is owed next, at most `max`; nothing once there has been nothing for so long that whoever asks may end. A store that
/// cannot be read is asked again.
pub(super) async fn next_owed(queue: &mut CallbackQueue, max: usize) -> Option<Vec<CallbackDelivery>> {
    loop {
        match tokio::time::timeout(IDLE, queue.pull(max)).await {
            Ok(Ok(pulled)) => return Some(pulled),
            Ok(Err(error)) => {
                tracing::error!(%error, queue = queue.lane(), "what is owed could not be read; it is tried again");
                tokio::time::sleep(UNREADABLE).await;
            }
            // What is being written still counts, so it is asked only now.
            Err(_) if queue.is_drained() => return None,
            Err(_) => {}
        }
    }
}

/// Until a spared host may be asked again, or its URL should be looked up again.
async fn again(spared: Option<&(Arc<Host>, Instant)>) {
    if let Some((host, until)) = spared {
        let until = (*until).min(Instant::now() + LOOK_AGAIN);
        let _ = tokio::time::timeout_at(until, host.recovered()).await;
    }
}

fn headers(token: Option<&str>, attempt: u32) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ATTEMPT, attempt.into());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // A token that no header can carry cannot be what the receiver expects either.
    if let Some(mut value) = token.and_then(|token| HeaderValue::try_from(format!("Token {token}")).ok()) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    headers
}

fn judge(answer: Result<Answer, ClientError>) -> Outcome {
    match answer {
        Ok(answer) if answer.status.is_success() => Outcome::Taken,
        Ok(answer) if answer.status.is_redirection() => {
            Outcome::Refused { why: CallbackError::Redirect(answer.status), said: said(&answer) }
        }
        Ok(answer) if is_final(answer.status) => {
            Outcome::Refused { why: CallbackError::Answer(answer.status), said: said(&answer) }
        }
        Ok(answer) => {
            let why = CallbackError::Answer(answer.status);
            Outcome::Failed { why, said: said(&answer), retry_after: answer.retry_after() }
        }
        Err(error) => CallbackError::from(error).into(),
    }
}

/// Whether an answer will be the same next time (Junebug reference §9, row 5).
fn is_final(status: StatusCode) -> bool {
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    !status.is_server_error() && !passing.contains(&status)
}

/// The beginning of what the receiver says.
fn said(answer: &Answer) -> String {
    let text: String = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
    format!(": {text}")
}

/// The message that a callback is about.
fn about(callback: &Callback) -> Option<MessageId> {
    (callback.kind != CallbackKind::Status).then_some(callback.message)
}

fn what(callback: &Callback) -> String {
    match callback.kind {
        CallbackKind::Mo => format!("POST of message {} to mo_url", callback.message),
        CallbackKind::Event => format!("POST of event {} of message {} to event_url", callback.id, callback.message),
        CallbackKind::Status => "POST to status_url".to_owned(),
    }
}
