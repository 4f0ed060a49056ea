//! Which nodes there are, and what each does: `GET /nodes`; and what nodes alone ask one another.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::super::Api;
use super::super::error::ApiError;
use super::super::junebug::wire::envelope;
use super::super::query::{limit, only};
use super::ask::{Figures, missing};
use super::forward::Undone;
use crate::model::ChannelId;
use crate::nodes::Where;
use crate::store::{Duty, Member};
use crate::web::route::{Answer, On, Request, Route, Scope};
use crate::web::{Response, client};

/// How long a node may take to say what it does.
const PATIENCE: Duration = Duration::from_secs(2);
/// Channels whose holders are asked for at a time.
const ASKED: usize = 32;

/// What every caller may be shown of nodes.
pub(in super::super) fn routes() -> Vec<Route<Api>> {
    vec![Route { method: Method::GET, pattern: "/nodes", scope: Scope::Read, on: On::Any, handler: list }]
}

/// What one node tells another: anybody else finds nothing under these paths.
pub(in super::super) fn between() -> Vec<Route<Api>> {
    let row = |pattern, handler| Route { method: Method::GET, pattern, scope: Scope::Read, on: On::Any, handler };
    vec![
        row("/nodes/own/figures/{id}", figures),
        row("/nodes/own/duties", duties),
        row("/nodes/own/knows/{revision}", knows),
    ]
}

/// What a node does, as far as it is known.
#[derive(Serialize, Deserialize)]
struct Load {
    leads: bool,
    channels: usize,
}

#[derive(Serialize)]
struct Node<'a> {
    name: &'a str,
    url: String,
    version: &'a str,
    draining: bool,
    /// Nothing where it does not say so.
    leads: Option<bool>,
    channels: Option<usize>,
}

#[derive(Serialize)]
struct Held {
    id: ChannelId,
    /// Nothing while no node has it.
    node: Option<String>,
}

fn list(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_list(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_list(api: &Api, request: &Request) -> Result<Response, ApiError> {
    only(request, &["limit", "cursor"])?;
    let (after, limit) = (request.query("cursor").map(|id| ChannelId::from(id.as_str())), limit(request)?);
    let Some(peers) = &api.peers else {
        return Ok(envelope(StatusCode::OK, "nodes listed", &json!({"nodes": [], "channels": [], "cursor": null})));
    };
    let (loads, silent) = api.ask_others::<Load>(&Method::GET, "/nodes/own/duties", PATIENCE).await;
    let own = peers.whereabouts.own();
    let own_load = load(api);
    let others = peers.whereabouts.others();
    let shown = |member: &Member| {
        let is_own = own.as_ref().is_some_and(|own| own.id == member.id);
        let load = if is_own { own_load.as_ref() } else { None };
        let load = load.or_else(|| loads.iter().find(|(name, _)| *name == member.name).map(|(_, load)| load));
        json!(Node {
            name: &member.name,
            url: without_userinfo(&member.url),
            version: &member.version,
            draining: member.draining,
            leads: load.map(|load| load.leads),
            channels: load.map(|load| load.channels),
        })
    };
    let mut nodes: Vec<&Member> = own.iter().chain(&others).collect();
    nodes.sort_by(|one, other| one.name.cmp(&other.name));
    let nodes: Vec<_> = nodes.into_iter().map(shown).collect();
    let mut channels: Vec<ChannelId> = api.gateway.channels();
    channels.retain(|channel| after.as_ref().is_none_or(|after| channel > after));
    let more = channels.len() > limit;
    channels.truncate(limit);
    let next = channels.last().filter(|_| more).cloned();
    let held = stream::iter(channels).map(async |id| {
        let duty = Duty::Channel(id.clone());
        let node = match peers.whereabouts.of(&duty).await {
            Ok(Where::Here) => own.as_ref().map(|own| own.name.clone()),
            Ok(Where::There(member)) => Some(member.name),
            Ok(Where::Nowhere) => None,
            Err(error) => return Err(Undone::Unknown { duty, why: error.to_string() }),
        };
        Ok(Held { id, node })
    });
    let held: Vec<Held> = held.buffered(ASKED).try_collect().await?;
    let mut answer =
        envelope(StatusCode::OK, "nodes listed", &json!({"nodes": nodes, "channels": held, "cursor": next}));
    missing(&mut answer, &silent);
    Ok(answer)
}

/// A URL as it may be shown: a proxy in front of a node may ask for a password.
fn without_userinfo(url: &str) -> String {
    let shown = Url::parse(url).map(|url| client::without_userinfo(&url).to_string());
    shown.map_or_else(|_| String::new(), |url| url.trim_end_matches('/').to_owned())
}

/// What this node does.
fn load(api: &Api) -> Option<Load> {
    let duties = api.peers.as_ref()?.whereabouts.duties();
    let leads = duties.contains(&Duty::Lead);
    Some(Load { leads, channels: duties.len() - usize::from(leads) })
}

fn duties(api: Api, _: Request) -> Answer {
    Box::pin(async move { envelope(StatusCode::OK, "what this node does", &load(&api)) })
}

fn figures(api: Api, request: Request) -> Answer {
    Box::pin(async move {
        let figures = Figures::of(&api.gateway, &Arc::from(request.param(0)));
        envelope(StatusCode::OK, "what this node counts", &figures)
    })
}

fn knows(api: Api, request: Request) -> Answer {
    Box::pin(async move {
        let Ok(revision) = request.param(0).parse() else { return ApiError::NoPath.into() };
        envelope(StatusCode::OK, "whether this node knows it", &api.learns(revision).await)
    })
}
