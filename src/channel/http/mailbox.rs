//! MTs that the provider asks for: until then they wait in the channel's queue, where they are counted, cancelled and expire
//! as those of every other channel.
//!
//! A question takes what is for whoever asks out of the queue, the rest of what it has looked at is put back.

use std::collections::HashSet;

use tokio::sync::Mutex;

use super::config::Mailbox;
use super::receive::Problem;
use super::route::Route;
use super::scope::{MessageFields, PollFields, Request, RequestFields};
use super::send::{rejected, submitted};
use super::state::State;
use crate::channel::held::NotHeld;
use crate::channel::{Fate, Intake, MtQueue, Outcome};
use crate::store::{Delivery, Ticket};
use crate::web::Response;

/// Most MTs that one question looks at; those behind them wait until some of these have left.
const MAX_LOOK: usize = 10_000;
/// Most of them between two chances for other tasks.
const BATCH: usize = 500;

/// The queue, for one question at a time; none once the channel has ended.
pub(super) type Asked = Mutex<Option<MtQueue>>;

/// What a question has in hand; whatever of it does not leave is put back when this is dropped.
struct InHand<'a> {
    queue: &'a mut MtQueue,
    /// In the order in which it was pulled.
    tickets: Vec<Ticket>,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.queue.unpaced().put_back(&self.tickets);
    }
}

/// What a question has found.
#[derive(Default)]
struct Found {
    /// For whoever asks.
    mine: Vec<Delivery>,
    /// For nobody, and why.
    unfit: Vec<(Delivery, String)>,
}

impl<I: Intake> State<I> {
    /// Gives the MTs that are asked for. They have been sent when the answer is: there is nothing by which the provider
    /// says that it has it.
    pub(super) async fn poll(&self, route: &Route, request: &Request) -> Result<Response, Problem> {
        self.complete(route, request)?;
        let fields = RequestFields::of(&self.config, request);
        let whose = route.mailbox.as_ref().map(|template| template.plain(&fields)).transpose()?.unwrap_or_default();
        let question = PollFields::Question(fields);
        let fill = |each: &[PollFields<'_>]| route.response.fill(&question, each);
        // What is wrong with the question is no message's fault: they wait for the next one.
        fill(&[])?;
        let mut queue = self.asked.lock().await;
        let queue = queue.as_mut().ok_or(NotHeld::Ended)?;
        let mut hand = InHand { queue, tickets: Vec::new() };
        let Found { mine, mut unfit } = match &self.config.mailbox {
            Some(mailbox) => self.look(mailbox, &whose, &mut hand).await?,
            None => Found::default(),
        };
        let told = |delivery: &Delivery| {
            let fields = MessageFields::of(&self.config, &delivery.message, None);
            fill(&[PollFields::Message(fields)]).map(drop)
        };
        let mut taken = Vec::with_capacity(mine.len());
        for delivery in mine {
            match told(&delivery) {
                Ok(()) => taken.push(delivery),
                Err(problem) => unfit.push((delivery, problem.to_string())),
            }
        }
        let each = taken.iter().map(|delivery| MessageFields::of(&self.config, &delivery.message, None));
        let response = fill(&each.map(PollFields::Message).collect::<Vec<_>>()).map_err(Problem::Response)?;
        let leaving: HashSet<Ticket> =
            taken.iter().chain(unfit.iter().map(|(delivery, _)| delivery)).map(|delivery| delivery.ticket).collect();
        let count = taken.len();
        let had = taken.into_iter().map(|delivery| {
            let fate = submitted(delivery.message.id.to_string(), Vec::new());
            outcome(delivery, fate)
        });
        let refused = unfit.into_iter().map(|(delivery, why)| outcome(delivery, rejected(why)));
        self.setup.intake.decided(&self.setup.id, had.chain(refused).collect()).await;
        hand.queue.spend(count);
        hand.tickets.retain(|ticket| !leaving.contains(ticket));
        Ok(response)
    }

    /// Looks through the queue for MTs of one mailbox, as many as one answer may have.
    async fn look(&self, mailbox: &Mailbox, whose: &str, hand: &mut InHand<'_>) -> Result<Found, Problem> {
        let most = mailbox.most.min(hand.queue.budget().unwrap_or(0));
        let mut found = Found::default();
        let mut asked_again = false;
        while found.mine.len() < most && hand.tickets.len() < MAX_LOOK {
            // More at a time where most are for others.
            let next = (most - found.mine.len()).max(hand.tickets.len()).min(BATCH);
            let pulled = hand.queue.unpaced().try_pull(next).map_err(|_| Problem::Unreadable)?;
            if pulled.is_empty() {
                let ready = self.setup.store.queue_length(&self.setup.id).by_priority;
                if asked_again || ready.iter().all(|waiting| *waiting == 0) {
                    break;
                }
                // What has just been accepted is handed out only once it is noted on disk that it may have been.
                self.setup.intake.arrived(&self.setup.id, Vec::new()).await?;
                asked_again = true;
                continue;
            }
            asked_again = false;
            hand.tickets.extend(pulled.iter().map(|delivery| delivery.ticket));
            for delivery in pulled {
                match mailbox.of.plain(&MessageFields::of(&self.config, &delivery.message, None)) {
                    Ok(of) if of == whose && found.mine.len() < most => found.mine.push(delivery),
                    Ok(_) => {}
                    Err(error) => found.unfit.push((delivery, error.to_string())),
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(found)
    }
}

fn outcome(delivery: Delivery, fate: Fate) -> Outcome {
    let Delivery { ticket, origin, message, .. } = delivery;
    Outcome { ticket, origin, message, fate }
}
