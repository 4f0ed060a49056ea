//! Changing accounts. Each change is checked whole, durable, and in force when it is answered.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::token::{self, Minted, TOKEN_PREFIX};
use super::{AccountError, Accounts};
use crate::model::{Account, ChannelId, Permission, Timestamp};
use crate::store::Change;

/// Most accounts.
const MAX_ACCOUNTS: usize = 10_000;
/// Most tokens of an account.
const MAX_TOKENS: usize = 100;
/// Most channels and most networks of an account.
const MAX_LIMITS: usize = 1_000;
/// Longest label of a token, in characters.
const MAX_LABEL: usize = 200;
/// Characters of a password.
const PASSWORD: std::ops::RangeInclusive<usize> = 8..=1_024;
/// Longest life of a token that has an end.
const MAX_LIFE: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// What is to be different about an account; `None` leaves it as it is.
#[derive(Clone, Default)]
pub struct AccountChanges {
    /// What it may do.
    pub scopes: Option<Vec<Permission>>,
    /// The channels that it is limited to, or none.
    pub channels: Option<Option<Vec<ChannelId>>>,
    /// The networks that it may be used from; empty is from anywhere.
    pub sources: Option<Vec<IpNet>>,
    /// Whether nobody can use it.
    pub disabled: Option<bool>,
    /// Its password, or that it has none.
    pub password: Option<Option<String>>,
}

/// A token to be made.
#[derive(Clone, Debug, Default)]
pub struct NewToken {
    /// What it is for.
    pub label: Option<String>,
    /// How long it will prove something; `None` is until it is deleted.
    pub expires_in: Option<Duration>,
}

impl Accounts {
    /// Makes an account, with a token if one is wanted.
    ///
    /// # Errors
    /// [`AccountError`]; nothing has changed then, as for every change below.
    pub async fn create(
        &self,
        name: &str,
        changes: AccountChanges,
        token: Option<NewToken>,
    ) -> Result<(Arc<Account>, Option<Minted>), AccountError> {
        if !Account::is_name(name) {
            let why = "expected 1 to 64 of A-Z, a-z, 0-9 and . _ - @ +, the first a letter or digit".to_owned();
            return Err(AccountError::Bad { key: "name", why });
        }
        let _changing = self.changing.lock().await;
        let directory = self.directory.load_full();
        if directory.by_name.contains_key(name) {
            return Err(AccountError::Exists(name.to_owned()));
        }
        if directory.by_name.len() >= MAX_ACCOUNTS {
            let why = format!("there are {MAX_ACCOUNTS} accounts already, which is the most");
            return Err(AccountError::Bad { key: "name", why });
        }
        let mut account = Account {
            name: name.to_owned(),
            scopes: Vec::new(),
            channels: None,
            sources: Vec::new(),
            disabled: false,
            password: None,
            tokens: Vec::new(),
            created_at: Timestamp::now(),
        };
        self.apply(&mut account, changes).await?;
        let minted = token.map(|token| add_token(&mut account, token)).transpose()?;
        Ok((self.save(account).await?, minted))
    }

