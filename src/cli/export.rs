//! `maybug export messages`: what was sent and received, as lines of JSON or CSV, from a running server or from the store of
//! one that does not run.
//!
//! The messages go to standard output or a file, and how far it has got to standard error: a bar on a terminal, a line now
//! and then otherwise.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use serde_json::{Value, json};
use url::Url;

use super::args::{ExportArgs, ExportMessagesArgs, ExportWhat, MessageQuery};
use super::post::{client, headers};
use super::progress::Progress;
use super::{moving, open_store, stopped};
use crate::gateway::listing::row;
use crate::model::{ChannelId, JsonObject};
use crate::store::{Search, Store};

/// How long the API may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may say nothing.
const SILENCE: Duration = Duration::from_secs(300);
/// Messages read from a store at once.
const PAGE: usize = 500;

pub(super) async fn run(args: ExportArgs) -> anyhow::Result<()> {
    match args.what {
        ExportWhat::Messages(args) => messages(*args).await,
        ExportWhat::Store(args) => moving::export(args).await,
    }
}

async fn messages(args: ExportMessagesArgs) -> anyhow::Result<()> {
    let mut rows = match &args.place.api {
        Some(api) => Rows::Api(Lines::open(api, &args.query).await?),
        None => {
            let store = open_store(stopped(&args.place)?).await?;
            let channels = store.channels().await?.into_iter().map(|channel| channel.id).collect();
            Rows::Store { search: Some(Box::new(args.query.search())), store, channels }
        }
    };
    // Only now: an earlier export is not given up for one that cannot begin.
    let out: Box<dyn Write> = match &args.output {
        Some(path) => Box::new(File::create(path).with_context(|| path.display().to_string())?),
        None => Box::new(io::stdout().lock()),
    };
    let mut out = BufWriter::new(out);
    let mut progress = Progress::new(args.json, "{spinner} {human_pos} messages, {per_sec}, back to {msg}");
    let mut count = 0;
    out.write_all(args.format.head().as_bytes())?;
    let written = |row: &JsonObject| out.write_all(args.format.line(row).as_bytes());
    let copied = copy(&mut rows, &mut progress, &mut count, written).await;
    // In order: the next start of the server would take anything else for a crash.
    if let Rows::Store { store, .. } = rows {
        store.close().await;
    }
    copied?;
    out.flush()?;
    progress.end(json!({"exported": count, "done": true}), || match count {
        1 => "1 message exported".to_owned(),
        count => format!("{count} messages exported"),
    });
    Ok(())
}

async fn copy(
    rows: &mut Rows,
    progress: &mut Progress,
    count: &mut u64,
    mut write: impl FnMut(&JsonObject) -> io::Result<()>,
) -> anyhow::Result<()> {
    while let Some(some) = rows.next().await? {
        for row in &some {
            write(row)?;
        }
        *count += u64::try_from(some.len()).unwrap_or(0);
        if let Some(time) = some.last().and_then(|row| row.get("timestamp")?.as_str()) {
            let json = || json!({"exported": *count, "back_to": time});
            progress.tell(*count, time, json, || format!("{count} messages, back to {time}"));
        }
    }
    Ok(())
}

/// Where rows come from.
enum Rows {
    Api(Lines),
    Store {
        store: Store,
        channels: Vec<ChannelId>,
        /// What is left to look for.
        search: Option<Box<Search>>,
    },
}

impl Rows {
    /// The next rows, perhaps none; `None` at the end.
    async fn next(&mut self) -> anyhow::Result<Option<Vec<JsonObject>>> {
        match self {
            Self::Api(lines) => lines.next().await,
            Self::Store { store, channels, search } => {
                let Some(mut meant) = search.take() else { return Ok(None) };
                let page = store.search(&meant, channels, PAGE).await?;
                if page.next.is_some() {
                    meant.before = page.next;
                    *search = Some(meant);
                }
                Ok(Some(page.found.iter().map(row).collect()))
            }
        }
    }
}

/// The lines of an API's answer.
struct Lines {
    body: Incoming,
    rest: BytesMut,
}

impl Lines {
    async fn open(api: &Url, query: &MessageQuery) -> anyhow::Result<Self> {
        let channel = query.channel.as_ref().map(|channel| format!("channels/{channel}/")).unwrap_or_default();
        let mut url = Url::parse(&format!("{}/{channel}messages/export", api.as_str().trim_end_matches('/')))?;
        url.query_pairs_mut().extend_pairs(query.pairs());
        let opened = client()?.open(Method::GET, &url, headers()?, bytes::Bytes::new(), PATIENCE).await;
        let (head, body) = opened.context("the API was not reached")?.into_parts();
        if !head.status.is_success() {
            let said = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let said: Value = serde_json::from_slice(&said).unwrap_or_default();
            bail!(
                "the API answered {}: {}",
                head.status,
                said["result"]["errors"][0]["message"].as_str().unwrap_or("")
            );
        }
        Ok(Self { body, rest: BytesMut::new() })
    }

    async fn next(&mut self) -> anyhow::Result<Option<Vec<JsonObject>>> {
        let frame = tokio::time::timeout(SILENCE, self.body.frame()).await.context("the API fell silent")?;
        let Some(frame) = frame else {
            anyhow::ensure!(self.rest.is_empty(), "the API's answer ended in the middle of a line");
            return Ok(None);
        };
        let frame = frame.context("the API's answer was cut off")?;
        self.rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        let whole = memchr::memrchr(b'\n', &self.rest).map_or(0, |end| end + 1);
        let lines = self.rest.split_to(whole);
        let rows = lines[..].split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
        Ok(Some(rows.map(serde_json::from_slice).collect::<Result<_, _>>().context("the API said what is no message")?))
    }
}
