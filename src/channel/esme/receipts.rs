//! Receipts and the messages that they belong to: found, combined over segments, or kept aside until they are found.
//!
//! A receipt is acknowledged once what it said is durable: as an event of its message, or in the inbox of receipts that
//! no message is known for (field guide §3.2, §3.6).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use smpp::SequenceNumber;
use smpp::receipt::{IdRule, Receipt, canonical_id};
use tokio::sync::watch;

use super::config::EsmeConfig;
use super::deliver::report as read_report;
use super::outgoing::Recent;
use super::shared::Shared;
use crate::channel::{Arrival, Intake, IntakeError};
use crate::model::{
    Candidate, ChannelId, DeliveryStatus, EventKind, JsonObject, MessageId, Outbound, SmscMessageId, Timestamp,
    UnmatchedReceipt,
};
use crate::store::{ReadError, Store, StoredMessage};
use crate::telemetry::channel_log::ConnectionLog;

/// Most receipts of one channel that are kept aside; the oldest are dropped.
const MAX_UNMATCHED: usize = 1_000;
/// Most candidates that are shown for one.
const MAX_CANDIDATES: usize = 5;
/// Messages whose receipts are remembered: of several segments, whose older ones are read from the store again, and of
/// one, whose older ones' repetitions are told again.
const MAX_RECENT: usize = 10_000;
/// Longest id, in octets, that others are compared with (SMPP v3.4 §5.2.23 allows 64).
const MAX_ID: usize = 64;
/// How often receipts that were kept aside are looked at again.
pub(super) const REMATCH: Duration = Duration::from_secs(60);

/// A receipt on its way to its message.
#[derive(Clone, Debug)]
pub(super) struct Incident {
    receipt: Receipt,
    text: String,
    /// The phone.
    phone: String,
    /// Our side.
    sender: String,
    status: DeliveryStatus,
    details: JsonObject,
    /// What its error code means.
    why: Option<String>,
    /// The PDU that it came as, while that is new.
    pdu: Option<(Arc<ConnectionLog>, SequenceNumber)>,
}

impl Incident {
    pub(super) fn new(config: &EsmeConfig, receipt: Receipt, text: String, phone: String, sender: String) -> Self {
        let (status, mut details) = read_report(&config.deliver, &receipt);
        let why = config.results.explain_receipt(&receipt, &mut details);
        Self { receipt, text, phone, sender, status, details, why, pdu: None }
    }

    /// Says as which PDU it came, so that the log knows whose that is once its message has been found.
    pub(super) fn came_as(&mut self, log: Arc<ConnectionLog>, sequence: SequenceNumber) {
        self.pdu = Some((log, sequence));
    }

    /// Why the message was not delivered, in one line, if it says that.
    fn why_failed(&self) -> Option<&str> {
        self.why.as_deref().filter(|_| self.status == DeliveryStatus::Failed)
    }

    /// Vendors' parameters are told with the rest.
    pub(super) fn add(&mut self, vendors: Option<Value>) {
        if let Some(vendors) = vendors {
            self.details.insert("tlvs".to_owned(), vendors);
        }
    }
}

/// See the file's head.
pub(super) struct Receipts {
    /// The notes that hold what is kept aside, the oldest first.
    unmatched: VecDeque<String>,
    combined: Recently<Segments>,
    /// The last word of messages of one segment.
    told: Recently<Option<DeliveryStatus>>,
}

/// What is known of the messages that receipts came for last.
struct Recently<T> {
    known: HashMap<MessageId, T>,
    /// The oldest first.
    order: VecDeque<MessageId>,
}

impl<T> Default for Recently<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T: Default> Recently<T> {
    fn has(&self, id: MessageId) -> bool {
        self.known.contains_key(&id)
    }

    /// What is known of a message.
    fn of(&mut self, id: MessageId) -> &mut T {
        if self.order.len() >= MAX_RECENT
            && !self.has(id)
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known.entry(id).or_insert_with(|| {
            self.order.push_back(id);
            T::default()
        })
    }
}

/// What the receipts of one message's segments have said.
#[derive(Default)]
struct Segments {
    said: BTreeMap<String, DeliveryStatus>,
    told: Option<DeliveryStatus>,
}

impl Receipts {
    /// With what is stored as kept aside.
    pub(super) fn new(notes: Vec<(String, Vec<u8>)>) -> Self {
        Self {
            unmatched: notes.into_iter().map(|(name, _)| name).collect(),
            combined: Recently::default(),
            told: Recently::default(),
        }
    }

    /// Whether anything is kept aside.
    pub(super) fn has_unmatched(&self) -> bool {
        !self.unmatched.is_empty()
    }

