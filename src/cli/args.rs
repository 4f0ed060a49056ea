//! Commands and their flags.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use smpp::text::Charset;
use url::Url;

use super::jb::JunebugFlags;
use crate::config::LogFormat;
use crate::gateway::listing::Format;
use crate::migrate::Source;
use crate::model::{ChannelId, Permission, Timestamp};
use crate::replay::Pace;
use crate::smsc::{SimulatorConfig, Span, duration};
use crate::store::{Direction, Search, Standing};

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
    Serve(Box<ServeArgs>),
    /// Make, list, show and delete accounts, and their tokens: who may use the API.
    Account(AccountArgs),
    /// Give away what was sent and received, as lines of JSON or CSV; or all that a stopped server has, to move or keep it.
    Export(ExportArgs),
    /// Take what `export store` gave away into an empty directory or Redis.
    Import(ImportArgs),
    /// Play an SMSC for tests: takes messages, sends receipts and messages from phones.
    Sim(Box<SimArgs>),
    /// Bind to an SMSC and send one message; shows the PDUs.
    Send(SendArgs),
    /// Examine an SMSC: connection, binds, answers; explain refusals, and write a channel's configuration.
    Doctor(DoctorArgs),
    /// Show what PDUs say, in a capture file or in hexadecimal digits.
    Decode(DecodeArgs),
    /// Check a configuration file, or turn that of Kannel, Jasmin, Vumi or Junebug into channels.
    Check(CheckArgs),
    /// Say a recorded conversation again, to an SMSC or to an ESME, and tell where the answers differ.
    Replay(ReplayArgs),
}

/// Flags of `serve`; each overrides the key of the same name in the file.
#[derive(Debug, Default, clap::Args)]
#[command(
    after_help = "Example:\n  maybug serve --demo\n  maybug serve -c maybug.yaml -p 8081\n\nJunebug's spellings of \
              several letters work too (-redish, -amqpvh, -ittl, …). Called by the name `jb`, maybug does `serve`."
)]
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
    /// Keep everything in a Redis instead: redis://, redis+sentinel:// or redis+cluster://, rediss for TLS.
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,
    /// Ask everybody for credentials; `maybug account` makes them.
    #[arg(long, conflicts_with = "open")]
    pub auth: bool,
    /// Listen on other than loopback addresses without authentication.
    #[arg(long)]
    pub open: bool,
    /// Run a simulated SMSC and a channel bound to it, and say how to try them.
    #[arg(long)]
    pub demo: bool,
    /// Process log: text or JSON lines [default: text].
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Keeps the text of messages and the middle of numbers out of all logs.
    #[arg(long)]
    pub log_privacy: bool,
    /// Process log: least level, or a filter [default: info].
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Seconds for which a message from a phone can be replied to [default: 600].
    #[arg(long, value_name = "SECONDS")]
    pub inbound_message_ttl: Option<u64>,
    /// Seconds after a message for which its receipts are posted [default: 172800].
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
    /// What only `jb` had.
    #[command(flatten)]
    pub junebug: JunebugFlags,
}

/// Flags of `account`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Works on the store of a server that does not run (--data), or on a running one (--api).\n\n\
                        Examples:\n  maybug account create me --scope admin\n  maybug account list\n  \
                        MAYBUG_TOKEN=mb_... maybug account list --api http://127.0.0.1:8080")]
pub struct AccountArgs {
    /// What to do
    #[command(subcommand)]
    pub command: AccountCommand,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make an account; its first token goes to standard output
    Create(CreateAccountArgs),
    /// List the names
    #[command(after_help = "Example:\n  maybug account list --data /var/lib/maybug")]
    List(AccountPlace),
    /// Show an account, without its secrets, as JSON
    #[command(after_help = "Example:\n  maybug account show shop")]
    Show {
        /// Whose
        name: String,
        /// Where.
        #[command(flatten)]
        place: AccountPlace,
    },
    /// Delete an account and its tokens
    #[command(after_help = "Example:\n  maybug account delete shop")]
    Delete {
        /// Whose
        name: String,
        /// Where.
        #[command(flatten)]
        place: AccountPlace,
    },
    /// Give an account one more token, on standard output, or take one from it
    Token(TokenArgs),
}

