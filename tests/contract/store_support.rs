//! What the store's tests share: messages, events, callbacks, changes.

use std::sync::Arc;
use std::time::Duration;

use maybug::model::{
    Callback, CallbackKind, CallbackTarget, ChannelId, Event, EventKind, Inbound, JsonObject, MessageId, Outbound,
    Priority, SmscMessageId, Timestamp,
};
use maybug::store::{Change, Delivery, OutboundQueue, Queued, Store, Tally};
use serde_json::json;

/// By when everything comes that comes at all.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn channel() -> ChannelId {
    "c1".into()
}

pub(crate) fn message(content: &str, priority: u8) -> Arc<Outbound> {
    let record = json!({
        "id": MessageId::mint(), "channel": channel(), "to": "+27820001001", "content": content, "priority": priority,
        "accepted_at": Timestamp::now(),
    });
    Arc::new(serde_json::from_value(record).unwrap())
}

pub(crate) fn accept(content: &str) -> Change {
    Change::Accept(message(content, 1))
}

/// The same message, to be sent so much later.
pub(crate) fn at(message: Arc<Outbound>, later: Duration) -> Arc<Outbound> {
    let send_at = Some(Timestamp::now().plus(later));
    Arc::new(Outbound { send_at, ..Outbound::clone(&message) })
}

/// The same message, worth nothing so much later.
pub(crate) fn until(message: Arc<Outbound>, later: Duration) -> Arc<Outbound> {
    let expires_at = Some(Timestamp::now().plus(later));
    Arc::new(Outbound { expires_at, ..Outbound::clone(&message) })
}

/// Cancels a message.
pub(crate) fn withdraw(queued: Queued, tally: &Tally) -> Change {
    let event = Event {
        id: MessageId::mint(),
        message: queued.message.id,
        channel: queued.message.channel.clone(),
        at: Timestamp::now(),
        kind: EventKind::Nack { reason: "cancelled".into() },
        details: JsonObject::new(),
    };
    Change::Withdraw { queued, event, callbacks: Vec::new(), tally: tally.clone() }
}

/// Cancels all that waits; how many.
pub(crate) async fn cancel_all(store: &Store, priority: Option<u8>) -> u64 {
    let tally = Tally::default();
    let mut all = store.all_queued(&channel(), priority.and_then(Priority::new));
    while let Some(found) = all.look().await.unwrap() {
        store.commit(found.into_iter().map(|queued| withdraw(queued, &tally)).collect()).await.unwrap();
    }
    tally.total()
}

/// How much became of an MT.
pub(crate) async fn events_of(store: &Store, id: MessageId) -> usize {
    let stored = store.message(&[channel()], id).await.unwrap().unwrap();
    store.events(&stored).await.unwrap().len()
}

pub(crate) fn ack(delivery: &Delivery, smsc_message_id: &str) -> Change {
    Change::Record {
        event: Event {
            id: MessageId::mint(),
            message: delivery.message.id,
            channel: delivery.message.channel.clone(),
            at: Timestamp::now(),
            kind: EventKind::Ack { sent_message_id: smsc_message_id.into() },
            details: JsonObject::new(),
        },
        origin: delivery.origin,
        leaves: Some(delivery.ticket),
        correlate: vec![SmscMessageId(smsc_message_id.into())],
        callbacks: Vec::new(),
    }
}

/// What a queue hands out without waiting for a time to come, at most so many; some of it may have to be read or written first.
pub(crate) async fn ready_of(store: &Store, queue: &mut OutboundQueue, most: usize) -> Vec<Delivery> {
    let mut pulled = queue.try_pull(most).unwrap();
    let all = async {
        while pulled.len() < most && store.queue_length(&channel()).by_priority.iter().sum::<u64>() > 0 {
            pulled.extend(queue.pull(most - pulled.len()).await.unwrap());
        }
    };
    tokio::time::timeout(SOON, all).await.expect("something waits for its turn and is not handed out");
    pulled
}

/// The same of a new queue, which takes it back.
pub(crate) async fn ready(store: &Store, most: usize) -> Vec<Delivery> {
    ready_of(store, &mut store.outbound(&channel()), most).await
}

pub(crate) fn contents(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.message.content.as_str()).collect()
}

pub(crate) fn callback(body: &str, url: &str) -> Callback {
    Callback {
        id: MessageId::mint(),
        kind: CallbackKind::Mo,
        channel: channel(),
        message: MessageId::mint(),
        target: CallbackTarget::Url { url: url.into(), token: None },
        body: serde_json::value::to_raw_value(body).unwrap(),
        created_at: Timestamp::now(),
    }
}

pub(crate) fn inbound(body: &str, url: &str) -> Change {
    let message = Inbound {
        id: MessageId::mint(),
        channel: channel(),
        to: "1".into(),
        from: "2".into(),
        group: None,
        content: Some(body.into()),
        reply_to: None,
        session_event: None,
        channel_data: JsonObject::new(),
        transport_type: None,
        transport_metadata: JsonObject::new(),
        provider: None,
        destinations: Vec::new(),
        received_at: Timestamp::now(),
    };
    Change::Receive { message: Arc::new(message), callbacks: vec![callback(body, url)], joined_from: Vec::new() }
}
