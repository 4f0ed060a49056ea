//! Chances that follow from a seed and from what is to be replaced, and from nothing else.
//!
//! HMAC-SHA-256 keyed with the seed: whoever has the result but not the seed cannot try numbers until one fits.

use fastrand::Rng;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What is being replaced: equal octets of two kinds have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Phone numbers, short codes, alphanumeric senders.
    Address,
    /// An SMSC's ids of messages.
    MessageId,
    /// system_id, password, system_type.
    Credential,
    /// What messages say.
    Text,
    /// The distance by which all dates are moved.
    Dates,
}

/// The seed, ready to be used.
pub(super) struct Key(Hmac<Sha256>);

impl Key {
    /// A seed's `attempt`-th key.
    pub(super) fn new(seed: &str, attempt: u32) -> Self {
        // HMAC takes keys of any length; the other arm is for algorithms that do not.
        let mut mac = Hmac::new_from_slice(seed.as_bytes()).unwrap_or_else(|_| Hmac::new(&Default::default()));
        mac.update(&attempt.to_be_bytes());
        Self(mac)
    }

    /// The chances for one original; another `nonce` gives others.
    pub(super) fn chances(&self, kind: Kind, original: &[u8], nonce: u32) -> Rng {
        let mut mac = self.0.clone();
        mac.update(&[kind as u8]);
        mac.update(&nonce.to_be_bytes());
        mac.update(original);
        let digest = mac.finalize().into_bytes();
        let first = digest.first_chunk::<8>().copied().unwrap_or_default();
        Rng::with_seed(u64::from_be_bytes(first))
    }
}