/// Where what is kept is.
#[derive(Clone, Debug, clap::Args)]
pub struct AccountPlace {
    /// Directory of the store of a server that does not run [default: maybug-data]
    #[arg(long, value_name = "DIR", env = "MAYBUG_DATA", conflicts_with = "redis")]
    pub data: Option<PathBuf>,
    /// The Redis of servers that do not run, instead; a URL with a password rather in the environment as MAYBUG_REDIS
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,
    /// A running server instead; the token of one who may in the environment as MAYBUG_TOKEN
    #[arg(long, value_name = "URL")]
    pub api: Option<Url>,
}

/// What `export` gives away.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// What.
    #[command(subcommand)]
    pub what: ExportWhat,
}

/// See [`ExportArgs`].
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ExportWhat {
    /// Messages, the newest first
    Messages(Box<ExportMessagesArgs>),
    /// All that a stopped server has, its secrets included, for `import`
    Store(ExportStoreArgs),
}

/// Flags of `export store`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Changes nothing there. The server that uses it must be stopped. What comes out has passwords, tokens and \
                  texts in it.\n\nExamples:\n  maybug export store --data /var/lib/maybug --output backup.ndjson\n  \
                  maybug export store --data /var/lib/maybug | maybug import - --redis redis://127.0.0.1:6379"
)]
pub struct ExportStoreArgs {
    /// Where it is.
    #[command(flatten)]
    pub place: StorePlace,
    /// To this file, which only its owner can read, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Nobody uses the Redis any more, although whoever did has not closed it
    #[arg(long, conflicts_with = "data")]
    pub crashed: bool,
    /// Tell as JSON, on standard error, how far it has got
    #[arg(long)]
    pub json: bool,
}

/// Flags of `import`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "One that was broken off goes on when it is run again; until then no server starts there.\n\n\
                        Examples:\n  maybug import backup.ndjson --data /var/lib/maybug\n  \
                        maybug export store --redis redis://127.0.0.1:6379 | maybug import - --data maybug-data")]
pub struct ImportArgs {
    /// What `export store` gave; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where it goes.
    #[command(flatten)]
    pub place: StorePlace,
    /// Tell as JSON, on standard error, how far it has got
    #[arg(long)]
    pub json: bool,
}

/// Where a store is that no server uses.
#[derive(Clone, Debug, clap::Args)]
#[group(multiple = false)]
pub struct StorePlace {
    /// Its directory
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Its Redis: redis://, redis+sentinel:// or redis+cluster://, rediss for TLS; a URL with a password rather in the
    /// environment as MAYBUG_REDIS
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,
}

/// Flags of `export messages`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  maybug export messages --api http://127.0.0.1:8080 > messages.ndjson\n  \
                        maybug export messages --data maybug-data --address 27820001001 --format csv -o phone.csv")]
pub struct ExportMessagesArgs {
    /// Where they are.
    #[command(flatten)]
    pub place: AccountPlace,
    /// Which.
    #[command(flatten)]
    pub query: MessageQuery,
    /// ndjson or csv
    #[arg(long, default_value = "ndjson", value_parser = Format::from_str)]
    pub format: Format,
    /// To this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Tell as JSON, on standard error, how far it has got
    #[arg(long)]
    pub json: bool,
}

/// Which messages.
#[derive(Clone, Debug, clap::Args)]
pub struct MessageQuery {
    /// Of this channel
    #[arg(long, value_name = "ID")]
    pub channel: Option<String>,
    /// To or from this phone
    #[arg(long, value_name = "NUMBER")]
    pub address: Option<String>,
    /// To this address
    #[arg(long, value_name = "NUMBER")]
    pub to: Option<String>,
    /// From this address
    #[arg(long, value_name = "NUMBER")]
    pub from: Option<String>,
    /// outbound or inbound
    #[arg(long, value_parser = Direction::from_str)]
    pub direction: Option<Direction>,
    /// What became of them: scheduled, queued, submitted, pending, delivered, failed, rejected, expired or received
    #[arg(long, value_parser = Standing::from_str)]
    pub status: Option<Standing>,
    /// Accepted or received then or later: ISO 8601 with its offset, or YYYY-MM-DD HH:MM:SS in UTC
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Timestamp>,
    /// Accepted or received before
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Timestamp>,
}

