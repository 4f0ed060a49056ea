//! What messages of an application become: MTs, or failures, which are put aside; acknowledged once that is durable. What can
//! be neither for now stays in hand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::directory::Directory;
use super::accept::{NotAccepted, SAME_ID};
use super::consumer::{Consumer, FIRST_PAUSE, LONGEST_PAUSE, Trouble};
use super::{ASIDE, MOST_OCTETS};
use crate::bus::vumi::UserMessage;
use crate::bus::{BusError, Incoming, IncomingMessage};
use crate::model::{MessageId, Outbound, QueueOwner};
use crate::store::CommitError;

/// How long messages stay in hand that cannot be taken now. Each time that they go back, a quorum queue counts, and drops them
/// at its limit; RabbitMQ takes them back itself after half an hour.
const HOLD: Duration = Duration::from_secs(600);
/// Wait before a store that is busy is asked again.
const BUSY: Duration = Duration::from_millis(100);

/// What was made of messages.
#[derive(Default)]
struct Made {
    taken: Vec<Arc<Outbound>>,
    /// Those that can never be sent, and why.
    refused: Vec<(usize, String)>,
    /// How many were looked at: all, unless one has to wait.
    looked: usize,
    /// Why it has to.
    not_now: Option<String>,
}

impl Consumer {
    /// Takes messages. Those that cannot be taken now stay in hand, and with them what is behind; nothing else is asked for.
    pub(super) async fn take(
        &mut self,
        incoming: &Incoming,
        messages: &[IncomingMessage],
        stop: &CancellationToken,
    ) -> Result<(), Trouble> {
        let longest = messages.iter().map(|message| message.body.len()).max().unwrap_or_default();
        self.longest = longest.max(self.longest / 2);
        let (begun, mut done, mut pause, mut told) = (Instant::now(), 0, FIRST_PAUSE, None);
        loop {
            let Err(trouble) = self.try_to_take(incoming, messages, &mut done).await else { return Ok(()) };
            if !incoming.is_open() || begun.elapsed() > HOLD || stop.is_cancelled() {
                return Err(trouble);
            }
            let kind = std::mem::discriminant(&trouble);
            if told.replace(kind) != Some(kind) {
                self.tell(&trouble);
            }
            tokio::select! {
                () = tokio::time::sleep(pause.mul_f64(0.8 + 0.4 * fastrand::f64())) => {}
                () = stop.cancelled() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Makes messages from `done` on MTs, or puts them aside, and acknowledges them once that is durable.
    async fn try_to_take(
        &mut self,
        incoming: &Incoming,
        messages: &[IncomingMessage],
        done: &mut usize,
    ) -> Result<(), Trouble> {
        let messages = messages.get(*done..).unwrap_or_default();
        let directory = self.gateway.0.directory.load_full();
        let owners = directory.queues().get(&self.queue).cloned().unwrap_or_default();
        let made = self.make(&directory, &owners, messages).await?;
        while let Err(error) = self.gateway.accept_taken(&made.taken).await {
            if error != CommitError::Busy {
                return Err(error.into());
            }
            tokio::time::sleep(BUSY).await;
        }
        for (index, reason) in &made.refused {
            self.refuse(&owners, &messages[*index], reason).await?;
        }
        if let Some(last) = made.looked.checked_sub(1).and_then(|index| messages.get(index)) {
            incoming.acknowledge(last).await?;
        }
        *done += made.looked;
        made.not_now.map_or(Ok(()), |reason| Err(Trouble::NotNow(reason)))
    }

    /// What messages are, up to the first that has to wait.
    async fn make(
        &mut self,
        directory: &Directory,
        owners: &[QueueOwner],
        messages: &[IncomingMessage],
    ) -> Result<Made, Trouble> {
        let (mut made, mut seen) = (Made::default(), HashMap::<MessageId, Arc<Outbound>>::new());
        for (index, message) in messages.iter().enumerate() {
            match self.one(directory, owners, message).await {
                Ok(message) => match seen.get(&message.id) {
                    None => {
                        seen.insert(message.id, message.clone());
                        made.taken.push(message);
                    }
                    Some(earlier) if earlier.to == message.to && earlier.content == message.content => {}
                    Some(_) => made.refused.push((index, SAME_ID.to_owned())),
                },
                Err(NotAccepted::Known) => {}
                Err(NotAccepted::Refused(reason)) => made.refused.push((index, reason)),
                Err(NotAccepted::NotNow(reason)) => {
                    made.not_now = Some(reason);
                    break;
                }
                Err(NotAccepted::Unreadable(why)) => return Err(Trouble::Read(why)),
            }
            made.looked = index + 1;
        }
        Ok(made)
    }

    async fn one(
        &mut self,
        directory: &Directory,
        owners: &[QueueOwner],
        message: &IncomingMessage,
    ) -> Result<Arc<Outbound>, NotAccepted> {
        if message.body.len() > MOST_OCTETS {
            return Err(NotAccepted::Refused(format!("it is longer than {MOST_OCTETS} octets")));
        }
        let message = UserMessage::decode(&message.body).map_err(|error| NotAccepted::Refused(error.to_string()))?;
        let owner = self.owner(directory, owners, &message);
        let owner = owner.ok_or_else(|| NotAccepted::NotNow("the queue is nobody's at the moment".to_owned()))?;
        self.gateway.taken(directory, owner, &self.queue, message).await
    }

    /// Whose message it is: among several, whoever's turn it is of those whose channel it names, or of all.
    fn owner<'a>(
        &mut self,
        directory: &Directory,
        owners: &'a [QueueOwner],
        message: &UserMessage,
    ) -> Option<&'a QueueOwner> {
        let [_, _, ..] = owners else { return owners.first() };
        let named = message.transport_name.as_deref();
        let is_named = |owner: &&QueueOwner| match owner {
            QueueOwner::Channel(channel) => named == Some(channel.as_str()),
            QueueOwner::Destination(router, _) => {
                let routing = directory.router(router).and_then(|router| router.routing.as_ref());
                routing.and_then(|routing| routing.channel()).is_some_and(|channel| named == Some(channel.as_str()))
            }
        };
        self.turn = self.turn.wrapping_add(1);
        match owners.iter().filter(is_named).count() {
            0 => owners.get(self.turn % owners.len()),
            named => owners.iter().filter(is_named).nth(self.turn % named),
        }
    }

    /// Puts a message aside that can never be sent.
    async fn refuse(&mut self, owners: &[QueueOwner], message: &IncomingMessage, reason: &str) -> Result<(), Trouble> {
        let refused = self.publisher.refuse(&self.queue, &message.body, reason);
        let refused = tokio::time::timeout(ASIDE, refused).await;
        refused.unwrap_or(Err(BusError::Silent))?;
        for owner in owners {
            let log = self.gateway.0.logs.of(owner.id());
            log.error(format!("A message from {0}.outbound was put into {0}.failures: {reason}", self.queue));
        }
        Ok(())
    }
}
