//! Who may use the API: accounts in the store, kept in memory for looking up without a lock.
//!
//! Checking credentials is here, changing accounts in `changes`, passwords in `password`, tokens in `token`. What a
//! request needs and how it brings its credentials is the API's business.

mod changes;
mod delays;
mod password;
mod proven;
mod token;
mod turns;
mod verdicts;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use self::password::Passwords;
use crate::model::{Account, Timestamp, TokenHash};
use crate::store::{CommitError, ReadError, Store};

pub use changes::{AccountChanges, NewToken};
pub use token::{Minted, TOKEN_PREFIX};

/// The accounts of a store.
pub struct Accounts {
    store: Store,
    directory: ArcSwap<Directory>,
    /// Held while an account changes, so that no change is based on what another one replaces.
    changing: tokio::sync::Mutex<()>,
    passwords: Passwords,
}

/// Every account by what names it.
#[derive(Default)]
struct Directory {
    by_name: HashMap<String, Arc<Account>>,
    /// With the time from which on the token proves nothing.
    by_token: HashMap<TokenHash, (Arc<Account>, Option<Timestamp>)>,
}

/// What a request brings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// A token alone.
    Token(&'a str),
    /// A name, and the account's password or one of its tokens.
    Basic {
        /// The name.
        name: &'a str,
        /// The password or token.
        password: &'a str,
    },
}

/// Why credentials do not let somebody in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// There are none.
    #[error("this needs credentials: \"Authorization: Bearer TOKEN\", or basic authentication with an account's name")]
    Missing,
    /// They are not of a form that is known.
    #[error("the Authorization header is none of Bearer TOKEN, Token TOKEN and Basic")]
    Malformed,
    /// No account has them.
    #[error("the credentials are wrong")]
    Wrong,
    /// The token was one of an account's.
    #[error("the token expired at {0}")]
    Expired(Timestamp),
    /// The account is not in use.
    #[error("the account '{0}' is disabled")]
    Disabled(String),
    /// The account may not be used from there.
    #[error("the account '{name}' may not be used from {source_address}")]
    Source {
        /// The account.
        name: String,
        /// From where.
        source_address: IpAddr,
    },
    /// Too many wrong passwords for this name came from there.
    #[error(
        "too many wrong passwords for this name have come from this address; the next one is looked at in {seconds} s, \
         and a token at once"
    )]
    TooSoon {
        /// How long, rounded up.
        seconds: u64,
    },
    /// Too many passwords from there wait to be checked.
    #[error("too many passwords from this address, or its network, are being checked; a token needs no waiting")]
    Crowded,
    /// Too many passwords wait to be checked.
    #[error("too many passwords are being checked; a token needs no waiting")]
    Busy,
}

/// Why an account was not changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// No account has this name.
    #[error("there is no account '{0}'")]
    NotFound(String),
    /// The account has no such token.
    #[error("the account '{name}' has no token '{id}'")]
    TokenNotFound {
        /// The account.
        name: String,
        /// The token's id.
        id: String,
    },
    /// The name is taken.
    #[error("there is an account '{0}' already")]
    Exists(String),
    /// A value cannot be what it is.
    #[error("\"{key}\": {why}")]
    Bad {
        /// Which value.
        key: &'static str,
        /// Why.
        why: String,
    },
    /// Nobody could change accounts any more.
    #[error(
        "this would leave no account that can change accounts: one must have the scope 'admin', be limited to no \
         channels, be enabled, and have a password or a token"
    )]
    NoAdmin,
    /// The operating system gave no random numbers, or no memory.
    #[error("a secret could not be made: {0}")]
    Secret(String),
    /// The store did not take it.
    #[error("{0}")]
    Store(#[from] CommitError),
}