impl MessageQuery {
    /// As a store is asked.
    #[must_use]
    pub fn search(&self) -> Search {
        Search {
            channel: self.channel.as_deref().map(ChannelId::from),
            address: self.address.clone(),
            to: self.to.clone(),
            from: self.from.clone(),
            direction: self.direction,
            status: self.status,
            since: self.since,
            until: self.until,
            before: None,
        }
    }

    /// As an API is asked, but for the channel.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let pairs = [
            ("address", self.address.clone()),
            ("to", self.to.clone()),
            ("from", self.from.clone()),
            ("direction", self.direction.map(|direction| direction.name().to_owned())),
            ("status", self.status.map(|status| status.name().to_owned())),
            ("since", self.since.map(|at| at.to_string())),
            ("until", self.until.map(|at| at.to_string())),
        ];
        pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_any(text).ok_or_else(|| "neither ISO 8601 with its offset nor YYYY-MM-DD HH:MM:SS".to_owned())
}

/// Flags of `account create`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  maybug account create me --scope admin\n  \
                        maybug account create shop --scope send --scope read --channel 0d9a2f0e-6f43-4a9e-8f0d-5f0a3c1b7e11\n  \
                        maybug account create backend --scope send --source 10.20.0.0/16 --expires-in 90d")]
pub struct CreateAccountArgs {
    /// Its name: letters, digits and . _ - @ +
    pub name: String,
    /// What it may do, again for more: send does not include read, admin includes everything
    #[arg(long = "scope", value_name = "SCOPE", value_enum, required = true)]
    pub scopes: Vec<Permission>,
    /// A channel that it is limited to, again for more
    #[arg(long = "channel", value_name = "ID")]
    pub channels: Vec<String>,
    /// A network that it may be used from, again for more
    #[arg(long = "source", value_name = "CIDR")]
    pub sources: Vec<IpNet>,
    /// A password for basic authentication, beside the token
    #[arg(long, env = "MAYBUG_ACCOUNT_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// About its first token.
    #[command(flatten)]
    pub token: NewTokenArgs,
    /// Where.
    #[command(flatten)]
    pub place: AccountPlace,
}

/// Flags of `account token`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  maybug account token shop --label 'since spring'\n  \
                        maybug account token shop --delete 5f0a3c1b7e11")]
pub struct TokenArgs {
    /// Whose
    pub name: String,
    /// Delete this one instead; `account show` has the ids
    #[arg(long, value_name = "ID", conflicts_with_all = ["label", "expires_in"])]
    pub delete: Option<String>,
    /// About the new one.
    #[command(flatten)]
    pub token: NewTokenArgs,
    /// Where.
    #[command(flatten)]
    pub place: AccountPlace,
}

/// What to say of a new token.
#[derive(Clone, Debug, clap::Args)]
pub struct NewTokenArgs {
    /// What the token is for
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// When the token ends, in whole seconds; never when absent
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub expires_in: Option<Duration>,
}

