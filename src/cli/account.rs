//! `maybug account`: who may use the API, in the store of a server that does not run, or over the API of one that does.
//!
//! Tokens go to standard output and everything else that is said to standard error, so that scripts can take them.

use anyhow::{Context, bail};
use hyper::Method;
use serde_json::{Value, json};

use super::args::{AccountCommand, AccountPlace, CreateAccountArgs, NewTokenArgs, TokenArgs};
use super::remote::Remote;
use super::{open_store, stopped};
use crate::access::{AccountChanges, Accounts, Minted, NewToken};
use crate::api::accounts::shown;
use crate::model::{Account, ChannelId};
use crate::store::Store;

pub(super) async fn run(command: AccountCommand) -> anyhow::Result<()> {
    let place = match &command {
        // It may be the store of a server that has never run.
        AccountCommand::Create(args) => Place::open(&args.place, true).await?,
        AccountCommand::Token(args) => Place::open(&args.place, false).await?,
        AccountCommand::List(place) | AccountCommand::Show { place, .. } | AccountCommand::Delete { place, .. } => {
            Place::open(place, false).await?
        }
    };
    let done = act(command, &place).await;
    // In order: the next start of the server would take anything else for a crash.
    if let Place::Store { store, .. } = place {
        store.close().await;
    }
    done
}

async fn act(command: AccountCommand, place: &Place) -> anyhow::Result<()> {
    match command {
        AccountCommand::Create(args) => create(args, place).await,
        AccountCommand::Token(args) => token(args, place).await,
        AccountCommand::List(_) => {
            let names = match place {
                Place::Store { accounts, .. } => accounts.names(),
                Place::Api(api) => serde_json::from_value(api.call(Method::GET, "", None).await?)?,
            };
            names.iter().for_each(|name| println!("{name}"));
            Ok(())
        }
        AccountCommand::Show { name, .. } => {
            let account = match place {
                Place::Store { accounts, .. } => Value::Object(shown(&*accounts.account(&name)?)),
                Place::Api(api) => api.call(Method::GET, checked(&name)?, None).await?,
            };
            println!("{}", serde_json::to_string_pretty(&account)?);
            Ok(())
        }
        AccountCommand::Delete { name, .. } => {
            match place {
                Place::Store { accounts, .. } => accounts.delete(&name).await?,
                Place::Api(api) => drop(api.call(Method::DELETE, checked(&name)?, None).await?),
            }
            eprintln!("the account {name} is no more, nor are its tokens");
            Ok(())
        }
    }
}

async fn create(args: CreateAccountArgs, place: &Place) -> anyhow::Result<()> {
    let CreateAccountArgs { name, scopes, channels, sources, password, token, .. } = args;
    let secret = match place {
        Place::Store { accounts, .. } => {
            let changes = AccountChanges {
                scopes: Some(scopes),
                channels: Some(
                    (!channels.is_empty()).then(|| channels.iter().map(|id| ChannelId::from(&**id)).collect()),
                ),
                sources: Some(sources),
                disabled: None,
                password: Some(password),
            };
            let (_, minted) = accounts.create(&name, changes, Some(new_token(token))).await?;
            minted.map(|Minted { secret, .. }| secret)
        }
        Place::Api(api) => {
            let mut body = json!({"name": name, "scopes": scopes, "sources": sources, "token": token_body(&token)});
            if !channels.is_empty() {
                body["channels"] = json!(channels);
            }
            if let Some(password) = password {
                body["password"] = json!(password);
            }
            api.call(Method::POST, "", Some(body)).await?["token"].as_str().map(ToOwned::to_owned)
        }
    };
    eprintln!("the account {name} is made; its token, which is shown only now:");
    println!("{}", secret.context("the API told no token")?);
    Ok(())
}

async fn token(args: TokenArgs, place: &Place) -> anyhow::Result<()> {
    let TokenArgs { name, delete, token, .. } = args;
    if let Some(id) = delete {
        match place {
            Place::Store { accounts, .. } => accounts.delete_token(&name, &id).await?,
            Place::Api(api) => {
                let path = format!("{}/tokens/{}", checked(&name)?, checked(&id)?);
                api.call(Method::DELETE, &path, None).await?;
            }
        }
        eprintln!("the token {id} of {name} is no more");
        return Ok(());
    }
    let (id, secret) = match place {
        Place::Store { accounts, .. } => {
            let Minted { kept, secret } = accounts.add_token(&name, new_token(token)).await?;
            (kept.id, secret)
        }
        Place::Api(api) => {
            let path = format!("{}/tokens/", checked(&name)?);
            let made = api.call(Method::POST, &path, Some(token_body(&token))).await?;
            let text = |key: &str| made[key].as_str().map(ToOwned::to_owned);
            text("id").zip(text("token")).context("the API told no token")?
        }
    };
    eprintln!("a token of {name} with the id {id}, which is shown only now:");
    println!("{secret}");
    Ok(())
}

fn new_token(args: NewTokenArgs) -> NewToken {
    NewToken { label: args.label, expires_in: args.expires_in }
}

fn token_body(args: &NewTokenArgs) -> Value {
    json!({"label": args.label, "expires_in": args.expires_in.map(|life| life.as_secs())})
}

/// A name that can be a part of a path.
fn checked(name: &str) -> anyhow::Result<&str> {
    anyhow::ensure!(Account::is_name(name), "there is no account or token {name:?}: no name looks like that");
    Ok(name)
}

/// Where the accounts are.
enum Place {
    Store { accounts: Box<Accounts>, store: Store },
    Api(Box<Remote>),
}

impl Place {
    async fn open(place: &AccountPlace, make: bool) -> anyhow::Result<Self> {
        if let Some(url) = &place.api {
            return Ok(Self::Api(Box::new(Remote::new(url, "accounts/")?)));
        }
        let config = stopped(place)?;
        if !make && config.redis.is_none() && !config.path.exists() {
            bail!("there is no store in {}; --data names its directory", config.path.display());
        }
        let store = open_store(config).await?;
        Ok(Self::Store { accounts: Box::new(Accounts::open(store.clone()).await?), store })
    }
}
