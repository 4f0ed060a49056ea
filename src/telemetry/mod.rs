//! What the server tells about itself: process log, channel logs, rates.

pub mod channel_log;
pub mod log;
pub mod pdu_json;
pub mod rates;
mod rotation;

pub use channel_log::{ChannelLog, ChannelLogs, LogLevel};
pub use rates::{Label, Rates};
