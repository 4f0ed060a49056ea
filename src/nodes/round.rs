//! Looks again and again at what this node has and should have, and does what is to be done about it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::whereabouts::Seen;
use crate::access::Accounts;
use crate::gateway::{Assigned, Gateway};
use crate::model::ChannelId;
use crate::store::{Duties, Duty, HoldError, Nodes, Tenure, View};

/// From one look to the next, unless there is news.
const PERIOD: Duration = Duration::from_millis(100);
/// How long a lease may be doubtful before its channel is stopped: a process that was paused asks Redis first.
const TOLERATED: Duration = Duration::from_millis(800);
/// How long a channel whose lease may end has to unbind.
const HURRY: Duration = Duration::from_secs(2);
/// Most channels that are handed over at once, and from one such group to the next, while all nodes stay.
const GROUP: usize = 10;
const BETWEEN_GROUPS: Duration = Duration::from_secs(1);
/// The same for a node that goes.
const LAST_GROUP: usize = 64;
/// Most that are taken at once.
const TAKEN: usize = 16;
/// How long what is being let go of is waited for at the end.
const ENDED: Duration = Duration::from_secs(5);
/// How long Redis may say nothing until nobody waits for other nodes.
const SILENT: Duration = Duration::from_secs(5);
/// How long it takes until what another node has is asked for again.
const BUSY: Duration = Duration::from_millis(500);

/// What has been let go of, and whether every channel that is to run does.
type Ended = (Vec<Duty>, bool);

/// See the file's head.
pub(super) struct Rounds {
    nodes: Nodes,
    duties: Duties,
    view: watch::Receiver<View>,
    gateway: Gateway,
    accounts: Arc<Accounts>,
    seen: watch::Sender<Seen>,
    /// The channels that run here.
    running: HashSet<ChannelId>,
    /// What is being let go of.
    leaving: HashSet<Duty>,
    endings: JoinSet<Ended>,
    /// Since when a lease is in doubt.
    doubts: HashMap<Duty, Instant>,
    /// Not asked for before: another node has it.
    busy: HashMap<Duty, Instant>,
    /// What could not be done, each said once.
    troubles: HashMap<Option<Duty>, String>,
    /// What there is is to be looked at again, whether somebody has changed it or not.
    stale: bool,
    /// Not handed over before.
    next_group: Instant,
}

impl Rounds {
    pub(super) fn new(nodes: Nodes, gateway: Gateway, accounts: Arc<Accounts>, seen: watch::Sender<Seen>) -> Self {
        Self {
            view: nodes.view(),
            duties: nodes.duties().clone(),
            nodes,
            gateway,
            accounts,
            seen,
            running: HashSet::new(),
            leaving: HashSet::new(),
            endings: JoinSet::new(),
            doubts: HashMap::new(),
            busy: HashMap::new(),
            troubles: HashMap::new(),
            stale: true,
            next_group: Instant::now(),
        }
    }

    /// Waits until Redis has told of the other nodes, and looks for the first time.
    pub(super) async fn first(&mut self) -> Result<(), watch::error::RecvError> {
        self.view.wait_for(|view| view.heard.is_some()).await?;
        // What is taken runs after the next look.
        self.look(false).await;
        self.look(false).await;
        while let Some(ended) = self.endings.join_next().await {
            self.ended(ended.unwrap_or_default());
        }
        Ok(())
    }

    /// Goes on until the end.
    pub(super) async fn run(
        mut self,
        drain: CancellationToken,
        end: CancellationToken,
        left: watch::Sender<Option<usize>>,
    ) -> Nodes {
        loop {
            tokio::select! {
                () = end.cancelled() => break,
                () = drain.cancelled(), if !self.seen.borrow().draining => {
                    self.nodes.drain();
                    self.seen.send_modify(|seen| seen.draining = true);
                }
                Some(ended) = self.endings.join_next() => self.ended(ended.unwrap_or_default()),
                _ = timeout(PERIOD, self.view.changed()) => {}
            }
            let draining = self.seen.borrow().draining;
            self.look(draining).await;
            let _ = left.send(draining.then(|| self.remain()));
        }
        // Where Redis takes nothing the end of the store gives up.
        let _ = timeout(ENDED, async { while self.endings.join_next().await.is_some() {} }).await;
        self.nodes
    }

