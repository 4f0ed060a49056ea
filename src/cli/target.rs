//! What `check` reads from and writes to beside files: a running server over its API, or the directory of a stopped one.

use std::path::Path;

use anyhow::{Context, ensure};
use hyper::Method;
use serde_json::Value;

use super::args::CheckArgs;
use super::remote::{Remote, why};
use crate::gateway::{Import, Imported};
use crate::model::JsonObject;
use crate::server::Offline;

/// See the file's head.
pub(super) enum Target {
    /// A server that runs.
    Running(Box<Remote>),
    /// One that does not.
    Stopped(Offline),
}

impl Target {
    /// The one that the flags name, if they do.
    pub(super) async fn named(args: &CheckArgs) -> anyhow::Result<Option<Self>> {
        match (&args.api, &args.data) {
            (Some(base), _) => Ok(Some(Self::Running(Box::new(Remote::new(base, "")?)))),
            (None, Some(data)) => Self::stopped(data).await.map(Some),
            (None, None) => Ok(None),
        }
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
            Self::Running(remote) => {
                let (status, result) = remote.ask(Method::POST, "import", Some(serde_json::to_value(object)?)).await?;
                if let Ok(outcome) = serde_json::from_value(result["outcome"].clone()) {
                    return Ok(Ok(outcome));
                }
                let told = why(&result);
                ensure!(!matches!(status.as_u16(), 401 | 403), "the API answered {status}: {told}");
                ensure!(result["errors"].is_array(), "the API answered {status}, which Maybug's does not");
                Ok(Err(told))
            }
        }
    }

    /// Every channel's id and properties.
    pub(super) async fn channels(&self) -> anyhow::Result<Vec<(String, JsonObject)>> {
        let remote = match self {
            Self::Running(remote) => remote,
            Self::Stopped(offline) => {
                let gateway = offline.gateway();
                let channels = gateway.channels().into_iter().map(|id| {
                    let channel = gateway.channel(&id)?;
                    Ok((id.to_string(), channel.properties.clone()))
                });
                return channels.collect();
            }
        };
        let ids = remote.call(Method::GET, "channels/", None).await?;
        let mut channels = Vec::new();
        for id in ids.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let path = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC);
            match remote.ask(Method::GET, &format!("channels/{path}"), None).await? {
                (status, Value::Object(properties)) if status.is_success() => {
                    channels.push((id.to_owned(), properties));
                }
                // One that was deleted meanwhile is none.
                (status, result) => ensure!(status == 404, "the API answered {status}: {}", why(&result)),
            }
        }
        Ok(channels)
    }

    /// Everything is on disk.
    pub(super) async fn close(self) {
        if let Self::Stopped(offline) = self {
            offline.close().await;
        }
    }
}
