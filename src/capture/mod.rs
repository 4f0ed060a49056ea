//! Captures: SMPP conversations read from pcap and pcapng files.
//!
//! What reads a file produces [`Conversation`]s; what shows, counts, anonymises or replays one takes them. Neither
//! knows the other.

mod anonymise;
mod conversation;
mod read;
mod receipts;
mod write;

pub use anonymise::{Anonymised, anonymise};
pub use conversation::{CapturedPdu, Conversation, Sender};
pub use read::{Capture, CaptureError, read};
pub use receipts::{id_given, receipt_of};
pub use write::write;
