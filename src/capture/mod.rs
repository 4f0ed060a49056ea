//! Captures: SMPP conversations read from pcap and pcapng files, and from pipes while they are being written.
//!
//! `file` reads packets, `link` finds TCP segments in them, where needed with the help of `fragments`; `stream` puts the
//! segments of one direction in order, `framing` cuts PDUs, `connections` joins both directions, `judge` tells whether they
//! are SMPP. What shows, counts, anonymises or replays a [`Conversation`] knows none of that.

mod anonymise;
mod connections;
mod conversation;
mod file;
mod fragments;
mod framing;
mod judge;
mod link;
mod mask;
mod pairing;
mod read;
mod receipt_text;
mod receipts;
mod rewrite;
mod statistics;
mod stream;
mod write;

pub use anonymise::{Anonymised, anonymise};
pub use conversation::{CapturedPdu, Conversation, Sender};
pub use file::is_capture;
pub use mask::masked;
pub use pairing::{Paired, Pairing};
pub use read::{Capture, CaptureError, Followed, follow, read, read_from};
pub use receipts::{id_given, receipt_of};
pub use statistics::{Counting, Latency, Statistics};
pub use write::write;
