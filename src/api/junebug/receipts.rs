//! The inbox of receipts that belong to no message that we know: list, give to a message, drop.

use hyper::StatusCode;
use serde_json::json;

use super::wire::envelope;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::gateway::GatewayError;
use crate::model::{ChannelId, JsonObject, MessageId};
use crate::web::Response;
use crate::web::route::{Answer, Request};

pub(super) fn list(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_list(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_list(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let receipts = api.gateway.unmatched_receipts(&ChannelId::from(request.param(0))).await?;
    Ok(envelope(StatusCode::OK, "unmatched receipts", &receipts))
}

pub(super) fn assign(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_assign(api, request).await.unwrap_or_else(Response::from) })
}

async fn do_assign(api: Api, request: Request) -> Result<Response, ApiError> {
    let (channel, receipt) = names(&request)?;
    let body = api.body(request).await?;
    let object: JsonObject = serde_json::from_slice(&body).map_err(|error| ApiError::NotJson(error.to_string()))?;
    let message = object.get("message_id").and_then(|id| id.as_str()).and_then(|id| id.parse().ok());
    let message = message
        .ok_or_else(|| ApiError::BadQuery("\"message_id\" must be the id of the message that it belongs to".into()))?;
    let receipt = api.gateway.match_receipt(&channel, receipt, message).await?;
    Ok(envelope(StatusCode::OK, "receipt matched", &receipt))
}

pub(super) fn delete(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_delete(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_delete(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let (channel, receipt) = names(request)?;
    api.gateway.drop_receipt(&channel, receipt).await?;
    Ok(envelope(StatusCode::OK, "receipt dropped", &json!({})))
}

fn names(request: &Request) -> Result<(ChannelId, MessageId), ApiError> {
    let receipt = request.param(1).parse().map_err(|_| GatewayError::ReceiptNotFound)?;
    Ok((ChannelId::from(request.param(0)), receipt))
}
