//! The queue of what could not be sent, looked through: AMQP has no other way to see what is in a queue than to take it.
//!
//! What has been taken and not removed goes back to its place when the look ends, however it ends. Meanwhile nobody else
//! sees it.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, QueueDeclareOptions,
    QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, ErrorKind, Queue};

use super::incoming::{Closing, close};
use super::{Bus, BusError};
use crate::model::MessageId;

/// The header with the reason.
pub(super) const REASON: &str = "x-maybug-reason";
/// How long the broker may take to answer one question.
const ANSWER: Duration = Duration::from_secs(5);
/// Most that are taken at a time.
const CHUNK: u16 = 32;
/// How long the next of those that should be there may take.
const FEW: Duration = Duration::from_secs(2);
/// How long what has been looked at may take to be in the queue again.
const BACK: Duration = Duration::from_secs(2);
/// How often it is looked whether it is.
const AGAIN: Duration = Duration::from_millis(10);

/// Where what comes out of `{queue}.outbound` is put that cannot be sent.
pub(super) fn name(queue: &str) -> String {
    format!("{queue}.failures")
}

/// A look at such a queue, on a channel of its own.
pub struct Failures {
    name: ShortString,
    channel: Closing,
    /// How many have been taken and not removed.
    taken: u32,
    /// How many there were when it began.
    pub count: u32,
    /// How many have not been taken, as far as is known.
    left: u32,
}

/// A message that could not be sent.
pub struct Failure {
    tag: u64,
    /// What it is called: by us when we put it aside. One of somebody else is called after its octets.
    pub id: MessageId,
    /// Why; nothing for one of somebody else.
    pub reason: Option<String>,
    /// Its octets.
    pub body: Vec<u8>,
}

impl Bus {
    /// Begins a look; nothing where there is no such queue, since nothing has ever failed.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn failures(&self, queue: &str) -> Result<Option<Failures>, BusError> {
        let name = ShortString::from(name(queue));
        let channel = Closing(answered(self.connections()?.consuming.channel()).await?);
        let declared = async {
            match declare(&channel.0, &name).await {
                Err(error) if is_not_found(&error) => Ok(None),
                declared => declared.map(Some),
            }
        };
        let declared = answered(declared).await?;
        Ok(declared.map(|declared| Failures {
            name,
            channel,
            taken: 0,
            count: declared.message_count(),
            left: declared.message_count(),
        }))
    }
}

impl Failures {
    /// The next ones, mostly the oldest first; none behind the last.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn next(&mut self) -> Result<Vec<Failure>, BusError> {
        let wanted = u16::try_from(self.left).unwrap_or(CHUNK).min(CHUNK);
        let mut found = Vec::new();
        if wanted == 0 {
            return Ok(found);
        }
        // Not basic.get: each of them is a reader of its own to a quorum queue, which loses acknowledgements of many.
        let channel = &self.channel.0;
        answered(channel.basic_qos(wanted, BasicQosOptions::default())).await?;
        let (name, options) = (self.name.clone(), BasicConsumeOptions::default());
        let mut reader = answered(channel.basic_consume(name, "".into(), options, FieldTable::default())).await?;
        while found.len() < usize::from(wanted) {
            match tokio::time::timeout(FEW, reader.next()).await {
                Ok(Some(got)) => found.push(Failure::from(got?)),
                // Somebody else takes them too.
                Ok(None) | Err(_) => break,
            }
        }
        answered(channel.basic_cancel(reader.tag(), BasicCancelOptions::default())).await?;
        self.left = if found.len() < usize::from(wanted) { 0 } else { self.left.saturating_sub(wanted.into()) };
        self.taken += u32::try_from(found.len()).unwrap_or_default();
        Ok(found)
    }

    /// Removes it for good.
    ///
    /// # Errors
    /// [`BusError`]; it has been removed or not.
    pub async fn remove(&mut self, failure: &Failure) -> Result<(), BusError> {
        answered(self.channel.0.basic_ack(failure.tag, BasicAckOptions::default())).await?;
        self.taken = self.taken.saturating_sub(1);
        Ok(())
    }

    /// Removes it for good, and all that were taken before it. Not what came too late to be seen.
    ///
    /// # Errors
    /// [`BusError`]; they have been removed or not.
    pub async fn remove_up_to(&mut self, last: &Failure) -> Result<(), BusError> {
        answered(self.channel.0.basic_ack(last.tag, BasicAckOptions { multiple: true })).await?;
        self.taken = 0;
        Ok(())
    }

    /// Removes all that have not been taken. Returns how many.
    ///
    /// # Errors
    /// [`BusError`]; they have been removed or not.
    pub async fn purge(&self) -> Result<u32, BusError> {
        answered(self.channel.0.queue_purge(self.name.clone(), QueuePurgeOptions::default())).await
    }

    /// Ends the look; what has not been removed is in its place again when this returns.
    pub async fn close(self) {
        // What is left when that fails goes back with the channel.
        let _ = self.put_back().await;
        close(&self.channel.0).await;
    }

    async fn put_back(&self) -> Result<(), BusError> {
        if self.taken == 0 {
            return Ok(());
        }
        let all = BasicNackOptions { multiple: true, requeue: true };
        answered(self.channel.0.basic_nack(0, all)).await?;
        // A quorum queue takes its time, and the next look is to see them.
        let all = self.taken.saturating_add(self.left);
        let back = async {
            while answered(declare(&self.channel.0, &self.name)).await?.message_count() < all {
                tokio::time::sleep(AGAIN).await;
            }
            Ok(())
        };
        // They are fewer when somebody else takes some.
        tokio::time::timeout(BACK, back).await.unwrap_or(Ok(()))
    }
}

/// AMQP 0-9-1 §1.2: reply-code 404.
fn is_not_found(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if error.get_id() == 404)
}

impl From<Delivery> for Failure {
    fn from(got: Delivery) -> Self {
        let named = got.properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok());
        Self {
            tag: got.delivery_tag,
            id: named.unwrap_or_else(|| MessageId::hashed(&[&got.data])),
            reason: reason(&got.properties),
            body: got.data,
        }
    }
}

fn reason(properties: &BasicProperties) -> Option<String> {
    match properties.headers().as_ref()?.inner().get(REASON)? {
        AMQPValue::LongString(reason) => Some(String::from_utf8_lossy(reason.as_bytes()).into_owned()),
        _ => None,
    }
}

/// How the queue is.
async fn declare(channel: &Channel, name: &ShortString) -> Result<Queue, lapin::Error> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.clone(), passive, FieldTable::default()).await
}

/// What the broker says, unless that takes too long.
async fn answered<T, E: Into<BusError>>(asked: impl Future<Output = Result<T, E>>) -> Result<T, BusError> {
    match tokio::time::timeout(ANSWER, asked).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(BusError::Silent),
    }
}
