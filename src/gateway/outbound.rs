//! Accepting an MT: checked, resolved if it is a reply, saved and queued in one write, and only then answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::directory::Directory;
use super::{Gateway, GatewayError};
use crate::model::{
    ChannelId, ChannelProperties, DestinationId, DestinationProperties, Inbound, JsonObject, MessageId, Outbound,
    Priority, RouterId, SessionEvent, Timestamp,
};
use crate::store::Change;
use crate::telemetry::Label;

/// An MT as an application asks for it.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// To whom; a reply needs none.
    pub to: Option<String>,
    /// From whom.
    pub from: Option<String>,
    /// Group.
    pub group: Option<String>,
    /// The MO that it answers.
    pub reply_to: Option<ReplyTo>,
    /// The text.
    pub content: String,
    /// Where events go.
    pub event_url: Option<String>,
    /// And with which token.
    pub event_auth_token: Option<String>,
    /// Its place in the queue.
    pub priority: Priority,
    /// Free-form, but for `session_event` and `continue_session`.
    pub channel_data: JsonObject,
    /// Not to be sent before; at most [`FARTHEST`] ahead, and at once if it has passed.
    pub send_at: Option<Timestamp>,
    /// Not worth sending from then on.
    pub expires_at: Option<Timestamp>,
    /// The same, counted from when it may be sent first; the earlier of both counts.
    pub validity: Option<Duration>,
}

/// How far ahead a message may be scheduled.
pub const FARTHEST: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Which MO a reply names: any text, since clients may name what never was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo(pub String);

/// The way that an MT is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via<'a> {
    /// A channel, or a router that chooses one, under the router's id.
    Channel(&'a ChannelId),
    /// A router's destination, on the router's channel.
    Destination(&'a RouterId, &'a DestinationId),
}

/// Who sends a draft, and the MO that it answers.
struct Sender {
    channel: Arc<ChannelProperties>,
    router: Option<RouterId>,
    destination: Option<Arc<DestinationProperties>>,
    answered: Option<Inbound>,
}

impl Gateway {
    /// Accepts an MT; when this returns it is durable.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing has been accepted then.
    pub async fn send(&self, via: Via<'_>, draft: Draft) -> Result<Arc<Outbound>, GatewayError> {
        let (channel, message) = self.prepare(via, draft).await?;
        let message = Arc::new(message);
        let waiting = self.depth(&message.channel).waiting;
        if waiting >= self.0.config.queue_limit {
            return Err(GatewayError::QueueFull { waiting });
        }
        if let Some(limit) = channel.rate_limit().filter(|_| channel.rejects_beyond_limit()) {
            if !self.runs(&channel.id) {
                // It is counted in one place.
                return Err(GatewayError::Elsewhere(channel.id.clone()));
            }
            let admitted = self.0.meters.admit(&channel.id, limit, Instant::now());
            admitted.map_err(|wait| GatewayError::RateLimitExceeded { limit, seconds: wait.as_secs() + 1 })?;
        }
        self.0.store.commit(vec![Change::Accept(message.clone())]).await?;
        self.count_outbound(&message);
        Ok(message)
    }

    /// An MT counts for its channel, and for the router and the destination that it was sent by.
    pub(super) fn count_outbound(&self, message: &Outbound) {
        let ids = [
            Some(&message.channel.0),
            message.router.as_ref().map(|router| &router.0),
            message.destination.as_ref().map(|destination| &destination.0),
        ];
        for id in ids.into_iter().flatten() {
            self.0.rates.count(id, Label::Outbound, message.accepted_at, 1);
        }
    }

    /// Tells what an MT would be for the provider; nothing is accepted or sent.
    ///
    /// # Errors
    /// [`GatewayError`], the same as [`Gateway::send`] would give.
    pub async fn preview(&self, via: Via<'_>, draft: Draft) -> Result<JsonObject, GatewayError> {
        let (properties, message) = self.prepare(via, draft).await?;
        let name = properties.channel_type();
        let told = self.channel_type(name)?.preview(&properties.config(), &message)?;
        told.ok_or_else(|| GatewayError::Usage(format!("A channel of type '{name}' passes text on as it is")))
    }

