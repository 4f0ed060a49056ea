//! Looking messages up, and giving many of them away (Junebug's wish for a message search).
//!
//! A page's work is bounded: it may be short and still have a `cursor`, which is where the next one begins. An export is
//! pages, one after the other, as fast as whoever asked takes them.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use serde_json::json;

use super::wire::envelope;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::query::{cursor, limit, only};
use crate::gateway::Gateway;
use crate::gateway::listing::{Format, row};
use crate::model::{ChannelId, JsonObject, Timestamp};
use crate::store::{Page, Search, UnknownWord};
use crate::web::Response;
use crate::web::route::{Answer, Request};
use crate::web::stream::{Body, CutOff, Pieces};

/// Messages that an export reads at a time.
const BATCH: usize = 500;

pub(super) fn list(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_list(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_list(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let page = api.gateway.search(search(request, "limit")?, limit(request)?).await?;
    let messages: Vec<JsonObject> = page.found.iter().map(row).collect();
    Ok(envelope(StatusCode::OK, "messages found", &json!({"messages": messages, "cursor": page.next})))
}

pub(super) fn export(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_export(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_export(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let format = request.query("format").unwrap_or_else(|| "ndjson".to_owned());
    let format: Format =
        format.parse().map_err(|_| ApiError::BadQuery(format!("\"format\" is neither ndjson nor csv: '{format}'")))?;
    let search = search(request, "format")?;
    // What is wrong is said before anything else is.
    let first = api.gateway.search(search.clone(), BATCH).await?;
    let (pieces, body) = Body::stream();
    let gateway = api.gateway.clone();
    tokio::spawn(async move {
        let mut search = search;
        let mut page = first;
        let mut text = format.head();
        loop {
            page.found.iter().for_each(|found| text.push_str(&format.line(&row(found))));
            // An empty piece would end the stream.
            if !text.is_empty() && pieces.send(Ok(Bytes::from(std::mem::take(&mut text)))).await.is_err() {
                return;
            }
            if page.next.is_none() {
                return;
            }
            search.before = page.next;
            match next(&gateway, &search, &pieces).await {
                Some(next) => page = next,
                None => return,
            }
        }
    });
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    let attachment = match format {
        Format::Ndjson => "attachment; filename=\"messages.ndjson\"",
        Format::Csv => "attachment; filename=\"messages.csv\"",
    };
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static(attachment));
    Ok(response)
}

/// The next page; `None` when nobody waits for it any more, or it could not be had, which whoever asked is told.
async fn next(gateway: &Gateway, search: &Search, pieces: &Pieces) -> Option<Page> {
    if pieces.is_closed() {
        return None;
    }
    match gateway.search(search.clone(), BATCH).await {
        Ok(page) => Some(page),
        Err(error) => {
            tracing::error!(%error, "an export was cut off");
            let _ = pieces.send(Err(CutOff)).await;
            None
        }
    }
}

/// What narrows a search.
const NARROWS: [&str; 8] = ["address", "to", "from", "direction", "status", "since", "until", "cursor"];

/// What the query says, which may have one `more` parameter.
fn search(request: &Request, more: &str) -> Result<Search, ApiError> {
    only(request, &[&NARROWS[..], &[more]].concat())?;
    let text = |name: &str| match request.query(name) {
        // Such as that of a variable that was never set.
        Some(text) if text.trim().is_empty() => Err(ApiError::BadQuery(format!("\"{name}\" is empty"))),
        text => Ok(text),
    };
    let time = |name: &str| {
        let time = request.query(name).map(|text| {
            // A plus sign that was not escaped.
            let at = Timestamp::parse_any(&text).or_else(|| Timestamp::parse_any(&text.replace(' ', "+")));
            at.ok_or_else(|| ApiError::BadQuery(format!("\"{name}\" is not a date-time: '{text}'")))
        });
        time.transpose()
    };
    let word = |name: &str, text: &str, error| ApiError::BadQuery(format!("\"{name}\" is {error}: '{text}'"));
    let direction = request.query("direction");
    let direction = direction.map(|text| text.parse().map_err(|error: UnknownWord| word("direction", &text, error)));
    let status = request.query("status");
    let status = status.map(|text| text.parse().map_err(|error: UnknownWord| word("status", &text, error)));
    Ok(Search {
        channel: request.params.first().map(|channel| ChannelId::from(channel.as_str())),
        address: text("address")?,
        to: text("to")?,
        from: text("from")?,
        direction: direction.transpose()?,
        status: status.transpose()?,
        since: time("since")?,
        until: time("until")?,
        before: cursor(request)?,
    })
}
