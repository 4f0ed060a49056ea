//! Who may call what: credentials, scopes, limits to channels, and names by which we may be asked while nobody is.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{AUTHORIZATION, HOST, ORIGIN};
use hyper::{HeaderMap, Method, Uri};
use tokio::time::timeout;

use super::Api;
use super::error::ApiError;
use crate::access::{Accounts, Credentials, Denied};
use crate::config::Auth;
use crate::model::{Account, ChannelId, Permission, Timestamp};
use crate::web::route::{Route, Scope};

/// Lets requests in.
pub struct Guard {
    accounts: Arc<Accounts>,
    auth: Auth,
    /// The hosts that requests may name while nobody is asked for credentials; `None` is any.
    hosts: Option<Vec<String>>,
    refusals: Refusals,
}

/// Credentials that were refused, told in the log once a second at most.
#[derive(Default)]
struct Refusals {
    /// Since they were last told.
    count: AtomicU64,
    /// The second in which they were.
    told: AtomicI64,
}

/// Who makes a request.
#[derive(Clone)]
pub enum Caller {
    /// Whoever reaches us: nobody is asked.
    Anybody,
    /// An account.
    Account(Arc<Account>),
    /// An account that another node has let in, for this one request.
    Admitted {
        /// Its name.
        name: Arc<str>,
        /// Whether it is limited to channels.
        limited: bool,
    },
    /// Somebody who has not shown that they may look, and is answered all the same.
    Stranger,
}

/// Why somebody who is known, or whom nobody asked, may not do this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Its scopes are not enough.
    #[error("the account '{account}' lacks the scope '{}'", .scope.name())]
    Scope {
        /// The account.
        account: String,
        /// What it lacks.
        scope: Permission,
    },
    /// It is limited to other channels.
    #[error("the account '{account}' is limited to channels, and '{channel}' is none of them")]
    Channel {
        /// The account.
        account: String,
        /// The channel.
        channel: String,
    },
    /// It is limited to channels, and this is about more than one.
    #[error("the account '{account}' is limited to channels, and this needs one that is not")]
    Everything {
        /// The account.
        account: String,
    },
    /// A page from elsewhere may have been made to look like ours (DNS rebinding).
    #[error(
        "requests for the host '{0}' are not answered while nobody is asked for credentials; name it in the key \
         api_hosts if it is ours, or switch authentication on with auth: true"
    )]
    Host(String),
    /// A page from elsewhere makes a browser ask.
    #[error(
        "requests that a browser makes for a page of {0} are not answered while nobody is asked for credentials; switch \
         authentication on with auth: true"
    )]
    Page(String),
}

/// What every row under it is about: one channel, the first part of the path.
const OF_CHANNEL: &str = "/channels/{channel}";
/// The list of channels, which shows everybody their own.
const CHANNELS: &str = "/channels";

impl Guard {
    /// Guards with these accounts. `hosts` are the names by which we may be asked while nobody is asked for credentials,
    /// beside `localhost` and the addresses of loopback; `None` is any name.
    #[must_use]
    pub fn new(accounts: Arc<Accounts>, auth: Auth, hosts: Option<Vec<String>>) -> Self {
        Self { accounts, auth, hosts, refusals: Refusals::default() }
    }

    /// Whether there is an account at all.
    #[must_use]
    pub fn knows_anybody(&self) -> bool {
        !self.accounts.is_empty()
    }

    pub(super) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Whether credentials are asked for at present.
    fn asks(&self) -> bool {
        match self.auth {
            Auth::Always => true,
            Auth::Never => false,
            Auth::WithAccounts => self.knows_anybody(),
        }
    }

    /// Who calls a row, if they may. Where a stranger is answered too, a password that is not checked within `glance` makes
    /// one.
    pub(super) async fn admit(
        &self,
        row: &Route<Api>,
        params: &[String],
        asked: (&Uri, &HeaderMap),
        source: IpAddr,
        glance: Duration,
    ) -> Result<Caller, ApiError> {
        let permission = match row.scope {
            Scope::Open => return Ok(Caller::Stranger),
            Scope::Glance => {
                let known = timeout(glance, self.identify(Permission::Read, (row, params), asked, source)).await;
                return Ok(known.ok().and_then(Result::ok).unwrap_or(Caller::Stranger));
            }
            Scope::Read => Permission::Read,
            Scope::Send => Permission::Send,
            Scope::Admin => Permission::Admin,
        };
        self.identify(permission, (row, params), asked, source).await
    }

    /// Who calls a row that needs a permission, if they have it.
    async fn identify(
        &self,
        permission: Permission,
        (row, params): (&Route<Api>, &[String]),
        (uri, headers): (&Uri, &HeaderMap),
        source: IpAddr,
    ) -> Result<Caller, ApiError> {
        if !self.asks() {
            self.check_host(uri, headers)?;
            self.check_page(uri, headers)?;
            return Ok(Caller::Anybody);
        }
        let account = match self.authenticate(headers, source).await {
            Ok(account) => account,
            Err(denied) => {
                self.refusals.tell(&denied, source);
                return Err(denied.into());
            }
        };
        if !account.may(permission) {
            return Err(Forbidden::Scope { account: account.name.clone(), scope: permission }.into());
        }
        if account.channels.is_some() {
            check_channel(&account, row, params)?;
        }
        Ok(Caller::Account(account))
    }

