//! Looks again and again at what this node has and should have, and does what is to be done about it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::whereabouts::Seen;
use crate::access::Accounts;
use crate::gateway::{Assigned, Gateway};
use crate::model::ChannelId;
use crate::store::{Duties, Duty, HoldError, Member, Nodes, Tenure, View};

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
/// How long it takes until what could not be read is read again.
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);
/// How long it takes until what another node has is asked for again.
const BUSY: Duration = Duration::from_millis(500);

/// What is done aside, so that nothing keeps anybody from looking at the leases.
enum Job {
    /// What others have changed is applied.
    Follow(u64),
    /// Something is taken.
    Take(Duty),
    /// These are let go of once nothing is done for them any more.
    End(Vec<Duty>),
}

/// What has come of it.
enum Outcome {
    Followed(anyhow::Result<()>),
    Taken(Result<(), HoldError>),
    /// Whether every channel that is to run does.
    Ended(bool),
}

/// See the file's head.
pub(super) struct Rounds {
    nodes: Nodes,
    duties: Duties,
    view: watch::Receiver<View>,
    gateway: Gateway,
    accounts: Arc<Accounts>,
    seen: watch::Sender<Seen>,
    tasks: JoinSet<Outcome>,
    jobs: HashMap<Id, Job>,
    /// The channels that run here.
    running: HashSet<ChannelId>,
    /// What is being let go of, and what is being taken.
    leaving: HashSet<Duty>,
    taking: HashSet<Duty>,
    /// Since when a lease is in doubt.
    doubts: HashMap<Duty, Instant>,
    /// Not asked for before: another node has it.
    busy: HashMap<Duty, Instant>,
    /// What could not be done, each said once.
    troubles: HashMap<Option<Duty>, String>,
    /// What there is is to be looked at again, whether somebody has changed it or not, but not before then.
    stale: bool,
    next_follow: Instant,
    /// How often it has been looked at, and whether that goes on.
    followed: u64,
    following: bool,
    /// So often it must have been before this node leads: nobody else changes it from then on.
    leads_from: u64,
    /// Not handed over before.
    next_group: Instant,
    /// What should be here, and what that was found by.
    wanted: (Option<Known>, HashSet<Duty>),
}

/// What it depends on which node should have what.
#[derive(PartialEq, Eq)]
struct Known {
    nodes: Vec<Member>,
    revision: u64,
    channels: usize,
    going: bool,
}

impl Rounds {
    pub(super) fn new(nodes: Nodes, gateway: Gateway, accounts: Arc<Accounts>, seen: watch::Sender<Seen>) -> Self {
        let now = Instant::now();
        Self {
            view: nodes.view(),
            duties: nodes.duties().clone(),
            nodes,
            gateway,
            accounts,
            seen,
            tasks: JoinSet::new(),
            jobs: HashMap::new(),
            running: HashSet::new(),
            leaving: HashSet::new(),
            taking: HashSet::new(),
            doubts: HashMap::new(),
            busy: HashMap::new(),
            troubles: HashMap::new(),
            stale: true,
            next_follow: now,
            followed: 0,
            following: false,
            leads_from: 0,
            next_group: now,
            wanted: (None, HashSet::new()),
        }
    }