impl Accounts {
    /// The accounts of a store.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn open(store: Store) -> Result<Self, ReadError> {
        let directory = Directory::of(store.accounts().await?.into_iter().map(Arc::new));
        Ok(Self {
            store,
            directory: ArcSwap::from_pointee(directory),
            changing: tokio::sync::Mutex::default(),
            passwords: Passwords::new(),
        })
    }

    /// Makes the accounts be what is stored: what another holder of the store has changed counts from now on.
    ///
    /// # Errors
    /// [`ReadError`]; nothing has changed then.
    pub async fn refresh(&self) -> Result<(), ReadError> {
        let _changing = self.changing.lock().await;
        self.replace(self.store.accounts().await?.into_iter().map(Arc::new));
        Ok(())
    }

    /// Lets these be the accounts.
    fn replace(&self, accounts: impl Iterator<Item = Arc<Account>>) {
        let before = self.directory.swap(Arc::new(Directory::of(accounts)));
        let directory = self.directory.load();
        let password = |directory: &Directory, name: &str| directory.by_name.get(name)?.password.clone();
        for name in before.by_name.keys() {
            if password(&before, name) != password(&directory, name) {
                self.passwords.forget(name);
            }
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.directory.load().by_name.is_empty()
    }

    /// Every name, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.directory.load().by_name.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// An account.
    ///
    /// # Errors
    /// [`AccountError::NotFound`].
    pub fn account(&self, name: &str) -> Result<Arc<Account>, AccountError> {
        let found = self.directory.load().by_name.get(name).cloned();
        found.ok_or_else(|| AccountError::NotFound(name.to_owned()))
    }

    /// Whose credentials these are. Tokens take no lock and about a microsecond.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn authenticate(&self, credentials: Credentials<'_>, source: IpAddr) -> Result<Arc<Account>, Denied> {
        let account = match credentials {
            Credentials::Token(token) => self.of_token(token)?,
            Credentials::Basic { name, password } if password.starts_with(TOKEN_PREFIX) => {
                Some(self.of_token(password)?).filter(|account| account.name == name).ok_or(Denied::Wrong)?
            }
            Credentials::Basic { name, password } => self.of_password(name, password, source).await?,
        };
        if account.disabled {
            return Err(Denied::Disabled(account.name.clone()));
        }
        if !account.admits(source) {
            let source_address = source.to_canonical();
            return Err(Denied::Source { name: account.name.clone(), source_address });
        }
        Ok(account)
    }

    fn of_token(&self, token: &str) -> Result<Arc<Account>, Denied> {
        let directory = self.directory.load();
        let (account, expires_at) = directory.by_token.get(&token::hash(token)).ok_or(Denied::Wrong)?;
        match expires_at {
            Some(at) if *at <= Timestamp::now() => Err(Denied::Expired(*at)),
            _ => Ok(account.clone()),
        }
    }

    async fn of_password(&self, name: &str, password: &str, source: IpAddr) -> Result<Arc<Account>, Denied> {
        let named = || self.directory.load().by_name.get(name).cloned();
        // An unknown name takes as long as a wrong password, so that names cannot be found out.
        let hash = named().and_then(|account| account.password.clone());
        let right = self.passwords.verify(source, name, hash.clone(), password).await?;
        // It may have waited for long: what counts is what the account is by now.
        named().filter(|account| right && account.password == hash).ok_or(Denied::Wrong)
    }
}

impl Directory {
    fn of(accounts: impl Iterator<Item = Arc<Account>>) -> Self {
        let mut directory = Self::default();
        for account in accounts {
            for token in &account.tokens {
                directory.by_token.insert(token.hash.clone(), (account.clone(), token.expires_at));
            }
            directory.by_name.insert(account.name.clone(), account);
        }
        directory
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::model::Permission;
    use crate::store::StoreConfig;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn what_is_taken_from_an_account_is_taken_from_those_whose_password_waits() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig { path: directory.path().to_owned(), min_free: 0, ..StoreConfig::default() };
        let accounts = Accounts::open(Store::open(&config).await.unwrap()).await.unwrap();
        let password = "correct horse".to_owned();
        for name in ["root", "deleted", "disabled", "moved", "changed", "as it was"] {
            let scopes = Some(vec![Permission::Admin]);
            let name = name.replace(' ', "-");
            let changes = AccountChanges { scopes, password: Some(Some(password.clone())), ..Default::default() };
            accounts.create(&name, changes, None).await.unwrap();
        }
        let authenticate = |name: &'static str| {
            Box::pin(accounts.authenticate(Credentials::Basic { name, password: "correct horse" }, HERE))
        };
        let held = accounts.passwords.turns.hold();
        let mut all = ["deleted", "disabled", "moved", "changed", "as-it-was"].map(authenticate);
        assert!(all.iter_mut().all(|one| one.now_or_never().is_none()));
        accounts.delete("deleted").await.unwrap();
        let elsewhere = Some(vec!["192.0.2.0/24".parse().unwrap()]);
        for (name, changes) in [
            ("disabled", AccountChanges { disabled: Some(true), ..Default::default() }),
            ("moved", AccountChanges { sources: elsewhere, ..Default::default() }),
            ("changed", AccountChanges { password: Some(None), ..Default::default() }),
        ] {
            accounts.change(name, changes).await.unwrap();
        }
        drop(held);
        let said = futures_util::future::join_all(all).await;
        let said: Vec<_> = said.into_iter().map(|said| said.map(|account| account.name.clone())).collect();
        let moved = Denied::Source { name: "moved".to_owned(), source_address: HERE };
        let disabled = Denied::Disabled("disabled".to_owned());
        let (as_it_was, wrong) = (Ok("as-it-was".to_owned()), Err(Denied::Wrong));
        assert_eq!(said, [wrong.clone(), Err(disabled), Err(moved), wrong, as_it_was]);
    }
}
