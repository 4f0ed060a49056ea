//! Commands and their flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::LogFormat;

/// A connector server for SMS and USSD, centred on SMPP.
#[derive(Debug, Parser)]
#[command(name = "maybug", version, about)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    Serve(ServeArgs),
    /// Play an SMSC for tests: takes messages, sends receipts and messages from phones.
    Sim(SimArgs),
    /// Bind to an SMSC and send one message; shows the PDUs.
    Send(SendArgs),
    /// Show what PDUs in hexadecimal digits say.
    Decode(DecodeArgs),
}

/// Flags of `serve`; each overrides the key of the same name in the file.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Example:\n  maybug serve --demo\n  maybug serve -c maybug.yaml -p 8081")]
pub struct ServeArgs {
    /// Configuration file (YAML).
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Interface of the API: an address or a name [default: localhost].
    #[arg(short, long)]
    pub interface: Option<String>,
    /// Port of the API; 0 takes a free one [default: 8080].
    #[arg(short, long)]
    pub port: Option<u16>,
    /// Directory of the store [default: maybug-data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Listen on other than loopback addresses without authentication.
    #[arg(long)]
    pub open: bool,
    /// Run a simulated SMSC and a channel bound to it, and say how to try them.
    #[arg(long)]
    pub demo: bool,
    /// Process log: text or JSON lines [default: text].
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Process log: least level, or a filter [default: info].
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Seconds for which a message from a phone can be replied to [default: 600].
    #[arg(long, value_name = "SECONDS")]
    pub inbound_message_ttl: Option<u64>,
    /// Seconds for which events of a sent message can be asked for [default: 172800].
    #[arg(long, value_name = "SECONDS")]
    pub outbound_message_ttl: Option<u64>,
    /// Send replies to expired messages as ordinary ones.
    #[arg(long)]
    pub allow_expired_replies: bool,
    /// Seconds over which rates are counted [default: 10].
    #[arg(long, value_name = "SECONDS")]
    pub metric_window: Option<f64>,
    /// Directory of the channels' logs [default: logs/].
    #[arg(long, value_name = "DIR")]
    pub logging_path: Option<PathBuf>,
    /// Octets after which a channel's log is rotated [default: 1000000].
    #[arg(long, value_name = "OCTETS")]
    pub log_rotate_size: Option<u64>,
    /// Rotated logs kept per channel, 0 for all [default: 5].
    #[arg(long, value_name = "COUNT")]
    pub max_log_files: Option<usize>,
    /// Most log entries in one answer [default: 100].
    #[arg(long, value_name = "COUNT")]
    pub max_logs: Option<usize>,
}

/// Flags of `sim`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Lines on standard input of the form FROM TO TEXT are sent as messages from phones.\n\n\
                        Examples:\n  maybug sim\n  maybug sim --account alice:secret --receipt-delay 1 --states \
                        DELIVRD:9,UNDELIV:1\n  maybug sim --error 0.05:ESME_RSYSERR --throttle 100 --response-delay 0.2")]
pub struct SimArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(short, long, default_value = "127.0.0.1:2775")]
    pub listen: SocketAddr,
    /// Who may bind, and with which password; anybody when none is given.
    #[arg(short, long = "account", value_name = "SYSTEM_ID:PASSWORD")]
    pub accounts: Vec<String>,
    /// Final states of messages, with weights.
    #[arg(long, value_name = "STATE[:WEIGHT],…", default_value = "DELIVRD")]
    pub states: String,
    /// Seconds from a message to its receipt.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    pub receipt_delay: f64,
    /// How receipts say what they say.
    #[arg(long, value_enum, default_value_t)]
    pub receipt_form: ReceiptFormArg,
    /// How message ids look in responses.
    #[arg(long, value_enum, default_value_t)]
    pub id_format: IdFormatArg,
    /// How message ids look in receipts; as in responses when absent.
    #[arg(long, value_enum)]
    pub receipt_id_format: Option<IdFormatArg>,
    /// Share of messages refused, and with which status.
    #[arg(long = "error", value_name = "SHARE:STATUS")]
    pub errors: Vec<String>,
    /// Messages per second and bind above which the answer is ESME_RTHROTTLED.
    #[arg(long, value_name = "PER_SECOND")]
    pub throttle: Option<u32>,
    /// Seconds from a message to its response.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    pub response_delay: f64,
    /// Share of messages that are never answered.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub no_response: f64,
    /// Cut each connection after this many messages.
    #[arg(long, value_name = "COUNT")]
    pub cut_after: Option<u64>,
    /// Cut each connection after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub cut_every: Option<f64>,
    /// Refuse every bind with this status.
    #[arg(long, value_name = "STATUS")]
    pub refuse_bind: Option<String>,
    /// Send a message from a phone every so many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub mo_every: Option<f64>,
    /// Most receipts and messages on the way to one bind.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub window: usize,
    /// Makes chance repeatable.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Counters once a second instead of a line for each message.
    #[arg(short, long)]
    pub quiet: bool,
    /// Lines as JSON.
    #[arg(long)]
    pub json: bool,
}

/// How receipts say what they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReceiptFormArg {
    /// Text and optional parameters.
    #[default]
    Both,
    /// Text only.
    Text,
    /// Optional parameters only.
    Tlvs,
}

/// How message ids look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum IdFormatArg {
    /// Lower-case hexadecimal digits.
    #[default]
    Hex,
    /// Upper-case hexadecimal digits, padded to eight.
    UpperHex,
    /// Decimal digits, padded to ten.
    Decimal,
}

/// Flags of `send`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  maybug send 127.0.0.1:2775 --system-id me --password secret --to 27820001001 \
                        --from 40404 'Hello'\n  maybug send 127.0.0.1:2775 --to 27820001001 --receipt 'Hello'")]
pub struct SendArgs {
    /// The SMSC: HOST:PORT.
    pub smsc: String,
    /// The text.
    pub text: String,
    /// To whom.
    #[arg(short, long)]
    pub to: String,
    /// From whom.
    #[arg(short, long)]
    pub from: Option<String>,
    /// Who binds.
    #[arg(long, default_value = "maybug")]
    pub system_id: String,
    /// Proof of it.
    #[arg(long, default_value = "", env = "MAYBUG_SMSC_PASSWORD", hide_env_values = true)]
    pub password: String,
    /// Ask for a receipt and wait for it.
    #[arg(short, long)]
    pub receipt: bool,
    /// Seconds after which to give up.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub timeout: f64,
    /// Show the outcome only, not the PDUs.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Flags of `decode`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Example:\n  maybug decode 00000010000000150000000000000001\n  xxd -p capture.bin | maybug decode --json"
)]
pub struct DecodeArgs {
    /// Hexadecimal digits of one or more PDUs; standard input when absent. Spaces, colons and 0x do not matter.
    pub hex: Vec<String>,
    /// JSON instead of trees, one object a line.
    #[arg(long)]
    pub json: bool,
    /// Show passwords.
    #[arg(long)]
    pub show_password: bool,
}
