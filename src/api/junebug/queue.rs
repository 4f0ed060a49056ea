//! How much waits for and from a channel (Junebug reference §9, goal 6).

use hyper::StatusCode;
use serde_json::json;

use super::wire::envelope;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::model::{ChannelId, JsonObject};
use crate::store::QueueLength;
use crate::web::Response;
use crate::web::route::{Answer, Request};

pub(super) fn show(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_show(&api, &request).unwrap_or_else(Response::from) })
}

fn do_show(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let length = api.gateway.queue_length(&ChannelId::from(request.param(0)))?;
    let QueueLength { by_priority, scheduled, in_hand, inbound, events } = length;
    let waiting: u64 = by_priority.iter().sum();
    let by_priority: JsonObject =
        (1_u8..).zip(by_priority).map(|(priority, waiting)| (priority.to_string(), json!(waiting))).collect();
    let total = waiting + scheduled;
    let outbound = json!({"total": total, "by_priority": by_priority, "scheduled": scheduled, "in_hand": in_hand});
    let result = json!({"outbound": outbound, "inbound": inbound, "events": events});
    Ok(envelope(StatusCode::OK, "queue length", &result))
}
