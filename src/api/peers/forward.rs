//! A request whose duty another node has, passed on to that node, and its answer passed back.
//!
//! Where a duty is done may change at any time, and for a moment nobody may do it: so it is looked at again until somebody
//! has answered, or too much time has gone.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER, WARNING};
use hyper::http::request::Parts;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::super::Api;
use super::super::error::ApiError;
use super::{Peers, trust};
use crate::model::{ChannelId, DestinationId, QueueOwner, RouterId};
use crate::nodes::Where;
use crate::store::{Duty, Member};
use crate::web::Response;
use crate::web::body::{self, Asked};
use crate::web::client::ClientError;
use crate::web::route::{On, Request, Route};
use crate::web::stream::{Body, CutOff, Pieces};

/// How long somebody may be looked for who does what is asked, and from one look to the next.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(100);
/// How long a node may take to answer what can be asked again.
const LOOK: Duration = Duration::from_secs(10);
/// How long this node may take to learn of a change that another one has made for it.
const LEARNT: Duration = Duration::from_secs(2);
/// How long nothing may come of an answer.
const STALL: Duration = Duration::from_secs(30);

/// What of a request is passed on, beside its method, path and body.
const ASKED: [HeaderName; 2] = [CONTENT_TYPE, CONTENT_ENCODING];
/// What of an answer is, beside its status and body.
const ANSWERED: [HeaderName; 3] = [CONTENT_TYPE, RETRY_AFTER, WARNING];

/// Whose turn it is.
pub(in super::super) enum Turn {
    /// This node's.
    Ours(Request),
    /// Another one's, which has answered.
    Theirs(Response),
}

/// Why nobody did what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// It is another node's, and was asked by a node, which looks again.
    #[error("{0} is not at this node")]
    Misdirected(Duty),
    /// No node has it.
    #[error(
        "no node has {duty} at present{}: another one takes it within 15 s",
        .last.as_ref().map(|last| format!("; {last} had it last")).unwrap_or_default()
    )]
    Nobody {
        /// What.
        duty: Duty,
        /// The node that had it last, if that is known.
        last: Option<String>,
    },
    /// The node that has it cannot be asked.
    #[error(
        "{duty} is at the node {node}, which cannot be reached: {why}; if it does not come back, another one takes over \
         within 15 s"
    )]
    Unreached {
        /// What.
        duty: Duty,
        /// What the node is called.
        node: String,
        /// Why.
        why: String,
    },
    /// The node that has it was asked and has not answered.
    #[error(
        "{duty} is at the node {node}, which was asked and has not answered: {why}; look whether it has been done before \
         you ask again"
    )]
    Unanswered {
        /// What.
        duty: Duty,
        /// What the node is called.
        node: String,
        /// Why.
        why: String,
    },
    /// Nobody says who has it.
    #[error("Redis does not say which node has {duty}: {why}")]
    Unknown {
        /// What.
        duty: Duty,
        /// Why.
        why: String,
    },
}

impl Api {
    /// What a node must have to answer a row; `None` if nothing, or if there is no such thing, which any node can say.
    pub(in super::super) fn duty(&self, row: &Route<Self>, params: &[String]) -> Option<Duty> {
        let first = params.first().map_or("", String::as_str);
        let channel = match row.on {
            On::Any => None,
            On::Leader => return Some(Duty::Lead),
            On::Channel => Some(ChannelId::from(first)).filter(|channel| self.gateway.channel(channel).is_ok()),
            On::Callback => self.gateway.channel_of_callback(first),
            On::Queue => self.gateway.read_with(&owner(row.pattern, params)),
        };
        channel.map(Duty::Channel)
    }

    /// Finds out whose turn a request is. If it is another node's, that one has answered it.
    pub(in super::super) async fn turn(&self, peers: &Peers, duty: &Duty, request: Request) -> Result<Turn, ApiError> {
        let Request { inner, params } = request;
        let (head, mut body) = inner.into_parts();
        let since = Instant::now();
        let mut last = None;
        let undone = loop {
            let undone = match peers.whereabouts.of(duty).await {
                Ok(Where::Here) if self.works_for(duty) => {
                    return Ok(Turn::Ours(Request { inner: hyper::Request::from_parts(head, body), params }));
                }
                _ if self.asked_by_node => return Err(Undone::Misdirected(duty.clone()).into()),
                Ok(Where::There(node)) => {
                    let whole = body::read_asked(body, self.limits.body, self.limits.body_time).await?;
                    let passed = self.pass_on(peers, duty, &node, &head, whole.clone()).await;
                    body = Asked::Whole(whole);
                    match passed {
                        // One that does not know us does not have the key that it is said to have: it began anew.
                        Ok(answer)
                            if [StatusCode::MISDIRECTED_REQUEST, StatusCode::UNAUTHORIZED]
                                .contains(&answer.status()) =>
                        {
                            Undone::Nobody { duty: duty.clone(), last: Some(last.insert(node.name).clone()) }
                        }
                        Ok(answer) => return Ok(Turn::Theirs(self.passed_back(answer).await)),
                        Err(undone @ Undone::Unreached { .. }) => undone,
                        Err(undone) => return Err(undone.into()),
                    }
                }
                Ok(Where::Here | Where::Nowhere) => Undone::Nobody { duty: duty.clone(), last: last.clone() },
                Err(error) => Undone::Unknown { duty: duty.clone(), why: error.to_string() },
            };
            if since.elapsed() > PATIENCE {
                break undone;
            }
            sleep(AGAIN).await;
        };
        Err(undone.into())
    }

