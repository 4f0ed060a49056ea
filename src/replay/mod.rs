//! Recorded conversations, said again: as the ESME against an SMSC, or as the SMSC against an ESME.
//!
//! A [`Plan`] is one side's part of a conversation; a [`Player`] plays it on an engine session, without I/O and without a
//! clock; [`net`] gives it a connection. Credentials are those that the caller puts into the plan, sequence numbers the
//! session's own, message ids those that the live SMSC gives.

mod compare;
mod ids;
mod key;
pub mod net;
mod pace;
mod plan;
mod player;
mod recorded;
mod summary;

pub use compare::{Difference, FieldDifference, What};
pub use ids::Ids;
pub use pace::Pace;
pub use plan::{Answer, Plan};
pub use player::Player;
pub use summary::Summary;
