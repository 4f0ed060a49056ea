//! Delivery receipts out of requests, and the messages that they belong to. One that belongs to none is kept aside.

use std::time::Duration;

use super::message::{items, shapes};
use super::receive::{Problem, filled};
use super::route::{IdOf, Route};
use super::scope::{Request, RequestFields};
use super::state::State;
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

impl<I: Intake> State<I> {
    /// Takes a request as a receipt, or as several.
    pub(super) async fn receipt(&self, route: &Route, request: &Request) -> Result<Response, Problem> {
        self.complete(route, request)?;
        let general = RequestFields::of(&self.config, request);
        let items = items(route, request)?;
        let each: Vec<_> = items.into_iter().map(|item| RequestFields { item, ..general.clone() }).collect();
        let response = route.response.fill(&general, &each).map_err(Problem::Response)?;
        let mut receipts = Vec::with_capacity(each.len());
        for fields in &each {
            receipts.push(Receipt {
                id: filled(route.id.as_ref(), fields)?.unwrap_or_default(),
                state: filled(route.state.as_ref(), fields)?.unwrap_or_default(),
                details: shapes(&route.details, fields)?,
                phone: filled(route.from.as_ref(), fields)?.unwrap_or_default(),
                sender: filled(route.to.as_ref(), fields)?.unwrap_or_default(),
            });
        }
        let messages = self.messages_of(route.id_of, &receipts).await.map_err(|_| Problem::Unreadable)?;
        let mut arrivals = Vec::with_capacity(receipts.len());
        for (receipt, message) in receipts.into_iter().zip(messages) {
            let Receipt { id, state, details, phone, sender } = receipt;
            let status = route.states.status(&state);
            if let Some(StoredMessage { origin, message, .. }) = message {
                arrivals.push(Arrival::Report { origin, message, status, announce: true, details });
                continue;
            }
            self.setup.log.warn("a receipt belongs to no message that is known; it is kept aside");
            let receipt = UnmatchedReceipt {
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
            };
            arrivals.extend(self.keep_aside(&receipt));
        }
        self.setup.intake.arrived(&self.setup.id, arrivals).await?;
        Ok(response)
    }

    /// The messages that receipts are for. The answers that say so of those that are not known may still be on their way:
    /// all of these are waited for together.
    async fn messages_of(&self, id_of: IdOf, receipts: &[Receipt]) -> Result<Vec<Option<StoredMessage>>, ReadError> {
        let look_up = |receipt: &Receipt| self.look_up(id_of, receipt.id.trim());
        let mut messages = receipts.iter().map(look_up).collect::<Result<Vec<_>, _>>()?;
        if messages.iter().any(Option::is_none)
            && tokio::time::timeout(PATIENCE, self.under_way.earlier()).await.is_ok()
        {
            // What has been decided by now is stored when this is.
            let _ = self.setup.intake.arrived(&self.setup.id, Vec::new()).await;
            for (message, receipt) in messages.iter_mut().zip(receipts).filter(|(message, _)| message.is_none()) {
                *message = look_up(receipt)?;
            }
        }
        Ok(messages)
    }

    fn look_up(&self, id_of: IdOf, id: &str) -> Result<Option<StoredMessage>, ReadError> {
        let (store, channel) = (&self.setup.store, &self.setup.id);
        match id_of {
            IdOf::Provider => store.correlate(channel, &[SmscMessageId(id.to_owned())]),
            IdOf::Message => match id.parse() {
                Ok(id) => Ok(store.message(id)?.filter(|stored| stored.message.channel == *channel)),
                Err(_) => Ok(None),
            },
        }
    }
}
