//! Captures: SMPP conversations read from pcap and pcapng files.
//!
//! `file` reads packets, `link` finds TCP segments in them, `stream` puts segments in order and cuts PDUs, `read` joins
//! both directions. What shows, counts, anonymises or replays a [`Conversation`] knows none of that.

mod anonymise;
mod conversation;
mod file;
mod link;
mod mask;
mod read;
mod receipt_text;
mod receipts;
mod rewrite;
mod statistics;
mod stream;
mod write;

pub use anonymise::{Anonymised, anonymise};
pub use conversation::{CapturedPdu, Conversation, Sender};
pub use mask::masked;
pub use read::{Capture, CaptureError, read, read_from};
pub use receipts::{id_given, receipt_of};
pub use statistics::{Latency, Statistics};
pub use write::write;