    /// How much has to be handed over still. Where Redis says nothing, nobody can take anything.
    fn remain(&self) -> usize {
        let view = self.view.borrow();
        let silent = view.heard.is_none_or(|heard| heard.elapsed() > SILENT);
        let alone = view.nodes.iter().all(|node| node.id == self.nodes.own() || node.draining);
        match (silent, alone) {
            (true, _) => 0,
            // What is being let go of is held no more, and has not ended yet.
            (false, true) => self.leaving.len(),
            (false, false) => self.duties.held().len() + self.leaving.len(),
        }
    }

    fn ended(&mut self, (duties, all): Ended) {
        self.leaving.retain(|duty| !duties.contains(duty));
        self.stale |= !all;
    }

    async fn look(&mut self, draining: bool) {
        let view = self.view.borrow_and_update().clone();
        self.follow(view.revision).await;
        let now = Instant::now();
        let held = self.duties.held();
        let others = view.nodes.iter().any(|node| node.id != self.nodes.own() && !node.draining);
        let wanted = self.wanted(&view, draining && others);
        let (mut work, mut lost) = (HashSet::new(), Vec::new());
        let mut over = Vec::new();
        self.doubts.retain(|duty, _| held.iter().any(|(held, _)| held == duty));
        for (duty, tenure) in held {
            if self.leaving.contains(&duty) {
                continue;
            }
            match tenure {
                Tenure::Lost { by: Some(by) } => {
                    tracing::warn!(%by, "{duty} is not this node's any more");
                    lost.push(duty);
                    continue;
                }
                Tenure::Good => drop(self.doubts.remove(&duty)),
                Tenure::Doubtful | Tenure::Lost { by: None } => {
                    let since = *self.doubts.entry(duty.clone()).or_insert(now);
                    if now.duration_since(since) > TOLERATED {
                        continue;
                    }
                }
            }
            if duty == Duty::Lead && self.stale {
                // It may not know yet what it would change.
            } else if wanted.contains(&duty) {
                work.insert(duty);
            } else {
                over.push(duty);
            }
        }
        // What is another's now is let go of, some at a time: each goes on at once where it should be.
        let group = if draining { LAST_GROUP } else { GROUP };
        let room = if self.next_group <= now { group.saturating_sub(self.leaving.len()) } else { 0 };
        work.extend(over.drain(room.min(over.len())..));
        if !over.is_empty() {
            self.next_group = now + if draining { Duration::ZERO } else { BETWEEN_GROUPS };
        }
        self.run_only(work, over, lost);
        self.take(wanted, now).await;
    }

    /// Applies what others have changed.
    async fn follow(&mut self, revision: u64) {
        if self.seen.borrow().revision == revision && !self.stale {
            return;
        }
        let followed = async {
            self.duties.look_again().await?;
            self.accounts.refresh().await?;
            self.gateway.refresh().await?;
            anyhow::Ok(())
        };
        let followed = followed.await;
        self.stale = followed.is_err();
        match followed {
            Ok(()) => {
                self.troubles.remove(&None);
                self.seen.send_modify(|seen| seen.revision = revision);
            }
            Err(error) => {
                self.complain(None, &format!("what other nodes have changed cannot be read for now: {error:#}"))
            }
        }
    }

    /// Says what is wrong, once.
    fn complain(&mut self, duty: Option<Duty>, trouble: &str) {
        if self.troubles.insert(duty, trouble.to_owned()).as_deref() != Some(trouble) {
            tracing::warn!("{trouble}");
        }
    }

    /// What this node should have.
    fn wanted(&self, view: &View, going: bool) -> HashSet<Duty> {
        if going {
            return HashSet::new();
        }
        let is_own = |duty: &Duty| duty.place(&view.nodes).is_none_or(|node| node.id == self.nodes.own());
        let leads = is_own(&Duty::Lead);
        // Those that share an application's queue are together.
        let by = self.gateway.placed_by();
        let there: HashSet<ChannelId> = self.gateway.channels().into_iter().collect();
        let channels = self.duties.channels().into_iter().filter_map(|channel| {
            // Whoever leads sees to what is left of those that were deleted.
            let deleted = !there.contains(&channel);
            let named = Duty::Channel(by.get(&channel).unwrap_or(&channel).clone());
            (if deleted { leads } else { is_own(&named) }).then_some(Duty::Channel(channel))
        });
        channels.chain(leads.then_some(Duty::Lead)).collect()
    }

