//! Health: `/health` as Junebug has it, `/health/live` and `/health/ready` for whoever balances load.

use hyper::{Method, StatusCode};
use serde_json::json;

use super::Api;
use super::junebug::wire::envelope;
use crate::web::Response;
use crate::web::route::{Answer, Request, Route, Scope};

pub(super) fn routes() -> Vec<Route<Api>> {
    vec![
        Route { method: Method::GET, pattern: "/health", scope: Scope::Open, handler: health },
        Route { method: Method::GET, pattern: "/health/live", scope: Scope::Open, handler: live },
        Route { method: Method::GET, pattern: "/health/ready", scope: Scope::Open, handler: ready },
    ]
}

fn health(api: Api, _: Request) -> Answer {
    Box::pin(async move { answer(&api, StatusCode::INTERNAL_SERVER_ERROR) })
}

fn ready(api: Api, _: Request) -> Answer {
    Box::pin(async move { answer(&api, StatusCode::SERVICE_UNAVAILABLE) })
}

fn live(_: Api, _: Request) -> Answer {
    Box::pin(async { envelope(StatusCode::OK, "alive", &json!({})) })
}

fn answer(api: &Api, bad: StatusCode) -> Response {
    match api.gateway.health() {
        Ok(()) => envelope(StatusCode::OK, "health ok", &json!({})),
        Err(reason) => {
            let item = json!({"type": "StoreUnavailable", "message": reason.as_ref()});
            envelope(bad, "not ready", &json!({"errors": [item]}))
        }
    }
}
