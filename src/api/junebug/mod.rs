//! Junebug's HTTP API: channels, routers, destinations, messages, logs (Junebug reference §2).

mod channels;
mod destinations;
mod failures;
mod logs;
mod messages;
mod queue;
mod receipts;
mod routers;
pub(super) mod schema;
mod search;
pub(super) mod wire;

use hyper::Method;

use self::failures::{OF_CHANNEL, OF_DESTINATION};
use super::Api;
use crate::web::route::{On, Route, Scope};

/// One row per endpoint.
pub(super) fn routes() -> Vec<Route<Api>> {
    vec![
        Route { method: Method::GET, pattern: "/channels", scope: Scope::Read, on: On::Any, handler: channels::list },
        Route {
            method: Method::POST,
            pattern: "/channels",
            scope: Scope::Admin,
            on: On::Leader,
            handler: channels::create,
        },
        Route {
            method: Method::GET,
            pattern: "/channels/{channel}",
            scope: Scope::Read,
            on: On::Channel,
            handler: channels::show,
        },
        Route {
            method: Method::POST,
            pattern: "/channels/{channel}",
            scope: Scope::Admin,
            on: On::Leader,
            handler: channels::update,
        },
        Route {
            method: Method::DELETE,
            pattern: "/channels/{channel}",
            scope: Scope::Admin,
            on: On::Leader,
            handler: channels::delete,
        },
        Route {
            method: Method::POST,
            pattern: "/channels/{channel}/restart",
            scope: Scope::Admin,
            on: On::Channel,
            handler: channels::restart,
        },
        Route {
            method: Method::POST,
            pattern: "/channels/{channel}/messages",
            scope: Scope::Send,
            on: On::Any,
            handler: messages::create,
        },
        Route { method: Method::GET, pattern: "/messages", scope: Scope::Read, on: On::Any, handler: search::list },
        Route {
            method: Method::GET,
            pattern: "/messages/export",
            scope: Scope::Read,
            on: On::Any,
            handler: search::export,
        },
        Route {
            method: Method::GET,
            pattern: "/channels/{channel}/messages",
            scope: Scope::Read,
            on: On::Any,
            handler: search::list,
        },
        Route {
            method: Method::GET,
            pattern: "/channels/{channel}/messages/export",
            scope: Scope::Read,
            on: On::Any,
            handler: search::export,
        },
        Route {
            method: Method::DELETE,
            pattern: "/channels/{channel}/messages",
            scope: Scope::Send,
            on: On::Channel,
            handler: messages::cancel_all,
        },
        Route {
            method: Method::GET,
            pattern: "/channels/{channel}/messages/{message}",
            scope: Scope::Read,
            on: On::Any,
            handler: messages::show,
        },
        Route {
            method: Method::GET,
            pattern: "/channels/{channel}/messages/{message}/logs",
            scope: Scope::Read,
            on: On::Any,
            handler: logs::message,
        },
        Route {
            method: Method::DELETE,
            pattern: "/channels/{channel}/messages/{message}",
            scope: Scope::Send,
            on: On::Channel,
            handler: messages::cancel,
        },
        Route {
            method: Method::GET,
            pattern: "/channels/{channel}/queue",
            scope: Scope::Read,
            on: On::Channel,
            handler: queue::show,
        },
        Route {
            method: Method::GET,
            pattern: "/channels/{channel}/receipts",
            scope: Scope::Read,
            on: On::Any,
            handler: receipts::list,
        },
        Route {
            method: Method::POST,
            pattern: "/channels/{channel}/receipts/{receipt}",
            scope: Scope::Admin,
            on: On::Channel,
            handler: receipts::assign,
        },
        Route {
            method: Method::DELETE,
            pattern: "/channels/{channel}/receipts/{receipt}",
            scope: Scope::Admin,
            on: On::Channel,
            handler: receipts::delete,
        },
        Route {
            method: Method::GET,
            pattern: "/channels/{channel}/logs",
            scope: Scope::Read,
            on: On::Any,
            handler: logs::channel,
        },
        Route { method: Method::GET, pattern: "/routers", scope: Scope::Read, on: On::Any, handler: routers::list },
        Route {
            method: Method::POST,
            pattern: "/routers",
            scope: Scope::Admin,
            on: On::Leader,
            handler: routers::create,
        },
        Route {
            method: Method::GET,
            pattern: "/routers/{router}",
            scope: Scope::Read,
            on: On::Any,
            handler: routers::show,
        },
        Route {
            method: Method::PUT,
            pattern: "/routers/{router}",
            scope: Scope::Admin,
            on: On::Leader,
            handler: routers::replace,
        },
        Route {
            method: Method::PATCH,
            pattern: "/routers/{router}",
            scope: Scope::Admin,
            on: On::Leader,
            handler: routers::update,
        },
        Route {
            method: Method::DELETE,
            pattern: "/routers/{router}",
            scope: Scope::Admin,
            on: On::Leader,
            handler: routers::delete,
        },
        Route {
            method: Method::GET,
            pattern: "/routers/{router}/logs",
            scope: Scope::Read,
            on: On::Any,
            handler: logs::router,
        },
        Route {
            method: Method::GET,
            pattern: "/routers/{router}/destinations",
            scope: Scope::Read,
            on: On::Any,
            handler: destinations::list,
        },
        Route {
            method: Method::POST,
            pattern: "/routers/{router}/destinations",
            scope: Scope::Admin,
            on: On::Leader,
            handler: destinations::create,
        },
        Route {
            method: Method::GET,
            pattern: "/routers/{router}/destinations/{destination}",
            scope: Scope::Read,
            on: On::Any,
            handler: destinations::show,
        },
        Route {
            method: Method::PUT,
            pattern: "/routers/{router}/destinations/{destination}",
            scope: Scope::Admin,
            on: On::Leader,
            handler: destinations::replace,
        },
        Route {
            method: Method::PATCH,
            pattern: "/routers/{router}/destinations/{destination}",
            scope: Scope::Admin,
            on: On::Leader,
            handler: destinations::update,
        },
        Route {
            method: Method::DELETE,
            pattern: "/routers/{router}/destinations/{destination}",
            scope: Scope::Admin,
            on: On::Leader,
            handler: destinations::delete,
        },
        Route {
            method: Method::POST,
            pattern: "/routers/{router}/destinations/{destination}/messages",
            scope: Scope::Send,
            on: On::Any,
            handler: messages::create_from_destination,
        },
        Route {
            method: Method::GET,
            pattern: "/routers/{router}/destinations/{destination}/messages/{message}",
            scope: Scope::Read,
            on: On::Any,
            handler: messages::show_of_destination,
        },
        Route {
            method: Method::GET,
            pattern: "/routers/{router}/destinations/{destination}/logs",
            scope: Scope::Read,
            on: On::Any,
            handler: logs::destination,
        },
        Route {
            method: Method::GET,
            pattern: "/channels/{channel}/failures",
            scope: Scope::Read,
            on: On::Queue,
            handler: failures::list::<OF_CHANNEL>,
        },
        Route {
            method: Method::DELETE,
            pattern: "/channels/{channel}/failures",
            scope: Scope::Admin,
            on: On::Queue,
            handler: failures::delete_all::<OF_CHANNEL>,
        },
        Route {
            method: Method::POST,
            pattern: "/channels/{channel}/failures/retry",
            scope: Scope::Admin,
            on: On::Queue,
            handler: failures::retry_all::<OF_CHANNEL>,
        },
        Route {
            method: Method::POST,
            pattern: "/channels/{channel}/failures/{failure}/retry",
            scope: Scope::Admin,
            on: On::Queue,
            handler: failures::retry::<OF_CHANNEL>,
        },
        Route {
            method: Method::DELETE,
            pattern: "/channels/{channel}/failures/{failure}",
            scope: Scope::Admin,
            on: On::Queue,
            handler: failures::delete::<OF_CHANNEL>,
        },
        Route {
            method: Method::GET,
            pattern: "/routers/{router}/destinations/{destination}/failures",
            scope: Scope::Read,
            on: On::Queue,
            handler: failures::list::<OF_DESTINATION>,
        },
        Route {
            method: Method::DELETE,
            pattern: "/routers/{router}/destinations/{destination}/failures",
            scope: Scope::Admin,
            on: On::Queue,
            handler: failures::delete_all::<OF_DESTINATION>,
        },
        Route {
            method: Method::POST,
            pattern: "/routers/{router}/destinations/{destination}/failures/retry",
            scope: Scope::Admin,
            on: On::Queue,
            handler: failures::retry_all::<OF_DESTINATION>,
        },
        Route {
            method: Method::POST,
            pattern: "/routers/{router}/destinations/{destination}/failures/{failure}/retry",
            scope: Scope::Admin,
            on: On::Queue,
            handler: failures::retry::<OF_DESTINATION>,
        },
        Route {
            method: Method::DELETE,
            pattern: "/routers/{router}/destinations/{destination}/failures/{failure}",
            scope: Scope::Admin,
            on: On::Queue,
            handler: failures::delete::<OF_DESTINATION>,
        },
    ]
}
