//! What `check` reads from and writes to beside files: a running server over its API, or the directory of a stopped one.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;
use url::Url;

use super::args::CheckArgs;
use crate::gateway::{Import, Imported};
use crate::model::JsonObject;
use crate::server::Offline;
use crate::web::client::{Allowed, Client};

/// How long an answer may take: a channel that is defined anew is first ended in order.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the file's head.
pub(super) enum Target {
    Running { client: Client, base: Url, token: Option<String> },
    Stopped(Offline),
}

impl Target {
    /// The one that the flags name, if they do.
    pub(super) async fn named(args: &CheckArgs) -> anyhow::Result<Option<Self>> {
        match (&args.api, &args.data) {
            (Some(base), _) => Self::running(base, args.token.as_deref()).map(Some),
            (None, Some(data)) => Self::stopped(data).await.map(Some),
            (None, None) => Ok(None),
        }
    }

    /// A running server; `token` is sent with every request.
    fn running(base: &Url, token: Option<&str>) -> anyhow::Result<Self> {
        // Whoever sits at this command line may go anywhere.
        let everywhere = ["0.0.0.0/0", "::/0"].map(|network| network.parse());
        let client = Client::new(Allowed { networks: everywhere.into_iter().collect::<Result<_, _>>()? });
        Ok(Self::Running { client, base: base.clone(), token: token.map(str::to_owned) })
    }

    /// A stopped server's directory; it is made if absent.
    pub(super) async fn stopped(data: &Path) -> anyhow::Result<Self> {
        let opened = Offline::open(data).await;
        Ok(Self::Stopped(opened.context("--data is for a server that is stopped; give a running one as --api URL")?))
    }

    /// Takes an object over; why not, in words, when it is refused.
    pub(super) async fn import(&self, object: &Import) -> anyhow::Result<Result<Imported, String>> {
        match self {
            Self::Stopped(offline) => {
                Ok(offline.gateway().import(object.clone()).await.map_err(|error| error.to_string()))
            }
            Self::Running { .. } => {
                let (status, answer) = self.ask(Method::POST, "import", Some(&serde_json::to_value(object)?)).await?;
                if let Ok(outcome) = serde_json::from_value(answer["result"]["outcome"].clone()) {
                    return Ok(Ok(outcome));
                }
                ensure!(!matches!(status, 401 | 403), "the API answers {status}: give the token of an administrator");
                ensure!(answer["result"]["errors"].is_array(), "the API answers {status}, which Maybug's does not");
                let errors = answer["result"]["errors"].as_array().into_iter().flatten();
                let messages: Vec<&str> = errors.filter_map(|error| error["message"].as_str()).collect();
                Ok(Err(messages.join("; ")))
            }
        }
    }

    /// Every channel's id and properties.
    pub(super) async fn channels(&self) -> anyhow::Result<Vec<(String, JsonObject)>> {
        if let Self::Stopped(offline) = self {
            let gateway = offline.gateway();
            let channels = gateway.channels().into_iter().map(|id| {
                let channel = gateway.channel(&id)?;
                Ok((id.to_string(), channel.properties.clone()))
            });
            return channels.collect();
        }
        let (status, listed) = self.ask(Method::GET, "channels/", None).await?;
        let Some(ids) = listed["result"].as_array().filter(|_| status == 200) else {
            bail!("the API answers {status} when asked for its channels")
        };
        let mut channels = Vec::with_capacity(ids.len());
        for id in ids.iter().filter_map(Value::as_str) {
            let path = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC);
            let (_, mut answer) = self.ask(Method::GET, &format!("channels/{path}"), None).await?;
            // One that was deleted meanwhile is none.
            if let Value::Object(properties) = answer["result"].take() {
                channels.push((id.to_owned(), properties));
            }
        }
        Ok(channels)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
        let Self::Running { client, base, token } = self else { bail!("a directory cannot be asked") };
        let url = format!("{}/{path}", base.as_str().trim_end_matches('/')).parse()?;
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        if let Some(token) = token {
            let mut value =
                HeaderValue::try_from(format!("Bearer {token}")).context("the token is no header's text")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let answer = client.request(method, &url, headers, body, PATIENCE).await.context("the API was not reached")?;
        Ok((answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default()))
    }

    /// Everything is on disk.
    pub(super) async fn close(self) {
        if let Self::Stopped(offline) = self {
            offline.close().await;
        }
    }
}
