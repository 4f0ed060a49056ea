//! `maybug send --url`: one message by way of an API.

use anyhow::{Context, bail};
use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::args::SendArgs;
use crate::web::client::{Allowed, Client};

pub(super) async fn run(args: SendArgs, url: Url) -> anyhow::Result<()> {
    let [text] = &args.words[..] else { bail!("with --url give the text alone, not an SMSC as well") };
    let mut message = json!({"to": args.to, "content": text});
    if let Some(from) = &args.from {
        message["from"] = json!(from);
    }
    let client = client()?;
    let headers = headers()?;
    if !args.quiet {
        println!("> POST {}\n> {message}", url.path());
    }
    let body = message.to_string().into();
    let answer =
        client.request(Method::POST, &url, headers, body, args.timeout).await.context("the API was not reached")?;
    let said = String::from_utf8_lossy(&answer.body);
    if !args.quiet {
        println!("< {}\n< {said}", answer.status);
    }
    if !answer.status.is_success() {
        bail!("the API refused the message with {}", answer.status);
    }
    let said: Value = serde_json::from_str(&said).unwrap_or_default();
    match said["result"]["message_id"].as_str() {
        Some(id) => println!("taken, with id {id:?}"),
        None => println!("taken"),
    }
    Ok(())
}

/// Whoever sits at this command line may go anywhere.
pub(super) fn client() -> anyhow::Result<Client> {
    let everywhere = ["0.0.0.0/0", "::/0"].map(|network| network.parse());
    Ok(Client::new(Allowed { networks: everywhere.into_iter().collect::<Result<_, _>>()? }))
}

/// Of a request with a body of JSON, with the token of the environment if there is one.
pub(super) fn headers() -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    if let Some(token) = std::env::var_os("MAYBUG_TOKEN").filter(|token| !token.is_empty()) {
        let token = token.to_str().context("MAYBUG_TOKEN is no token")?;
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).context("MAYBUG_TOKEN is no token")?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}