    /// Keeps a receipt aside; the oldest one makes room if need be.
    fn keep(&mut self, receipt: &UnmatchedReceipt) -> Vec<Arrival> {
        let name = receipt.note();
        let mut notes = Vec::new();
        if self.unmatched.len() >= MAX_UNMATCHED
            && let Some(oldest) = self.unmatched.pop_front()
        {
            notes.push(Arrival::Note { name: oldest, record: None });
        }
        self.unmatched.push_back(name.clone());
        notes.push(Arrival::Note { name, record: serde_json::to_vec(receipt).ok() });
        notes
    }

    /// What a receipt means for a message of one segment, and whether that is news: a word on its way says nothing of a
    /// message that has arrived, and a repetition says nothing at all (field guide §3.6).
    fn say(&mut self, message: MessageId, status: DeliveryStatus) -> (DeliveryStatus, bool) {
        let told = self.told.of(message);
        let before = *told;
        let now = before.filter(|_| status == DeliveryStatus::Pending).unwrap_or(status);
        *told = Some(now);
        (now, before != Some(now))
    }

    /// What a receipt of one segment means for its message: failed if any segment failed, delivered once all are. Says
    /// too whether that is news. `None` where memory has nothing of the message, and what its events tell (`known`) is wanted.
    fn combine(
        &mut self,
        found: &StoredMessage,
        kept: &str,
        status: DeliveryStatus,
        known: Option<Segments>,
    ) -> Option<(DeliveryStatus, bool, Value)> {
        if !self.combined.has(found.message.id) {
            *self.combined.of(found.message.id) = known?;
        }
        let segments = self.combined.of(found.message.id);
        // A late word on its way says nothing new of a segment that has arrived.
        let final_already = segments.said.get(kept).is_some_and(|said| *said != DeliveryStatus::Pending);
        if !(final_already && status == DeliveryStatus::Pending) {
            segments.said.insert(kept.to_owned(), status);
        }
        let said = |wanted| segments.said.values().filter(|said| **said == wanted).count();
        let whole = if said(DeliveryStatus::Failed) > 0 {
            DeliveryStatus::Failed
        } else if said(DeliveryStatus::Delivered) >= usize::from(found.segments) {
            DeliveryStatus::Delivered
        } else {
            DeliveryStatus::Pending
        };
        let news = segments.told != Some(whole);
        segments.told = Some(whole);
        Some((whole, news, json!(segments.said)))
    }
}

/// What earlier receipts of a message's segments have said, as its events tell.
async fn known_segments(store: &Store, found: &StoredMessage) -> Result<Segments, ReadError> {
    let events = store.events(found).await?;
    let reports = events.iter().rev().filter_map(|event| match event.kind {
        EventKind::DeliveryReport { status } => Some((status, event.details.get("segments")?)),
        _ => None,
    });
    let last = reports.map(|(told, said)| (told, serde_json::from_value(said.clone()))).next();
    Ok(match last {
        Some((told, Ok(said))) => Segments { said, told: Some(told) },
        _ => Segments::default(),
    })
}

/// A message that a receipt is about.
struct Found<'a> {
    stored: StoredMessage,
    /// The form of the id that it is kept under.
    kept: String,
    /// The receipt's id that led there.
    named: &'a str,
}

/// The message that a receipt is about.
///
/// Ids that mean one message in hexadecimal and another in decimal are common, so the phone has to fit. Only a message
/// that is kept under the receipt's id exactly as the rule reads it needs no more: some SMSCs name the phone otherwise.
async fn find<'a>(
    store: &Store,
    channel: &ChannelId,
    rule: IdRule,
    receipt: &'a Receipt,
    phone: &str,
) -> Result<Option<Found<'a>>, ReadError> {
    let mut exact = None;
    let names = [Some(&receipt.smsc_message_id), receipt.text_message_id.as_ref()];
    let forms =
        names.into_iter().flatten().flat_map(|named| rule.forms(named).into_iter().map(move |form| (named, form)));
    for (at, (named, form)) in forms.enumerate() {
        let id = [SmscMessageId(form)];
        let Some(stored) = store.correlate(channel, &id).await? else { continue };
        let [SmscMessageId(kept)] = id;
        let fits = same_number(&stored.message.to, phone);
        let found = Found { stored, kept, named };
        if fits {
            return Ok(Some(found));
        }
        if at == 0 {
            exact = Some(found);
        }
    }
    Ok(exact)
}

/// Whether two spellings may be one number: the shorter one's digits end the longer one's.
fn same_number(a: &str, b: &str) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let (a, b) = (digits(a), digits(b));
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    !a.is_empty() && !b.is_empty() && (a.ends_with(b) || b.ends_with(a))
}

