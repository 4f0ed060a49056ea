//! What channels tell: MOs, receipts, fates of MTs, status. The one place where a message's fate changes.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::directory::Directory;
use super::{Gateway, Word, bodies};
use crate::bus::vumi;
use crate::channel::{Arrival, Fate, Intake, IntakeError, Outcome, StatusReport};
use crate::model::{
    Callback, CallbackKind, CallbackTarget, ChannelId, DeliveryStatus, DestinationId, Event, EventId, EventKind,
    Inbound, JsonObject, MessageId, Outbound, QueueOwner, RouterId, SessionEvent, Status, Timestamp,
};
use crate::store::{Change, CommitError};
use crate::telemetry::{Label, Rates};

/// The gateway as channels see it.
#[derive(Clone)]
pub struct GatewayIntake(pub(super) Gateway);

/// A status that says the same again is told again only after this long.
const REPEAT: Duration = Duration::from_secs(60);

impl Intake for GatewayIntake {
    async fn arrived(&self, channel: &ChannelId, arrivals: Vec<Arrival>) -> Result<(), IntakeError> {
        let now = Timestamp::now();
        let mut batch = Vec::with_capacity(arrivals.len());
        let mut counts = Counts::default();
        let directory = self.0.0.directory.load();
        for arrival in arrivals {
            let change = match arrival {
                Arrival::Message { message, joined_from } => {
                    let (received, notes) = self.received(&directory, message, joined_from, now, &mut counts);
                    batch.extend(notes);
                    received
                }
                Arrival::Part { id, record } => Change::SavePart { channel: channel.clone(), id, record },
                Arrival::DropParts { ids } => Change::DropParts { channel: channel.clone(), ids },
                Arrival::Note { name, record } => Change::SaveNote { channel: channel.clone(), name, record },
                Arrival::Report { origin, message, status, announce, details } => {
                    let label = match status {
                        DeliveryStatus::Pending => Label::DeliveryPending,
                        DeliveryStatus::Delivered => Label::DeliverySucceeded,
                        DeliveryStatus::Failed => Label::DeliveryFailed,
                    };
                    counts.event(&directory, &message, label);
                    let event = event(&message, EventKind::DeliveryReport { status }, details, now);
                    let awaited =
                        message.send_at.unwrap_or(message.accepted_at).until(now) <= self.0.0.config.outbound_ttl;
                    let mut callbacks =
                        if announce { event_callbacks(&directory, &message, &event, now) } else { Vec::new() };
                    if !awaited {
                        callbacks.retain(|callback| matches!(callback.target, CallbackTarget::Queue { .. }));
                    }
                    Change::Record { event, origin, leaves: None, correlate: Vec::new(), callbacks }
                }
            };
            batch.push(change);
        }
        let store = &self.0.0.store;
        match if batch.is_empty() { store.settled(channel).await } else { store.commit(batch).await } {
            Ok(()) => {
                counts.count(&self.0.0.rates, now);
                Ok(())
            }
            Err(CommitError::Busy) => Err(IntakeError::Busy),
            Err(_) => Err(IntakeError::Unavailable),
        }
    }

