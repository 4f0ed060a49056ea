//! How sessions begin and end: refused and invited binds, the version that is spoken, unbinds and cuts.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use smpp::CommandStatus;

use crate::smsc::values::{duration, share, status_of};

/// See the file's head. The default is a session that lasts as long as the ESME wants it.
#[derive(Args, Clone, Debug, PartialEq, Default)]
#[command(next_help_heading = "Sessions")]
pub struct SessionHabits {
    /// Refuse every bind with this status, or as many as --refuse-binds says
    #[arg(long, value_name = "STATUS", value_parser = status_of)]
    pub refuse_bind: Option<CommandStatus>,
    /// Refuse this many binds of each account and accept those after them [status: ESME_RBINDFAIL]
    #[arg(long, value_name = "N")]
    pub refuse_binds: Option<u64>,
    /// Version that is spoken; 3.3 has no optional parameters
    #[arg(long, value_enum, default_value_t)]
    pub interface_version: InterfaceVersion,
    /// Connect to an ESME here and ask it to bind, again whenever that connection ends
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub outbind: Option<SocketAddr>,

    /// Unbind upon this many requests on a connection
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub unbind_after: Option<u64>,
    /// Unbind each connection when it is this old
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub unbind_every: Option<Duration>,
    /// Cut each connection after this long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub cut_every: Option<Duration>,
    /// Cut each connection after this many requests
    #[arg(long, value_name = "N")]
    pub cut_after: Option<u64>,
    /// Share of requests upon which the connection is cut
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub cut_rate: f64,
    /// Let --cut-after and --cut-rate take the request and cut in the middle of its response
    #[arg(long)]
    pub cut_mid_pdu: bool,
    /// Leave enquire_link unanswered
    #[arg(long)]
    pub ignore_enquire_link: bool,
}

/// A version of SMPP.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum InterfaceVersion {
    /// Without optional parameters
    #[value(name = "3.3")]
    V33,
    /// What nearly everybody speaks
    #[default]
    #[value(name = "3.4")]
    V34,
    /// With congestion_state and the state SCHEDULED
    #[value(name = "5.0")]
    V50,
}

impl InterfaceVersion {
    /// As `sc_interface_version` has it (§5.2.4).
    pub(in crate::smsc) const fn octet(self) -> u8 {
        match self {
            Self::V33 => 0x33,
            Self::V34 => 0x34,
            Self::V50 => 0x50,
        }
    }

    /// Whether it knows optional parameters.
    pub(in crate::smsc) const fn has_tlvs(self) -> bool {
        !matches!(self, Self::V33)
    }
}
