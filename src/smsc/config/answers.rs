//! How refusals look, and what answers say besides.

use clap::{Args, ValueEnum};
use smpp::CommandStatus;

use crate::smsc::values::{NetworkErrorCode, error_share};

/// See the file's head. The default refuses with the response of the request and says no more than the status.
#[derive(Args, Clone, Debug, PartialEq, Default)]
#[command(next_help_heading = "Answers")]
pub struct AnswerHabits {
    /// Answer this share of submits with generic_nack, SHARE:STATUS; repeatable
    #[arg(long = "nack", value_name = "SHARE:STATUS", value_parser = error_share)]
    pub nacks: Vec<(f64, CommandStatus)>,
    /// What follows the header of a refusal
    #[arg(long, value_enum, default_value_t)]
    pub error_body: ErrorBody,
    /// additional_status_info_text of refusals
    #[arg(long, value_name = "TEXT")]
    pub refusal_text: Option<String>,
    /// network_error_code of refusals and of receipts that tell of a failure: TYPE:CODE, or three digits as some
    /// SMSCs have it
    #[arg(long, value_name = "TYPE:CODE|DIGITS")]
    pub network_error: Option<NetworkErrorCode>,
    /// Submits that --throttle takes at once after a pause; as many as it takes in a second when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub throttle_burst: Option<u32>,
    /// Tell in responses how near --throttle is (congestion_state, 0 to 100)
    #[arg(long)]
    pub congestion_state: bool,
}

/// The body of a response that refuses.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ErrorBody {
    /// An empty message id
    #[default]
    EmptyId,
    /// A message id, although nothing was taken
    Id,
    /// Nothing at all
    None,
}
