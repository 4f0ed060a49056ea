//! MTs that the provider asks for: until then they wait in the channel's queue, where they are counted, cancelled and expire
//! as those of every other channel.
//!
//! A question looks through the queue, which leaves everything where it is, and takes what is for whoever asks.

use std::collections::{HashMap, VecDeque};

use tokio::sync::Mutex;

use super::config::Mailbox;
use super::receive::Problem;
use super::route::Route;
use super::scope::{MessageFields, PollFields, Request, RequestFields};
use super::send::{rejected, submitted};
use super::state::State;
use crate::channel::held::NotHeld;
use crate::channel::{Fate, Intake, MtQueue, Outcome};
use crate::model::{Level, Outbound};
use crate::store::{Delivery, Look, Ticket, Waiting};
use crate::web::Response;

/// Most MTs that one question looks at; those behind them wait until some of these have left.
const MAX_LOOK: usize = 10_000;
/// Most of them between two chances for other tasks.
const BATCH: usize = 500;
/// The component of the channel's status.
const COMPONENT: &str = "mailbox";

/// The queue, for one question at a time; none once the channel has ended.
pub(super) type Asked = Mutex<Option<MtQueue>>;

/// What a question has taken; put back when this is dropped, but for what something has become of.
struct InHand<'a> {
    queue: &'a mut MtQueue,
    deliveries: Vec<Delivery>,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        let tickets: Vec<Ticket> = self.deliveries.iter().map(|delivery| delivery.ticket).collect();
        self.queue.unpaced().put_back(&tickets);
    }
}

/// What a question has found, in the queue's order.
#[derive(Default)]
struct Found {
    leaving: VecDeque<Waiting>,
    /// How many of them are for whoever asks.
    mine: usize,
    /// Those that are for nobody, and why.
    unfit: HashMap<Ticket, String>,
}

impl<I: Intake> State<I> {
    /// Gives the MTs that are asked for. They have been sent when the answer is: there is nothing by which the provider
    /// says that it has it.
    pub(super) async fn poll(&self, route: &Route, request: &Request) -> Result<Response, Problem> {
        self.complete(route, request)?;
        tokio::select! {
            biased;
            () = self.cut_off.cancelled() => Err(NotHeld::Ended.into()),
            answer = self.ask(route, request) => answer,
        }
    }

    async fn ask(&self, route: &Route, request: &Request) -> Result<Response, Problem> {
        let fields = RequestFields::of(&self.config, request);
        let whose = route.mailbox.as_ref().map(|template| template.plain(&fields)).transpose()?.unwrap_or_default();
        let question = PollFields::Question(fields);
        let fill = |each: &[PollFields<'_>]| route.response.fill(&question, each);
        // What is wrong with the question is no message's fault: they wait for the next one.
        fill(&[])?;
        let mut queue = tokio::select! {
            biased;
            // Whoever waits when the channel ends is no more before its end than whoever comes after it.
            () = self.setup.stop.cancelled() => return Err(NotHeld::Ended.into()),
            queue = self.asked.lock() => queue,
        };
        let queue = queue.as_mut().ok_or(NotHeld::Ended)?;
        let Some(mailbox) = &self.config.mailbox else { return Err(Problem::Unknown) };
        let told = |message: &Outbound| fill(&[self.of(message)]).err().map(|problem| problem.to_string());
        let Found { leaving, unfit, .. } = self.look(mailbox, &whose, queue, told).await?;
        let mut hand = InHand { queue, deliveries: Vec::new() };
        self.take_all(leaving, &mut hand).await?;
        let had: Vec<&Delivery> =
            hand.deliveries.iter().filter(|delivery| !unfit.contains_key(&delivery.ticket)).collect();
        let response = fill(&had.iter().map(|delivery| self.of(&delivery.message)).collect::<Vec<_>>());
        let response = response.map_err(Problem::Response)?;
        let count = had.len();
        let outcomes = hand.deliveries.iter().map(|delivery| {
            let fate = match unfit.get(&delivery.ticket) {
                Some(why) => rejected(why.clone()),
                None => submitted(delivery.message.id.to_string(), Vec::new()),
            };
            outcome(delivery, fate)
        });
        self.setup.intake.decided(&self.setup.id, outcomes.collect()).await;
        hand.deliveries.clear();
        hand.queue.spend(count);
        Ok(response)
    }

    fn of<'a>(&'a self, message: &'a Outbound) -> PollFields<'a> {
        PollFields::Message(MessageFields::of(&self.config, message, None))
    }

    /// Looks through the queue for MTs of one mailbox, as many as one answer may have; `wrong` says why one cannot be told.
    async fn look(
        &self,
        mailbox: &Mailbox,
        whose: &str,
        queue: &mut MtQueue,
        wrong: impl Fn(&Outbound) -> Option<String>,
    ) -> Result<Found, Problem> {
        let most = mailbox.most.min(queue.budget().unwrap_or(0));
        let (mut found, mut look, mut seen) = (Found::default(), Look::default(), 0);
        while found.mine < most {
            if seen >= MAX_LOOK {
                self.setup
                    .log
                    .warn("a poll has looked at as many messages as it may, and found fewer than it may have");
                let why = format!("{MAX_LOOK} messages wait for phones that do not ask; those behind them are not had");
                self.tell(COMPONENT, Level::Degraded, "too_many_wait", why).await;
                return Ok(found);
            }
            let waiting = queue.unpaced().peek(&mut look, BATCH.min(MAX_LOOK - seen)).await;
            let waiting = waiting.map_err(|_| Problem::Unreadable)?;
            if waiting.is_empty() {
                if self.has_told(COMPONENT, "too_many_wait") {
                    self.tell(COMPONENT, Level::Ok, "all_had", "Polls see every message that waits".to_owned()).await;
                }
                break;
            }
            seen += waiting.len();
            for one in waiting {
                let message = one.message();
                let why = match mailbox.of.plain(&MessageFields::of(&self.config, message, None)) {
                    Ok(of) if of != whose || found.mine >= most => continue,
                    Ok(_) => wrong(message),
                    Err(error) => Some(error.to_string()),
                };
                match why {
                    Some(why) => drop(found.unfit.insert(one.ticket(), why)),
                    None => found.mine += 1,
                }
                found.leaving.push_back(one);
            }
            tokio::task::yield_now().await;
        }
        Ok(found)
    }

    /// Takes what has been found. What has just been accepted is handed out only once it is noted on disk that it may have
    /// been.
    async fn take_all(&self, mut leaving: VecDeque<Waiting>, hand: &mut InHand<'_>) -> Result<(), Problem> {
        let mut waited = false;
        loop {
            let before = leaving.len();
            let taken = hand.queue.unpaced().take(&mut leaving);
            hand.deliveries.extend(taken);
            if leaving.is_empty() || (waited && leaving.len() == before) {
                return Ok(());
            }
            self.setup.intake.arrived(&self.setup.id, Vec::new()).await?;
            waited = true;
        }
    }
}

fn outcome(delivery: &Delivery, fate: Fate) -> Outcome {
    let Delivery { ticket, origin, message, .. } = delivery;
    Outcome { ticket: *ticket, origin: *origin, message: message.clone(), fate }
}
