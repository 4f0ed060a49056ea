//! Publishing to the exchange `vumi`, and what the broker says of it.
//!
//! Messages go out in order, one behind the other, and the answers are waited for together. A message is taken when the
//! broker has confirmed it and has not given it back because no queue is bound to its key.

use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};

use super::{Bus, BusError, EXCHANGE, declare_exchange, durable, failures};
use crate::model::MessageId;

/// What the broker did with one message.
#[derive(Clone, Debug)]
pub enum Published {
    /// It is in a queue.
    Taken,
    /// No queue is bound to its key.
    Unrouted,
    /// It was refused: the queue is full, mostly.
    Refused,
    /// Nothing has been heard of it; it may be in a queue nevertheless.
    Failed(BusError),
}

/// Persistent (AMQP 0-9-1, basic properties).
const PERSISTENT: u8 = 2;
/// Most messages that a queue of refused ones keeps; the oldest goes for a new one.
const MOST_REFUSED: i64 = 10_000;

/// Publishes for one owner, on a channel of its own, which is opened when it is needed.
pub struct Publisher {
    bus: Bus,
    channel: Option<Channel>,
}

impl Bus {
    /// A publisher.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        Publisher { bus: self.clone(), channel: None }
    }
}

impl Publisher {
    /// Publishes bodies in order; one answer for each of them.
    pub async fn publish(&mut self, key: &str, bodies: &[&[u8]]) -> Vec<Published> {
        self.publish_to(EXCHANGE, key, bodies).await
    }

    /// Publishes bodies into a queue, whether it is bound or not, in order; one answer for each of them.
    pub async fn publish_into(&mut self, queue: &str, bodies: &[&[u8]]) -> Vec<Published> {
        self.publish_to("", queue, bodies).await
    }

    async fn publish_to(&mut self, exchange: &str, key: &str, bodies: &[&[u8]]) -> Vec<Published> {
        match self.channel().await {
            Ok(channel) => {
                let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
                publish(channel, exchange, key, bodies, &properties).await
            }
            Err(error) => vec![Published::Failed(error); bodies.len()],
        }
    }

    /// Puts a message that cannot be sent, as it came, into the queue `{queue}.failures`, with the reason.
    ///
    /// # Errors
    /// [`BusError`]; it is in that queue or not.
    pub async fn refuse(&mut self, queue: &str, body: &[u8], reason: &str) -> Result<(), BusError> {
        let name = failures::name(queue);
        let arguments = self.bus.arguments([("x-max-length", AMQPValue::LongLongInt(MOST_REFUSED))]);
        let channel = self.channel().await?;
        // One that its operator has declared otherwise is used as it is; that costs this channel.
        if channel.queue_declare(name.as_str().into(), durable(), arguments).await.is_err() {
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let channel = self.channel().await?;
            channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await?;
        }
        let why = AMQPValue::LongString(LongString::from(reason));
        let headers: std::collections::BTreeMap<_, _> = [(ShortString::from(failures::REASON), why)].into();
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(headers.into());
        let properties = properties.with_message_id(MessageId::mint().to_string().into());
        let channel = self.channel().await?;
        match publish(channel, "", &name, &[body], &properties).await.pop() {
            Some(Published::Failed(error)) => Err(error),
            Some(Published::Unrouted) => Err(BusError::Broker("the queue has been deleted".into())),
            Some(Published::Refused) => Err(BusError::Broker("the queue takes no more".into())),
            _ => Ok(()),
        }
    }

    /// A channel that works.
    async fn channel(&mut self) -> Result<&Channel, BusError> {
        let usable = self.channel.take().filter(|channel| channel.status().connected());
        let channel = match usable {
            Some(channel) => channel,
            None => {
                let channel = self.bus.connections()?.publishing.channel().await?;
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                declare_exchange(&channel).await?;
                channel
            }
        };
        Ok(self.channel.insert(channel))
    }
}

async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    bodies: &[&[u8]],
    properties: &BasicProperties,
) -> Vec<Published> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let (exchange, key) = (ShortString::from(exchange), ShortString::from(key));
    // Each is on its way when it is first polled, which happens in order.
    let answers = join_all(bodies.iter().map(|body| {
        let (exchange, key) = (exchange.clone(), key.clone());
        async move { channel.basic_publish(exchange, key, options, body, properties.clone()).await?.await }
    }))
    .await;
    // One answer may stand for many messages, and then a message that comes back may be attached to another's: which one
    // it was, its octets tell.
    let mut returned = Vec::new();
    let mut published = Vec::with_capacity(bodies.len());
    for answer in answers {
        published.push(match &answer {
            Ok(Confirmation::Ack(_)) => Published::Taken,
            Ok(_) => Published::Refused,
            Err(error) => Published::Failed(error.clone().into()),
        });
        returned.extend(answer.ok().and_then(Confirmation::take_message).map(|message| message.delivery.data));
    }
    if !returned.is_empty() {
        for (published, body) in published.iter_mut().zip(bodies) {
            if matches!(published, Published::Taken) && returned.iter().any(|octets| octets == body) {
                *published = Published::Unrouted;
            }
        }
    }
    published
}
