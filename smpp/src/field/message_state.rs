//! `message_state` (§5.2.28): where a message stands at the SMSC.

use super::octet_field;

/// The octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct MessageState(pub u8);

macro_rules! states {
    ($($name:ident = $value:literal, $word:literal, $doc:literal;)*) => {
        impl MessageState {
            $(#[doc = $doc] pub const $name: Self = Self($value);)*

            /// The word that receipts use for it (Appendix B), or `None` for a reserved value.
            #[must_use]
            pub const fn word(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($word),)*
                    _ => None,
                }
            }

            /// The state with this receipt word, letter case ignored.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                $(if word.eq_ignore_ascii_case($word) {
                    return Some(Self($value));
                })*
                None
            }
        }
    };
}

states! {
    SCHEDULED = 0, "SCHEDLD", "Scheduled for later (SMPP v5.0)";
    ENROUTE = 1, "ENROUTE", "On its way";
    DELIVERED = 2, "DELIVRD", "On the phone";
    EXPIRED = 3, "EXPIRED", "Its validity period ended";
    DELETED = 4, "DELETED", "Deleted";
    UNDELIVERABLE = 5, "UNDELIV", "It cannot be delivered";
    ACCEPTED = 6, "ACCEPTD", "Read on the subscriber's behalf by customer service";
    UNKNOWN = 7, "UNKNOWN", "In an invalid state";
    REJECTED = 8, "REJECTD", "Rejected";
    SKIPPED = 9, "SKIPPED", "Accepted but not transmitted (SMPP v5.0)";
}

octet_field!(MessageState);
