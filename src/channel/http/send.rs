//! MTs to the provider: the answer to a request that waits, or a request of ours. Those that the provider asks for are in
//! `mailbox`.

use std::time::Duration;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use url::Url;

use super::answer::Said;
use super::outbound::{OnUnknown, Outbound, Retry};
use super::scope::MessageFields;
use super::state::State;
use super::template::{FillError, Place};
use crate::channel::{Fate, Intake};
use crate::model::{JsonObject, Level, MessageId, SessionEvent, SmscMessageId, Timestamp};
use crate::store::{Delivery, Store, Ticket};
use crate::web::client::{Answer, ClientError};

/// Longest pause that a provider may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// The component of the channel's status.
const COMPONENT: &str = "outbound";
/// What Vumi says when a reply comes too late (field guide §7.2).
const GONE: &str = "Could not find original request.";

/// What becomes of the pace when an MT has been dealt with.
pub(super) enum Dealt {
    /// The provider has taken it, or refused it for what it is.
    Answered,
    /// Nothing.
    Otherwise,
    /// The provider asks for a slower pace.
    Refused {
        /// The MT, unless it has become too old.
        back: Option<Ticket>,
        /// The pause that it asks for.
        asked: Option<Duration>,
    },
}

/// What will have been sent, as far as anybody knows, should the channel be cut off.
struct Sending<'a> {
    store: &'a Store,
    ticket: Ticket,
    decided: bool,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if !self.decided {
            self.store.suspect(&[self.ticket], true);
        }
    }
}

/// Answers the request that waits for an MT, or makes one of it.
pub(super) async fn deal<I: Intake>(state: &State<I>, delivery: Delivery) -> Dealt {
    let message = &delivery.message;
    let waiting = message.reply_to.filter(|id| state.request(*id).is_some());
    match (waiting, &state.config.outbound) {
        (Some(id), _) => reply(state, delivery, id).await,
        (None, Some(outbound)) => request(state, outbound, delivery).await,
        (None, None) => {
            let unasked = "the channel only answers messages, and this one has no reply_to";
            let reason = if message.reply_to.is_some() { GONE } else { unasked };
            decide(state, delivery, rejected(reason.to_owned())).await
        }
    }
}

/// Says what became of an MT that the provider has not been asked for, or has said nothing of.
async fn decide<I: Intake>(state: &State<I>, delivery: Delivery, fate: Fate) -> Dealt {
    state.decide(delivery, fate).await;
    Dealt::Otherwise
}

pub(super) fn rejected(reason: String) -> Fate {
    Fate::Rejected { reason, details: JsonObject::new() }
}

/// That the provider has it, under this id, and under which receipts will name it.
pub(super) fn submitted(id: String, correlate: Vec<SmscMessageId>) -> Fate {
    Fate::Submitted { smsc_message_ids: vec![SmscMessageId(id)], correlate, announce: true, details: JsonObject::new() }
}

/// Answers the request that waits for it.
async fn reply<I: Intake>(state: &State<I>, delivery: Delivery, id: MessageId) -> Dealt {
    let (Some(held), request) = (&state.config.reply, state.request(id)) else {
        return decide(state, delivery, rejected(GONE.to_owned())).await;
    };
    let message = delivery.message.clone();
    let fields = MessageFields::of(&state.config, &message, request.as_deref());
    let ends = message.session_event == Some(SessionEvent::Close);
    let reply = held.end.as_ref().filter(|_| ends).unwrap_or(&held.go_on);
    let response = match reply.fill(&fields, &[]) {
        Ok(response) => response,
        Err(error) => return decide(state, delivery, rejected(error.to_string())).await,
    };
    let mut sending = Sending { store: &state.setup.store, ticket: delivery.ticket, decided: false };
    // Before the phone is told: what it says next is another session's.
    end_session(state, &delivery).await;
    let fate = match state.held.answer(id, response).await {
        Ok(_) => submitted(message.id.to_string(), Vec::new()),
        Err(_) => match &state.config.outbound {
            Some(outbound) => {
                sending.decided = true;
                return request_instead(state, outbound, delivery).await;
            }
            None => rejected(GONE.to_owned()),
        },
    };
    let dealt = decide(state, delivery, fate).await;
    sending.decided = true;
    dealt
}

async fn request_instead<I: Intake>(state: &State<I>, outbound: &Outbound, delivery: Delivery) -> Dealt {
    Box::pin(request(state, outbound, delivery)).await
}