impl<I: Intake> Shared<I> {
    /// The message of a receipt, by the rule that is configured, or else by what was learned. Should the SMSC have
    /// changed its habit, every reading is open, if only the phone fits.
    async fn find<'a>(&self, receipt: &'a Receipt, phone: &str) -> Result<Option<Found<'a>>, ReadError> {
        let (store, channel) = (&self.setup.store, &self.setup.id);
        if let Some(rule) = self.config.deliver.id_rule {
            return find(store, channel, rule, receipt, phone).await;
        }
        let rule = self.outgoing().learner.rule();
        let found = find(store, channel, rule, receipt, phone).await?;
        let fits = |found: &Found<'_>| same_number(&found.stored.message.to, phone);
        if rule == IdRule::Any || found.as_ref().is_some_and(fits) {
            return Ok(found);
        }
        Ok(find(store, channel, IdRule::Any, receipt, phone).await?.filter(fits).or(found))
    }

    /// What a receipt makes us store, if its message is known.
    pub(super) async fn match_receipt(&self, incident: &Incident) -> Result<Option<Matched>, ReadError> {
        let Some(found) = self.find(&incident.receipt, &incident.phone).await? else { return Ok(None) };
        let Found { stored: found, kept, named } = found;
        let learned = self.outgoing().learner.pair(&kept, named);
        let mut details = incident.details.clone();
        let (mut status, mut announce) = (incident.status, true);
        if found.segments > 1 && self.config.deliver.combine {
            let mut known = None;
            let (whole, news, said) = loop {
                let combined = self.receipts().combine(&found, &kept, status, known);
                match combined {
                    Some(combined) => break combined,
                    None => known = Some(known_segments(&self.setup.store, &found).await?),
                }
            };
            (status, announce) = (whole, news);
            details.insert("segments".to_owned(), said);
        } else if found.segments <= 1 {
            (status, announce) = self.receipts().say(found.message.id, status);
        }
        let StoredMessage { origin, message, .. } = found;
        if let Some((log, sequence)) = &incident.pdu {
            log.belongs(true, sequence.0, message.id);
            if let Some(said) = incident.why_failed() {
                self.setup.log.about(message.id).info(format!("a receipt tells of a failure: {said}"));
            }
        }
        let arrival = Arrival::Report { origin, message, status, announce, details };
        let learned = if learned { self.ids_note() } else { None };
        Ok(Some(Matched { arrival, learned }))
    }

    /// Looks for a receipt's message until everything that was sent before the receipt came has been answered and
    /// stored: then it cannot be ours. A receipt may overtake its own submit_sm_resp.
    async fn await_message(
        &self,
        incident: &Incident,
        mut answered: watch::Receiver<u64>,
        sent: u64,
    ) -> Result<Option<Matched>, IntakeError> {
        let deadline = tokio::time::Instant::now() + self.config.deliver.receipt_wait;
        loop {
            let settled = *answered.borrow_and_update() >= sent;
            // Whatever was decided before has been written once this returns; an engine that fails answers the look-up.
            let _ = self.setup.store.settled(&self.setup.id).await;
            // The SMSC will say it again.
            self.sound().await.map_err(|_| IntakeError::Unavailable)?;
            match self.match_receipt(incident).await {
                Ok(None) => {}
                Ok(Some(matched)) => return Ok(Some(matched)),
                Err(error) => {
                    self.unreadable(&error);
                    return Err(IntakeError::Unavailable);
                }
            }
            if settled || tokio::time::timeout_at(deadline, answered.changed()).await.is_err() {
                return Ok(None);
            }
        }
    }

    /// What a receipt that came now may have to wait for.
    pub(super) fn moment(&self) -> Moment {
        Moment { answered: self.answered.subscribe(), sent: self.outgoing().next_order() }
    }

    /// Takes a receipt whose message is not known yet; resolves when it is durable, one way or the other.
    pub(super) async fn take_stray(&self, incident: Incident, came: Moment) -> Result<(), IntakeError> {
        let Moment { answered, sent } = came;
        let matched = self.await_message(&incident, answered, sent).await?;
        let batch = self.ledger.begin();
        let arrivals = match matched {
            Some(Matched { arrival, learned: None }) => vec![arrival],
            Some(Matched { arrival, learned: Some(learned) }) => {
                self.tell_ids().await;
                vec![arrival, learned]
            }
            None => {
                if let Some(said) = incident.why_failed() {
                    self.setup.log.info(format!("a receipt tells of a failure: {said}"));
                }
                let receipt = self.aside(incident);
                self.setup.log.warn(format!(
                    "a receipt for {:?} matches no message of the last days; it is kept aside as {}",
                    receipt.smsc_message_id, receipt.id
                ));
                self.receipts().keep(&receipt)
            }
        };
        self.store(batch, arrivals).await
    }

    fn aside(&self, incident: Incident) -> UnmatchedReceipt {
        let candidates = candidates(self.outgoing().recent.iter(), &incident);
        UnmatchedReceipt {
            id: MessageId::mint(),
            received_at: Timestamp::now(),
            smsc_message_id: incident.receipt.smsc_message_id,
            text_message_id: incident.receipt.text_message_id,
            phone: incident.phone,
            sender: incident.sender,
            status: incident.status,
            details: incident.details,
            text: incident.text,
            candidates,
        }
    }

    /// Looks again at what was kept aside: a message's id may have come late, or the rule may be another one by now.
    pub(super) async fn rematch(&self) {
        if !self.receipts().has_unmatched() || self.sound().await.is_err() {
            return;
        }
        let notes = match self.setup.store.notes(&self.setup.id, UnmatchedReceipt::NOTES).await {
            Ok(notes) => notes,
            Err(error) => return self.unreadable(&error),
        };
        let batch = self.ledger.begin();
        self.receipts().unmatched = notes.iter().map(|(name, _)| name.clone()).collect();
        let mut arrivals = Vec::new();
        for (name, record) in notes {
            let Ok(kept) = serde_json::from_slice::<UnmatchedReceipt>(&record) else { continue };
            let incident = Incident {
                receipt: Receipt {
                    smsc_message_id: kept.smsc_message_id,
                    text_message_id: kept.text_message_id,
                    ..Receipt::default()
                },
                text: kept.text,
                phone: kept.phone,
                sender: kept.sender,
                status: kept.status,
                details: kept.details,
                why: None,
                pdu: None,
            };
            match self.match_receipt(&incident).await {
                Ok(Some(matched)) => {
                    let said = format!("the receipt {} was matched after all", kept.id);
                    let about = match &matched.arrival {
                        Arrival::Report { message, .. } => Some(message.id),
                        _ => None,
                    };
                    self.setup.log.about(about).info(said);
                    arrivals.extend([matched.arrival, Arrival::Note { name: name.clone(), record: None }]);
                    arrivals.extend(matched.learned);
                    self.receipts().unmatched.retain(|other| *other != name);
                }
                Ok(None) => {}
                Err(error) => return self.unreadable(&error),
            }
        }
        if arrivals.is_empty() {
            return batch.stored();
        }
        // What cannot be stored now is looked at again in the next round.
        if let Err(error) = self.store(batch, arrivals).await {
            self.setup.log.error(format!("receipts that were matched after all could not be stored: {error}"));
        }
    }
}

