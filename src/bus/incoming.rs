//! Consuming a queue: as many messages in hand as were asked for, acknowledged together, in order.

use futures_util::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};

use super::{Bus, BusError, EXCHANGE, durable};

/// A queue that is being consumed. When it is dropped, what has not been acknowledged goes back into the queue.
pub struct Incoming {
    channel: Channel,
    consumer: Consumer,
}

/// A message out of it.
pub struct IncomingMessage {
    tag: u64,
    /// Its octets.
    pub body: Vec<u8>,
}

impl Bus {
    /// Consumes a queue, which is declared durable, unless it is there already, and bound to the key of its name. At most
    /// `prefetch` messages are in hand at a time.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn consume(&self, queue: &str, prefetch: u16) -> Result<Incoming, BusError> {
        let connections = self.connections()?;
        let mut channel = connections.consuming.create_channel().await?;
        if channel.queue_declare(queue.into(), durable(), FieldTable::default()).await.is_err() {
            // Somebody has declared it otherwise, which costs the channel; it is used as it is.
            channel = connections.consuming.create_channel().await?;
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(queue.into(), passive, FieldTable::default()).await?;
        }
        let bind = QueueBindOptions::default();
        channel.queue_bind(queue.into(), EXCHANGE.into(), queue.into(), bind, FieldTable::default()).await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
        Ok(Incoming { channel, consumer })
    }
}

impl Incoming {
    /// Waits for a message; returns it with those that have come behind it, at most `max`. Nothing once the connection has
    /// been lost, the queue deleted, or all is read that was in hand when it was cancelled.
    ///
    /// # Errors
    /// [`BusError`] when the broker has ended it.
    pub async fn next(&mut self, max: usize) -> Result<Vec<IncomingMessage>, BusError> {
        let mut messages = Vec::new();
        let mut next = self.consumer.next().await;
        while let Some(delivery) = next {
            let delivery = delivery?;
            messages.push(IncomingMessage { tag: delivery.delivery_tag, body: delivery.data });
            if messages.len() == max {
                break;
            }
            next = self.consumer.next().now_or_never().flatten();
        }
        Ok(messages)
    }

    /// Tells the broker that this message and all before it have been taken.
    ///
    /// # Errors
    /// [`BusError`]; they will come again.
    pub async fn acknowledge(&self, last: &IncomingMessage) -> Result<(), BusError> {
        Ok(self.channel.basic_ack(last.tag, BasicAckOptions { multiple: true }).await?)
    }

    /// Asks for no more; what is in hand can still be read.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn cancel(&self) -> Result<(), BusError> {
        Ok(self.channel.basic_cancel(self.consumer.tag(), BasicCancelOptions::default()).await?)
    }

    /// Ends it at once; what has not been acknowledged goes back into the queue.
    pub async fn close(self) {
        // The broker does the same when the connection goes.
        let _ = self.channel.close(200, "closed".into()).await;
    }
}
