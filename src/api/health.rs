//! Health: `/health` as Junebug has it, with the queues of a RabbitMQ if it may ask for them (Junebug reference §7);
//! `/health/live` and `/health/ready` for whoever balances load.
//!
//! Anybody learns whether all is well; which channels and queues there are, and what ails the store, is for those who may
//! look.

use std::sync::Arc;

use hyper::header::AGE;
use hyper::{Method, StatusCode};
use serde_json::json;

use super::Api;
use super::error::ApiError;
use super::guard::Caller;
use super::junebug::wire::envelope;
use crate::web::Response;
use crate::web::management::{ManagementError, QueueState};
use crate::web::route::{Answer, On, Request, Route, Scope};

/// Why, for whoever may not know how the disk is.
const NOT_READY: &str = "the store takes nothing, or not everything; credentials with the scope 'read' are told why";

pub(super) fn routes() -> Vec<Route<Api>> {
    vec![
        Route { method: Method::GET, pattern: "/health", scope: Scope::Glance, on: On::Any, handler: health },
        Route { method: Method::GET, pattern: "/health/live", scope: Scope::Open, on: On::Any, handler: live },
        Route { method: Method::GET, pattern: "/health/ready", scope: Scope::Glance, on: On::Any, handler: ready },
    ]
}

fn health(api: Api, _: Request) -> Answer {
    Box::pin(async move {
        let Some(management) = api.management.as_ref().filter(|_| ailment(&api).is_none()) else {
            return answer(&api, StatusCode::INTERNAL_SERVER_ERROR);
        };
        let Some((seen, age)) = management.queues(|| queues(&api)).await else {
            return ApiError::Overloaded.into();
        };
        let mut answer = verdict(&seen, matches!(api.caller, Caller::Stranger));
        // RFC 9111 §5.1.
        answer.headers_mut().insert(AGE, age.as_secs().into());
        answer
    })
}

fn verdict(seen: &Result<Vec<QueueState>, ManagementError>, stranger: bool) -> Response {
    match seen {
        Ok(states) => {
            let (status, description) = if states.iter().any(|state| state.stuck) {
                (StatusCode::INTERNAL_SERVER_ERROR, "queues stuck")
            } else {
                (StatusCode::OK, "queues ok")
            };
            if stranger { envelope(status, description, &json!({})) } else { envelope(status, description, states) }
        }
        Err(_) if stranger => ApiError::Unseen.into(),
        Err(error) => ApiError::Management(error.to_string()).into(),
    }
}

/// The queues of every channel, then of every router's destinations: Junebug's, named by the id, and the application's.
fn queues(api: &Api) -> Vec<String> {
    let mut owners: Vec<String> = Vec::new();
    for channel in api.gateway.channels().iter().filter_map(|id| api.gateway.channel(id).ok()) {
        owners.extend([channel.id.to_string()].into_iter().chain(channel.amqp_queue().map(ToOwned::to_owned)));
    }
    for router in api.gateway.routers().iter().filter_map(|id| api.gateway.router(id).ok()) {
        for (id, destination) in &router.destinations {
            owners.extend([id.to_string()].into_iter().chain(destination.amqp_queue().map(ToOwned::to_owned)));
        }
    }
    let names = owners.iter().flat_map(|owner| ["inbound", "outbound", "event"].map(|kind| format!("{owner}.{kind}")));
    names.collect()
}

fn ready(api: Api, _: Request) -> Answer {
    Box::pin(async move { answer(&api, StatusCode::SERVICE_UNAVAILABLE) })
}

fn live(_: Api, _: Request) -> Answer {
    Box::pin(async { envelope(StatusCode::OK, "alive", &json!({})) })
}

/// Why not all is well, or no more requests should come to this node; and what strangers are told of it.
fn ailment(api: &Api) -> Option<(Arc<str>, &'static str)> {
    if let Err(reason) = api.gateway.health() {
        return Some((reason, NOT_READY));
    }
    let complaint = api.peers.as_ref()?.whereabouts.complaint()?;
    Some((complaint.into(), complaint))
}

fn answer(api: &Api, bad: StatusCode) -> Response {
    let Some((reason, told)) = ailment(api) else { return envelope(StatusCode::OK, "health ok", &json!({})) };
    let stranger = matches!(api.caller, Caller::Stranger);
    let item = json!({"type": "StoreUnavailable", "message": if stranger { told } else { &*reason }});
    envelope(bad, "not ready", &json!({"errors": [item]}))
}