    /// A draft as the message that it will be, and its channel.
    async fn prepare(&self, via: Via<'_>, draft: Draft) -> Result<(Arc<ChannelProperties>, Outbound), GatewayError> {
        let Sender { channel, router, destination, answered } = self.sender(via, &draft).await?;
        let session_event = session_event(&draft.channel_data)?;
        let limits = [channel.character_limit(), destination.as_ref().and_then(|own| own.character_limit())];
        if let Some(limit) = limits.into_iter().flatten().min() {
            let length = draft.content.chars().count();
            if u64::try_from(length).unwrap_or(u64::MAX) > limit {
                return Err(GatewayError::MessageTooLong { content: draft.content, length, limit });
            }
        }
        let times = Times::of(draft.send_at, draft.expires_at, draft.validity, Timestamp::now())?;
        let destination = destination.map(|destination| destination.id.clone());
        let mut message =
            Outbound { router, destination, ..outbound(&channel.id, draft, answered, session_event, times) };
        message.events_queued = !self.0.directory.load().event_queues(&message).is_empty();
        Ok((channel, message))
    }

    async fn sender(&self, via: Via<'_>, draft: &Draft) -> Result<Sender, GatewayError> {
        let directory = self.0.directory.load();
        match via {
            Via::Channel(id) => match directory.channels.get(id) {
                Some(channel) => {
                    require_destination(&directory, channel)?;
                    require_address(draft)?;
                    let answered = self.resolve_reply([id], None, draft).await?;
                    Ok(Sender { channel: channel.clone(), router: None, destination: None, answered })
                }
                None => self.chosen_sender(&directory, &RouterId(id.0.clone()), draft).await,
            },
            Via::Destination(router, id) => {
                let destination = self.destination(router, id)?;
                require_address(draft)?;
                let router = self.router(router)?;
                let chosen = self.choose(&directory, &router, draft.to.as_deref().unwrap_or_default(), Some(id))?;
                let channel = self.channel(&chosen)?;
                let answered = self.resolve_reply([&chosen], Some(id), draft).await?;
                let router = Some(router.properties.id.clone());
                Ok(Sender { channel, router, destination: Some(destination), answered })
            }
        }
    }

    /// A channel that an outbound router chooses. A reply goes where the MO came from.
    async fn chosen_sender(&self, directory: &Directory, id: &RouterId, draft: &Draft) -> Result<Sender, GatewayError> {
        let router = directory.router(id).ok_or(GatewayError::ChannelNotFound)?;
        let routing = router.routing.as_ref().filter(|routing| routing.channel().is_none());
        let channels = routing.ok_or(GatewayError::ChannelNotFound)?.channels();
        require_address(draft)?;
        let answered = self.resolve_reply(channels, None, draft).await?;
        let chosen = match &answered {
            Some(answered) => answered.channel.clone(),
            None => self.choose(directory, router, draft.to.as_deref().unwrap_or_default(), None)?,
        };
        Ok(Sender { channel: self.channel(&chosen)?, router: Some(id.clone()), destination: None, answered })
    }

    /// That messages can be sent this way at all.
    ///
    /// # Errors
    /// [`GatewayError::ChannelNotFound`], [`GatewayError::Usage`], [`GatewayError::RouterNotFound`],
    /// [`GatewayError::DestinationNotFound`].
    pub fn require_sender(&self, via: Via<'_>) -> Result<(), GatewayError> {
        let directory = self.0.directory.load();
        match via {
            Via::Channel(id) => match directory.channels.get(id) {
                Some(channel) => require_destination(&directory, channel),
                None => {
                    let router = directory.router(&RouterId(id.0.clone()));
                    let routing = router.and_then(|router| router.routing.as_ref());
                    let chooses = routing.is_some_and(|routing| routing.channel().is_none());
                    if chooses { Ok(()) } else { Err(GatewayError::ChannelNotFound) }
                }
            },
            Via::Destination(router, id) => self.destination(router, id).map(|_| ()),
        }
    }