    /// Waits until Redis has told of the other nodes, and looks until whoever is alone has all.
    pub(super) async fn first(&mut self) -> Result<(), watch::error::RecvError> {
        self.view.wait_for(|view| view.heard.is_some()).await?;
        // What there is and the lead; then channels; then they run.
        for _ in 0..3 {
            self.look(false);
            while let Some(done) = self.tasks.join_next_with_id().await {
                self.done(done);
            }
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
                Some(done) = self.tasks.join_next_with_id() => self.done(done),
                _ = timeout(PERIOD, self.view.changed()) => {}
            }
            let draining = self.seen.borrow().draining;
            self.look(draining);
            let _ = left.send(draining.then(|| self.remain()));
        }
        // Where Redis takes nothing the end of the store gives up.
        let _ = timeout(ENDED, async { while self.tasks.join_next().await.is_some() {} }).await;
        self.nodes
    }

    fn begin(&mut self, job: Job, work: impl Future<Output = Outcome> + Send + 'static) {
        let id = self.tasks.spawn(work).id();
        self.jobs.insert(id, job);
    }

    fn done(&mut self, done: Result<(Id, Outcome), JoinError>) {
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let outcome = done.map(|(_, outcome)| outcome);
        let now = Instant::now();
        match (self.jobs.remove(&id), outcome) {
            (Some(Job::Follow(revision)), Ok(Outcome::Followed(Ok(())))) => {
                self.following = false;
                self.followed += 1;
                self.troubles.remove(&None);
                self.seen.send_modify(|seen| seen.revision = revision);
            }
            (Some(Job::Follow(_)), outcome) => {
                (self.following, self.stale, self.next_follow) = (false, true, now + FOLLOW_AGAIN);
                if let Ok(Outcome::Followed(Err(error))) = outcome {
                    self.complain(None, &format!("what other nodes have changed cannot be read for now: {error:#}"));
                }
            }
            (Some(Job::Take(duty)), outcome) => {
                self.taking.remove(&duty);
                match outcome {
                    Ok(Outcome::Taken(Ok(()))) => {
                        tracing::info!("this node has {duty}");
                        self.troubles.remove(&Some(duty.clone()));
                        if duty == Duty::Lead {
                            // What is being looked at may be from before.
                            self.leads_from = self.followed + 1 + u64::from(self.following);
                            self.stale = true;
                        }
                        return;
                    }
                    Ok(Outcome::Taken(Err(HoldError::Open(error)))) => {
                        self.complain(Some(duty.clone()), &format!("{duty} could not be taken for now: {error}"));
                    }
                    _ => {}
                }
                self.busy.insert(duty, now + BUSY);
            }
            (Some(Job::End(duties)), outcome) => {
                self.leaving.retain(|duty| !duties.contains(duty));
                self.stale |= !matches!(outcome, Ok(Outcome::Ended(true)));
            }
            (None, _) => {}
        }
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

    fn look(&mut self, draining: bool) {
        let view = self.view.borrow_and_update().clone();
        self.follow(view.revision);
        let now = Instant::now();
        let held = self.duties.held();
        let others = view.nodes.iter().any(|node| node.id != self.nodes.own() && !node.draining);
        self.find_wanted(view, draining && others);
        let (mut work, mut lost, mut over) = (HashSet::new(), Vec::new(), Vec::new());
        self.doubts.retain(|duty, _| held.iter().any(|(held, _)| held == duty));
        for (duty, tenure) in &held {
            match tenure {
                Tenure::Good => drop(self.doubts.remove(duty)),
                Tenure::Lost { by: Some(by) } => {
                    if !self.leaving.contains(duty) {
                        tracing::warn!(%by, "{duty} is not this node's any more");
                        lost.push(duty.clone());
                    }
                    continue;
                }
                Tenure::Doubtful | Tenure::Lost { by: None } => {
                    let doubted = now.duration_since(*self.doubts.entry(duty.clone()).or_insert(now));
                    // Whatever it is that it waits for: nobody else has it yet.
                    if let (true, Duty::Channel(channel)) = (doubted > TOLERATED + HURRY, duty) {
                        self.gateway.cut(channel);
                    }
                    if doubted > TOLERATED || *tenure != Tenure::Doubtful {
                        continue;
                    }
                }
            }
            if self.leaving.contains(duty) || (*duty == Duty::Lead && self.followed < self.leads_from) {
                continue;
            }
            if self.wanted.1.contains(duty) {
                work.insert(duty.clone());
            } else {
                over.push(duty.clone());
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
        self.take(&held, now);
    }

    /// Applies what others have changed.
    fn follow(&mut self, revision: u64) {
        let news = self.stale || self.seen.borrow().revision != revision;
        if !news || self.following || self.next_follow > Instant::now() {
            return;
        }
        (self.stale, self.following) = (false, true);
        let (duties, accounts, gateway) = (self.duties.clone(), self.accounts.clone(), self.gateway.clone());
        self.begin(Job::Follow(revision), async move {
            let followed = async {
                duties.look_again().await?;
                accounts.refresh().await?;
                gateway.refresh().await?;
                anyhow::Ok(())
            };
            Outcome::Followed(followed.await)
        });
    }

    /// Says what is wrong, once.
    fn complain(&mut self, duty: Option<Duty>, trouble: &str) {
        if self.troubles.insert(duty, trouble.to_owned()).as_deref() != Some(trouble) {
            tracing::warn!("{trouble}");
        }
    }

    /// Finds what this node should have.
    fn find_wanted(&mut self, view: View, going: bool) {
        let channels = self.duties.channels();
        let revision = self.seen.borrow().revision;
        let known = Known { nodes: view.nodes, revision, channels: channels.len(), going };
        if self.wanted.0.as_ref() == Some(&known) {
            return;
        }
        let is_own = |duty: &Duty| duty.place(&known.nodes).is_none_or(|node| node.id == self.nodes.own());
        let leads = is_own(&Duty::Lead);
        // Those that share an application's queue are together.
        let by = self.gateway.placed_by();
        let there: HashSet<ChannelId> = self.gateway.channels().into_iter().collect();
        let channels = channels.into_iter().filter_map(|channel| {
            // Whoever leads sees to what is left of those that were deleted.
            let deleted = !there.contains(&channel);
            let named = Duty::Channel(by.get(&channel).unwrap_or(&channel).clone());
            (if deleted { leads } else { is_own(&named) }).then_some(Duty::Channel(channel))
        });
        let wanted = if going { HashSet::new() } else { channels.chain(leads.then_some(Duty::Lead)).collect() };
        self.wanted = (Some(known), wanted);
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
        self.begin(Job::End(gone.clone()), async move {
            let ends: HashSet<Duty> = gone.iter().cloned().collect();
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
            stream::iter(&gone).for_each_concurrent(None, |duty| duties.let_go(duty)).await;
            Outcome::Ended(all)
        });
    }

    /// Takes what should be here and is not.
    fn take(&mut self, held: &[(Duty, Tenure)], now: Instant) {
        self.busy.retain(|_, until| *until > now);
        let held: HashSet<&Duty> = held.iter().map(|(duty, _)| duty).collect();
        let free = |duty: &&Duty| {
            !held.contains(*duty)
                && !self.leaving.contains(*duty)
                && !self.taking.contains(*duty)
                && !self.busy.contains_key(*duty)
        };
        let room = TAKEN.saturating_sub(self.taking.len());
        let missing: Vec<Duty> = self.wanted.1.iter().filter(free).take(room).cloned().collect();
        for duty in missing {
            self.taking.insert(duty.clone());
            let duties = self.duties.clone();
            self.begin(Job::Take(duty.clone()), async move {
                let taken = duties.take(&duty).await;
                if taken.is_ok() && duty == Duty::Lead {
                    // What the last one who led changed last the others may not have been told.
                    duties.tell().await;
                }
                Outcome::Taken(taken)
            });
        }
    }
}

fn channel_of(duty: &Duty) -> Option<ChannelId> {
    match duty {
        Duty::Channel(channel) => Some(channel.clone()),
        Duty::Lead => None,
    }
}