    /// Runs the channels that this node works for. Others end, in order (`over`) or in a hurry, and are let go of then.
    fn run_only(&mut self, work: HashSet<Duty>, over: Vec<Duty>, lost: Vec<Duty>) {
        let channels: HashSet<ChannelId> = work.iter().filter_map(channel_of).collect();
        let hurry =
            self.running.difference(&channels).any(|id| !over.iter().any(|duty| channel_of(duty).as_ref() == Some(id)));
        let same = channels == self.running;
        self.running.clone_from(&channels);
        if *self.seen.borrow().duties != work {
            self.seen.send_modify(|seen| seen.duties = Arc::new(work));
        }
        let gone: Vec<Duty> = over.into_iter().chain(lost).collect();
        if same && gone.is_empty() {
            return;
        }
        self.leaving.extend(gone.iter().cloned());
        let duties = self.duties.clone();
        // What runs is said now, in this order; how long it takes is waited for aside.
        let drain = if hurry { HURRY } else { self.gateway.channel_drain() };
        let settled = self.gateway.reassign(Assigned::Only(channels), drain);
        self.endings.spawn(async move {
            let (ends, others): (HashSet<Duty>, Vec<Duty>) = (gone.iter().cloned().collect(), gone);
            if ends.contains(&Duty::Lead) {
                duties.let_go(&Duty::Lead).await;
            }
            // Each is let go of as soon as nothing is done for it any more.
            let each = settled.map(async |(id, settled)| {
                if let Err(error) = &settled {
                    tracing::warn!(channel = %id, %error, "a channel could not be started, which is repeated");
                }
                let duty = Duty::Channel(id);
                if ends.contains(&duty) {
                    duties.let_go(&duty).await;
                }
                settled.is_ok()
            });
            let all = each.buffer_unordered(usize::MAX).fold(true, async |all, one| all && one).await;
            // Those that did not run.
            stream::iter(&others).for_each_concurrent(None, |duty| duties.let_go(duty)).await;
            (others, all)
        });
    }

    /// Takes what should be here and is not.
    async fn take(&mut self, wanted: HashSet<Duty>, now: Instant) {
        let held: HashSet<Duty> = self.duties.held().into_iter().map(|(duty, _)| duty).collect();
        self.busy.retain(|duty, until| *until > now && wanted.contains(duty));
        let free = |duty: &Duty| !held.contains(duty) && !self.leaving.contains(duty) && !self.busy.contains_key(duty);
        let missing: Vec<Duty> = wanted.into_iter().filter(free).collect();
        let duties = &self.duties;
        let attempts = stream::iter(missing).map(async |duty| {
            let taken = duties.take(&duty).await;
            (duty, taken)
        });
        let attempts: Vec<_> = attempts.buffer_unordered(TAKEN).collect().await;
        for (duty, taken) in attempts {
            match taken {
                Ok(()) => {
                    tracing::info!("this node has {duty}");
                    self.troubles.remove(&Some(duty.clone()));
                    if duty == Duty::Lead {
                        // What the last one who led changed last may not have been told, and nobody changes it now.
                        self.duties.tell().await;
                        self.stale = true;
                    }
                }
                Err(HoldError::Taken { .. }) => drop(self.busy.insert(duty, now + BUSY)),
                Err(HoldError::Open(error)) => {
                    self.complain(Some(duty.clone()), &format!("{duty} could not be taken for now: {error}"));
                    self.busy.insert(duty, now + BUSY);
                }
            }
        }
    }
}

fn channel_of(duty: &Duty) -> Option<ChannelId> {
    match duty {
        Duty::Channel(channel) => Some(channel.clone()),
        Duty::Lead => None,
    }
}
