//! USSD: how sessions are named on the wire, how long the network keeps them, and what phones do in them.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::smsc::values::duration;
use crate::smsc::walk::UssdScript;

/// See the file's head.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "USSD")]
pub struct UssdHabits {
    /// How USSD sessions are named on the wire
    #[arg(long = "ussd-dialect", value_enum, default_value_t)]
    pub dialect: UssdDialect,
    /// What phones answer to USSD menus, in order; then they give up. Repeatable
    #[arg(long = "ussd-answer", value_name = "TEXT")]
    pub answers: Vec<String>,
    /// The network ends a session in which nothing was said for this long
    #[arg(long = "ussd-timeout", value_name = "TIME", default_value = "180s", value_parser = duration)]
    pub timeout: Duration,
    /// What phones do, which is too much for a flag.
    #[arg(skip)]
    pub script: UssdScript,
}

impl Default for UssdHabits {
    fn default() -> Self {
        Self {
            dialect: UssdDialect::default(),
            answers: Vec::new(),
            timeout: Duration::from_secs(180),
            script: UssdScript::default(),
        }
    }
}

/// How sessions are named on the wire.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UssdDialect {
    /// its_session_info with an end bit, as Tata has it
    #[default]
    Tata,
    /// user_message_reference, as MICA gateways have it
    Mica,
    /// its_session_info, and operation 0x17 for the end, as 6D Technologies has it
    Sixdee,
}
