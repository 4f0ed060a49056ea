//! The other end of SMPP: we as an SMSC. So far a simulated one, for trials and tests.

mod bind;
mod outbox;
pub mod simulator;

pub use simulator::{IdFormat, PhoneMessage, ReceiptForm, SimEvent, Simulator, SimulatorConfig};
