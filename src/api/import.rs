//! Taking over what another server kept, object by object, under the ids that it had: `POST /import`.
//!
//! What an object is decides which node takes it: definitions are the leader's, messages those of whoever works for their
//! channel.

use hyper::{Method, StatusCode};
use serde_json::json;

use super::Api;
use super::error::ApiError;
use super::junebug::wire::envelope;
use super::peers::Turn;
use crate::gateway::Import;
use crate::store::Duty;
use crate::web::Response;
use crate::web::route::{Answer, On, Request, Route, Scope};

pub(super) fn routes() -> Vec<Route<Api>> {
    vec![Route { method: Method::POST, pattern: "/import", scope: Scope::Admin, on: On::Any, handler: import }]
}

fn import(api: Api, request: Request) -> Answer {
    Box::pin(async move { imported(&api, request).await.unwrap_or_else(Response::from) })
}

async fn imported(api: &Api, request: Request) -> Result<Response, ApiError> {
    let (body, request) = api.read(request).await?;
    let object: Import = serde_json::from_slice(&body).map_err(|error| match error.is_data() {
        true => ApiError::BadQuery(error.to_string()),
        false => ApiError::NotJson(error.to_string()),
    })?;
    if let (Some(peers), Some(duty)) = (&api.peers, duty(api, &object))
        && let Turn::Theirs(answer) = api.turn(peers, &duty, request).await?
    {
        return Ok(answer);
    }
    let outcome = api.gateway.import(object).await?;
    Ok(envelope(StatusCode::OK, "object imported", &json!({"outcome": outcome})))
}

/// What a node must have to take an object; nothing if there is no such channel, which any node can say.
fn duty(api: &Api, object: &Import) -> Option<Duty> {
    let channel = match object {
        Import::Channel { .. } | Import::Router { .. } | Import::Destination { .. } => return Some(Duty::Lead),
        Import::Inbound(message) => &message.channel,
        Import::Outbound { message, .. } => &message.channel,
    };
    api.gateway.channel(channel).is_ok().then(|| Duty::Channel(channel.clone()))
}
