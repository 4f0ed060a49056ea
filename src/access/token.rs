//! Tokens: 32 random octets, shown once and kept as their hash.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::AccountError;
use crate::model::{Timestamp, Token, TokenHash};

/// What every token begins with, so that one that has strayed is recognised.
pub const TOKEN_PREFIX: &str = "mb_";
/// Octets of the hash that an id is made of.
const ID: usize = 6;

/// A new token: what is kept, and what only its owner gets.
pub struct Minted {
    /// For the account.
    pub kept: Token,
    /// For its owner, once.
    pub secret: String,
}

/// Makes a token.
pub(super) fn mint(label: Option<String>, expires_at: Option<Timestamp>) -> Result<Minted, AccountError> {
    let mut octets = [0; 32];
    getrandom::fill(&mut octets).map_err(|error| AccountError::Secret(error.to_string()))?;
    let secret = format!("{TOKEN_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(octets));
    let hash = hash(&secret);
    // Whoever has the token can tell which one it is; whoever has the id cannot tell the token.
    let id = hash.0.iter().take(ID).map(|octet| format!("{octet:02x}")).collect();
    Ok(Minted { kept: Token { id, label, hash, created_at: Timestamp::now(), expires_at }, secret })
}

/// What is kept of a token.
pub(super) fn hash(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token.as_bytes()).into())
}
