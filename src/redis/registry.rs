//! Which nodes there are, and which revision the settings have: every node says each second that it is there, and is told
//! of the others by the same script. One that says nothing for 12 s, by Redis's clock, is forgotten.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::Redis;
use super::error::RedisError;
use super::slot::Slot;

/// What a node says of itself.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    /// Its id, which each start of the process has anew.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Where other nodes reach its API.
    pub url: String,
    /// What other nodes show it, so that it believes them: whoever reads this may change everything anyway.
    pub key: String,
    /// Its version of Maybug.
    pub version: String,
    /// Whether it is about to go, and hands over what it has.
    pub draining: bool,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("id", &self.id).field("url", &self.url).finish_non_exhaustive()
    }
}

/// What was last heard.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The nodes that there are, sorted by id.
    pub nodes: Vec<Member>,
    /// The revision of the settings: another number, as a rule a higher one, after each change of them; 0 before any.
    pub revision: u64,
    /// When Redis was asked for this, by our clock; `None` before it has answered.
    pub heard: Option<Instant>,
}

/// A node's place among the others. Of one that is dropped Redis hears nothing: it is forgotten after a while.
pub(crate) struct Registry {
    slot: Slot,
    own: watch::Sender<Member>,
    view: watch::Receiver<View>,
    sooner: Arc<Notify>,
    task: AbortOnDropHandle<()>,
}

/// The slot of what belongs to no channel.
const SETTINGS: &str = "";
/// The key of what nodes say.
const NODES: &str = "nodes";
/// Seconds within which a node has said something lately.
const LATELY: u64 = 2;
/// The key of the settings' revision.
const REVISION: &str = "revision";

impl Registry {
    /// Announces a node from now on, as soon as Redis answers.
    pub(crate) fn join(redis: &Redis, own: Member) -> Self {
        let slot = redis.slot(SETTINGS);
        let (own, said) = watch::channel(own);
        let (told, view) = watch::channel(View::default());
        let sooner = Arc::<Notify>::default();
        let task = AbortOnDropHandle::new(tokio::spawn(announce(slot.clone(), said, told, sooner.clone())));
        Self { slot, own, view, sooner, task }
    }

    /// The view, which changes when nodes or the revision do, and when Redis has answered for the first time; in between
    /// only the time goes on when it was heard.
    pub(crate) fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// Whoever knows that there is news notifies this, and Redis is asked before its time.
    pub(crate) fn sooner(&self) -> Arc<Notify> {
        self.sooner.clone()
    }

    /// Tells the others at once that this node is about to go.
    pub(crate) fn drain(&self) {
        self.own.send_if_modified(|own| !std::mem::replace(&mut own.draining, true));
    }

    /// Is not among the nodes any more, at once.
    ///
    /// # Errors
    /// [`RedisError`]: it is forgotten after a while, then.
    pub(crate) async fn leave(self) -> Result<(), RedisError> {
        let own = self.own.borrow().id.clone();
        // What it sent last goes before what is sent now, on the same connection.
        self.task.abort();
        let _ended = self.task.await;
        self.slot.ask(redis::cmd("HDEL").arg(self.slot.key(NODES)).arg(own)).await
    }
}

/// Whether a node with this id has said lately that it is there.
///
/// # Errors
/// [`RedisError`].
pub(crate) async fn is_there(redis: &Redis, id: &str) -> Result<bool, RedisError> {
    let slot = redis.slot(SETTINGS);
    let (seconds, _): (u64, u64) = slot.ask(&redis::cmd("TIME")).await?;
    let said: Option<String> = slot.ask(redis::cmd("HGET").arg(slot.key(NODES)).arg(id)).await?;
    let heard = said.and_then(|said| said.split(' ').next()?.parse::<u64>().ok());
    Ok(heard.is_some_and(|heard| heard / 1_000 + LATELY >= seconds))
}

/// Raises the revision of the settings, which is in their slot and which nodes see within a second, and returns it. Whoever
/// changes settings does that afterwards.
///
/// # Errors
/// [`RedisError`]; it may have been raised all the same.
pub(crate) async fn bump(settings: &Slot) -> Result<u64, RedisError> {
    let revision = settings.key(REVISION);
    settings.change(|whole| settings.redis.0.scripts.bump.call(whole, &[&revision])).await
}

async fn announce(slot: Slot, mut own: watch::Receiver<Member>, told: watch::Sender<View>, sooner: Arc<Notify>) {
    let redis = &slot.redis.0;
    let keys = [slot.key(NODES), slot.key(REVISION)];
    let mut troubled = false;
    loop {
        let sent = Instant::now();
        let said = own.borrow_and_update().clone();
        let call = |whole| {
            let mut call = redis.scripts.announce.call(whole, &[&keys[0], &keys[1]]);
            call.arg(&said.id).arg(said_as(&said)).arg(redis.times.kept());
            call
        };
        let answer: Result<(u64, Vec<String>), _> = slot.run(call).await;
        match answer {
            Ok((revision, nodes)) => {
                if std::mem::take(&mut troubled) {
                    tracing::info!("the registry of nodes is read again");
                }
                told.send_if_modified(|view| view.hear(revision, read(&nodes), sent));
            }
            Err(error) if !std::mem::replace(&mut troubled, true) => {
                tracing::warn!(%error, "the registry of nodes cannot be read for now");
            }
            Err(_) => {}
        }
        tokio::select! {
            changed = own.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = sooner.notified() => {}
            () = sleep_until(sent + redis.times.announce) => {}
        }
    }
}

fn said_as(member: &Member) -> String {
    // A struct of strings cannot fail.
    serde_json::to_string(member).unwrap_or_default()
}

/// The nodes, sorted; what another version says that we cannot read is no node for us.
fn read(said: &[String]) -> Vec<Member> {
    let mut nodes: Vec<Member> = said.iter().filter_map(|said| serde_json::from_str(said).ok()).collect();
    nodes.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    nodes
}

impl View {
    /// Whether what was heard is news.
    fn hear(&mut self, revision: u64, nodes: Vec<Member>, sent: Instant) -> bool {
        let is_new = self.heard.replace(sent).is_none();
        let is_other = (self.revision, &self.nodes) != (revision, &nodes);
        (self.revision, self.nodes) = (revision, nodes);
        is_new || is_other
    }
}
