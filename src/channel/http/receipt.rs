//! Delivery receipts out of requests, and the messages that they belong to. One that belongs to none is kept aside.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::message::{MAX_ADDRESS, items, shapes, within};
use super::receive::{Problem, filled};
use super::route::{IdOf, Route};
use super::scope::{Request, RequestFields};
use super::state::State;
use super::template::FillError;
use crate::channel::{Arrival, Intake};
use crate::model::{JsonObject, MessageId, SmscMessageId, Timestamp, UnmatchedReceipt};
use crate::store::{ReadError, StoredMessage};
use crate::web::Response;

/// What a request says of one message.
struct Receipt {
    id: String,
    state: String,
    details: JsonObject,
    phone: String,
    sender: String,
}

/// How long receipts of one request wait for the answers that may tell what they are for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most octets of a message's id, which is a key, and of what a receipt says of it.
const MAX_WORD: usize = 512;
/// Most octets of what it tells beside that, as JSON.
const MAX_DETAILS: usize = 4 * 1024;

/// A receipt as its fields have it.
fn read(route: &Route, fields: &RequestFields<'_>) -> Result<Receipt, FillError> {
    let receipt = Receipt {
        id: filled(route.id.as_ref(), fields)?.unwrap_or_default(),
        state: filled(route.state.as_ref(), fields)?.unwrap_or_default(),
        details: shapes(&route.details, fields)?,
        phone: filled(route.from.as_ref(), fields)?.unwrap_or_default(),
        sender: filled(route.to.as_ref(), fields)?.unwrap_or_default(),
    };
    within("the message's id", Some(&receipt.id), MAX_WORD)?;
    within("what the receipt says", Some(&receipt.state), MAX_WORD)?;
    within("the phone's address", Some(&receipt.phone), MAX_ADDRESS)?;
    within("our side's address", Some(&receipt.sender), MAX_ADDRESS)?;
    let details = Value::Object(receipt.details.clone()).to_string();
    within("what the receipt tells beside that", Some(&details), MAX_DETAILS)?;
    Ok(receipt)
}

impl<I: Intake> State<I> {
    /// Takes a request as a receipt, or as several.
    pub(super) async fn receipt(&self, route: &Route, request: &Request) -> Result<Response, Problem> {
        self.complete(route, request)?;
        let general = RequestFields::of(&self.config, request);
        let items = items(route, request)?;
        let each: Vec<_> = items.into_iter().map(|item| RequestFields { item, ..general.clone() }).collect();
        let response = route.response.fill(&general, &each).map_err(Problem::Response)?;
        let receipts = each.iter().map(|fields| read(route, fields)).collect::<Result<Vec<_>, _>>()?;
        let messages = self.messages_of(route.id_of, &receipts).await.map_err(|_| Problem::Unreadable)?;
        let (mut arrivals, mut aside) = (Vec::with_capacity(receipts.len()), Vec::new());
        for (receipt, message) in receipts.into_iter().zip(messages) {
            let Receipt { id, state, details, phone, sender } = receipt;
            let status = route.states.status(&state);
            if let Some(StoredMessage { origin, message, .. }) = message {
                arrivals.push(Arrival::Report { origin, message, status, announce: true, details });
                continue;
            }
            self.setup.log.warn("a receipt belongs to no message that is known; it is kept aside");
            aside.push(UnmatchedReceipt {
                id: MessageId::mint(),
                received_at: Timestamp::now(),
                smsc_message_id: id,
                text_message_id: None,
                phone,
                sender,
                status,
                details,
                text: state,
                candidates: Vec::new(),
            });
        }
        let dropped = self.oldest_aside(aside.len());
        arrivals.extend(dropped.iter().map(|name| Arrival::Note { name: name.clone(), record: None }));
        arrivals.extend(
            aside
                .iter()
                .map(|receipt| Arrival::Note { name: receipt.note(), record: serde_json::to_vec(receipt).ok() }),
        );
        self.setup.intake.arrived(&self.setup.id, arrivals).await?;
        self.kept_aside(&aside, &dropped);
        Ok(response)
    }

    /// The messages that receipts are for. The answers that say so of those that are not known may still be on their way:
    /// all of these are waited for together, until there is nothing left to wait for.
    async fn messages_of(&self, id_of: IdOf, receipts: &[Receipt]) -> Result<Vec<Option<StoredMessage>>, ReadError> {
        let mut earlier = self.under_way.earlier();
        let until = Instant::now() + PATIENCE;
        let answered = |found: &StoredMessage| !self.under_way.has(found.message.id);
        let look_up = async |receipt: &Receipt| self.look_up(id_of, receipt.id.trim()).await;
        let mut messages = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            messages.push(look_up(receipt).await?.filter(answered));
        }
        let mut over = false;
        while messages.iter().any(Option::is_none) {
            // What has been decided by now is stored when this is.
            let _ = self.setup.intake.arrived(&self.setup.id, Vec::new()).await;
            over |= earlier.is_empty();
            for (message, receipt) in messages.iter_mut().zip(receipts).filter(|(message, _)| message.is_none()) {
                *message = look_up(receipt).await?.filter(|found| over || answered(found));
            }
            if over {
                break;
            }
            over = messages.iter().any(Option::is_none) && timeout_at(until, earlier.one_ends()).await.is_err();
        }
        Ok(messages)
    }

    async fn look_up(&self, id_of: IdOf, id: &str) -> Result<Option<StoredMessage>, ReadError> {
        let (store, channel) = (&self.setup.store, &self.setup.id);
        match id_of {
            IdOf::Provider => store.correlate(channel, &[SmscMessageId(id.to_owned())]).await,
            IdOf::Message => match id.parse() {
                Ok(id) => {
                    let stored = store.message(std::slice::from_ref(channel), id).await?;
                    Ok(stored.filter(|stored| stored.message.channel == *channel))
                }
                Err(_) => Ok(None),
            },
        }
    }
}