    async fn authenticate(&self, headers: &HeaderMap, source: IpAddr) -> Result<Arc<Account>, Denied> {
        let header = headers.get(AUTHORIZATION).ok_or(Denied::Missing)?.to_str().map_err(|_| Denied::Malformed)?;
        let (scheme, rest) = header.split_once(' ').ok_or(Denied::Malformed)?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") {
            return self.accounts.authenticate(Credentials::Token(rest), source).await;
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(Denied::Malformed);
        }
        let pair = BASE64_STANDARD.decode(rest).map_err(|_| Denied::Malformed)?;
        let pair = std::str::from_utf8(&pair).map_err(|_| Denied::Malformed)?;
        let (name, password) = pair.split_once(':').ok_or(Denied::Malformed)?;
        self.accounts.authenticate(Credentials::Basic { name, password }, source).await
    }

    /// That no page from elsewhere makes a browser send this: it needs to read no answer to do harm. Other clients say
    /// nothing of pages. What else is served on this machine is elsewhere too.
    fn check_page(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Forbidden> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let site = headers.get(FETCH_SITE).map(|site| site.as_bytes());
        if !matches!(site, None | Some(b"same-origin" | b"none")) {
            return Err(Forbidden::Page("another site".to_owned()));
        }
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let origin = String::from_utf8_lossy(origin.as_bytes());
        let ours = origin.split_once("://").is_some_and(|(_, page)| {
            // A proxy may say another name than the browser did.
            let host = without_port(page);
            let proxied = !is_loopback(host) && is_among(hosts, host);
            proxied || named(uri, headers).is_some_and(|named| named.eq_ignore_ascii_case(page))
        });
        if ours { Ok(()) } else { Err(Forbidden::Page(origin.into_owned())) }
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Forbidden> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        // Browsers, which this is about, always send one.
        let Some(named) = named(uri, headers) else { return Ok(()) };
        let host = without_port(&named);
        if is_loopback(host) || is_among(hosts, host) { Ok(()) } else { Err(Forbidden::Host(host.to_owned())) }
    }
}

/// The host that a request names, with its port.
fn named<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Cow<'a, str>> {
    let named = uri.authority().map(|authority| authority.as_str().as_bytes());
    named.or_else(|| Some(headers.get(HOST)?.as_bytes())).map(String::from_utf8_lossy)
}

fn is_among(hosts: &[String], host: &str) -> bool {
    hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host))
}

/// What a browser says of the page that a request is from.
const FETCH_SITE: &str = "sec-fetch-site";

impl Refusals {
    /// Clients that begin without credentials are nothing to tell of.
    fn tell(&self, denied: &Denied, source: IpAddr) {
        if *denied == Denied::Missing {
            return;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let second = Timestamp::now().0 / 1_000_000;
        if self.told.swap(second, Ordering::Relaxed) != second {
            let count = self.count.swap(0, Ordering::Relaxed);
            tracing::warn!(from = %source, count, "credentials were refused, the last ones because {denied}");
        }
    }
}

/// What a limited account may call: rows about one of its channels, and the list of channels.
fn check_channel(account: &Account, row: &Route<Api>, params: &[String]) -> Result<(), Forbidden> {
    let rest = row.pattern.strip_prefix(OF_CHANNEL);
    match params.first().filter(|_| rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))) {
        Some(channel) if account.reaches(channel) => Ok(()),
        Some(channel) => Err(Forbidden::Channel { account: account.name.clone(), channel: channel.clone() }),
        None if row.pattern == CHANNELS && row.method == Method::GET => Ok(()),
        None => Err(Forbidden::Everything { account: account.name.clone() }),
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        // The colons of a bare IPv6 address are no port's.
        Some((host, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Caller {
    /// Whether a channel is shown to them.
    pub(super) fn reaches(&self, channel: &ChannelId) -> bool {
        match self {
            Self::Anybody => true,
            Self::Account(account) => account.reaches(channel.as_str()),
            // The other node has seen to it.
            Self::Admitted { .. } => true,
            Self::Stranger => false,
        }
    }

    /// That they are limited to no channels.
    ///
    /// # Errors
    /// [`Forbidden::Everything`].
    pub(super) fn require_unlimited(&self) -> Result<(), Forbidden> {
        match self {
            Self::Account(account) if account.channels.is_none() => Ok(()),
            Self::Anybody | Self::Admitted { limited: false, .. } => Ok(()),
            Self::Account(_) | Self::Admitted { .. } | Self::Stranger => {
                Err(Forbidden::Everything { account: self.name().to_owned() })
            }
        }
    }

    /// Their name, for the log.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Anybody => "anybody",
            Self::Account(account) => &account.name,
            Self::Admitted { name, .. } => name,
            Self::Stranger => "a stranger",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_loopback_are_told_from_others() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "[::1]"] {
            assert!(is_loopback(without_port(host)), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "[::2]:1", ""] {
            assert!(!is_loopback(without_port(host)), "{host}");
        }
    }
}
