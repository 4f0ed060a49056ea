//! How much waits for and from a channel (Junebug reference §9, goal 6).

use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;
use tokio::time::timeout;

use super::wire::envelope;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::model::{ChannelId, JsonObject, QueueOwner};
use crate::store::QueueLength;
use crate::web::Response;
use crate::web::route::{Answer, Request};

/// How long RabbitMQ may take to say how many messages could not be sent.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn show(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_show(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_show(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let channel = ChannelId::from(request.param(0));
    let length = api.gateway.queue_length(&channel)?;
    let QueueLength { by_priority, scheduled, in_hand, mut inbound, mut events } = length;
    if api.gateway.channel(&channel)?.amqp_queue().is_some() {
        // What is owed to it may be other channels' too, of which other nodes have some.
        [inbound, events] = api.figures(&channel.0).await.owed;
    }
    let waiting: u64 = by_priority.iter().sum();
    let by_priority: JsonObject =
        (1_u8..).zip(by_priority).map(|(priority, waiting)| (priority.to_string(), json!(waiting))).collect();
    let total = waiting + scheduled;
    let outbound = json!({"total": total, "by_priority": by_priority, "scheduled": scheduled, "in_hand": in_hand});
    let counted = timeout(PATIENCE, api.gateway.count_failures(&QueueOwner::Channel(channel))).await;
    let failures = counted.ok().flatten();
    let result = json!({"outbound": outbound, "inbound": inbound, "events": events, "failures": failures});
    Ok(envelope(StatusCode::OK, "queue length", &result))
}
