//! What the parts of a running channel share: its sessions, the requests that wait, the queue that is asked for MTs, and
//! which requests of ours are under way.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::again::Again;
use super::config::HttpConfig;
use super::mailbox::Asked;
use super::scope::{Request, Session};
use crate::channel::held::{Credentials, Held, MOST};
use crate::channel::sessions::Sessions;
use crate::channel::told::Told;
use crate::channel::{Fate, Intake, Outcome, Setup, StatusReport};
use crate::model::{JsonObject, Level, MessageId, UnmatchedReceipt};
use crate::store::Delivery;

/// Most receipts that are kept aside; the oldest are dropped.
const MAX_UNMATCHED: usize = 1_000;

/// See the file's head.
pub(super) struct State<I> {
    pub(super) setup: Setup<I>,
    pub(super) config: HttpConfig,
    /// What requests must carry, if anything.
    pub(super) credentials: Option<Credentials>,
    pub(super) held: Arc<Held>,
    sessions: Mutex<Sessions<Session>>,
    /// Requests that are held, by their MO.
    requests: Mutex<HashMap<MessageId, Arc<Request>>>,
    /// MTs that wait to be asked for, where there is a mailbox.
    pub(super) asked: Asked,
    /// The notes of receipts that belong to no message that we know, the oldest first.
    unmatched: Mutex<VecDeque<String>>,
    /// Cancelled when the channel goes, in order or not: nobody asks for MTs any more.
    pub(super) cut_off: CancellationToken,
    pub(super) under_way: UnderWay,
    pub(super) again: Again,
    told: Told,
}

/// The state behind a lock; a panic while it was held has ended the channel already.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<I: Intake> State<I> {
    /// With what is stored.
    pub(super) async fn new(setup: Setup<I>, config: HttpConfig) -> Self {
        let notes = async |prefix| {
            setup.store.notes(&setup.id, prefix).await.unwrap_or_else(|error| {
                setup.log.error(format!("what the channel keeps could not be read: {error}"));
                Vec::new()
            })
        };
        let sessions = Sessions::new(config.session.timeout, &notes(Sessions::<Session>::NOTES).await);
        let unmatched = notes(UnmatchedReceipt::NOTES).await.into_iter().map(|(name, _)| name).collect();
        Self {
            held: Held::new(MOST),
            credentials: match (&config.web_username, &config.web_password) {
                (Some(username), Some(password)) => Some(Credentials::new(username, password)),
                _ => None,
            },
            sessions: Mutex::new(sessions),
            requests: Mutex::default(),
            asked: Asked::new(config.mailbox.is_some().then(|| setup.queue())),
            unmatched: Mutex::new(unmatched),
            cut_off: CancellationToken::new(),
            under_way: UnderWay::default(),
            again: Again::default(),
            told: Told::default(),
            config,
            setup,
        }
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions<Session>> {
        lock(&self.sessions)
    }

    /// Remembers what a request was until what is returned is dropped.
    pub(super) fn remember(&self, id: MessageId, request: Arc<Request>) -> Remembered<'_> {
        lock(&self.requests).insert(id, request);
        Remembered { requests: &self.requests, id }
    }

    /// The request that an MO was.
    pub(super) fn request(&self, id: MessageId) -> Option<Arc<Request>> {
        lock(&self.requests).get(&id).cloned()
    }

    /// Whether any request is held.
    pub(super) fn has_requests(&self) -> bool {
        !lock(&self.requests).is_empty()
    }

    /// The notes that make room for so many receipts to be kept aside: the oldest.
    pub(super) fn oldest_aside(&self, more: usize) -> Vec<String> {
        let unmatched = lock(&self.unmatched);
        let too_many = (unmatched.len() + more).saturating_sub(MAX_UNMATCHED);
        unmatched.iter().take(too_many).cloned().collect()
    }

    /// These are stored, and those no more.
    pub(super) fn kept_aside(&self, receipts: &[UnmatchedReceipt], dropped: &[String]) {
        let mut unmatched = lock(&self.unmatched);
        unmatched.retain(|name| !dropped.contains(name));
        unmatched.extend(receipts.iter().map(UnmatchedReceipt::note));
    }

    /// Says what became of an MT.
    pub(super) async fn decide(&self, delivery: Delivery, fate: Fate) {
        let Delivery { ticket, origin, message, .. } = delivery;
        self.setup.intake.decided(&self.setup.id, vec![Outcome { ticket, origin, message, fate }]).await;
    }

    /// Says how a component does.
    pub(super) async fn tell(&self, component: &'static str, level: Level, kind: &'static str, message: String) {
        let report = StatusReport { component, level, kind, message, details: JsonObject::new() };
        self.told.tell(&self.setup, report).await;
    }

    /// Whether that is the last that was said of it.
    pub(super) fn has_told(&self, component: &'static str, kind: &'static str) -> bool {
        self.told.is(component, kind)
    }
}

/// See [`State::remember`].
pub(super) struct Remembered<'a> {
    requests: &'a Mutex<HashMap<MessageId, Arc<Request>>>,
    id: MessageId,
}

impl Drop for Remembered<'_> {
    fn drop(&mut self) {
        lock(self.requests).remove(&self.id);
    }
}

/// Requests of ours that have not been answered: a receipt may come before the answer that says what it is for.
#[derive(Default)]
pub(super) struct UnderWay {
    state: Mutex<Begun>,
    ended: Notify,
}

/// How many have begun, and which of these each message's is.
#[derive(Default)]
struct Begun {
    count: u64,
    numbers: HashMap<MessageId, u64>,
}

/// A request of ours; dropped, its answer has been told.
pub(super) struct OneUnderWay<'a> {
    all: &'a UnderWay,
    id: MessageId,
}

/// Those that had begun at some time.
pub(super) struct Earlier<'a> {
    all: &'a UnderWay,
    until: u64,
    /// How many of them have not ended.
    left: usize,
}

impl UnderWay {
    /// A message's begins.
    pub(super) fn begin(&self, id: MessageId) -> OneUnderWay<'_> {
        let mut state = lock(&self.state);
        let number = state.count;
        state.count += 1;
        state.numbers.insert(id, number);
        OneUnderWay { all: self, id }
    }

    /// Whether a message's has not ended.
    pub(super) fn has(&self, id: MessageId) -> bool {
        lock(&self.state).numbers.contains_key(&id)
    }

    /// Those that have begun by now.
    pub(super) fn earlier(&self) -> Earlier<'_> {
        let state = lock(&self.state);
        Earlier { all: self, until: state.count, left: state.numbers.len() }
    }
}

impl Earlier<'_> {
    /// Whether all of them had ended when somebody last looked.
    pub(super) fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Waits until fewer of them are left.
    pub(super) async fn one_ends(&mut self) {
        loop {
            let ended = self.all.ended.notified();
            let left = lock(&self.all.state).numbers.values().filter(|number| **number < self.until).count();
            if left < self.left {
                self.left = left;
                return;
            }
            ended.await;
        }
    }
}

impl Drop for OneUnderWay<'_> {
    fn drop(&mut self) {
        lock(&self.all.state).numbers.remove(&self.id);
        self.all.ended.notify_waiters();
    }
}