    /// Changes an account.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn change(&self, name: &str, changes: AccountChanges) -> Result<Arc<Account>, AccountError> {
        let _changing = self.changing.lock().await;
        let mut account = Account::clone(&*self.account(name)?);
        self.apply(&mut account, changes).await?;
        self.save(account).await
    }

    /// Deletes an account; its tokens prove nothing any more.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn delete(&self, name: &str) -> Result<(), AccountError> {
        let _changing = self.changing.lock().await;
        let name = self.account(name)?.name.clone();
        let accounts = self.others(&name);
        if !accounts.is_empty() && !accounts.iter().any(|account| is_admin(account)) {
            return Err(AccountError::NoAdmin);
        }
        self.store.commit(vec![Change::DeleteAccount(name)]).await?;
        self.replace(accounts.into_iter());
        Ok(())
    }

    /// Gives an account one more token.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn add_token(&self, name: &str, token: NewToken) -> Result<Minted, AccountError> {
        let _changing = self.changing.lock().await;
        let mut account = Account::clone(&*self.account(name)?);
        let minted = add_token(&mut account, token)?;
        self.save(account).await?;
        Ok(minted)
    }

    /// Takes a token from an account.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn delete_token(&self, name: &str, id: &str) -> Result<(), AccountError> {
        let _changing = self.changing.lock().await;
        let mut account = Account::clone(&*self.account(name)?);
        let before = account.tokens.len();
        account.tokens.retain(|token| token.id != id);
        if account.tokens.len() == before {
            return Err(AccountError::TokenNotFound { name: name.to_owned(), id: id.to_owned() });
        }
        self.save(account).await?;
        Ok(())
    }

    async fn apply(&self, account: &mut Account, changes: AccountChanges) -> Result<(), AccountError> {
        let bad = |key, why: String| Err(AccountError::Bad { key, why });
        if let Some(mut scopes) = changes.scopes {
            scopes.sort_unstable();
            scopes.dedup();
            account.scopes = scopes;
        }
        if account.scopes.is_empty() {
            return bad("scopes", "at least one of read, send, admin".to_owned());
        }
        if let Some(channels) = changes.channels {
            if channels.as_ref().is_some_and(|channels| channels.len() > MAX_LIMITS) {
                return bad("channels", format!("at most {MAX_LIMITS}"));
            }
            account.channels = channels;
        }
        if let Some(sources) = changes.sources {
            if sources.len() > MAX_LIMITS {
                return bad("sources", format!("at most {MAX_LIMITS}"));
            }
            account.sources = sources;
        }
        account.disabled = changes.disabled.unwrap_or(account.disabled);
        match changes.password {
            None => {}
            Some(None) => account.password = None,
            Some(Some(password)) => {
                if !PASSWORD.contains(&password.chars().count()) {
                    return bad("password", format!("{} to {} characters", PASSWORD.start(), PASSWORD.end()));
                }
                if password.starts_with(TOKEN_PREFIX) {
                    return bad("password", format!("what begins with {TOKEN_PREFIX} is a token"));
                }
                account.password = Some(self.passwords.hash(password).await?);
            }
        }
        Ok(())
    }

    async fn save(&self, account: Account) -> Result<Arc<Account>, AccountError> {
        let account = Arc::new(account);
        let mut accounts = self.others(&account.name);
        accounts.push(account.clone());
        if !accounts.iter().any(|account| is_admin(account)) {
            return Err(AccountError::NoAdmin);
        }
        self.store.commit(vec![Change::SaveAccount(account.clone())]).await?;
        self.replace(accounts.into_iter());
        Ok(account)
    }

    fn others(&self, name: &str) -> Vec<Arc<Account>> {
        let directory = self.directory.load();
        directory.by_name.values().filter(|account| account.name != name).cloned().collect()
    }
}

/// Whether it can be used to change accounts. A token that will expire counts: it is its owner's to renew.
fn is_admin(account: &Account) -> bool {
    account.may(Permission::Admin)
        && account.channels.is_none()
        && !account.disabled
        && (account.password.is_some() || !account.tokens.is_empty())
}

fn add_token(account: &mut Account, token: NewToken) -> Result<Minted, AccountError> {
    let bad = |key, why: String| Err(AccountError::Bad { key, why });
    let now = Timestamp::now();
    // Those that prove nothing any more make room.
    account.tokens.retain(|token| token.expires_at.is_none_or(|at| at > now));
    if account.tokens.len() >= MAX_TOKENS {
        return bad("tokens", format!("the account has {MAX_TOKENS} already, which is the most"));
    }
    if token.label.as_ref().is_some_and(|label| label.chars().count() > MAX_LABEL) {
        return bad("label", format!("at most {MAX_LABEL} characters"));
    }
    if token.expires_in.is_some_and(|life| life.is_zero() || life > MAX_LIFE) {
        return bad("expires_in", "expected 1 second to 100 years".to_owned());
    }
    let expires_at = token.expires_in.map(|life| now.plus(life));
    let minted = token::mint(token.label, expires_at)?;
    account.tokens.push(minted.kept.clone());
    Ok(minted)
}