    async fn decided(&self, channel: &ChannelId, outcomes: Vec<Outcome>) {
        let now = Timestamp::now();
        let mut counts = Counts::default();
        let directory = self.0.0.directory.load();
        let batch = outcomes.into_iter().map(|outcome| {
            let Outcome { ticket, origin, message, fate } = outcome;
            let (kind, correlate, announce, details) = match fate {
                Fate::Retry { at } => return Change::Retry { ticket, at },
                Fate::Submitted { smsc_message_ids, correlate, announce, details } => {
                    counts.event(&directory, &message, Label::Submitted);
                    let mut ids: Vec<&str> = smsc_message_ids.iter().map(|id| id.0.as_str()).collect();
                    // Sorted and joined: what applications have always seen (field guide §3.2).
                    ids.sort_unstable();
                    (EventKind::Ack { sent_message_id: ids.join(",") }, correlate, announce, details)
                }
                Fate::Expired { reason, details } => {
                    counts.event(&directory, &message, Label::Rejected);
                    (EventKind::Expired { reason }, Vec::new(), true, details)
                }
                Fate::Rejected { reason, details } => {
                    counts.event(&directory, &message, Label::Rejected);
                    (EventKind::Nack { reason }, Vec::new(), true, details)
                }
            };
            let event = event(&message, kind, details, now);
            let callbacks = if announce { event_callbacks(&directory, &message, &event, now) } else { Vec::new() };
            Change::Record { event, origin, leaves: Some(ticket), correlate, callbacks }
        });
        let batch = batch.collect();
        if let Err(error) = self.0.0.store.post(batch).await {
            // The messages stay queued; they are sent again once the store accepts writes.
            tracing::error!(%channel, %error, "results of sent messages could not be stored");
            return;
        }
        counts.count(&self.0.0.rates, now);
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
        let id = MessageId::mint();
        if !self.is_news(&status, component, id) {
            return;
        }
        let log = self.0.0.logs.channel(channel);
        log.info(format!("{component}: {} ({})", status.message, status.kind));
        let wanted = self.0.channel_target(channel, CallbackKind::Status).is_some();
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
    /// An MO with the requests that it means, and what a router wants to be remembered of it.
    fn received(
        &self,
        directory: &Directory,
        mut message: Arc<Inbound>,
        joined_from: Vec<MessageId>,
        now: Timestamp,
        counts: &mut Counts,
    ) -> (Change, Vec<Change>) {
        let hidden = message.session_event == Some(SessionEvent::Close) && !self.0.0.config.forward_session_close;
        let (mut targets, mut notes) = (Vec::new(), Vec::new());
        counts.add(&message.channel.0, Label::Inbound);
        match directory.router_of(&message.channel) {
            None => {
                let wanted = self.0.channel_target(&message.channel, CallbackKind::Mo).is_some();
                targets.extend(wanted.then_some(CallbackTarget::Channel));
                let queue = directory.channels.get(&message.channel).and_then(|channel| channel.amqp_queue());
                let owner = || QueueOwner::Channel(message.channel.clone());
                targets.extend(queue.map(|queue| queue_target(queue, owner())));
            }
            Some(router) => {
                let destinations;
                (destinations, notes) = self.0.route(directory, router, &message, now);
                let router = &router.properties.id;
                counts.add(&router.0, Label::Inbound);
                for destination in &destinations {
                    counts.add(&destination.0, Label::Inbound);
                    targets.extend(destination_targets(directory, router, destination));
                }
                if !destinations.is_empty() {
                    Arc::make_mut(&mut message).destinations = destinations;
                }
            }
        }
        if hidden {
            targets.clear();
        }
        let callbacks = targets.into_iter().map(|target| mo_callback(&message, target, now)).collect();
        (Change::Receive { message, callbacks, joined_from }, notes)
    }

    /// Whether a status is to be told: it says something else than the one before, and of a channel that is there still.
    fn is_news(&self, status: &Status, component: &'static str, callback: EventId) -> bool {
        let now = Timestamp::now();
        let mut told = self.0.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at while nobody forgets what was told.
        if !self.0.0.directory.load().channels.contains_key(&status.channel_id) {
            return false;
        }
        let same = |earlier: &Word| {
            let told = &earlier.status;
            (told.kind == status.kind && told.message == status.message) && earlier.at.until(now) < REPEAT
        };
        let told = told.entry(status.channel_id.clone()).or_default();
        if told.get(component).is_some_and(same) {
            return false;
        }
        told.insert(component, Word { status: status.clone(), at: now, callback });
        true
    }
}

/// What is counted once it has been written. A batch has few ids and labels: looked through one by one.
#[derive(Default)]
pub(super) struct Counts(Vec<(Arc<str>, Label, u64)>);

impl Counts {
    fn add(&mut self, id: &Arc<str>, label: Label) {
        match self.0.iter_mut().find(|(known, counted, _)| *counted == label && known == id) {
            Some((_, _, count)) => *count += 1,
            None => self.0.push((id.clone(), label, 1)),
        }
    }

    /// An event counts for its channel, and for the router and the destinations that it belongs to.
    pub(super) fn event(&mut self, directory: &Directory, message: &Outbound, label: Label) {
        self.add(&message.channel.0, label);
        let Some((router, destinations)) = directory.owners(message) else { return };
        self.add(&router.0, label);
        destinations.iter().for_each(|destination| self.add(&destination.0, label));
    }

    pub(super) fn count(self, rates: &Rates, now: Timestamp) {
        self.0.into_iter().for_each(|(id, label, count)| rates.count(&id, label, now, count));
    }
}

/// Where a destination's MOs go: to a URL, to a queue, to both or to neither.
pub(super) fn destination_targets(
    directory: &Directory,
    router: &RouterId,
    destination: &DestinationId,
) -> Vec<CallbackTarget> {
    let Some(properties) = directory.destination(router, destination) else { return Vec::new() };
    let target = || CallbackTarget::Destination { router: router.clone(), destination: destination.clone() };
    let url = properties.text("mo_url").map(|_| target());
    let owner = || QueueOwner::Destination(router.clone(), destination.clone());
    url.into_iter().chain(properties.amqp_queue().map(|queue| queue_target(queue, owner()))).collect()
}

fn queue_target(queue: &str, owner: QueueOwner) -> CallbackTarget {
    CallbackTarget::Queue { queue: queue.to_owned(), owner: Some(owner) }
}

/// The request by which an MO is handed on.
pub(super) fn mo_callback(message: &Inbound, target: CallbackTarget, now: Timestamp) -> Callback {
    let body = match &target {
        CallbackTarget::Queue { .. } => vumi::inbound(message),
        _ => bodies::inbound(message),
    };
    Callback {
        id: message.id,
        kind: CallbackKind::Mo,
        channel: message.channel.clone(),
        message: message.id,
        target,
        body,
        created_at: now,
    }
}

pub(super) fn event(message: &Outbound, kind: EventKind, details: JsonObject, at: Timestamp) -> Event {
    Event { id: MessageId::mint(), message: message.id, channel: message.channel.clone(), at, kind, details }
}

/// The requests by which an event is handed on.
pub(super) fn event_callbacks(
    directory: &Directory,
    message: &Outbound,
    event: &Event,
    now: Timestamp,
) -> Vec<Callback> {
    let callback = |target, body| Callback {
        id: event.id,
        kind: CallbackKind::Event,
        channel: message.channel.clone(),
        message: message.id,
        target,
        body,
        created_at: now,
    };
    let mut callbacks = Vec::new();
    if let Some(url) = message.event_url.clone() {
        let sender = message.destination.as_ref().map_or(message.channel.as_str(), DestinationId::as_str);
        let target = CallbackTarget::Url { url, token: message.event_auth_token.clone() };
        callbacks.push(callback(target, bodies::event(event, sender)));
    }
    let queues = directory.event_queues(message).into_iter();
    callbacks.extend(queues.map(|(queue, owner)| callback(queue_target(queue, owner), vumi::event(event, message))));
    callbacks
}
