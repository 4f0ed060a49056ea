//! How the SMSC writes its message ids: configured, or learned from the first receipts that found their message; what was
//! learned holds after a restart too (field guide §3.6).
//!
//! Learned per channel, not per bind: of a pair of binds one brings the responses and the other the receipts.

use serde::{Deserialize, Serialize};
use smpp::receipt::{IdFinding, IdLearner, IdRule, Relation};

use super::config::EsmeConfig;
use super::health::peer_name;
use super::shared::Shared;
use crate::channel::{Arrival, Intake, Setup};
use crate::model::Level;

/// The name of the note.
const NOTE: &str = "message_ids";

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Learned {
    /// Whose ids these are; another SMSC has other habits.
    smsc: String,
    relation: Habit,
    padding: bool,
    case: bool,
    pairs: u32,
    contradictions: u32,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Habit {
    Same,
    HexToDecimal,
    DecimalToHex,
}

impl From<Relation> for Habit {
    fn from(relation: Relation) -> Self {
        match relation {
            Relation::Same => Self::Same,
            Relation::HexToDecimal => Self::HexToDecimal,
            Relation::DecimalToHex => Self::DecimalToHex,
        }
    }
}

impl From<Habit> for Relation {
    fn from(habit: Habit) -> Self {
        match habit {
            Habit::Same => Self::Same,
            Habit::HexToDecimal => Self::HexToDecimal,
            Habit::DecimalToHex => Self::DecimalToHex,
        }
    }
}

/// The SMSC and the account, as far as ids depend on them.
fn smsc(config: &EsmeConfig) -> String {
    let session = &config.session;
    let peer = session.binds.first().map(|plan| peer_name(&plan.peer)).unwrap_or_default();
    format!("{} at {peer}", session.system_id)
}

/// A learner that knows what an earlier run has learned of the same SMSC.
pub(super) async fn recall<I>(setup: &Setup<I>, config: &EsmeConfig) -> IdLearner {
    let notes = setup.store.notes(&setup.id, NOTE).await.unwrap_or_else(|error| {
        setup.log.error(format!("what was learned of the SMSC's message ids could not be read: {error}"));
        Vec::new()
    });
    let learned = notes.iter().find_map(|(_, record)| serde_json::from_slice::<Learned>(record).ok());
    let Some(learned) = learned.filter(|learned| learned.smsc == smsc(config)) else { return IdLearner::default() };
    let Learned { relation, padding, case, pairs, contradictions, .. } = learned;
    IdLearner::resumed(&IdFinding { relation: relation.into(), padding, case, pairs, contradictions })
}

impl<I: Intake> Shared<I> {
    /// What was learned, as a note to be stored.
    pub(super) fn ids_note(&self) -> Option<Arrival> {
        let IdFinding { relation, padding, case, pairs, contradictions } = self.outgoing().learner.finding()?;
        let learned =
            Learned { smsc: smsc(&self.config), relation: relation.into(), padding, case, pairs, contradictions };
        Some(Arrival::Note { name: NOTE.to_owned(), record: serde_json::to_vec(&learned).ok() })
    }

    /// Says what has been learned of the SMSC's ids.
    pub(super) async fn tell_ids(&self) {
        let finding = self.outgoing().learner.finding();
        let Some(finding) = finding else { return };
        let advice = match finding.rule() {
            IdRule::Number { .. } if finding.contradictions == 0 => ": msg_id_type says so for good",
            _ if finding.contradictions > 0 => ": both readings stay open; set msg_id_type to what the operator says",
            _ => "",
        };
        let level = if finding.contradictions == 0 { Level::Ok } else { Level::Degraded };
        self.setup.log.info(format!("message ids: {finding}{advice}"));
        self.report_ids(format!("Message ids: {finding}{advice}"), level).await;
    }
}
