//! Identifiers as newtypes, so that a channel's id is never passed for a message's.
//!
//! `MessageId` is ours; `SmscMessageId` is the SMSC's. A bare "id" belongs to nobody.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Timestamp;

/// Our id of a message, MT or MO: a UUID (version 7 when we mint it, so that ids sort by time),
/// written as 32 lower-case hex digits as Junebug writes them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub Uuid);

/// The first millisecond of that year.
const YEAR_10000: u64 = 253_402_300_800_000;

impl MessageId {
    /// A new id.
    #[must_use]
    pub fn mint() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id of what has none that is a UUID: the same for the same octets (RFC 9562, version 8, SHA-256).
    #[must_use]
    pub fn hashed(parts: &[&[u8]]) -> Self {
        let digest = parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part)).finalize();
        Self(Uuid::new_v8(digest.first_chunk::<16>().copied().unwrap_or_default()))
    }

    /// None made then or later is smaller, and none made earlier is greater, to the millisecond; for the years 1970 to
    /// 10000.
    #[must_use]
    pub fn first_of(at: Timestamp) -> Self {
        let milliseconds = u64::try_from(at.0.div_euclid(1_000)).unwrap_or_default().min(YEAR_10000);
        Self(Uuid::from_u128(u128::from(milliseconds) << 80))
    }

    /// When it was made, to the millisecond; nothing if it is not one of ours.
    #[must_use]
    pub fn minted_at(self) -> Option<Timestamp> {
        if self.0.get_version() != Some(uuid::Version::SortRand) {
            return None;
        }
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        i64::try_from(seconds * 1_000_000 + u64::from(nanoseconds / 1_000)).ok().map(Timestamp)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_simple(), f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

impl Serialize for MessageId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = Uuid::encode_buffer();
        serializer.serialize_str(self.0.as_simple().encode_lower(&mut buffer))
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self)
    }
}

/// Our id of an event; the same form as a [`MessageId`].
pub type EventId = MessageId;

/// An id that is a name: a dashed UUID when we make it, any non-empty string without a slash when it was imported.
/// Cloning is a reference count.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Arc<str>);

        impl $name {
            /// A new id.
            #[must_use]
            pub fn mint() -> Self {
                Self(Uuid::new_v4().to_string().into())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A channel's id.
    ChannelId
}
name! {
    /// A router's id.
    RouterId
}
name! {
    /// The id of a router's destination.
    DestinationId
}

/// The SMSC's id of a message or of one segment, exactly as it sent it; unique only within a channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SmscMessageId(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_are_written_as_32_hex_digits_and_sort_by_time() {
        let (first, second) = (MessageId::mint(), MessageId::mint());
        assert_eq!(first.to_string().len(), 32);
        assert!(first < second);
        assert_eq!(serde_json::to_string(&first).unwrap(), format!("\"{first}\""));
        assert_eq!(first.to_string().parse(), Ok(first));
    }
}