/// When a receipt came: before every PDU of a higher order was sent.
pub(super) struct Moment {
    answered: watch::Receiver<u64>,
    sent: u64,
}

/// A receipt whose message is known.
pub(super) struct Matched {
    pub(super) arrival: Arrival,
    /// What is to be kept of the SMSC's ids, if this told something new of them.
    pub(super) learned: Option<Arrival>,
}

/// Recent messages that a receipt may belong to: to the same phone first, then those with the most similar ids.
fn candidates<'a>(recent: impl DoubleEndedIterator<Item = &'a Recent>, incident: &Incident) -> Vec<Candidate> {
    let asked = canonical_id(&incident.receipt.smsc_message_id);
    let mut found: Vec<(f64, Candidate)> = Vec::new();
    for Recent { message, smsc_message_ids } in recent.rev() {
        let similar = smsc_message_ids.iter().map(|id| similarity(&canonical_id(id), &asked)).fold(0.0, f64::max);
        let same = !incident.phone.is_empty() && same_number(&message.to, &incident.phone);
        let why = match (same, similar > 0.7) {
            (true, true) => "the same phone and a similar id",
            (true, false) => "the same phone",
            (false, true) => "a similar id",
            (false, false) => continue,
        };
        found.push((similar + f64::from(u8::from(same)), candidate(message, smsc_message_ids, why)));
    }
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    found.into_iter().take(MAX_CANDIDATES).map(|(_, candidate)| candidate).collect()
}

/// How alike two ids are, from 0 to 1; nothing beyond the length that ids have.
fn similarity(a: &str, b: &str) -> f64 {
    if a.len().max(b.len()) > MAX_ID { 0.0 } else { strsim::normalized_levenshtein(a, b) }
}

fn candidate(message: &Arc<Outbound>, smsc_message_ids: &[String], why: &str) -> Candidate {
    Candidate {
        message_id: message.id,
        to: message.to.clone(),
        smsc_message_ids: smsc_message_ids.to_vec(),
        accepted_at: message.accepted_at,
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_their_last_digits() {
        assert!(same_number("+27820001001", "27820001001"));
        assert!(same_number("0820001001", "27820001001"));
        assert!(!same_number("27820001002", "27820001001"));
        assert!(!same_number("27820001002", "") && !same_number("27820001002", "INFO"), "nothing is not a number");
    }
}
