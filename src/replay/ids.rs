//! Message ids of the recording and those that the live SMSC gives instead.
//!
//! Kept in canonical form; a receipt may write an id in another base than the answer that gave it (field guide §3.6).

use std::collections::{HashMap, HashSet};

use smpp::Pdu;
use smpp::receipt::{IdRule, canonical_id};

use crate::capture::{Conversation, id_given};

/// Ids of all conversations that are replayed together: with separate binds, one has the answers, another the receipts.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    /// Given by the recording's answers, canonical.
    recorded: HashSet<String>,
    /// Live, canonical, to recorded, canonical.
    live: HashMap<String, String>,
    /// Recorded, canonical, to live as it was given.
    given: HashMap<String, String>,
}

impl Ids {
    /// Those that the answers in the conversations give.
    #[must_use]
    pub fn of(conversations: &[Conversation]) -> Self {
        let pdus = conversations.iter().flat_map(|conversation| &conversation.pdus);
        let answers = pdus.filter(|captured| captured.raw.id.is_response() && captured.raw.status.is_ok());
        let ids = answers.filter_map(|captured| id_given(&Pdu::decode(&captured.raw).ok()?));
        Self { recorded: ids.map(|id| canonical_id(&id)).collect(), ..Self::default() }
    }

    /// The recorded id that an id of the recording names, in whatever base; `None` when no answer gave it.
    pub(super) fn recorded(&self, id: &str) -> Option<String> {
        IdRule::Any.forms(id).into_iter().find(|form| self.recorded.contains(form))
    }

    /// The recorded id that an id of the live SMSC stands for.
    pub(super) fn recorded_for(&self, live: &str) -> Option<String> {
        IdRule::Any.forms(live).into_iter().find_map(|form| self.live.get(&form).cloned())
    }

    /// The live id, as the SMSC wrote it, in place of a recorded one.
    pub(super) fn live_for(&self, recorded: &str) -> Option<&str> {
        self.given.get(recorded).map(String::as_str)
    }

    /// The live SMSC has given `live` to the message that the recording calls `recorded`.
    pub(super) fn learn(&mut self, recorded: &str, live: &str) {
        let recorded = canonical_id(recorded);
        self.live.insert(canonical_id(live), recorded.clone());
        self.given.insert(recorded, live.to_owned());
    }
}