/// Flags of `sim`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    args_override_self = true,
    after_help = "Lines FROM TO TEXT on standard input are sent as messages from phones. TIME and SPAN are 250ms, 1.5s, 2m; a \
                  SPAN may be a range, 200ms-2s.\n\n\
                  Examples:\n  maybug sim\n  \
                  maybug sim --account shop:s3cret --receipt-delay 1s-5s --states delivrd:90,undeliv:10\n  \
                  maybug sim --error 5%:ESME_RSYSERR --throttle 100 --response-delay 200ms --cut-every 1m --seed 1\n  \
                  echo '27820001001 40404 Hi there' | maybug sim"
)]
pub struct SimArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(short, long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:2775")]
    pub listen: SocketAddr,
    /// YAML file with these flags as keys, and accounts, tls and ussd; flags on the command line come after those in it
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Send a message from a phone every so often
    #[arg(long, value_name = "SPAN")]
    pub mo_every: Option<Span>,
    /// Whose
    #[arg(long, value_name = "NUMBER", default_value = "27820001001")]
    pub mo_from: String,
    /// To which number
    #[arg(long, value_name = "NUMBER", default_value = "40404")]
    pub mo_to: String,
    /// And what it says
    #[arg(long, value_name = "TEXT", default_value = "Hello from a phone")]
    pub mo_text: String,
    /// Dial this USSD code from a phone of each account that can hear it; --ussd-answer says how it goes on
    #[arg(long, value_name = "CODE")]
    pub ussd_dial: Option<String>,
    /// Counters once a second instead of a line for each message
    #[arg(short, long)]
    pub quiet: bool,
    /// Lines as JSON
    #[arg(long)]
    pub json: bool,
    /// How it behaves.
    #[command(flatten)]
    pub behaviour: SimulatorConfig,
}

/// Flags of `send`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    override_usage = "maybug send [OPTIONS] --to NUMBER HOST:PORT TEXT\n       \
                      maybug send [OPTIONS] --to NUMBER --url URL TEXT",
    after_help = "Examples:\n  \
                  maybug send 127.0.0.1:2775 --system-id shop --password s3cret --from 40404 --to 27820001001 'Hello'\n  \
                  maybug send 127.0.0.1:2775 --to 27820001001 --receipt --encoding ucs2 'Hello'\n  \
                  maybug send --url http://127.0.0.1:8080/channels/demo/messages/ --to 27820001001 'Hello'"
)]
pub struct SendArgs {
    /// The SMSC as HOST:PORT, unless --url is given, and the text
    #[arg(value_names = ["HOST:PORT", "TEXT"], num_args = 1..=2, required = true)]
    pub words: Vec<String>,
    /// Post to this URL of an API instead of binding to an SMSC; an account's token in the environment as MAYBUG_TOKEN
    #[arg(long, conflicts_with_all = ["system_id", "password", "receipt", "encoding", "long"])]
    pub url: Option<Url>,
    /// To whom
    #[arg(short, long, value_name = "NUMBER")]
    pub to: String,
    /// From whom
    #[arg(short, long, value_name = "NUMBER")]
    pub from: Option<String>,
    /// Who binds
    #[arg(short, long, value_name = "NAME", default_value = "maybug")]
    pub system_id: String,
    /// Proof of it
    #[arg(short, long, default_value = "", env = "MAYBUG_SMSC_PASSWORD", hide_env_values = true)]
    pub password: String,
    /// What kind of system binds
    #[arg(long, value_name = "TYPE", default_value = "")]
    pub system_type: String,
    /// Bind as transmitter, not as transceiver
    #[arg(long, conflicts_with = "receipt")]
    pub transmitter: bool,
    /// Encode the text so: gsm0338, ucs2, latin1, ascii, utf-8; the cheapest that has every character when absent
    #[arg(short, long, value_name = "NAME", value_parser = encoding)]
    pub encoding: Option<Charset>,
    /// Announce this data_coding, whatever the encoding
    #[arg(long, value_name = "0-255")]
    pub data_coding: Option<u8>,
    /// How text leaves that is too long for one message
    #[arg(long, value_enum, default_value_t)]
    pub long: LongArg,
    /// Ask for a receipt and wait for it
    #[arg(short, long)]
    pub receipt: bool,
    /// After which to give up
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
    /// Show the outcome only, not the PDUs
    #[arg(short, long)]
    pub quiet: bool,
}

fn encoding(name: &str) -> Result<Charset, String> {
    Charset::named(name).ok_or_else(|| "expected gsm0338, ucs2, latin1, ascii, cp1252 or utf-8".to_owned())
}