/// A session that an MT ends is remembered no more.
async fn end_session<I: Intake>(state: &State<I>, delivery: &Delivery) {
    let message = &delivery.message;
    let key = message.transport_metadata.get("session_id").and_then(|id| id.as_str());
    let (Some(key), Some(SessionEvent::Close)) = (key, message.session_event) else { return };
    let note = state.sessions().forget(key).map(|(_, note)| note);
    if let Some(note) = note
        && let Err(error) = state.setup.intake.arrived(&state.setup.id, vec![note]).await
    {
        // It ends by itself later.
        state.setup.log.warn(format!("the end of a session was not stored: {error}"));
    }
}

/// Makes a request of it.
async fn request<I: Intake>(state: &State<I>, outbound: &Outbound, delivery: Delivery) -> Dealt {
    if delivery.possible_duplicate && outbound.on_unknown == OnUnknown::Report {
        let reason = "whether the provider has it is not known: it may have been sent before a restart".to_owned();
        return decide(state, delivery, rejected(reason)).await;
    }
    let under_way = state.under_way.begin(delivery.message.id);
    let written = write(state, outbound, &delivery);
    let (url, headers, body) = match written {
        Ok(written) => written,
        Err(error) => return decide(state, delivery, rejected(error.to_string())).await,
    };
    let mut sending = Sending { store: &state.setup.store, ticket: delivery.ticket, decided: false };
    let client = &state.setup.client;
    let answer = client.request(outbound.method.clone(), &url, headers, body, outbound.timeout).await;
    let (fate, dealt) = match answer {
        Ok(answer) => judge(state, outbound, &delivery, &answer).await,
        Err(error) => (Some(unanswered(state, outbound, &delivery, &error).await), Dealt::Otherwise),
    };
    if matches!(fate, Some(Fate::Submitted { .. })) {
        end_session(state, &delivery).await;
    }
    if let Some(fate) = fate {
        state.decide(delivery, fate).await;
    }
    sending.decided = true;
    drop(under_way);
    dealt
}

type Written = (Url, HeaderMap, bytes::Bytes);

/// The request.
fn write<I: Intake>(state: &State<I>, outbound: &Outbound, delivery: &Delivery) -> Result<Written, FillError> {
    let message = &delivery.message;
    let fields = MessageFields::of(&state.config, message, None);
    let unfit = |field: &str, why: &str| FillError::Unfit { field: field.to_owned(), why: why.to_owned() };
    let url = outbound.url.fill(&fields, Place::Url)?.unwrap_or_default();
    let mut url: Url = url.parse().map_err(|_| unfit("the URL", "is none with this message's fields in it"))?;
    let query = outbound.query.fill(&fields)?;
    if !query.is_empty() {
        let whole = [url.query(), Some(query.as_str())].into_iter().flatten().collect::<Vec<_>>().join("&");
        url.set_query(Some(&whole));
    }
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("maybug/", env!("CARGO_PKG_VERSION"))));
    if let Some(basic) = &outbound.basic {
        let pair = format!("{}:{}", basic.username.plain(&fields)?, basic.password.plain(&fields)?);
        insert_secret(&mut headers, &format!("Basic {}", base64(&pair)))?;
    }
    if let Some(bearer) = &outbound.bearer {
        insert_secret(&mut headers, &format!("Bearer {}", bearer.plain(&fields)?))?;
    }
    let own = {
        let mut own = HeaderMap::new();
        outbound.headers.fill(&fields, &mut own)?;
        own
    };
    let body = match &outbound.body {
        None => bytes::Bytes::new(),
        Some(content) => {
            let (body, media_type) = content.fill(&fields, &[])?;
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            body
        }
    };
    own.keys().for_each(|name| {
        headers.remove(name);
    });
    headers.extend(own);
    Ok((url, headers, body))
}

fn base64(text: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    BASE64_STANDARD.encode(text)
}

