//! Routers: list, create, show, replace, change, delete (Junebug reference §5).
//!
//! The seed calls the list `results`, the code `result`; it is `result`, as everywhere.

use hyper::StatusCode;
use serde_json::json;

use super::schema::{ROUTER, ROUTER_CHANGES, Schema};
use super::wire;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::gateway::Edit;
use crate::model::{JsonObject, RouterId};
use crate::web::Response;
use crate::web::route::{Answer, Request};

pub(super) fn list(api: Api, _: Request) -> Answer {
    Box::pin(async move { wire::envelope(StatusCode::OK, "routers retrieved", &api.gateway.routers()) })
}

pub(super) fn create(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_create(api, request).await.unwrap_or_else(Response::from) })
}

async fn do_create(api: Api, request: Request) -> Result<Response, ApiError> {
    let properties = ROUTER.read(&api.body(request).await?)?;
    let router = api.gateway.create_router(properties).await?;
    Ok(wire::envelope(StatusCode::CREATED, "router created", &wire::router(&api, &router).await))
}

pub(super) fn show(api: Api, request: Request) -> Answer {
    Box::pin(async move {
        match api.gateway.router(&id(&request)) {
            Ok(router) => wire::envelope(StatusCode::OK, "router found", &wire::router(&api, &router).await),
            Err(error) => ApiError::from(error).into(),
        }
    })
}

pub(super) fn replace(api: Api, request: Request) -> Answer {
    Box::pin(async move { edit(api, request, &ROUTER, Edit::Replace).await.unwrap_or_else(Response::from) })
}

pub(super) fn update(api: Api, request: Request) -> Answer {
    Box::pin(async move { edit(api, request, &ROUTER_CHANGES, Edit::Merge).await.unwrap_or_else(Response::from) })
}

async fn edit(api: Api, request: Request, schema: &Schema, edit: fn(JsonObject) -> Edit) -> Result<Response, ApiError> {
    let id = id(&request);
    let properties = schema.read(&api.body(request).await?)?;
    let router = api.gateway.edit_router(&id, edit(properties)).await?;
    Ok(wire::envelope(StatusCode::OK, "router updated", &wire::router(&api, &router).await))
}

pub(super) fn delete(api: Api, request: Request) -> Answer {
    Box::pin(async move {
        match api.gateway.delete_router(&id(&request)).await {
            Ok(()) => wire::envelope(StatusCode::OK, "router deleted", &json!({})),
            Err(error) => ApiError::from(error).into(),
        }
    })
}

fn id(request: &Request) -> RouterId {
    RouterId::from(request.param(0))
}