/// How text leaves that is too long for one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LongArg {
    /// Segments with a header of an 8-bit reference
    #[default]
    Udh8,
    /// Segments with a header of a 16-bit reference
    Udh16,
    /// Segments told by the sar_* parameters
    Sar,
    /// One PDU, in message_payload
    Payload,
}

/// Flags of `doctor`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Exits with 0 when a channel can be bound, 1 otherwise.\n\nExamples:\n  \
                  maybug doctor smsc.example:2775 --system-id shop --password s3cret\n  \
                  maybug doctor tls:smsc.example:3550 --system-id shop --to 27820001001 --write channel.json")]
pub struct DoctorArgs {
    /// The SMSC: HOST:PORT, or an endpoint as channels have it (tls:HOST:PORT)
    #[arg(value_name = "HOST:PORT")]
    pub smsc: String,
    /// Who binds
    #[arg(long, value_name = "NAME")]
    pub system_id: String,
    /// Proof of it
    #[arg(long, default_value = "", env = "MAYBUG_SMSC_PASSWORD", hide_env_values = true, hide_default_value = true)]
    pub password: String,
    /// As the operator wants it
    #[arg(long, value_name = "TYPE", default_value = "", hide_default_value = true)]
    pub system_type: String,
    /// Send one message to this phone, and look at ids, receipt and alphabet; a second one where an address is refused for
    /// its TON or NPI. It may cost money
    #[arg(long, value_name = "NUMBER")]
    pub to: Option<String>,
    /// From whom
    #[arg(long, value_name = "ADDRESS", requires = "to")]
    pub from: Option<String>,
    /// How long any step may take; all of them together take at most thirty times that
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub timeout: Duration,
    /// Write the channel's configuration here
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// The whole examination as JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `decode`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  maybug decode 00000010000000150000000000000001\n  xxd capture.bin | maybug decode --json\n  \
                  tcpdump -U -w - port 2775 | maybug decode --oneline -\n  \
                  maybug decode capture.pcapng --make-fixture fixture.pcap --seed 'a secret'"
)]
pub struct DecodeArgs {
    /// Capture files (pcap, pcapng); or hexadecimal digits of one PDU or several in a row. Either from standard input when
    /// absent or -, and the PDUs of a capture are then shown as they come. Spaces, colons, 0x and the offsets of xxd,
    /// hexdump and tshark do not matter
    #[arg(value_name = "FILE|HEX")]
    pub hex: Vec<String>,
    /// JSON instead of trees, one object a line
    #[arg(long)]
    pub json: bool,
    /// One line for each PDU of a capture
    #[arg(long, conflicts_with = "json")]
    pub oneline: bool,
    /// Count instead: commands, statuses, optional parameters, response times, unanswered requests of a capture
    #[arg(long, conflicts_with = "oneline")]
    pub stats: bool,
    /// Show passwords
    #[arg(long)]
    pub show_password: bool,
    /// Write the capture as one that can be given away, with other numbers, texts, ids, credentials and addresses
    #[arg(long, value_name = "OUT.pcap", requires = "hex", conflicts_with_all = ["json", "oneline", "stats", "show_password"])]
    pub make_fixture: Option<PathBuf>,
    /// The secret from which they follow; the same makes the same of the same [default: a random one]
    #[arg(long, value_name = "SECRET", requires = "make_fixture")]
    pub seed: Option<String>,
}

