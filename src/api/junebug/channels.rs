//! Channels: list, create, show, change, delete, restart (Junebug reference §2.1 to 2.6).

use hyper::StatusCode;
use serde_json::json;

use super::schema::{CHANNEL, CHANNEL_CHANGES};
use super::wire;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::model::{ChannelId, JsonObject};
use crate::web::Response;
use crate::web::route::{Answer, Request};

pub(super) fn list(api: Api, _: Request) -> Answer {
    Box::pin(async move {
        let mut channels = api.gateway.channels();
        channels.retain(|channel| api.caller.reaches(channel));
        wire::envelope(StatusCode::OK, "channels listed", &channels)
    })
}

pub(super) fn create(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_create(api, request).await.unwrap_or_else(Response::from) })
}

async fn do_create(api: Api, request: Request) -> Result<Response, ApiError> {
    let properties = own(CHANNEL.read(&api.body(request).await?)?);
    let channel = api.gateway.create_channel(properties).await?;
    Ok(wire::envelope(StatusCode::CREATED, "channel created", &wire::channel(&api, &channel).await?))
}

pub(super) fn show(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_show(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_show(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let channel = api.gateway.channel(&ChannelId::from(request.param(0)))?;
    Ok(wire::envelope(StatusCode::OK, "channel found", &wire::channel(api, &channel).await?))
}

pub(super) fn update(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_update(api, request).await.unwrap_or_else(Response::from) })
}

async fn do_update(api: Api, request: Request) -> Result<Response, ApiError> {
    let id = ChannelId::from(request.param(0));
    let changes = own(CHANNEL_CHANGES.read(&api.body(request).await?)?);
    if changes.contains_key("amqp_queue") {
        // It may be another channel's, whose messages would be read and sent here.
        api.caller.require_unlimited()?;
    }
    let channel = api.gateway.update_channel(&id, changes).await?;
    Ok(wire::envelope(StatusCode::OK, "channel updated", &wire::channel(&api, &channel).await?))
}

pub(super) fn delete(api: Api, request: Request) -> Answer {
    Box::pin(async move {
        match api.gateway.delete_channel(&ChannelId::from(request.param(0))).await {
            Ok(()) => wire::envelope(StatusCode::OK, "channel deleted", &json!({})),
            Err(error) => ApiError::from(error).into(),
        }
    })
}

pub(super) fn restart(api: Api, request: Request) -> Answer {
    Box::pin(async move {
        match api.gateway.restart_channel(&ChannelId::from(request.param(0))).await {
            Ok(()) => wire::envelope(StatusCode::OK, "channel restarted", &json!({})),
            Err(error) => ApiError::from(error).into(),
        }
    })
}

/// The properties without those that are ours to say.
fn own(mut properties: JsonObject) -> JsonObject {
    properties.remove("id");
    properties.remove("status");
    properties
}
