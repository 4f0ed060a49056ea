//! How a simulated SMSC behaves. Every key is a flag of `maybug sim` and a key of its script file, said once, here.
//!
//! What SMSCs ordinarily differ in is in this file, what only some of them do is in the files beside it, by purpose.

mod answers;
mod receipts;
mod session;
mod ussd;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use smpp::{CommandStatus, MessageState};

pub use answers::{AnswerHabits, ErrorBody};
pub use receipts::{Intermediate, ReceiptDates, ReceiptErr, ReceiptHabits, ReceiptText};
pub use session::{InterfaceVersion, SessionHabits};
pub use ussd::{UssdDialect, UssdHabits};

use super::values::{Account, BindModes, Span, duration, error_share, share, weighted_state};
use super::walk::UssdScript;

/// See the file's head. The default is an SMSC that takes everything and delivers it at once.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct SimulatorConfig {
    /// The system_id that we answer binds with
    #[arg(long, value_name = "NAME", default_value = "maybug-sim")]
    pub system_id: String,
    /// SYSTEM_ID:PASSWORD that may bind, optionally with :tx, :rx, :trx or several joined by +; repeatable. Without
    /// any, everybody may
    #[arg(long = "account", value_name = "ID:PASSWORD")]
    pub accounts: Vec<Account>,
    /// Bind modes that are offered
    #[arg(long, value_name = "MODES", default_value = "tx+rx+trx")]
    pub bind_modes: BindModes,
    /// Most connections at once; more are closed as they come
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_connections: usize,
    /// PEM certificate; whoever begins TLS gets it, on the same port as those who do not
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Its PEM key; in the certificate's file when absent
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// How message ids look in responses
    #[arg(long, value_enum, default_value_t)]
    pub id_format: IdFormat,
    /// How they look in receipts; as in responses when absent
    #[arg(long, value_enum)]
    pub receipt_id_format: Option<IdFormat>,
    /// Where receipts say what they say
    #[arg(long, value_enum, default_value_t)]
    pub receipt_form: ReceiptForm,
    /// Final state of messages, or several with weights: delivrd:90,undeliv:10
    #[arg(long, value_name = "STATE[:WEIGHT],...", default_value = "delivrd", value_delimiter = ',', overrides_with = "states", value_parser = weighted_state)]
    pub states: Vec<(MessageState, u32)>,
    /// From the submit to its final state and receipt, fixed or a range: 1s, 200ms-5s
    #[arg(long, value_name = "SPAN", default_value = "0s")]
    pub receipt_delay: Span,
    /// Most receipts and MOs kept per account until it takes them; the oldest are dropped and counted
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub backlog: usize,
    /// From a delivery that was refused for now to its next try
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub retry_delay: Duration,
    /// Finished messages remembered per account for query_sm
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub remember: usize,

    /// Answer this share of submits with an error, SHARE:STATUS; repeatable
    #[arg(long = "error", value_name = "SHARE:STATUS", value_parser = error_share)]
    pub errors: Vec<(f64, CommandStatus)>,
    /// Answer ESME_RTHROTTLED above this many submits a second and connection
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..))]
    pub throttle: Option<u32>,
    /// Answer ESME_RMSGQFUL while this many messages of the account are on their way
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub queue_limit: usize,
    /// From a submit to its response, fixed or a range
    #[arg(long, value_name = "SPAN", default_value = "0s")]
    pub response_delay: Span,
    /// Share of submits that are taken but never answered
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub no_response: f64,
    /// Answer ESME_RTHROTTLED when this many submits wait for their response
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub window_limit: usize,
    /// Most deliveries sent on a connection without an answer
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = window)]
    pub window: usize,

    /// Send enquire_link after this long without a PDU; 0 never does
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub enquire_link: Duration,
    /// Read at most this many octets a second from each connection
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u32).range(1..))]
    pub read_rate: Option<u32>,
    /// Make what is left to chance the same in every run
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// How sessions begin and end.
    #[command(flatten)]
    pub session: SessionHabits,
    /// How refusals look.
    #[command(flatten)]
    pub answers: AnswerHabits,
    /// How receipts look.
    #[command(flatten)]
    pub receipts: ReceiptHabits,
    /// USSD.
    #[command(flatten)]
    pub ussd: UssdHabits,
}

fn window(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number from 1".to_owned()),
        Ok(window) => Ok(window),
    }
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            system_id: "maybug-sim".to_owned(),
            accounts: Vec::new(),
            bind_modes: BindModes::all(),
            max_connections: 1000,
            tls_cert: None,
            tls_key: None,
            id_format: IdFormat::default(),
            receipt_id_format: None,
            receipt_form: ReceiptForm::default(),
            states: vec![(MessageState::DELIVERED, 1)],
            receipt_delay: Span::default(),
            backlog: 1_000_000,
            retry_delay: Duration::from_secs(2),
            remember: 10_000,
            errors: Vec::new(),
            throttle: None,
            queue_limit: 1_000_000,
            response_delay: Span::default(),
            no_response: 0.0,
            window_limit: 10_000,
            window: 100,
            enquire_link: Duration::from_secs(30),
            read_rate: None,
            seed: None,
            session: SessionHabits::default(),
            answers: AnswerHabits::default(),
            receipts: ReceiptHabits::default(),
            ussd: UssdHabits::default(),
        }
    }
}

