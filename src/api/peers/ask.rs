//! What every node has a part of: each other node is asked for its own, at once, and whoever does not answer in time is
//! left out, which is said.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::{BodyExt, Limited};
use hyper::header::{HeaderValue, WARNING};
use hyper::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::super::Api;
use super::{Peers, trust};
use crate::gateway::Gateway;
use crate::model::ChannelId;
use crate::store::Member;
use crate::telemetry::Label;
use crate::web::Response;
use crate::web::client::ClientError;

/// Most octets of a part.
const MAX_PART: usize = 8 * 1024 * 1024;
/// How long a node may take to tell its figures: whoever looks at a channel waits for it.
const FIGURES: Duration = Duration::from_secs(1);

/// How long other nodes may take to learn of a change, and to say so.
const LEARNT: Duration = Duration::from_secs(3);

/// What one node counts of a channel, a router or a destination; of all nodes together it is the sum.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in super::super) struct Figures {
    /// Each rate, in the order of [`Label::ALL`].
    pub(in super::super) rates: [f64; Label::ALL.len()],
    /// MTs that wait for the channel, if it is one.
    pub(in super::super) waiting: u64,
    /// MOs and events that are owed to its AMQP queue, if it is a channel that has one.
    pub(in super::super) owed: [u64; 2],
}

/// A part of an answer that is an envelope.
#[derive(Deserialize)]
struct Part<T> {
    result: T,
}

/// Why there is no part.
#[derive(Debug, thiserror::Error)]
enum NoPart {
    #[error("its URL is none: {0}")]
    Url(#[from] url::ParseError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("its answer is longer than {MAX_PART} octets, or was cut off")]
    Body,
    #[error("its answer cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("no answer within {} s", .0.as_secs())]
    TooSlow(Duration),
}

impl Figures {
    /// What this node counts.
    pub(super) fn of(gateway: &Gateway, id: &Arc<str>) -> Self {
        let depth = gateway.depth(&ChannelId(id.clone()));
        let length = gateway.queue_length(&ChannelId(id.clone())).unwrap_or_default();
        Self {
            rates: Label::ALL.map(|(label, _)| gateway.rate(id, label)),
            waiting: depth.waiting.saturating_sub(depth.in_hand),
            owed: [length.inbound, length.events],
        }
    }

    fn add(&mut self, other: &Self) {
        self.rates.iter_mut().zip(other.rates).for_each(|(sum, rate)| *sum += rate);
        self.owed.iter_mut().zip(other.owed).for_each(|(sum, owed)| *sum += owed);
        self.waiting += other.waiting;
    }
}

impl Api {
    /// What all nodes together count of something. What one that does not answer counts is missing.
    pub(in super::super) async fn figures(&self, id: &Arc<str>) -> Figures {
        let mut sum = Figures::of(&self.gateway, id);
        let path = format!("/nodes/own/figures/{}", utf8_percent_encode(id, NON_ALPHANUMERIC));
        let (parts, _) = self.ask_others::<Figures>(&Method::GET, &path, FIGURES).await;
        parts.iter().for_each(|(_, part)| sum.add(part));
        sum
    }

    /// Asks every other node the same: what each says, by its name, and the names of those that have not answered within that
    /// time. A node that is asked by another one asks nobody, and neither does one that is alone.
    pub(in super::super) async fn ask_others<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        time: Duration,
    ) -> (Vec<(String, T)>, Vec<String>) {
        let Some(peers) = &self.peers else { return Default::default() };
        let until = Instant::now() + time;
        let nodes = peers.whereabouts.others();
        let parts = join_all(nodes.iter().map(async |node| {
            let part = timeout_at(until, self.ask(peers, node, method, path, time)).await;
            part.unwrap_or(Err(NoPart::TooSlow(time)))
        }));
        let (mut parts, mut silent) = (parts.await, Vec::new());
        let mut said = Vec::new();
        for (node, part) in nodes.into_iter().zip(parts.drain(..)) {
            match part {
                Ok(part) => said.push((node.name, part)),
                Err(error) => {
                    tracing::warn!(node = node.name, path, %error, "a node has not told its part of an answer");
                    silent.push(node.name);
                }
            }
        }
        (said, silent)
    }

    /// Waits until all other nodes know what this one has changed, so that whoever has asked for it may go on with any of
    /// them; for those that do not answer, no longer than a moment.
    pub(in super::super) async fn others_learn(&self) {
        let path = format!("/nodes/own/knows/{}", self.gateway.revision());
        let _told = self.ask_others::<bool>(&Method::GET, &path, LEARNT).await;
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        peers: &Peers,
        node: &Member,
        method: &Method,
        path: &str,
        time: Duration,
    ) -> Result<T, NoPart> {
        let url = Url::parse(&format!("{}{path}", node.url))?;
        let headers = trust::shown(&node.key, &self.caller);
        let _place = peers.asking.acquire().await;
        let answer = peers.client.open(method.clone(), &url, headers, Default::default(), time).await?;
        if !answer.status().is_success() {
            return Err(NoPart::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_PART).collect().await.map_err(|_| NoPart::Body)?;
        Ok(serde_json::from_slice::<Part<T>>(&body.to_bytes())?.result)
    }
}

/// Says in an answer whose part of it is missing (RFC 7234 §5.5: a miscellaneous warning).
pub(in super::super) fn missing(answer: &mut Response, silent: &[String]) {
    for node in silent {
        // Names are those of hosts.
        if let Ok(warning) = HeaderValue::try_from(format!("199 - \"the node {node} has not told its part\"")) {
            answer.headers_mut().append(WARNING, warning);
        }
    }
}
