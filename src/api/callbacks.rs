//! Callbacks that were given up: what a receiver did not take stays here until somebody makes it again or forgets it.

use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Api;
use super::error::ApiError;
use super::junebug::wire::envelope;
use super::query::{cursor, limit, only};
use crate::gateway::Parked;
use crate::model::ChannelId;
use crate::store::{Page, Ticket};
use crate::web::Response;
use crate::web::route::{Answer, On, Request, Route, Scope};

pub(super) fn routes() -> Vec<Route<Api>> {
    vec![
        Route { method: Method::GET, pattern: "/callbacks", scope: Scope::Read, on: On::Any, handler: list },
        Route {
            method: Method::POST,
            pattern: "/callbacks/retry",
            scope: Scope::Admin,
            on: On::Any,
            handler: retry_all,
        },
        Route {
            method: Method::POST,
            pattern: "/callbacks/{callback}/retry",
            scope: Scope::Admin,
            on: On::Callback,
            handler: retry,
        },
        Route {
            method: Method::DELETE,
            pattern: "/callbacks/{callback}",
            scope: Scope::Admin,
            on: On::Callback,
            handler: delete,
        },
    ]
}

/// A page of them. Not a JSON value: the bodies are written as they are kept.
#[derive(Serialize)]
struct List<'a> {
    callbacks: &'a [Parked],
    cursor: Option<String>,
}

/// How many will be made again.
#[derive(Serialize, Deserialize)]
struct Retried {
    retried: usize,
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
    let mut count = api.gateway.revive_all(channel.as_ref()).await?;
    if !api.asked_by_node {
        let path = request.inner.uri().path_and_query().map_or("", |path| path.as_str());
        let (told, silent) = api.ask_others::<Retried>(&Method::POST, path, api.limits.time).await;
        count += told.iter().map(|(_, told)| told.retried).sum::<usize>();
        if !silent.is_empty() {
            return Err(ApiError::Partly { done: format!("{count} callbacks will be made again"), silent });
        }
    }
    Ok(envelope(StatusCode::OK, "callbacks will be made again", &Retried { retried: count }))
}

fn delete(api: Api, request: Request) -> Answer {
    Box::pin(async move {
        match api.gateway.forget_parked(request.param(0)).await {
            Ok(()) => envelope(StatusCode::OK, "callback forgotten", &json!({})),
            Err(error) => ApiError::from(error).into(),
        }
    })
}
