//! A router's destinations: list, create, show, replace, change, delete (Junebug reference §5).

use hyper::StatusCode;
use serde_json::json;

use super::schema::{DESTINATION, DESTINATION_CHANGES, Schema};
use super::wire;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::gateway::Edit;
use crate::model::{DestinationId, JsonObject, RouterId};
use crate::web::Response;
use crate::web::route::{Answer, Request};

pub(super) fn list(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_list(&api, &request).unwrap_or_else(Response::from) })
}

fn do_list(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let router = api.gateway.router(&router(request))?;
    let ids: Vec<&DestinationId> = router.destinations.keys().collect();
    Ok(wire::envelope(StatusCode::OK, "destinations retrieved", &ids))
}

pub(super) fn create(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_create(api, request).await.unwrap_or_else(Response::from) })
}

async fn do_create(api: Api, request: Request) -> Result<Response, ApiError> {
    let router = router(&request);
    let properties = DESTINATION.read(&api.body(request).await?)?;
    let destination = api.gateway.create_destination(&router, properties).await?;
    let shown = wire::destination(&api, &destination).await;
    Ok(wire::envelope(StatusCode::CREATED, "destination created", &shown))
}

pub(super) fn show(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_show(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_show(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let destination = api.gateway.destination(&router(request), &id(request))?;
    Ok(wire::envelope(StatusCode::OK, "destination found", &wire::destination(api, &destination).await))
}

pub(super) fn replace(api: Api, request: Request) -> Answer {
    Box::pin(async move { edit(api, request, &DESTINATION, Edit::Replace).await.unwrap_or_else(Response::from) })
}

pub(super) fn update(api: Api, request: Request) -> Answer {
    Box::pin(async move { edit(api, request, &DESTINATION_CHANGES, Edit::Merge).await.unwrap_or_else(Response::from) })
}

async fn edit(api: Api, request: Request, schema: &Schema, edit: fn(JsonObject) -> Edit) -> Result<Response, ApiError> {
    let (router, id) = (router(&request), id(&request));
    let properties = schema.read(&api.body(request).await?)?;
    let destination = api.gateway.edit_destination(&router, &id, edit(properties)).await?;
    Ok(wire::envelope(StatusCode::OK, "destination updated", &wire::destination(&api, &destination).await))
}

pub(super) fn delete(api: Api, request: Request) -> Answer {
    Box::pin(async move {
        match api.gateway.delete_destination(&router(&request), &id(&request)).await {
            Ok(()) => wire::envelope(StatusCode::OK, "destination deleted", &json!({})),
            Err(error) => ApiError::from(error).into(),
        }
    })
}

fn router(request: &Request) -> RouterId {
    RouterId::from(request.param(0))
}

fn id(request: &Request) -> DestinationId {
    DestinationId::from(request.param(1))
}
