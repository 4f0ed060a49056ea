//! The SMSC side: a simulator that ESMEs bind to, for trying things out and for tests.
//!
//! [`Simulator`] listens; each connection is one task (`connection`, `submits`, `faults`) on an account's `mailbox`,
//! where its `messages` end and its receipts wait.

mod accounts;
mod config;
mod connection;
mod event;
mod faults;
mod ids;
mod mailbox;
mod messages;
mod paced;
mod phone;
mod receipts;
mod shared;
mod simulator;
mod submits;
mod ussd;
mod values;

pub use config::{IdFormat, ReceiptForm, SimulatorConfig, SimulatorConfigError};
pub use event::{SimEvent, Whole};
pub use phone::{PhoneError, PhoneMessage, PhoneOptions};
pub use shared::{Counters, Tap};
pub use simulator::{Simulator, StartError};
pub use ussd::UssdDialect;
pub use values::{Account, BindModes, Span, ValueError, duration, error_share, share, status_of, weighted_state};

/// The simulated SMSC of `serve --demo`: receipts come after a second.
#[must_use]
pub fn demo() -> SimulatorConfig {
    SimulatorConfig { receipt_delay: std::time::Duration::from_secs(1).into(), ..SimulatorConfig::default() }
}