/// Flags of `replay`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("peer").required(true),
    after_help = "Exits with 0 when no answer differs from the recording, 1 when some do, 2 when it failed.\n\n\
                  Examples:\n  \
                  maybug replay capture.pcapng --to 127.0.0.1:2775 --system-id shop --password s3cret\n  \
                  maybug replay capture.pcapng --to tls:smsc.example:3550 --speed max --window 50 --json\n  \
                  maybug replay capture.pcapng --listen 127.0.0.1:2775 --conversation 2 --speed 10"
)]
pub struct ReplayArgs {
    /// The capture: pcap or pcapng
    pub file: PathBuf,
    /// Play the ESME against this SMSC, HOST:PORT or tls:HOST:PORT
    #[arg(long, value_name = "HOST:PORT", group = "peer")]
    pub to: Option<String>,
    /// Play the SMSC to the first ESME that binds here; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", group = "peer")]
    pub listen: Option<SocketAddr>,
    /// Which conversation of the capture, from 1; with --to all at once when absent
    #[arg(long, value_name = "NUMBER")]
    pub conversation: Option<usize>,
    /// How fast: 1 is as recorded, 10 is ten times that, max is as fast as the window allows
    #[arg(long, value_name = "FACTOR|max", default_value = "1", value_parser = pace)]
    pub speed: Pace,
    /// Most requests that wait for an answer at once [default: as many as in the recording, else 10]
    #[arg(long, value_name = "COUNT")]
    pub window: Option<NonZeroUsize>,
    /// Who binds, in place of the recorded one
    #[arg(long, value_name = "NAME", conflicts_with = "listen")]
    pub system_id: Option<String>,
    /// Proof of it
    #[arg(long, conflicts_with = "listen", env = "MAYBUG_SMSC_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// How long to wait for an answer, and for what the recording has and the other side does not send
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub timeout: Duration,
    /// Lines as JSON
    #[arg(long)]
    pub json: bool,
}

fn pace(text: &str) -> Result<Pace, String> {
    let factor = text.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor > 0.0);
    match (text, factor) {
        ("max", _) => Ok(Pace::Max),
        (_, Some(factor)) => Ok(Pace::Scaled(factor)),
        _ => Err("expected max, or a positive number such as 1, 0.5 or 10".to_owned()),
    }
}

/// Flags of `check`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("target"),
    after_help = "Channels go to standard output, ready for POST /channels/; what differs and what has no counterpart goes to \
                  standard error. Exits with 1 when the server would refuse something.\n\n\
                  Examples:\n  maybug check maybug.yaml\n  maybug check --from kannel /etc/kannel/kannel.conf\n  \
                  maybug check --from jasmin --json connectors.jcli\n  \
                  maybug check --from junebug-redis redis://localhost/0 --apply --api http://127.0.0.1:8080\n  \
                  maybug check --nginx maybug.yaml --api http://127.0.0.1:8080 --write"
)]
pub struct CheckArgs {
    /// The file; the URL of the database for junebug-redis
    #[arg(value_name = "FILE|URL")]
    pub file: PathBuf,
    /// Whose configuration it is; our own when absent
    #[arg(long, value_name = "SYSTEM", value_enum)]
    pub from: Option<Origin>,
    /// One channel a line; problems of our own file as an object
    #[arg(long)]
    pub json: bool,
    /// What nginx needs to reach the channels that listen for requests, by the file's nginx plugin; channels are those of
    /// --api, of --data or of the file's directory
    #[arg(long, conflicts_with = "from")]
    pub nginx: bool,
    /// Write nginx's files instead of showing them, and remove those of channels that are gone
    #[arg(long, requires = "nginx")]
    pub write: bool,
    /// Take over what junebug-redis has, under the ids that it has there, into --api or --data
    #[arg(long, requires_all = ["from", "target"])]
    pub apply: bool,
    /// A running server's API; the token of an admin in the environment as MAYBUG_TOKEN
    #[arg(long, value_name = "URL", group = "target")]
    pub api: Option<Url>,
    /// A stopped server's directory
    #[arg(long, value_name = "DIR", group = "target")]
    pub data: Option<PathBuf>,
}

/// Where a configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file of another connector's.
    File(Source),
    /// The Redis database in which Junebug kept everything.
    JunebugRedis,
}

impl ValueEnum for Origin {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::File(Source::Kannel),
            Self::File(Source::Jasmin),
            Self::File(Source::Vumi),
            Self::File(Source::Junebug),
            Self::JunebugRedis,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::File(source) => source.to_possible_value(),
            Self::JunebugRedis => {
                Some(PossibleValue::new("junebug-redis").help("The Redis database in which Junebug kept everything"))
            }
        }
    }
}
