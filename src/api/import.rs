//! Taking over what another server kept, object by object, under the ids that it had: `POST /import`.

use hyper::{Method, StatusCode};
use serde_json::json;

use super::Api;
use super::error::ApiError;
use super::junebug::wire::envelope;
use crate::gateway::Import;
use crate::web::Response;
use crate::web::route::{Answer, Request, Route, Scope};

pub(super) fn routes() -> Vec<Route<Api>> {
    vec![Route { method: Method::POST, pattern: "/import", scope: Scope::Admin, handler: import }]
}

fn import(api: Api, request: Request) -> Answer {
    Box::pin(async move { imported(&api, request).await.unwrap_or_else(Response::from) })
}

async fn imported(api: &Api, request: Request) -> Result<Response, ApiError> {
    let body = api.body(request).await?;
    let object: Import = serde_json::from_slice(&body).map_err(|error| match error.is_data() {
        true => ApiError::BadQuery(error.to_string()),
        false => ApiError::NotJson(error.to_string()),
    })?;
    let outcome = api.gateway.import(object).await?;
    Ok(envelope(StatusCode::OK, "object imported", &json!({"outcome": outcome})))
}
