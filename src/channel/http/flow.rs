//! When MTs leave: as many at a time as the window allows, at the pace that the provider takes.
//!
//! What a provider refuses for the pace goes back into the queue in its order, and no request is made until the pause is
//! over; then one at a time until one is taken. Replies that requests wait for are no requests and leave meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::outbound::OnUnknown;
use super::send::{COMPONENT, Dealt, deal};
use super::state::State;
use crate::channel::{Intake, MtQueue};
use crate::model::Level;
use crate::store::{Delivery, Look, ReadError, Ticket, Waiting};

/// Most MTs that are dealt with at a time where no window is set.
const WINDOW: usize = 100;
/// How many of the MTs that wait are looked at for replies while nothing is sent; no more than the window where those are
/// reported after a crash that may have been sent.
const LOOK: usize = 1_000;
/// The time between two such looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Deals with MTs until the channel's stop, then finishes what it has begun.
pub(super) async fn send<I: Intake>(state: &State<I>) {
    let stop = &state.setup.stop;
    if state.config.mailbox.is_some() {
        stop.cancelled().await;
        // Once the last question has its answer: whoever opens the queue next has it alone.
        *state.asked.lock().await = None;
        return;
    }
    let window = state.config.outbound.as_ref().map_or(WINDOW, |outbound| outbound.window);
    let reported = state.config.outbound.as_ref().is_some_and(|outbound| outbound.on_unknown == OnUnknown::Report);
    let mut queue = if reported {
        // Whoever is told that it may have been sent shall be told of few that were not.
        state.setup.queue().exactly()
    } else {
        state.setup.queue()
    };
    let look = state.config.reply.as_ref().map(|_| if reported { window } else { LOOK });
    let mut begun = FuturesUnordered::new();
    // By the order in which they were pulled.
    let (mut pulled_so_far, mut refused) = (0_u64, BTreeMap::new());
    loop {
        // Any that has begun may be refused, too, and come before these.
        if begun.is_empty() && !refused.is_empty() {
            let tickets: Vec<Ticket> = std::mem::take(&mut refused).into_values().collect();
            queue.unpaced().put_back(&tickets);
        }
        let window = if queue.is_refused() { 1 } else { window };
        let room = if refused.is_empty() { window.saturating_sub(begun.len()) } else { 0 };
        let pulled = tokio::select! {
            Some((number, dealt)) = begun.next(), if !begun.is_empty() => {
                match dealt {
                    Dealt::Answered => queue.accepted(),
                    Dealt::Otherwise => {}
                    Dealt::Refused { back, asked } => {
                        queue.refused(asked);
                        refused.extend(back.map(|ticket| (number, ticket)));
                    }
                }
                continue;
            }
            () = stop.cancelled() => break,
            most = between_looks(look), if queue.is_refused() => waited_for(state, &mut queue, most).await,
            pulled = queue.pull(room), if room > 0 => pulled,
        };
        match pulled {
            Ok(pulled) => begun.extend(pulled.into_iter().map(|delivery| {
                pulled_so_far += 1;
                let number = pulled_so_far;
                async move { (number, deal(state, delivery).await) }
            })),
            Err(error) => {
                state.setup.log.error(error.to_string());
                state.tell(COMPONENT, Level::Down, "queue_unreadable", error.to_string()).await;
                // What has been asked for is heard of all the same.
                while begun.next().await.is_some() {}
                stop.cancelled().await;
                break;
            }
        }
    }
    // What is refused now goes back with the queue.
    while begun.next().await.is_some() {}
}

/// Resolves when it is time to look for replies, with how many MTs are looked at; never where there are none to wait for.
async fn between_looks(most: Option<usize>) -> usize {
    match most {
        Some(most) => {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            most
        }
        None => std::future::pending().await,
    }
}

/// The replies that requests wait for, of so many MTs that are next in the queue.
async fn waited_for<I: Intake>(state: &State<I>, queue: &mut MtQueue, most: usize) -> Result<Vec<Delivery>, ReadError> {
    if !state.has_requests() {
        return Ok(Vec::new());
    }
    let waited_for = |waiting: &Waiting| waiting.message().reply_to.is_some_and(|id| state.request(id).is_some());
    let (mut look, mut seen, mut chosen) = (Look::default(), 0, VecDeque::new());
    while seen < most {
        let waiting = queue.unpaced().peek(&mut look, most - seen).await?;
        if waiting.is_empty() {
            break;
        }
        seen += waiting.len();
        chosen.extend(waiting.into_iter().filter(waited_for));
    }
    // What cannot be had yet is seen again soon.
    let replies = queue.unpaced().take(&mut chosen);
    queue.spend(replies.len());
    Ok(replies)
}
