//! Accounts and their tokens: who may use the API. Only unlimited accounts with the scope `admin` get here.

use std::time::Duration;

use hyper::{Method, StatusCode};
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;
use super::junebug::schema::{Kind, Schema};
use super::junebug::wire::envelope;
use crate::access::{AccountChanges, Minted, NewToken};
use crate::model::{Account, ChannelId, JsonObject, Permission, Token};
use crate::web::Response;
use crate::web::route::{Answer, On, Request, Route, Scope};

pub(super) fn routes() -> Vec<Route<Api>> {
    let row = |method, pattern, handler| {
        let on = if method == Method::GET { On::Any } else { On::Leader };
        Route { method, pattern, scope: Scope::Admin, on, handler }
    };
    vec![
        row(Method::GET, "/accounts", list),
        row(Method::POST, "/accounts", create),
        row(Method::GET, "/accounts/{account}", show),
        row(Method::POST, "/accounts/{account}", update),
        row(Method::DELETE, "/accounts/{account}", delete),
        row(Method::POST, "/accounts/{account}/tokens", create_token),
        row(Method::DELETE, "/accounts/{account}/tokens/{token}", delete_token),
    ]
}

const ACCOUNT: Schema = Schema {
    required: &["name", "scopes"],
    fields: &[
        ("name", Kind::Text),
        ("scopes", Kind::List),
        ("channels", Kind::ListOrNull),
        ("sources", Kind::List),
        ("disabled", Kind::Flag),
        ("password", Kind::TextOrNull),
        ("token", Kind::ObjectOrNull),
    ],
    open: false,
};

const ACCOUNT_CHANGES: Schema = Schema {
    required: &[],
    fields: &[
        ("scopes", Kind::List),
        ("channels", Kind::ListOrNull),
        ("sources", Kind::List),
        ("disabled", Kind::Flag),
        ("password", Kind::TextOrNull),
    ],
    open: false,
};

const TOKEN: Schema =
    Schema { required: &[], fields: &[("label", Kind::TextOrNull), ("expires_in", Kind::CountOrNull)], open: false };

/// The values of an account's body that the schema has let through.
#[derive(Deserialize)]
struct Values {
    scopes: Option<Vec<Permission>>,
    channels: Option<Vec<ChannelId>>,
    sources: Option<Vec<IpNet>>,
    disabled: Option<bool>,
    password: Option<String>,
}

#[derive(Deserialize)]
struct TokenValues {
    label: Option<String>,
    expires_in: Option<u64>,
}

fn list(api: Api, _: Request) -> Answer {
    Box::pin(async move { envelope(StatusCode::OK, "accounts listed", &api.guard.accounts().names()) })
}

fn create(api: Api, request: Request) -> Answer {
    finished(async move { do_create(api, request).await.unwrap_or_else(Response::from) })
}

async fn do_create(api: Api, request: Request) -> Result<Response, ApiError> {
    let mut body = ACCOUNT.read(&api.body(request).await?)?;
    let name = body.remove("name").and_then(|name| name.as_str().map(ToOwned::to_owned)).unwrap_or_default();
    // Without a word about it the account gets a token: it is of no use without one.
    let token = match body.remove("token") {
        Some(Value::Null) => None,
        Some(Value::Object(token)) => Some(new_token(token)?),
        _ => Some(NewToken::default()),
    };
    let (account, minted) = api.guard.accounts().create(&name, changes(body)?, token).await?;
    tracing::info!(account = account.name, "an account was made");
    let mut shown = shown(&account);
    if let Some(Minted { secret, .. }) = minted {
        shown.insert("token".to_owned(), json!(secret));
    }
    Ok(envelope(StatusCode::CREATED, "account created", &shown))
}

fn show(api: Api, request: Request) -> Answer {
    Box::pin(async move {
        match api.guard.accounts().account(request.param(0)) {
            Ok(account) => envelope(StatusCode::OK, "account found", &shown(&account)),
            Err(error) => ApiError::from(error).into(),
        }
    })
}