/// Flags of the simulator as a whole, which no account can have for itself: of its listener, of the beginning of a
/// connection, when nobody knows yet who will bind, and of chance.
pub const OF_THE_WHOLE: [&str; 11] = [
    "system-id",
    "account",
    "max-connections",
    "tls-cert",
    "tls-key",
    "window",
    "enquire-link",
    "ignore-enquire-link",
    "read-rate",
    "outbind",
    "seed",
];

/// How message ids are written.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IdFormat {
    /// Lower-case hexadecimal digits, without padding
    #[default]
    Hex,
    /// Upper-case hexadecimal digits, at least eight
    UpperHex,
    /// Decimal digits, at least ten
    Decimal,
    /// A UUID
    Uuid,
    /// Hexadecimal digits behind zeros, sixteen in all
    PaddedHex,
    /// Decimal digits behind zeros, twenty in all
    PaddedDecimal,
    /// `SMSC-` and hexadecimal digits
    Prefixed,
}

impl IdFormat {
    /// What must be the same in responses and receipts, since no ESME could tell one from the other.
    const fn family(self) -> u8 {
        match self {
            Self::Hex | Self::UpperHex | Self::Decimal | Self::PaddedHex | Self::PaddedDecimal => 0,
            Self::Uuid => 1,
            Self::Prefixed => 2,
        }
    }
}

/// Where receipts say what they say.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReceiptForm {
    /// In their text (Appendix B) and in optional parameters
    #[default]
    Both,
    /// In their text alone
    Text,
    /// In optional parameters alone
    Tlvs,
    /// Nowhere: none are sent, whoever asks
    None,
}

/// A configuration that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimulatorConfigError {
    /// UUIDs and prefixed ids have no base.
    #[error("id-format and receipt-id-format must both be {0}, or neither")]
    IdBase(&'static str),
    /// The habits of an account contradict each other.
    #[error("account {0}: {1}")]
    Account(String, Box<Self>),
    /// Nothing to measure the load against.
    #[error("congestion-state needs throttle, which it tells the nearness of")]
    Congestion,
    /// Optional parameters that the version does not have.
    #[error("{0} needs optional parameters, and interface-version 3.3 has none")]
    Version(&'static str),
    /// It would not fit the bind response.
    #[error("system-id has more than 15 characters or a NUL")]
    SystemId,
}

impl SimulatorConfig {
    /// The account of this name, if there is one.
    pub(super) fn account(&self, system_id: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.system_id == system_id)
    }

    /// How it behaves towards whoever binds under this name.
    pub(super) fn habits_of(&self, system_id: &str) -> &Self {
        self.account(system_id).and_then(|account| account.habits.as_deref()).unwrap_or(self)
    }

    /// Checks the values against each other.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(&self) -> Result<(), SimulatorConfigError> {
        let receipts = self.receipt_id_format.unwrap_or(self.id_format);
        if self.id_format.family() != receipts.family() {
            let uuid = self.id_format == IdFormat::Uuid || receipts == IdFormat::Uuid;
            return Err(SimulatorConfigError::IdBase(if uuid { "uuid" } else { "prefixed" }));
        }
        if self.answers.congestion_state && self.throttle.is_none() {
            return Err(SimulatorConfigError::Congestion);
        }
        if !self.session.interface_version.has_tlvs() {
            let wants = [
                ("congestion-state", self.answers.congestion_state),
                ("refusal-text", self.answers.refusal_text.is_some()),
                ("network-error", self.answers.network_error.is_some()),
                ("receipt-form tlvs", self.receipt_form == ReceiptForm::Tlvs),
                ("ussd", self.ussd.script != UssdScript::default()),
            ];
            if let Some((what, _)) = wants.into_iter().find(|(_, wanted)| *wanted) {
                return Err(SimulatorConfigError::Version(what));
            }
        }
        for account in &self.accounts {
            let checked = account.habits.as_ref().map_or(Ok(()), |habits| habits.check());
            checked.map_err(|error| SimulatorConfigError::Account(account.system_id.clone(), Box::new(error)))?;
        }
        match smpp::CString::<16>::try_from(self.system_id.as_str()) {
            Ok(_) => Ok(()),
            Err(_) => Err(SimulatorConfigError::SystemId),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        config: SimulatorConfig,
    }

    #[test]
    fn no_flags_are_the_default() {
        assert_eq!(Flags::parse_from(["sim"]).config, SimulatorConfig::default());
    }

    #[test]
    fn states_given_again_replace_those_before() {
        let states = |words: &[&str]| Flags::parse_from(words).config.states;
        let (delivered, undelivered) = ((MessageState::DELIVERED, 90), (MessageState::UNDELIVERABLE, 10));
        assert_eq!(states(&["sim", "--states", "delivrd:90,undeliv:10"]), [delivered, undelivered]);
        assert_eq!(states(&["sim", "--states", "expired", "--states", "undeliv:10"]), [undelivered]);
    }

    #[test]
    fn uuids_have_no_other_base() {
        let config = Flags::parse_from(["sim", "--id-format", "uuid", "--receipt-id-format", "hex"]).config;
        assert_eq!(config.check(), Err(SimulatorConfigError::IdBase("uuid")));
    }
}
