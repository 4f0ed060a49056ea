//! What applications put into AMQP queues and could not be sent: list, send again, delete. The same for a channel's queue
//! and for a destination's.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::wire::envelope;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::query::{cursor, limit, only};
use crate::gateway::{FailedMessage, FailedMessages};
use crate::model::{ChannelId, DestinationId, QueueOwner, RouterId};
use crate::web::Response;
use crate::web::route::{Answer, Request};

/// Parts of a path that name a channel.
pub(super) const OF_CHANNEL: usize = 1;
/// Parts of a path that name a destination, behind which its failures' names are.
pub(super) const OF_DESTINATION: usize = 2;

/// A page of them.
#[derive(Serialize)]
struct List<'a> {
    failures: &'a [FailedMessage],
    total: u32,
    cursor: Option<String>,
}

fn owner<const PARTS: usize>(request: &Request) -> QueueOwner {
    if PARTS == OF_DESTINATION {
        return QueueOwner::Destination(RouterId::from(request.param(0)), DestinationId::from(request.param(1)));
    }
    QueueOwner::Channel(ChannelId::from(request.param(0)))
}

pub(super) fn list<const PARTS: usize>(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_list::<PARTS>(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_list<const PARTS: usize>(api: &Api, request: &Request) -> Result<Response, ApiError> {
    only(request, &["limit", "cursor"])?;
    let page = api.gateway.failures(&owner::<PARTS>(request), cursor(request)?, limit(request)?).await?;
    let FailedMessages { found, total, next } = page;
    let list = List { failures: &found, total, cursor: next.map(|id| id.to_string()) };
    Ok(envelope(StatusCode::OK, "failures retrieved", &list))
}

pub(super) fn retry<const PARTS: usize>(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_retry::<PARTS>(api, request).await.unwrap_or_else(Response::from) })
}

async fn do_retry<const PARTS: usize>(api: Api, request: Request) -> Result<Response, ApiError> {
    let (owner, id) = (owner::<PARTS>(&request), request.param(PARTS).to_owned());
    let body = api.body(request).await?;
    let corrected = Some(&*body).filter(|body| !body.is_empty());
    let failure = api.gateway.retry_failure(&owner, &id, corrected).await?;
    Ok(envelope(StatusCode::OK, "message is in its queue again", &failure))
}

pub(super) fn retry_all<const PARTS: usize>(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_retry_all::<PARTS>(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_retry_all<const PARTS: usize>(api: &Api, request: &Request) -> Result<Response, ApiError> {
    only(request, &[])?;
    let count = api.gateway.retry_failures(&owner::<PARTS>(request)).await?;
    Ok(envelope(StatusCode::OK, "messages are in their queue again", &json!({"retried": count})))
}

pub(super) fn delete<const PARTS: usize>(api: Api, request: Request) -> Answer {
    Box::pin(async move {
        match api.gateway.delete_failure(&owner::<PARTS>(&request), request.param(PARTS)).await {
            Ok(()) => envelope(StatusCode::OK, "failure deleted", &json!({})),
            Err(error) => ApiError::from(error).into(),
        }
    })
}

pub(super) fn delete_all<const PARTS: usize>(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_delete_all::<PARTS>(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_delete_all<const PARTS: usize>(api: &Api, request: &Request) -> Result<Response, ApiError> {
    only(request, &[])?;
    let count = api.gateway.delete_failures(&owner::<PARTS>(request)).await?;
    Ok(envelope(StatusCode::OK, "failures deleted", &json!({"deleted": count})))
}
