//! Consuming a queue: as many messages in hand as were asked for, acknowledged together, in order.

use futures_util::stream::Fuse;
use futures_util::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};

use super::{Bus, BusError, CLOSE, EXCHANGE, declare_exchange, durable};

/// A queue that is being consumed. When it is dropped, what has not been acknowledged goes back into the queue.
pub struct Incoming {
    channel: Closing,
    /// It says once that it has ended, which may be while the last messages are gathered.
    consumer: Fuse<Consumer>,
}

/// A channel that is closed when it is dropped. The library does so only where nothing is on its way, and a consumer that
/// nobody hears would keep its messages as long as the connection is there.
pub(super) struct Closing(pub(super) Channel);

impl Drop for Closing {
    fn drop(&mut self) {
        if self.0.status().connected()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let channel = self.0.clone();
            runtime.spawn(async move { close(&channel).await });
        }
    }
}

/// Closes it; what has not been acknowledged goes back into its queue. The broker does the same when the connection goes.
pub(super) async fn close(channel: &Channel) {
    let _ = tokio::time::timeout(CLOSE, channel.close(200, "closed".into())).await;
}

/// A message out of it.
pub struct IncomingMessage {
    tag: u64,
    /// Its octets.
    pub body: Vec<u8>,
}

async fn bind(channel: &Channel, queue: &str) -> Result<(), lapin::Error> {
    declare_exchange(channel).await?;
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), EXCHANGE.into(), queue.into(), options, FieldTable::default()).await
}

impl Bus {
    /// Consumes a queue, which is declared durable, unless it is there already, and bound to the key of its name. At most
    /// `prefetch` messages are in hand at a time.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn consume(&self, queue: &str, prefetch: u16) -> Result<Incoming, BusError> {
        let connections = self.connections()?;
        let mut channel = Closing(connections.consuming.channel().await?);
        if channel.0.queue_declare(queue.into(), durable(), self.arguments([])).await.is_err() {
            // Somebody has declared it otherwise, which costs the channel; it is used as it is.
            channel = Closing(connections.consuming.channel().await?);
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            channel.0.queue_declare(queue.into(), passive, FieldTable::default()).await?;
        }
        bind(&channel.0, queue).await?;
        channel.0.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let consumer = channel.0.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
        Ok(Incoming { channel, consumer: consumer.fuse() })
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

    /// Declares the exchange and binds the queue again, in case that somebody has deleted either.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn bind(&self, queue: &str) -> Result<(), BusError> {
        Ok(bind(&self.channel.0, queue).await?)
    }

    /// Whether what is in hand can still be acknowledged.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.channel.0.status().connected()
    }

    /// Tells the broker that this message and all before it have been taken.
    ///
    /// # Errors
    /// [`BusError`]; they will come again.
    pub async fn acknowledge(&self, last: &IncomingMessage) -> Result<(), BusError> {
        Ok(self.channel.0.basic_ack(last.tag, BasicAckOptions { multiple: true }).await?)
    }

    /// Asks for no more; what is in hand can still be read.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn cancel(&self) -> Result<(), BusError> {
        Ok(self.channel.0.basic_cancel(self.consumer.get_ref().tag(), BasicCancelOptions::default()).await?)
    }

    /// Ends it at once; what has not been acknowledged goes back into the queue.
    pub async fn close(self) {
        close(&self.channel.0).await;
    }
}