fn insert_secret(headers: &mut HeaderMap, value: &str) -> Result<(), FillError> {
    let mut value = HeaderValue::try_from(value).map_err(|_| FillError::Unfit {
        field: "the header authorization".to_owned(),
        why: "would have a line end or a control character in it".to_owned(),
    })?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

/// What an answer means for its MT, none if that goes back as it is, and for the pace.
async fn judge<I: Intake>(
    state: &State<I>,
    outbound: &Outbound,
    delivery: &Delivery,
    answer: &Answer,
) -> (Option<Fate>, Dealt) {
    let mut said = Said::new(answer);
    let ours = delivery.message.id.to_string();
    if said.is_any(&outbound.success) {
        state.again.over(delivery.message.id);
        takes(state).await;
        let theirs = outbound.message_id.as_ref().and_then(|extract| said.extract(extract));
        let fate = match theirs {
            Some(id) => submitted(id.clone(), vec![SmscMessageId(id)]),
            None => submitted(ours, Vec::new()),
        };
        return (Some(fate), Dealt::Answered);
    }
    let status = said.status();
    if said.is_any(&outbound.throttled) {
        let asked = answer.retry_after().map(|asked| asked.min(MAX_PAUSE));
        return throttled(state, &outbound.retry, delivery, status, asked).await;
    }
    if said.is_any(&outbound.temporary) {
        let why = format!("the provider answers with status {status} for the moment");
        let fate = retry(state, &outbound.retry, delivery, why, answer.retry_after()).await;
        return (Some(fate), Dealt::Otherwise);
    }
    if state.again.over(delivery.message.id) {
        takes(state).await;
    }
    let code = outbound.reason.as_ref().and_then(|extract| said.extract(extract));
    let known = code.as_ref().and_then(|code| outbound.reasons.get(code).or_else(|| outbound.reasons.get("*")));
    let reason = match (code, known) {
        (Some(code), Some(text)) => format!("{text} ({code})"),
        (Some(code), None) => code,
        (None, _) => format!("the provider answered with status {status}: {}", said.beginning()),
    };
    (Some(rejected(state.config.without_secrets(reason))), Dealt::Answered)
}

/// When the provider takes messages again, unless this one has become too old.
async fn throttled<I: Intake>(
    state: &State<I>,
    policy: &Retry,
    delivery: &Delivery,
    status: u16,
    asked: Option<Duration>,
) -> (Option<Fate>, Dealt) {
    let why = format!("the provider asks for a slower pace with status {status}");
    state.tell(COMPONENT, Level::Degraded, "throttled", format!("Messages wait: {why}")).await;
    let (now, id) = (Timestamp::now(), delivery.message.id);
    if is_too_old(policy, delivery, now) {
        state.again.over(id);
        let reason = format!("it was given up after {} s: {why}", policy.max_age.as_secs());
        let fate = Fate::Expired { reason, details: JsonObject::new() };
        return (Some(fate), Dealt::Refused { back: None, asked });
    }
    state.again.wait(id, now.plus(asked.unwrap_or_default()));
    (None, Dealt::Refused { back: Some(delivery.ticket), asked })
}

fn is_too_old(policy: &Retry, delivery: &Delivery, now: Timestamp) -> bool {
    delivery.message.accepted_at.until(now) >= policy.max_age
}

/// Says that the provider takes messages, unless it has put off some that still wait.
async fn takes<I: Intake>(state: &State<I>) {
    if state.again.is_over(Timestamp::now()) {
        state.tell(COMPONENT, Level::Ok, "sending", "The provider takes messages".to_owned()).await;
    }
}

/// What it means for an MT that there was none.
async fn unanswered<I: Intake>(
    state: &State<I>,
    outbound: &Outbound,
    delivery: &Delivery,
    error: &ClientError,
) -> Fate {
    let (why, unknown) = match error {
        // With the URL, which has secrets in its query, it would say more than it may.
        ClientError::BadUrl(_) => ("the URL is none that HTTP can use".to_owned(), false),
        ClientError::Forbidden(_) | ClientError::NotSent(_) => (error.to_string(), false),
        error => (error.to_string(), true),
    };
    if unknown && outbound.on_unknown == OnUnknown::Report {
        return rejected(format!("whether the provider has it is not known: {why}"));
    }
    if unknown {
        state.setup.store.suspect(&[delivery.ticket], true);
    }
    retry(state, &outbound.retry, delivery, why, None).await
}

/// Later, unless it has become too old.
async fn retry<I: Intake>(
    state: &State<I>,
    policy: &Retry,
    delivery: &Delivery,
    why: String,
    asked: Option<Duration>,
) -> Fate {
    state.tell(COMPONENT, Level::Degraded, "temporary_failure", format!("A message is tried again later: {why}")).await;
    let now = Timestamp::now();
    if is_too_old(policy, delivery, now) {
        state.again.over(delivery.message.id);
        let reason = format!("it was given up after {} tries: {why}", delivery.attempts + 1);
        return Fate::Expired { reason, details: JsonObject::new() };
    }
    let at = now.plus(policy.pause(delivery.attempts, fastrand::f64()).max(asked.unwrap_or_default()));
    state.again.wait(delivery.message.id, at);
    Fate::Retry { at }
}

impl Retry {
    /// The pause after so many earlier tries, moved by up to a fifth either way; `jitter` is in 0 to 1.
    fn pause(&self, attempts: u32, jitter: f64) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(attempts.min(20)));
        doubled.min(self.longest).mul_f64(0.8 + 0.4 * jitter)
    }
}