    /// The MO that a draft answers, if it names one that can be: one of these channels', and this destination's.
    async fn resolve_reply<'a>(
        &self,
        channels: impl IntoIterator<Item = &'a ChannelId>,
        destination: Option<&DestinationId>,
        draft: &Draft,
    ) -> Result<Option<Inbound>, GatewayError> {
        let Some(ReplyTo(named)) = &draft.reply_to else { return Ok(None) };
        let mine = |message: &Inbound| match destination {
            Some(destination) => message.destinations.is_empty() || message.destinations.contains(destination),
            None => true,
        };
        let fresh = |message: &Inbound| message.received_at.until(Timestamp::now()) <= self.0.config.inbound_ttl;
        if let Ok(id) = named.parse::<MessageId>() {
            for channel in channels {
                if let Some(message) = self.0.store.inbound(channel, id).await?.filter(fresh).filter(mine) {
                    return Ok(Some(message));
                }
            }
        }
        let addressed = draft.to.as_ref().is_some_and(|to| !to.is_empty());
        if self.0.config.allow_expired_replies && addressed {
            return Ok(None);
        }
        Err(GatewayError::MessageNotFound(named.clone()))
    }
}

fn require_address(draft: &Draft) -> Result<(), GatewayError> {
    if draft.to.is_none() && draft.reply_to.is_none() {
        return Err(GatewayError::Usage("Either \"to\" or \"reply_to\" must be specified".to_owned()));
    }
    Ok(())
}

/// A channel that nobody could receive from takes no messages (Junebug reference §2.7), unless a router takes its own.
fn require_destination(directory: &Directory, channel: &ChannelProperties) -> Result<(), GatewayError> {
    if channel.has_destination() || directory.router_of(&channel.id).is_some() {
        return Ok(());
    }
    Err(GatewayError::Usage("This channel has no \"mo_url\" or \"amqp_queue\"".to_owned()))
}

fn session_event(channel_data: &JsonObject) -> Result<Option<SessionEvent>, GatewayError> {
    match channel_data.get("session_event") {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|_| {
            GatewayError::Usage(format!("Invalid session_event {value}: it must be null, 'new', 'resume' or 'close'"))
        }),
    }
}

/// When a message may be sent.
pub(super) struct Times {
    pub(super) accepted_at: Timestamp,
    pub(super) send_at: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
}

impl Times {
    pub(super) fn of(
        send_at: Option<Timestamp>,
        expires_at: Option<Timestamp>,
        validity: Option<Duration>,
        now: Timestamp,
    ) -> Result<Self, GatewayError> {
        let send_at = send_at.filter(|at| *at > now);
        if let Some(at) = send_at.filter(|at| now.until(*at) > FARTHEST) {
            let days = FARTHEST.as_secs() / 86_400;
            return Err(GatewayError::Usage(format!("\"send_at\" is more than {days} days ahead: {at}")));
        }
        let first = send_at.unwrap_or(now);
        if let Some(at) = expires_at.filter(|at| *at <= first) {
            let first = if send_at.is_some() { "\"send_at\"" } else { "now" };
            return Err(GatewayError::Usage(format!("\"expires_at\" is not later than {first}: {at}")));
        }
        let expires_at = [expires_at, validity.map(|validity| first.plus(validity))];
        Ok(Self { accepted_at: now, send_at, expires_at: expires_at.into_iter().flatten().min() })
    }
}

fn outbound(
    channel: &ChannelId,
    draft: Draft,
    answered: Option<Inbound>,
    session_event: Option<SessionEvent>,
    times: Times,
) -> Outbound {
    let mut channel_data = draft.channel_data;
    channel_data.remove("session_event");
    let mut message = Outbound {
        id: MessageId::mint(),
        channel: channel.clone(),
        to: draft.to.unwrap_or_default(),
        from: draft.from,
        group: draft.group,
        content: draft.content,
        reply_to: None,
        session_event,
        priority: draft.priority,
        channel_data,
        transport_type: None,
        transport_metadata: JsonObject::new(),
        provider: None,
        event_url: draft.event_url,
        event_auth_token: draft.event_auth_token,
        events_queued: false,
        app_message_id: None,
        destination: None,
        router: None,
        send_at: times.send_at,
        expires_at: times.expires_at,
        accepted_at: times.accepted_at,
    };
    if let Some(answered) = answered {
        // In a reply continue_session becomes a session event and is not told again.
        let ends = message.channel_data.remove("continue_session") == Some(json!(false));
        message.session_event = message.session_event.or(ends.then_some(SessionEvent::Close));
        message.to = answered.from;
        message.from = Some(answered.to);
        message.group = answered.group;
        message.reply_to = Some(answered.id);
        message.transport_type = answered.transport_type;
        message.transport_metadata = answered.transport_metadata;
        message.provider = answered.provider;
    }
    message
}