fn update(api: Api, request: Request) -> Answer {
    finished(async move { do_update(api, request).await.unwrap_or_else(Response::from) })
}

async fn do_update(api: Api, request: Request) -> Result<Response, ApiError> {
    let name = request.param(0).to_owned();
    let changes = changes(ACCOUNT_CHANGES.read(&api.body(request).await?)?)?;
    let account = api.guard.accounts().change(&name, changes).await?;
    Ok(envelope(StatusCode::OK, "account updated", &shown(&account)))
}

fn delete(api: Api, request: Request) -> Answer {
    finished(async move {
        match api.guard.accounts().delete(request.param(0)).await {
            Ok(()) => envelope(StatusCode::OK, "account deleted", &json!({})),
            Err(error) => ApiError::from(error).into(),
        }
    })
}

fn create_token(api: Api, request: Request) -> Answer {
    finished(async move { do_create_token(api, request).await.unwrap_or_else(Response::from) })
}

async fn do_create_token(api: Api, request: Request) -> Result<Response, ApiError> {
    let name = request.param(0).to_owned();
    let token = new_token(TOKEN.read(&api.body(request).await?)?)?;
    let Minted { kept, secret } = api.guard.accounts().add_token(&name, token).await?;
    let mut shown = shown_token(&kept);
    shown.insert("token".to_owned(), json!(secret));
    Ok(envelope(StatusCode::CREATED, "token created", &shown))
}

fn delete_token(api: Api, request: Request) -> Answer {
    finished(async move {
        match api.guard.accounts().delete_token(request.param(0), request.param(1)).await {
            Ok(()) => envelope(StatusCode::OK, "token deleted", &json!({})),
            Err(error) => ApiError::from(error).into(),
        }
    })
}

/// Finishes what has begun, although whoever asked for it may have gone: what is stored and what is in force would differ.
fn finished(work: impl Future<Output = Response> + Send + 'static) -> Answer {
    Box::pin(async move {
        match tokio::spawn(work).await {
            Ok(response) => response,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is ending, and with it everybody who could read the answer.
            Err(_) => std::future::pending().await,
        }
    })
}

fn changes(body: JsonObject) -> Result<AccountChanges, ApiError> {
    // Null means something in these, and absence does not.
    let (channels, password) = (body.contains_key("channels"), body.contains_key("password"));
    let values: Values = typed(body)?;
    Ok(AccountChanges {
        scopes: values.scopes,
        channels: channels.then_some(values.channels),
        sources: values.sources,
        disabled: values.disabled,
        password: password.then_some(values.password),
    })
}

fn new_token(body: JsonObject) -> Result<NewToken, ApiError> {
    TOKEN.check(&body)?;
    let TokenValues { label, expires_in } = typed(body)?;
    Ok(NewToken { label, expires_in: expires_in.map(Duration::from_secs) })
}

/// What the schema does not say: what may stand in a list.
fn typed<T: DeserializeOwned>(body: JsonObject) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(Value::Object(body))
        .map_err(|error| ApiError::BadQuery(format!("\"{}\": {}", error.path(), error.inner())))
}

/// An account as it may be shown.
pub(crate) fn shown(account: &Account) -> JsonObject {
    let tokens: Vec<JsonObject> = account.tokens.iter().map(shown_token).collect();
    let shown = json!({
        "name": account.name,
        "scopes": account.scopes,
        "channels": account.channels,
        "sources": account.sources,
        "disabled": account.disabled,
        "has_password": account.password.is_some(),
        "tokens": tokens,
        "created_at": account.created_at.to_string(),
    });
    match shown {
        Value::Object(shown) => shown,
        _ => JsonObject::new(),
    }
}

fn shown_token(token: &Token) -> JsonObject {
    JsonObject::from_iter([
        ("id".to_owned(), json!(token.id)),
        ("label".to_owned(), json!(token.label)),
        ("created_at".to_owned(), json!(token.created_at.to_string())),
        ("expires_at".to_owned(), json!(token.expires_at.map(|at| at.to_string()))),
    ])
}
