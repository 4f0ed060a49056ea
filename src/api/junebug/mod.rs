//! Junebug's HTTP API: channels, messages, logs (Junebug reference §2).

mod channels;
mod logs;
mod messages;
mod receipts;
mod schema;
pub(super) mod wire;

use hyper::Method;

use super::Api;
use crate::web::route::Route;

/// One row per endpoint.
pub(super) fn routes() -> Vec<Route<Api>> {
    vec![
        Route { method: Method::GET, pattern: "/channels", handler: channels::list },
        Route { method: Method::POST, pattern: "/channels", handler: channels::create },
        Route { method: Method::GET, pattern: "/channels/{channel}", handler: channels::show },
        Route { method: Method::POST, pattern: "/channels/{channel}", handler: channels::update },
        Route { method: Method::DELETE, pattern: "/channels/{channel}", handler: channels::delete },
        Route { method: Method::POST, pattern: "/channels/{channel}/restart", handler: channels::restart },
        Route { method: Method::POST, pattern: "/channels/{channel}/messages", handler: messages::create },
        Route { method: Method::GET, pattern: "/channels/{channel}/messages/{message}", handler: messages::show },
        Route { method: Method::GET, pattern: "/channels/{channel}/receipts", handler: receipts::list },
        Route { method: Method::POST, pattern: "/channels/{channel}/receipts/{receipt}", handler: receipts::assign },
        Route { method: Method::DELETE, pattern: "/channels/{channel}/receipts/{receipt}", handler: receipts::delete },
        Route { method: Method::GET, pattern: "/channels/{channel}/logs", handler: logs::show },
    ]
}
