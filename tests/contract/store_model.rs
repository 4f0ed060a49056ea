//! Random histories against a model of plain sets: what is live, in which order, and how much waits, across cancelling,
//! restarts of the channel, ends in order, crashes at any place, and moves to another place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use maybug::model::{MessageId, Timestamp};
use maybug::moving;
use maybug::store::{Change, Contents, Delivery, OutboundQueue, Store, Tally};

use crate::place::{Engine, Place};
use crate::store_support::{SOON, ack, at, cancel_all, channel, message, withdraw};

const HOUR: Duration = Duration::from_secs(3_600);

/// One step of a history. Numbers choose among what is there.
#[derive(Clone, Debug)]
enum Step {
    Accept(Vec<u8>),
    Schedule(u8),
    CancelOne(usize),
    CancelAll(Option<u8>),
    Pull(usize),
    Ack(usize),
    RetryNow(usize),
    RetryMuchLater(usize),
    RestartChannel,
    AckAfterRestart(usize),
    Suspect(usize),
    Close,
    Crash,
    /// Of what an end in order left, or a crash.
    Move(Engine, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(1_u8..=5, 1..6).prop_map(Step::Accept),
        2 => (1_u8..=5).prop_map(Step::Schedule),
        2 => any::<usize>().prop_map(Step::CancelOne),
        1 => prop::option::of(1_u8..=5).prop_map(Step::CancelAll),
        5 => (1_usize..5).prop_map(Step::Pull),
        4 => any::<usize>().prop_map(Step::Ack),
        2 => any::<usize>().prop_map(Step::RetryNow),
        1 => any::<usize>().prop_map(Step::RetryMuchLater),
        1 => Just(Step::RestartChannel),
        1 => any::<usize>().prop_map(Step::AckAfterRestart),
        1 => any::<usize>().prop_map(Step::Suspect),
        1 => Just(Step::Close),
        2 => Just(Step::Crash),
        1 => (prop_oneof![Just(Engine::Embedded), Just(Engine::Redis)], any::<bool>())
            .prop_map(|(engine, crashed)| Step::Move(engine, crashed)),
    ]
}

/// One priority's messages by the number of their acceptance.
#[derive(Default)]
struct Queue {
    again: BTreeSet<usize>,
    fresh: BTreeSet<usize>,
}

impl Queue {
    fn pop(&mut self) -> Option<usize> {
        self.again.pop_first().or_else(|| self.fresh.pop_first())
    }
}

/// What should be.
#[derive(Default)]
struct Model {
    accepted: Vec<(MessageId, u8)>,
    queues: BTreeMap<u8, Queue>,
    held: BTreeSet<usize>,
    much_later: BTreeSet<usize>,
    events: BTreeMap<usize, usize>,
    /// Handed out before a crash, or said to have been sent perhaps, and not ended since.
    suspects: BTreeSet<usize>,
    /// Ever said to have been sent perhaps.
    doubted: BTreeSet<usize>,
    crashed: bool,
}

impl Model {
    fn priority(&self, number: usize) -> u8 {
        self.accepted[number].1
    }

    fn fresh(&mut self, number: usize) {
        let priority = self.priority(number);
        self.queues.entry(priority).or_default().fresh.insert(number);
    }

    fn waiting(&self) -> u64 {
        let queued: usize = self.queues.values().map(|queue| queue.again.len() + queue.fresh.len()).sum();
        u64::try_from(queued + self.held.len() + self.much_later.len()).unwrap()
    }

    /// Takes what waits and is meant out of the queues.
    fn cancel(&mut self, meant: impl Fn(usize) -> bool) -> BTreeSet<usize> {
        let mut cancelled = BTreeSet::new();
        let queued = self.queues.values_mut().flat_map(|queue| [&mut queue.again, &mut queue.fresh]);
        for waiting in queued.chain([&mut self.much_later]) {
            waiting.retain(|number| {
                let stays = !meant(*number);
                cancelled.extend((!stays).then_some(*number));
                stays
            });
        }
        for number in &cancelled {
            *self.events.entry(*number).or_default() += 1;
            self.suspects.remove(number);
        }
        cancelled
    }

    fn pull(&mut self, max: usize) -> Vec<usize> {
        let mut pulled = Vec::new();
        for queue in self.queues.values_mut().rev() {
            while pulled.len() < max
                && let Some(number) = queue.pop()
            {
                pulled.push(number);
            }
        }
        self.held.extend(&pulled);
        pulled
    }

