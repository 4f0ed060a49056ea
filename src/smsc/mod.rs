//! The SMSC side: a simulator that ESMEs bind to, for trying things out and for tests.
//!
//! [`Simulator`] listens; each connection is one task (`connection`, `submits`, `faults`) on an account's `mailbox`,
//! where its `messages` end and its receipts wait.

mod accounts;
mod config;
mod connection;
mod faults;
mod ids;
mod mailbox;
mod messages;
mod mo;
mod observe;
mod paced;
mod receipts;
mod shared;
mod simulator;
mod submits;
mod values;

pub use config::{IdFormat, ReceiptForm, ReceiptIdFormat, SimulatorConfig, SimulatorConfigError};
pub use mo::{Mo, MoError};
pub use observe::{Delivered, Observed, Observer, OctetTap, Recorder, Submit, Whole};
pub use shared::{Counters, Hooks};
pub use simulator::{Simulator, StartError};
pub use values::{Account, BindModes, ErrorShare, Share, Span, States, ValueError, duration, status_of};

/// The account that [`demo`] has: system_id and password.
pub const DEMO_ACCOUNT: (&str, &str) = ("demo", "demo");

/// The SMSC of `serve --demo`: one account on a free loopback port, everything delivered after a second.
#[must_use]
pub fn demo() -> SimulatorConfig {
    let (system_id, password) = DEMO_ACCOUNT;
    let account = Account { system_id: system_id.to_owned(), password: password.to_owned(), modes: BindModes::all() };
    SimulatorConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        accounts: vec![account],
        ..SimulatorConfig::default()
    }
}
