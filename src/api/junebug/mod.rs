//! Junebug's HTTP API: channels, messages, logs (Junebug reference §2).

mod channels;
mod logs;
mod messages;
mod receipts;
pub(super) mod schema;
pub(super) mod wire;

use hyper::Method;

use super::Api;
use crate::web::route::{Route, Scope};

/// One row per endpoint.
pub(super) fn routes() -> Vec<Route<Api>> {
    vec![
        Route { method: Method::GET, pattern: "/channels", scope: Scope::Read, handler: channels::list },
        Route { method: Method::POST, pattern: "/channels", scope: Scope::Admin, handler: channels::create },
        Route { method: Method::GET, pattern: "/channels/{channel}", scope: Scope::Read, handler: channels::show },
        Route { method: Method::POST, pattern: "/channels/{channel}", scope: Scope::Admin, handler: channels::update },
        Route {
            method: Method::DELETE,
            pattern: "/channels/{channel}",
            scope: Scope::Admin,
            handler: channels::delete,
        },
        Route {
            method: Method::POST,
            pattern: "/channels/{channel}/restart",
            scope: Scope::Admin,
            handler: channels::restart,
        },
        Route {
            method: Method::POST,
            pattern: "/channels/{channel}/messages",
            scope: Scope::Send,
            handler: messages::create,
        },
        Route {
            method: Method::GET,
            pattern: "/channels/{channel}/messages/{message}",
            scope: Scope::Read,
            handler: messages::show,
        },
        Route {
            method: Method::GET,
            pattern: "/channels/{channel}/receipts",
            scope: Scope::Read,
            handler: receipts::list,
        },
        Route {
            method: Method::POST,
            pattern: "/channels/{channel}/receipts/{receipt}",
            scope: Scope::Admin,
            handler: receipts::assign,
        },
        Route {
            method: Method::DELETE,
            pattern: "/channels/{channel}/receipts/{receipt}",
            scope: Scope::Admin,
            handler: receipts::delete,
        },
        Route { method: Method::GET, pattern: "/channels/{channel}/logs", scope: Scope::Read, handler: logs::show },
    ]
}
