//! The SMSC side: a simulator that ESMEs bind to, for trying things out and for tests.
//!
//! [`Simulator`] listens (`listener`); each connection is one task (`connection`, `binds`, `submits`, `queries`,
//! `deliveries`, `faults`) on an account's `mailbox`, where its `messages` end and its receipts wait.

mod accounts;
mod agenda;
mod binds;
mod config;
mod connection;
mod deliveries;
mod event;
mod faults;
mod ids;
mod listener;
mod mailbox;
mod messages;
mod paced;
mod phone;
mod queries;
mod receipts;
mod shared;
mod simulator;
mod submits;
mod times;
mod ussd;
mod values;
mod walk;

pub use config::{
    AnswerHabits, ErrorBody, IdFormat, InterfaceVersion, Intermediate, OF_THE_WHOLE, ReceiptDates, ReceiptErr,
    ReceiptForm, ReceiptHabits, ReceiptText, SessionHabits, SimulatorConfig, SimulatorConfigError, UssdDialect,
    UssdHabits,
};
pub use event::{SimEvent, Whole};
pub use phone::{PhoneError, PhoneMessage, PhoneOptions};
pub use shared::{Counters, Tap};
pub use simulator::{Simulator, StartError};
pub use values::{
    Account, BindModes, NetworkErrorCode, Span, ValueError, duration, error_share, share, status_of, weighted_state,
};
pub use walk::{Step, Turn, UssdPhone, UssdScript};

/// The simulated SMSC of `serve --demo`: receipts come after a second.
#[must_use]
pub fn demo() -> SimulatorConfig {
    SimulatorConfig { receipt_delay: std::time::Duration::from_secs(1).into(), ..SimulatorConfig::default() }
}
