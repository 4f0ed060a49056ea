//! MOs out of requests: their addresses and texts, where they stand in a session, and the answer, at once or by an MT.

use std::sync::Arc;

use serde_json::{Value, json};

use super::receive::{Problem, filled, respond};
use super::route::{Route, UnknownSession};
use super::rules::{EventRule, EventWord};
use super::scope::{Request, RequestFields, Session};
use super::state::State;
use super::template::FillError;
use crate::channel::held::{self, Unanswered};
use crate::channel::{Arrival, Intake};
use crate::model::{Inbound, JsonObject, MessageId, SessionEvent, Timestamp};
use crate::web::Response;

/// What a reply finds its session by, in an MO's metadata.
pub(super) const SESSION_ID: &str = "session_id";

/// Most octets of what names a session.
const MAX_KEY: usize = 256;
/// Most octets of an address.
pub(super) const MAX_ADDRESS: usize = 256;
/// Most octets of what a phone has said in a session, where turns repeat it.
const MAX_SAID: usize = 4 * 1024;
/// Most messages or receipts of one request.
const MAX_ITEMS: usize = 100;

impl<I: Intake> State<I> {
    /// Takes a request as an MO, or as several.
    pub(super) async fn message(&self, route: &Route, mut request: Request) -> Result<Response, Problem> {
        let now = Timestamp::now();
        let turn = self.turn(route, &mut request, now)?;
        if turn.unknown
            && let UnknownSession::Answer(reply) = &route.unknown_session
        {
            return respond(reply, &RequestFields::of(&self.config, &request));
        }
        self.complete(route, &request)?;
        let request = Arc::new(request);
        let items = items(route, &request)?;
        let mut messages = Vec::with_capacity(items.len());
        for item in &items {
            let id = MessageId::mint();
            let fields = RequestFields { item: *item, message: Some(id), ..RequestFields::of(&self.config, &request) };
            messages.push((Arc::new(self.inbound(route, &fields, &turn, now)?), fields));
        }
        let mut arrivals = self.sessions().expire(now);
        arrivals.extend(
            messages.iter().map(|(message, _)| Arrival::Message { message: message.clone(), joined_from: Vec::new() }),
        );
        let first = messages.first().map(|(message, _)| message.clone());
        if route.hold
            && turn.event != Some(SessionEvent::Close)
            && let Some(message) = &first
        {
            let waiting = self.held.hold(message.id)?;
            let _remembered = self.remember(message.id, request.clone());
            self.store(&turn, first.as_deref(), &request, arrivals, now).await?;
            return match waiting.answered(self.patience()).await {
                Ok(response) => Ok(response),
                Err(Unanswered::Timeout) => self.too_late(&request),
                Err(Unanswered::Ended) => Ok(held::unavailable("the channel is ending")),
            };
        }
        let each: Vec<_> = messages.iter().map(|(_, fields)| fields.clone()).collect();
        let general = RequestFields {
            message: first.as_ref().map(|message| message.id),
            ..RequestFields::of(&self.config, &request)
        };
        let response = route.response.fill(&general, &each).map_err(Problem::Response)?;
        self.store(&turn, first.as_deref(), &request, arrivals, now).await?;
        Ok(response)
    }

    fn patience(&self) -> std::time::Duration {
        self.config.reply.as_ref().map(|held| held.timeout).unwrap_or_default()
    }

    /// Field guide §7.2: no reply in time.
    fn too_late(&self, request: &Request) -> Result<Response, Problem> {
        self.setup.log.warn("a request was not answered in time by the application");
        match &self.config.reply {
            Some(held) => respond(&held.timeout_response, &RequestFields::of(&self.config, request)),
            None => Err(Problem::Unknown),
        }
    }

    /// Stores MOs, and what they change in their session. Memory learns of it only then: a request that could not be
    /// stored comes again, and is the same turn as before.
    async fn store(
        &self,
        turn: &Turn,
        message: Option<&Inbound>,
        request: &Request,
        mut arrivals: Vec<Arrival>,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let id = &self.setup.id;
        let (Some(key), Some(message)) = (&turn.key, message) else {
            return Ok(self.setup.intake.arrived(id, arrivals).await?);
        };
        if turn.event == Some(SessionEvent::Close) {
            let before = request.session.is_some();
            arrivals.extend(before.then(|| crate::channel::sessions::ended(key)));
            self.setup.intake.arrived(id, arrivals).await?;
            self.sessions().forget(key);
            return Ok(());
        }
        let session = Session { to: message.to.clone(), from: message.from.clone(), said: turn.said.clone() };
        arrivals.push(self.sessions().note(key, &session, now));
        self.setup.intake.arrived(id, arrivals).await?;
        self.sessions().keep(key.clone(), session, now);
        Ok(())
    }

