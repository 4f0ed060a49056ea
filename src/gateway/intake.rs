//! What channels tell: MOs, receipts, fates of MTs, status. The one place where a message's fate changes.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{Gateway, bodies};
use crate::channel::{Arrival, Fate, Intake, IntakeError, Outcome, StatusReport};
use crate::model::{
    Callback, CallbackKind, CallbackTarget, ChannelId, DeliveryStatus, Event, EventKind, Inbound, JsonObject,
    MessageId, Outbound, SessionEvent, Status, Timestamp,
};
use crate::store::{Change, CommitError};
use crate::telemetry::Label;

/// The gateway as channels see it.
#[derive(Clone)]
pub struct GatewayIntake(pub(super) Gateway);

/// A status that says the same again is told again only after this long.
const REPEAT: Duration = Duration::from_secs(60);

impl Intake for GatewayIntake {
    async fn arrived(&self, channel: &ChannelId, arrivals: Vec<Arrival>) -> Result<(), IntakeError> {
        let now = Timestamp::now();
        let mut batch = Vec::with_capacity(arrivals.len());
        let mut counts = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            batch.push(match arrival {
                Arrival::Message { message, joined_from } => {
                    counts.push(Label::Inbound);
                    self.received(message, joined_from, now)
                }
                Arrival::Part { id, record } => Change::SavePart { channel: channel.clone(), id, record },
                Arrival::DropParts { ids } => Change::DropParts { channel: channel.clone(), ids },
                Arrival::Note { name, record } => Change::SaveNote { channel: channel.clone(), name, record },
                Arrival::Report { origin, message, status, announce, details } => {
                    counts.push(match status {
                        DeliveryStatus::Pending => Label::DeliveryPending,
                        DeliveryStatus::Delivered => Label::DeliverySucceeded,
                        DeliveryStatus::Failed => Label::DeliveryFailed,
                    });
                    let event = event(&message, EventKind::DeliveryReport { status }, details, now);
                    let awaited = message.accepted_at.until(now) <= self.0.0.config.outbound_ttl;
                    let callback = event_callback(&message, &event, now).filter(|_| announce && awaited);
                    Change::Record { event, origin, leaves: None, correlate: Vec::new(), callback }
                }
            });
        }
        match self.0.0.store.commit(batch).await {
            Ok(()) => {
                counts.into_iter().for_each(|label| self.0.0.rates.count(channel, label, now, 1));
                Ok(())
            }
            Err(CommitError::Busy) => Err(IntakeError::Busy),
            Err(_) => Err(IntakeError::Unavailable),
        }
    }

    async fn decided(&self, channel: &ChannelId, outcomes: Vec<Outcome>) {
        let now = Timestamp::now();
        let (mut acks, mut nacks) = (0, 0);
        let batch = outcomes.into_iter().map(|outcome| {
            let Outcome { ticket, origin, message, fate } = outcome;
            let (kind, correlate, announce, details) = match fate {
                Fate::Retry { at } => return Change::Retry { ticket, at },
                Fate::Submitted { smsc_message_ids, correlate, announce, details } => {
                    acks += 1;
                    let mut ids: Vec<&str> = smsc_message_ids.iter().map(|id| id.0.as_str()).collect();
                    // Sorted and joined: what applications have always seen (field guide §3.2).
                    ids.sort_unstable();
                    (EventKind::Ack { sent_message_id: ids.join(",") }, correlate, announce, details)
                }
                Fate::Expired { reason, details } => {
                    nacks += 1;
                    (EventKind::Expired { reason }, Vec::new(), true, details)
                }
                Fate::Rejected { reason, details } => {
                    nacks += 1;
                    (EventKind::Nack { reason }, Vec::new(), true, details)
                }
            };
            let event = event(&message, kind, details, now);
            let callback = event_callback(&message, &event, now).filter(|_| announce);
            Change::Record { event, origin, leaves: Some(ticket), correlate, callback }
        });
        let batch = batch.collect();
        if let Err(error) = self.0.0.store.post(batch).await {
            // The messages stay queued; they are sent again once the store accepts writes.
            tracing::error!(%channel, %error, "results of sent messages could not be stored");
            return;
        }
        self.0.0.rates.count(channel, Label::Submitted, now, acks);
        self.0.0.rates.count(channel, Label::Rejected, now, nacks);
    }

    async fn status(&self, channel: &ChannelId, report: StatusReport) {
        let component = report.component;
        let status = Status {
            channel_id: channel.clone(),
            component: component.to_owned(),
            level: report.level,
            kind: report.kind.to_owned(),
            message: report.message,
            details: report.details,
        };
        if self.is_repetition(&status, component) {
            return;
        }
        let log = self.0.0.logs.channel(channel);
        log.info(format!("{component}: {} ({})", status.message, status.kind));
        let wanted = self.0.channel_target(channel, CallbackKind::Status).is_some();
        let id = MessageId::mint();
        let callback = wanted.then(|| Callback {
            id,
            kind: CallbackKind::Status,
            channel: channel.clone(),
            // All of a channel's status events leave in order.
            message: MessageId(uuid::Uuid::nil()),
            target: CallbackTarget::Channel,
            body: bodies::status(&status),
            created_at: Timestamp::now(),
        });
        if let Err(error) = self.0.0.store.post(vec![Change::SaveStatus { status, callback }]).await {
            tracing::error!(%channel, %error, "a status could not be stored");
        }
    }
}

impl GatewayIntake {
    fn received(&self, message: Arc<Inbound>, joined_from: Vec<MessageId>, now: Timestamp) -> Change {
        let hidden = message.session_event == Some(SessionEvent::Close) && !self.0.0.config.forward_session_close;
        let wanted = !hidden && self.0.channel_target(&message.channel, CallbackKind::Mo).is_some();
        let callback = wanted.then(|| Callback {
            id: message.id,
            kind: CallbackKind::Mo,
            channel: message.channel.clone(),
            message: message.id,
            target: CallbackTarget::Channel,
            body: bodies::inbound(&message),
            created_at: now,
        });
        Change::Receive { message, callback, joined_from }
    }

    fn is_repetition(&self, status: &Status, component: &'static str) -> bool {
        let now = Timestamp::now();
        let mut told = self.0.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (status.channel_id.clone(), component);
        let same = |(earlier, at): &(Status, Timestamp)| {
            (earlier.kind == status.kind && earlier.message == status.message) && at.until(now) < REPEAT
        };
        if told.get(&key).is_some_and(same) {
            return true;
        }
        told.insert(key, (status.clone(), now));
        false
    }
}

pub(super) fn event(message: &Outbound, kind: EventKind, details: JsonObject, at: Timestamp) -> Event {
    Event { id: MessageId::mint(), message: message.id, channel: message.channel.clone(), at, kind, details }
}

pub(super) fn event_callback(message: &Outbound, event: &Event, now: Timestamp) -> Option<Callback> {
    Some(Callback {
        id: event.id,
        kind: CallbackKind::Event,
        channel: message.channel.clone(),
        message: message.id,
        target: CallbackTarget::Url { url: message.event_url.clone()?, token: message.event_auth_token.clone() },
        body: bodies::event(event),
        created_at: now,
    })
}