    /// Whether what this node has is at work: one that has just come is about to.
    fn works_for(&self, duty: &Duty) -> bool {
        match duty {
            Duty::Lead => true,
            // What is left of one that was deleted needs nothing that runs.
            Duty::Channel(channel) => self.gateway.runs(channel) || self.gateway.channel(channel).is_err(),
        }
    }

    /// Passes a request on.
    async fn pass_on(
        &self,
        peers: &Peers,
        duty: &Duty,
        node: &Member,
        head: &Parts,
        body: Bytes,
    ) -> Result<hyper::Response<Incoming>, Undone> {
        let unreached = |why: String| Undone::Unreached { duty: duty.clone(), node: node.name.clone(), why };
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = Url::parse(&format!("{}{path}", node.url)).map_err(|error| unreached(error.to_string()))?;
        let mut headers = trust::shown(&node.key, &self.caller);
        for name in ASKED {
            headers.extend(head.headers.get(&name).map(|value| (name, value.clone())));
        }
        let repeatable = head.method.is_safe();
        let time = if repeatable { LOOK } else { self.limits.time };
        let _place = peers.passing.acquire().await;
        match peers.client.open(head.method.clone(), &url, headers, body, time).await {
            Ok(answer) => Ok(answer),
            Err(error @ (ClientError::NotSent(_) | ClientError::BadUrl(_))) => Err(unreached(error.to_string())),
            Err(error) if repeatable => Err(unreached(error.to_string())),
            Err(error) => {
                Err(Undone::Unanswered { duty: duty.clone(), node: node.name.clone(), why: error.to_string() })
            }
        }
    }

    /// Passes an answer back, once this node knows what the other one has changed.
    async fn passed_back(&self, answer: hyper::Response<Incoming>) -> Response {
        let (head, incoming) = answer.into_parts();
        let revision = head.headers.get(trust::REVISION).and_then(|revision| revision.to_str().ok()?.parse().ok());
        if let Some(revision) = revision {
            self.learns(revision).await;
        }
        let (pieces, body) = Body::stream();
        tokio::spawn(relay(incoming, pieces));
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        for name in ANSWERED {
            response.headers_mut().extend(head.headers.get(&name).map(|value| (name, value.clone())));
        }
        response
    }

    /// Waits until this node knows a revision; whether it does.
    pub(super) async fn learns(&self, revision: u64) -> bool {
        let Some(peers) = &self.peers else { return true };
        let known = peers.whereabouts.knows(revision, LEARNT).await;
        if !known {
            tracing::warn!(revision, "what another node was asked to change is not known here yet");
        }
        known
    }
}

/// Tells the node that was asked which revision is to be known by whoever is to see what has been done.
pub(in super::super) fn tell_revision(answer: &mut Response, revision: u64) {
    answer.headers_mut().insert(trust::REVISION, revision.into());
}

/// Whose queue a row is about.
fn owner(pattern: &str, params: &[String]) -> QueueOwner {
    match params {
        [router, destination, ..] if pattern.starts_with("/routers/") => {
            QueueOwner::Destination(RouterId::from(router.as_str()), DestinationId::from(destination.as_str()))
        }
        _ => QueueOwner::Channel(ChannelId::from(params.first().map_or("", String::as_str))),
    }
}

/// Passes an answer's body back as it comes, as fast as whoever asked takes it.
async fn relay(mut incoming: Incoming, pieces: Pieces) {
    loop {
        let piece = match timeout(STALL, incoming.frame()).await {
            Ok(None) => return,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                // An empty piece would end the stream.
                Ok(data) if !data.is_empty() => Ok(data),
                _ => continue,
            },
            Ok(Some(Err(_))) | Err(_) => Err(CutOff),
        };
        let cut = piece.is_err();
        if pieces.send(piece).await.is_err() || cut {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_told_that_nothing_was_done_knows_what_and_where() {
        let duty = || Duty::Channel("c".into());
        let nobody = |last: Option<&str>| Undone::Nobody { duty: duty(), last: last.map(str::to_owned) }.to_string();
        assert_eq!(nobody(None), "no node has the channel c at present: another one takes it within 15 s");
        assert_eq!(
            nobody(Some("a:80")),
            "no node has the channel c at present; a:80 had it last: another one takes it within 15 s"
        );
    }
}
