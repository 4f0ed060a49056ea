//! Callbacks that were given up: what a receiver did not take stays here until somebody makes it again or forgets it.

use hyper::{Method, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::Api;
use super::error::ApiError;
use super::junebug::wire::envelope;
use super::query::{cursor, limit, only};
use crate::gateway::Parked;
use crate::model::ChannelId;
use crate::store::{Page, Ticket};
use crate::web::Response;
use crate::web::route::{Answer, Request, Route, Scope};

pub(super) fn routes() -> Vec<Route<Api>> {
    vec![
        Route { method: Method::GET, pattern: "/callbacks", scope: Scope::Read, handler: list },
        Route { method: Method::POST, pattern: "/callbacks/retry", scope: Scope::Admin, handler: retry_all },
        Route { method: Method::POST, pattern: "/callbacks/{callback}/retry", scope: Scope::Admin, handler: retry },
        Route { method: Method::DELETE, pattern: "/callbacks/{callback}", scope: Scope::Admin, handler: delete },
    ]
}

/// A page of them. Not a JSON value: the bodies are written as they are kept.
#[derive(Serialize)]
struct List<'a> {
    callbacks: &'a [Parked],
    cursor: Option<String>,
}

fn list(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_list(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_list(api: &Api, request: &Request) -> Result<Response, ApiError> {
    only(request, &["limit", "cursor"])?;
    let answer = |page: Page<Parked, Ticket>| {
        let list = List { callbacks: &page.found, cursor: page.next.map(|ticket| ticket.to_string()) };
        envelope(StatusCode::OK, "callbacks retrieved", &list)
    };
    Ok(api.gateway.parked(cursor(request)?, limit(request)?, answer).await?)
}

fn retry(api: Api, request: Request) -> Answer {
    Box::pin(async move {
        match api.gateway.revive(request.param(0)).await {
            Ok(callback) => envelope(StatusCode::OK, "callback will be made again", &callback),
            Err(error) => ApiError::from(error).into(),
        }
    })
}

fn retry_all(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_retry_all(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_retry_all(api: &Api, request: &Request) -> Result<Response, ApiError> {
    only(request, &["channel"])?;
    let channel = request.query("channel").map(|channel| ChannelId::from(channel.as_str()));
    let count = api.gateway.revive_all(channel.as_ref()).await?;
    Ok(envelope(StatusCode::OK, "callbacks will be made again", &json!({"retried": count})))
}

fn delete(api: Api, request: Request) -> Answer {
    Box::pin(async move {
        match api.gateway.forget_parked(request.param(0)).await {
            Ok(()) => envelope(StatusCode::OK, "callback forgotten", &json!({})),
            Err(error) => ApiError::from(error).into(),
        }
    })
}
