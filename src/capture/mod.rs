//! Captures: SMPP conversations read from pcap and pcapng files.
//!
//! What reads a file produces [`Conversation`]s; what shows, counts, anonymises or replays one takes them. Neither
//! knows the other.

mod conversation;

pub use conversation::{CapturedPdu, Conversation, Sender};
