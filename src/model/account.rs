//! Who uses the API: what an account may do, and how it proves itself. No secret is in here, only what proves one.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{ChannelId, Timestamp};

/// An account. What later versions add has a default, so that stored accounts stay readable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name, which is also the user name of basic authentication ([`Account::is_name`]).
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Permission>,
    /// The channels that it is limited to; `None` is no limit.
    #[serde(default)]
    pub channels: Option<Vec<ChannelId>>,
    /// The networks that it may be used from; empty is from anywhere.
    #[serde(default)]
    pub sources: Vec<IpNet>,
    /// Whether nobody can use it for the time being.
    #[serde(default)]
    pub disabled: bool,
    /// What proves its password, if it has one.
    #[serde(default)]
    pub password: Option<PasswordHash>,
    /// Its tokens, the oldest first.
    #[serde(default)]
    pub tokens: Vec<Token>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Look at channels, messages, logs.
    Read,
    /// Send messages, and nothing else.
    Send,
    /// Everything, the configuration included.
    Admin,
}

/// What proves a token of an account, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Names it to its owner; no secret.
    pub id: String,
    /// What it is for, in its owner's words.
    #[serde(default)]
    pub label: Option<String>,
    /// The SHA-256 of the token.
    pub hash: TokenHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it proves nothing any more.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// The SHA-256 of a token, which has 32 random octets: nothing slower is needed against guesses.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(pub [u8; 32]);

/// An argon2id hash in PHC's form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(pub String);

/// Longest name in octets.
const MAX_NAME: usize = 64;

impl Account {
    /// Whether a text can be a name: 1 to 64 letters and digits of ASCII, and `.`, `_`, `-`, `@`, `+` after the first.
    #[must_use]
    pub fn is_name(text: &str) -> bool {
        let octets = text.as_bytes();
        octets.len() <= MAX_NAME
            && octets.first().is_some_and(u8::is_ascii_alphanumeric)
            && octets.iter().all(|octet| octet.is_ascii_alphanumeric() || b"._-@+".contains(octet))
    }

    /// Whether it has a permission; [`Permission::Admin`] is all of them.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.scopes.iter().any(|scope| *scope == permission || *scope == Permission::Admin)
    }

    /// Whether it may do with a channel what it may do.
    #[must_use]
    pub fn reaches(&self, channel: &str) -> bool {
        self.channels.as_ref().is_none_or(|channels| channels.iter().any(|id| id.as_str() == channel))
    }

    /// Whether it may be used from an address.
    #[must_use]
    pub fn admits(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.sources.is_empty() || self.sources.iter().any(|network| network.contains(&source))
    }
}

impl Permission {
    /// Its name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Admin => "admin",
        }
    }
}

/// In constant time.
impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.0[..], &other.0[..]).into()
    }
}

impl Eq for TokenHash {}

impl std::hash::Hash for TokenHash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account {
            name: "shop".to_owned(),
            scopes: vec![Permission::Send],
            channels: None,
            sources: Vec::new(),
            disabled: false,
            password: None,
            tokens: Vec::new(),
            created_at: Timestamp(0),
        }
    }

    #[test]
    fn names_fit_into_paths_and_basic_authentication() {
        for name in ["shop", "a", "0192f0e6-6f43", "me@example.org", &"x".repeat(64)] {
            assert!(Account::is_name(name), "{name}");
        }
        for name in ["", ".", "..", "a:b", "a/b", "a b", "é", "-x", &"x".repeat(65)] {
            assert!(!Account::is_name(name), "{name}");
        }
    }

    #[test]
    fn an_ipv4_peer_of_an_ipv6_socket_is_in_its_ipv4_network() {
        let account = Account { sources: vec!["10.0.0.0/8".parse().unwrap()], ..account() };
        assert!(account.admits("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!account.admits("::ffff:11.1.2.3".parse().unwrap()));
    }

    #[test]
    fn what_proves_something_is_not_shown_by_accident() {
        let token =
            Token { id: "x".into(), label: None, hash: TokenHash([7; 32]), created_at: Timestamp(0), expires_at: None };
        let account =
            Account { tokens: vec![token], password: Some(PasswordHash("$argon2id$planted".into())), ..account() };
        let shown = format!("{account:?}");
        assert!(!shown.contains("planted") && !shown.contains("7, 7"), "{shown}");
        let stored = serde_json::to_vec(&account).unwrap();
        assert_eq!(serde_json::from_slice::<Account>(&stored).unwrap(), account);
    }
}
