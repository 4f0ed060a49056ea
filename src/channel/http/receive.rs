//! Requests of the provider's: who may make them, which kind they are, and that each is answered only once what it said is
//! durable.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::content::Reply;
use super::path::Path;
use super::route::{Format, Kind, Route, Unexpected};
use super::scope::{Request, RequestFields};
use super::state::State;
use super::template::{FillError, Template};
use super::tree::{self, ReadError};
use crate::channel::held::{self, NotHeld, Whole};
use crate::channel::{Intake, IntakeError};
use crate::model::JsonObject;
use crate::web::Response;

/// Longest request that is held, in octets of its path, query, headers and body: all of it is remembered until it is
/// answered, as 2,048 others may be.
const MAX_HELD: usize = 8 * 1024;
/// Most missing and unexpected parameters that are named to whoever sent the others, and most characters of each.
const MAX_NAMES: usize = 20;
const MAX_NAME: usize = 64;
/// What a body that is a list is called.
const LIST: &str = "items";

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("Not found")]
    NotFound,
    #[error("Method not allowed")]
    Method,
    #[error("Forbidden")]
    Forbidden,
    #[error("Not Authorized")]
    Unauthorized,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the request has more than {0} messages")]
    TooMany(usize),
    #[error(
        "the request is longer than {0} octets, headers included, which is the most for one that waits for its reply"
    )]
    TooLong(usize),
    #[error("the request is none that this channel knows")]
    Unknown,
    #[error("parameters are missing: {missing:?}, or unexpected: {unexpected:?}")]
    Parameters { missing: Vec<String>, unexpected: Vec<String> },
    #[error(transparent)]
    Fill(#[from] FillError),
    /// The response cannot be written; nothing has been taken then.
    #[error("the response could not be written: {0}")]
    Response(FillError),
    #[error(transparent)]
    Store(#[from] IntakeError),
    #[error(transparent)]
    Full(#[from] NotHeld),
    /// The store cannot be read.
    #[error("the store could not be read")]
    Unreadable,
}

impl<I: Intake> State<I> {
    /// Answers a request.
    pub(super) async fn answer(&self, peer: SocketAddr, request: hyper::Request<Incoming>) -> Response {
        match self.take(peer, request).await {
            Ok(response) => response,
            Err(problem) => self.refuse(&problem),
        }
    }

    async fn take(&self, peer: SocketAddr, request: hyper::Request<Incoming>) -> Result<Response, Problem> {
        self.admit(peer, &request)?;
        let path = request.uri().path();
        let here = self.config.inbound.iter().filter_map(|route| Some((route, route.path.captures(path)?)));
        let here: Vec<_> = here.collect();
        if here.is_empty() {
            return Err(Problem::NotFound);
        }
        let method = request.method();
        let fitting: Vec<_> = here.into_iter().filter(|(route, _)| route.methods.contains(method)).collect();
        if fitting.is_empty() {
            return Err(Problem::Method);
        }
        let Whole { head, body } = match Whole::read(request).await {
            Ok(whole) => whole,
            Err(response) => return Ok(response),
        };
        let query = head.uri.query().unwrap_or_default();
        let media_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let lines = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        let octets = head.uri.path().len() + query.len() + body.len() + lines.sum::<usize>();
        let mut problem = Problem::Unknown;
        for (route, captures) in fitting {
            match read(route, query, &body, media_type) {
                Ok(parameters) if route.fits(&parameters) => {
                    if route.hold && octets > MAX_HELD {
                        return Err(Problem::TooLong(MAX_HELD));
                    }
                    let request = Request { parameters, captures, headers: head.headers, session: None };
                    return self.take_as(route, request).await;
                }
                Ok(_) => {}
                Err(error) => problem = error.into(),
            }
        }
        Err(problem)
    }

    /// That a request comes from where it may come, from somebody who knows the password.
    fn admit(&self, peer: SocketAddr, request: &hyper::Request<Incoming>) -> Result<(), Problem> {
        let (config, address) = (&self.config, peer.ip().to_canonical());
        if !config.allow_from.is_empty() && !config.allow_from.iter().any(|network| network.contains(&address)) {
            return Err(Problem::Forbidden);
        }
        match &self.credentials {
            Some(known) if !known.are_in(request.headers()) => Err(Problem::Unauthorized),
            _ => Ok(()),
        }
    }

    async fn take_as(&self, route: &Route, request: Request) -> Result<Response, Problem> {
        let fields = RequestFields::of(&self.config, &request);
        for (path, template) in &route.credentials {
            let given = path.text(&request.parameters).unwrap_or_default();
            if !same(&given, &template.plain(&fields)?) {
                return Err(Problem::Forbidden);
            }
        }
        match route.kind {
            Kind::Message => self.message(route, request).await,
            Kind::Receipt => self.receipt(route, &request).await,
            Kind::Poll => self.poll(route, &request).await,
            Kind::Ignore => respond(&route.response, &fields),
        }
    }

    /// That a request has the parameters it needs, and no others where that matters.
    pub(super) fn complete(&self, route: &Route, request: &Request) -> Result<(), Problem> {
        let lacks = |path: &&Path| path.find(&request.parameters).is_none();
        let short = |name: &str| name.chars().take(MAX_NAME).collect::<String>();
        let missing: BTreeSet<&str> = route.needed().filter(lacks).map(Path::as_str).collect();
        let missing: Vec<String> = missing.into_iter().take(MAX_NAMES).map(short).collect();
        let given = request.parameters.as_object().into_iter().flat_map(JsonObject::keys);
        let refuses = route.unexpected == Unexpected::Refuse;
        let unexpected = given.filter(|name| refuses && !route.knows(name));
        let unexpected: Vec<String> = unexpected.take(MAX_NAMES).map(|name| short(name)).collect();
        if missing.is_empty() && unexpected.is_empty() {
            return Ok(());
        }
        Err(Problem::Parameters { missing, unexpected })
    }

    fn refuse(&self, problem: &Problem) -> Response {
        let (status, text) = (problem.status(), problem.to_string());
        self.setup.log.warn(format!("a request was answered with {}: {text}", status.as_u16()));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return held::unavailable(&text);
        }
        if let Some(reply) = &self.config.error {
            let request = Request::default();
            let fields = RequestFields { error: Some(&text), ..RequestFields::of(&self.config, &request) };
            if let Ok(response) = reply.fill(&fields, &[]) {
                return response;
            }
        }
        if let Problem::Parameters { missing, unexpected } = problem {
            // Field guide §7.2.
            let mut body = JsonObject::new();
            for (key, names) in [("missing_parameter", missing), ("unexpected_parameter", unexpected)] {
                if !names.is_empty() {
                    body.insert(key.to_owned(), json!(names));
                }
            }
            return held::response(status, "application/json", Value::Object(body).to_string());
        }
        if matches!(problem, Problem::Unauthorized) {
            return held::unauthorised();
        }
        held::response(status, "text/plain; charset=utf-8", text)
    }
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooMany(_) | Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Read(_) | Self::Unknown | Self::Parameters { .. } | Self::Fill(_) => StatusCode::BAD_REQUEST,
            Self::Response(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Store(_) | Self::Full(_) | Self::Unreadable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// What a request that was taken is told.
pub(super) fn respond(reply: &Reply, fields: &RequestFields<'_>) -> Result<Response, Problem> {
    reply.fill(fields, &[]).map_err(Problem::Response)
}

/// A template's text; none if it is not given or says nothing.
pub(super) fn filled(template: Option<&Template>, fields: &RequestFields<'_>) -> Result<Option<String>, FillError> {
    match template {
        Some(template) => template.fill(fields, super::template::Place::Plain),
        None => Ok(None),
    }
}

/// What a request says: its query, and its body as the route or the media type has it.
fn read(route: &Route, query: &str, octets: &[u8], media_type: &str) -> Result<Value, ReadError> {
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let format = match route.format {
        Format::Auto if media_type.ends_with("json") => Format::Json,
        Format::Auto if media_type.ends_with("xml") => Format::Xml,
        Format::Auto => Format::Form,
        given => given,
    };
    let mut all = tree::form(query.as_bytes())?;
    let body = match format {
        _ if octets.is_empty() => Value::Null,
        Format::Json => tree::json(octets)?,
        Format::Xml if route.xml_in.is_some() && !octets.trim_ascii_start().starts_with(b"<") => tree::form(octets)?,
        Format::Xml => tree::xml(octets)?,
        Format::Form | Format::Auto => tree::form(octets)?,
    };
    let document = route.xml_in.as_ref().and_then(|name| body.get(name).or_else(|| all.get(name))?.as_str());
    let body = match document {
        Some(document) => tree::xml(document.as_bytes())?,
        None => body,
    };
    match (&mut all, body) {
        (Value::Object(all), Value::Object(members)) => all.extend(members),
        (Value::Object(all), list @ Value::Array(_)) => {
            all.insert(LIST.to_owned(), list);
        }
        _ => {}
    }
    Ok(all)
}

/// In the same time wherever they differ.
fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
