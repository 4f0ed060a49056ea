//! Delivery receipts out of requests, and the messages that they belong to. One that belongs to none is kept aside.

use std::time::Duration;

use super::message::{items, shapes};
use super::receive::{Problem, filled};
use super::route::{IdOf, Route};
use super::scope::{Request, RequestFields};
use super::state::State;
use crate::channel::{Arrival, Intake};
use crate::model::{MessageId, SmscMessageId, Timestamp, UnmatchedReceipt};
use crate::store::{ReadError, StoredMessage};
use crate::web::Response;

/// How long a receipt waits for the answer that may tell what it is for.
const PATIENCE: Duration = Duration::from_secs(10);

impl<I: Intake> State<I> {
    /// Takes a request as a receipt, or as several.
    pub(super) async fn receipt(&self, route: &Route, request: &Request) -> Result<Response, Problem> {
        self.complete(route, request)?;
        let general = RequestFields::of(&self.config, request);
        let items = items(route, request)?;
        let each: Vec<_> = items.into_iter().map(|item| RequestFields { item, ..general.clone() }).collect();
        let response = route.response.fill(&general, &each).map_err(Problem::Response)?;
        let mut arrivals = Vec::new();
        for fields in &each {
            let id = filled(route.id.as_ref(), fields)?.unwrap_or_default();
            let state = filled(route.state.as_ref(), fields)?.unwrap_or_default();
            let (status, details) = (route.states.status(&state), shapes(&route.details, fields)?);
            match self.message_of(route.id_of, id.trim()).await.map_err(|_| Problem::Unreadable)? {
                Some(StoredMessage { origin, message, .. }) => {
                    arrivals.push(Arrival::Report { origin, message, status, announce: true, details });
                }
                None => {
                    self.setup.log.warn("a receipt belongs to no message that is known; it is kept aside");
                    let receipt = UnmatchedReceipt {
                        id: MessageId::mint(),
                        received_at: Timestamp::now(),
                        smsc_message_id: id,
                        text_message_id: None,
                        phone: filled(route.from.as_ref(), fields)?.unwrap_or_default(),
                        sender: filled(route.to.as_ref(), fields)?.unwrap_or_default(),
                        status,
                        details,
                        text: state,
                        candidates: Vec::new(),
                    };
                    arrivals.extend(self.keep_aside(&receipt));
                }
            }
        }
        self.setup.intake.arrived(&self.setup.id, arrivals).await?;
        Ok(response)
    }

    /// The message that an id names. The answer that says so may still be on its way.
    async fn message_of(&self, id_of: IdOf, id: &str) -> Result<Option<StoredMessage>, ReadError> {
        if let Some(found) = self.look_up(id_of, id)? {
            return Ok(Some(found));
        }
        if tokio::time::timeout(PATIENCE, self.under_way.earlier()).await.is_err() {
            return Ok(None);
        }
        // What has been decided by now is stored when this is.
        let _ = self.setup.intake.arrived(&self.setup.id, Vec::new()).await;
        self.look_up(id_of, id)
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
