//! A running server, asked over its API by a command; the token is in the environment as MAYBUG_TOKEN.

use std::time::Duration;

use anyhow::{Context, bail};
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::post::{client, headers};
use crate::web::client::Client;

/// How long the API may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the file's head.
pub(super) struct Remote {
    client: Client,
    base: String,
    headers: HeaderMap,
}

impl Remote {
    /// The paths below `under` of the API at a URL.
    pub(super) fn new(url: &Url, under: &str) -> anyhow::Result<Self> {
        let base = format!("{}/{under}", url.as_str().trim_end_matches('/'));
        Ok(Self { client: client()?, base, headers: headers()? })
    }

    /// The status and the result of a call.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let url = Url::parse(&format!("{}{path}", self.base))?;
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let answer = self.client.request(method, &url, self.headers.clone(), body.into(), PATIENCE).await;
        let answer = answer.context("the API was not reached")?;
        let mut said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok((answer.status, said["result"].take()))
    }

    /// The result of a call that succeeds.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let (status, result) = self.ask(method, path, body).await?;
        if !status.is_success() {
            bail!("the API answered {status}: {}", why(&result));
        }
        Ok(result)
    }
}

/// What the errors of a result say.
pub(super) fn why(result: &Value) -> String {
    let errors = result["errors"].as_array().into_iter().flatten();
    errors.filter_map(|error| error["message"].as_str()).collect::<Vec<_>>().join("; ")
}