    fn put_back_held(&mut self) {
        for number in std::mem::take(&mut self.held) {
            self.fresh(number);
        }
    }

    fn forget_memory(&mut self) {
        self.put_back_held();
        for queue in self.queues.values_mut() {
            let again = std::mem::take(&mut queue.again);
            queue.fresh.extend(again);
        }
    }
}

/// The store and the model side by side.
struct Run {
    place: Place,
    /// `None` only while it is being opened again: the old one must have let go of its place.
    live: Option<(Store, OutboundQueue)>,
    held: BTreeMap<usize, Delivery>,
    model: Model,
}

impl Run {
    async fn new(engine: Engine) -> Self {
        let place = Place::new(engine).await;
        let mut run = Self { place, live: None, held: BTreeMap::new(), model: Model::default() };
        run.reopen(None).await;
        run
    }

    fn store(&self) -> &Store {
        &self.live.as_ref().unwrap().0
    }

    fn choose(&mut self, choice: usize) -> Option<(usize, Delivery)> {
        let number = *self.held.keys().nth(choice % self.held.len().max(1))?;
        self.model.held.remove(&number);
        self.model.suspects.remove(&number);
        Some((number, self.held.remove(&number)?))
    }

    async fn commit(&self, change: Change) {
        self.store().commit(vec![change]).await.unwrap();
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Accept(priorities) => {
                let mut batch = Vec::new();
                for priority in priorities {
                    let number = self.model.accepted.len();
                    let message = message(&number.to_string(), priority);
                    self.model.accepted.push((message.id, priority));
                    self.model.fresh(number);
                    batch.push(Change::Accept(message));
                }
                self.store().commit(batch).await.unwrap();
            }
            Step::Schedule(priority) => {
                let number = self.model.accepted.len();
                let message = at(message(&number.to_string(), priority), HOUR);
                self.model.accepted.push((message.id, priority));
                self.model.much_later.insert(number);
                self.commit(Change::Accept(message)).await;
            }
            Step::CancelOne(choice) => {
                if let Some(number) = choice.checked_rem(self.model.accepted.len()) {
                    let (id, _) = self.model.accepted[number];
                    let expected = self.model.cancel(|waiting| waiting == number);
                    let found = self.store().queued(&channel(), id).await.unwrap();
                    assert_eq!(found.is_some(), !expected.is_empty(), "{number}");
                    if let Some(queued) = found {
                        let tally = Tally::default();
                        self.commit(withdraw(queued, &tally)).await;
                        assert_eq!(tally.total(), 1);
                    }
                }
            }
            Step::CancelAll(priority) => {
                let accepted = self.model.accepted.clone();
                let expected = self.model.cancel(|number| priority.is_none_or(|meant| accepted[number].1 == meant));
                let cancelled = cancel_all(self.store(), priority).await;
                assert_eq!(cancelled, u64::try_from(expected.len()).unwrap());
            }
            Step::Pull(max) => self.pull(max).await,
            Step::Ack(choice) => {
                if let Some((number, delivery)) = self.choose(choice) {
                    *self.model.events.entry(number).or_default() += 1;
                    self.commit(ack(&delivery, &number.to_string())).await;
                }
            }
            Step::RetryNow(choice) => {
                if let Some((number, delivery)) = self.choose(choice) {
                    let priority = self.model.priority(number);
                    self.model.queues.entry(priority).or_default().again.insert(number);
                    self.commit(Change::Retry { ticket: delivery.ticket, at: Timestamp(1) }).await;
                }
            }
            Step::RetryMuchLater(choice) => {
                if let Some((number, delivery)) = self.choose(choice) {
                    self.model.much_later.insert(number);
                    let at = Timestamp::now().plus(HOUR);
                    self.commit(Change::Retry { ticket: delivery.ticket, at }).await;
                }
            }
            Step::RestartChannel => self.restart_channel(),
            Step::AckAfterRestart(choice) => {
                let chosen = self.choose(choice);
                self.restart_channel();
                if let Some((number, delivery)) = chosen {
                    *self.model.events.entry(number).or_default() += 1;
                    self.commit(ack(&delivery, &number.to_string())).await;
                }
            }
            Step::Suspect(choice) => {
                let chosen = self.held.iter().nth(choice % self.held.len().max(1));
                if let Some((number, ticket)) = chosen.map(|(number, delivery)| (*number, delivery.ticket)) {
                    self.store().suspect(&[ticket], true);
                    self.model.suspects.insert(number);
                    self.model.doubted.insert(number);
                }
            }
            Step::Close => {
                self.close().await;
                self.reopen(None).await;
            }
            Step::Crash => {
                let copy = self.crash().await;
                self.reopen(Some(copy)).await;
            }
            Step::Move(engine, crashed) => {
                if crashed {
                    self.place = self.crash().await;
                } else {
                    self.close().await;
                }
                // A directory is free once nobody has it open.
                self.live = None;
                let contents = Contents::open(&self.place.config()).await.unwrap().unwrap();
                let (mut lines, target) = (Vec::new(), Place::new(engine).await);
                moving::export(contents, &mut lines, |_| ()).await.unwrap();
                moving::import(&mut &lines[..], &target.config(), |_, _| ()).await.unwrap();
                self.reopen(Some(target)).await;
            }
        }
        assert_eq!(self.store().depth(&channel()).waiting, self.model.waiting());
    }

    async fn close(&mut self) {
        self.store().clone().close().await;
        self.model.forget_memory();
        self.held.clear();
    }

    /// What a crash leaves.
    async fn crash(&mut self) -> Place {
        let copy = self.place.crashed().await;
        self.model.suspects.extend(self.model.held.iter());
        self.model.crashed = true;
        self.model.forget_memory();
        self.held.clear();
        copy
    }

    async fn pull(&mut self, max: usize) {
        let expected = self.model.pull(max);
        let (_, queue) = self.live.as_mut().unwrap();
        let mut pulled = queue.try_pull(max).unwrap();
        while pulled.len() < expected.len() {
            let more = tokio::time::timeout(SOON, queue.pull(max - pulled.len())).await;
            pulled.extend(more.unwrap_or_else(|_| panic!("only {} of {expected:?}", pulled.len())).unwrap());
        }
        let numbers: Vec<usize> = pulled.iter().map(|delivery| delivery.message.content.parse().unwrap()).collect();
        assert_eq!(numbers, expected);
        for (number, delivery) in numbers.into_iter().zip(pulled) {
            assert!(
                delivery.possible_duplicate || !self.model.suspects.contains(&number),
                "{number} may be a duplicate"
            );
            assert!(
                !delivery.possible_duplicate || self.model.crashed || self.model.doubted.contains(&number),
                "{number} cannot be a duplicate"
            );
            self.held.insert(number, delivery);
        }
    }

    fn restart_channel(&mut self) {
        self.model.put_back_held();
        self.held.clear();
        let (store, queue) = self.live.as_mut().unwrap();
        *queue = store.outbound(&channel());
    }

    /// Opens the store again, from what a crash left if there was one.
    async fn reopen(&mut self, crashed: Option<Place>) {
        self.live = None;
        if let Some(copy) = crashed {
            self.place = copy;
        }
        let store = self.place.open().await;
        store.open_channel(&channel()).await.unwrap();
        let queue = store.outbound(&channel());
        self.live = Some((store, queue));
    }

    /// Everything accepted can be found, with the events that it had.
    async fn check_look_ups(&self) {
        for (number, (id, _)) in self.model.accepted.iter().enumerate() {
            let stored = self.store().message(&[channel()], *id).await.unwrap().unwrap();
            assert_eq!(stored.message.content, number.to_string());
            let events = self.store().events(&stored).await.unwrap().len();
            assert_eq!(events, self.model.events.get(&number).copied().unwrap_or_default());
        }
    }
}

/// Runs random histories on this engine.
fn check_histories(engine: Engine, cases: u32) {
    let config =
        ProptestConfig { cases, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let histories = prop::collection::vec(step(), 1..40);
    let outcome = TestRunner::new(config).run(&histories, |steps| {
        runtime.block_on(async {
            let mut run = Run::new(engine).await;
            for step in steps {
                run.step(step).await;
            }
            run.step(Step::Crash).await;
            run.pull(10_000).await;
            run.check_look_ups().await;
        });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

mod every_history_leaves_what_the_model_says {
    use super::{Engine, check_histories};

    #[test]
    fn embedded() {
        check_histories(Engine::Embedded, 24);
    }

    #[test]
    fn redis() {
        check_histories(Engine::Redis, 24);
    }

    #[test]
    fn cluster() {
        check_histories(Engine::Cluster, 8);
    }
}