    /// Where a request stands in its session; the session, if it is known, is put into the request.
    fn turn(&self, route: &Route, request: &mut Request, now: Timestamp) -> Result<Turn, Problem> {
        let fields = RequestFields::of(&self.config, request);
        let key = filled(route.session.as_ref(), &fields)?.filter(|key| !key.is_empty());
        if route.session.is_some() && key.is_none() {
            self.complete(route, request)?;
        }
        within("the session's name", key.as_deref(), MAX_KEY)?;
        let known = key.as_ref().and_then(|key| self.sessions().get(key, now).cloned());
        let auto = if known.is_some() { SessionEvent::Resume } else { SessionEvent::New };
        let word = match &route.session_event {
            Some(EventRule::Always(event)) => Some(*event),
            Some(EventRule::By(table)) => {
                let text = table.of().fill(&fields, super::template::Place::Plain)?.unwrap_or_default();
                match table.word(&text) {
                    EventWord::Auto => Some(auto),
                    EventWord::New => Some(SessionEvent::New),
                    EventWord::Resume => Some(SessionEvent::Resume),
                    EventWord::Close => Some(SessionEvent::Close),
                    EventWord::None => None,
                }
            }
            Some(EventRule::Auto) => Some(auto),
            None => key.is_some().then_some(auto),
        };
        let unknown = known.is_none() && matches!(word, Some(SessionEvent::Resume | SessionEvent::Close));
        let new = word == Some(SessionEvent::New);
        let mut said = String::new();
        if route.cumulative.is_some() {
            said = filled(route.content.as_ref(), &fields)?.unwrap_or_default();
            within("what the phone has said in its session", Some(&said), MAX_SAID)?;
        }
        request.session = known.filter(|_| !new);
        Ok(Turn { key, event: word, unknown: unknown && route.session.is_some(), said })
    }

    fn inbound(
        &self,
        route: &Route,
        fields: &RequestFields<'_>,
        turn: &Turn,
        now: Timestamp,
    ) -> Result<Inbound, Problem> {
        let session = fields.request.session.as_ref();
        let new = turn.event == Some(SessionEvent::New);
        let first = route.first.as_ref().filter(|_| new);
        let own = |template| match session {
            // What the session has is as good.
            Some(_) => Ok(filled(template, fields).unwrap_or_default()),
            None => filled(template, fields),
        };
        let to = match (session, first.and_then(|first| first.to.as_ref())) {
            (Some(session), _) => Some(session.to.clone()),
            (None, first) => filled(first.or(route.to.as_ref()), fields)?,
        };
        let from = own(route.from.as_ref())?.or_else(|| session.map(|session| session.from.clone()));
        let from = from.ok_or_else(|| FillError::Missing("sender's address".to_owned()))?;
        within("the sender's address", Some(&from), MAX_ADDRESS)?;
        within("the receiver's address", to.as_deref(), MAX_ADDRESS)?;
        let content = match first {
            Some(first) if first.no_content => None,
            Some(first) if first.content.is_some() => filled(first.content.as_ref(), fields)?,
            _ => filled(route.content.as_ref(), fields)?.map(|content| match &route.cumulative {
                Some(between) => latest(&content, session.map_or("", |session| &session.said), between),
                None => content,
            }),
        };
        let mut transport_metadata = shapes(&route.metadata, fields)?;
        if let Some(key) = &turn.key {
            transport_metadata.entry(SESSION_ID).or_insert_with(|| json!(key));
        }
        Ok(Inbound {
            id: fields.message.unwrap_or_else(MessageId::mint),
            channel: self.setup.id.clone(),
            to: to.unwrap_or_default(),
            from,
            group: filled(route.group.as_ref(), fields)?,
            content,
            reply_to: None,
            session_event: turn.event,
            channel_data: shapes(&route.channel_data, fields)?,
            transport_type: Some(self.config.transport_type.clone()),
            transport_metadata,
            provider: filled(route.provider.as_ref(), fields)?,
            destinations: Vec::new(),
            received_at: now,
        })
    }
}

/// That a text is not longer than it may be.
pub(super) fn within(field: &str, text: Option<&str>, most: usize) -> Result<(), FillError> {
    if text.is_none_or(|text| text.len() <= most) {
        return Ok(());
    }
    Err(FillError::Unfit { field: field.to_owned(), why: format!("is longer than {most} octets") })
}

/// Where a request stands in its session.
struct Turn {
    key: Option<String>,
    event: Option<SessionEvent>,
    /// It is a later turn of a session that is not known.
    unknown: bool,
    /// Everything that the phone has said by now, where turns repeat it.
    said: String,
}

/// Each item of the list that a route is about, with its place; one without, if it is about none.
pub(super) fn items<'a>(route: &Route, request: &'a Request) -> Result<Vec<Option<(usize, &'a Value)>>, Problem> {
    let Some(path) = &route.each else { return Ok(vec![None]) };
    match path.find(&request.parameters) {
        Some(Value::Array(items)) if items.len() > MAX_ITEMS => Err(Problem::TooMany(MAX_ITEMS)),
        Some(Value::Array(items)) => Ok(items.iter().enumerate().map(Some).collect()),
        Some(one) => Ok(vec![Some((0, one))]),
        None => Ok(Vec::new()),
    }
}

/// An object of these, without what is optional and missing.
pub(super) fn shapes(
    shapes: &std::collections::BTreeMap<String, super::content::Shape>,
    fields: &RequestFields<'_>,
) -> Result<JsonObject, FillError> {
    let mut object = JsonObject::new();
    for (name, shape) in shapes {
        if let Some(value) = shape.fill(fields, &[])? {
            object.insert(name.clone(), value);
        }
    }
    Ok(object)
}

/// What has been said last, of a text that repeats what was said before.
fn latest(all: &str, before: &str, between: &str) -> String {
    match all.strip_prefix(before) {
        Some(rest) if !before.is_empty() => rest.strip_prefix(between).unwrap_or(rest).to_owned(),
        _ => all.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_that_repeat_what_was_said_before_are_told_apart() {
        for (all, before, expected) in [
            ("1", "", "1"),
            ("1*2", "1", "2"),
            ("1*2*", "1*2", ""),
            ("1*2*3*4", "1*2", "3*4"),
            ("7", "1*2", "7"),
            ("1", "1", ""),
        ] {
            assert_eq!(latest(all, before, "*"), expected, "{all}");
        }
    }
}
