//! A simulated SMSC: takes messages, makes receipts, sends messages from phones, and misbehaves as told.
//!
//! What it does by chance it does by a seed. Each bind is a task of its own (`bind`); what waits for an account is in
//! `outbox`.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use smpp::field::MessageState;
use smpp::pdu::DeliverSm;
use smpp::text::segment::{self, Split};
use smpp::text::{self};
use smpp::{Address, CommandStatus, DataCoding, EsmClass, Npi, ShortMessage, Ton};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bind;
use super::outbox::{ANYBODY, Outbox};

/// How the simulator behaves.
#[derive(Clone, Debug)]
pub struct SimulatorConfig {
    /// Who may bind, and with which password; anybody when empty.
    pub accounts: Vec<(String, String)>,
    /// Final states of messages, with weights.
    pub states: Vec<(MessageState, u32)>,
    /// From a message to its receipt.
    pub receipt_delay: Duration,
    /// How receipts say what they say.
    pub receipt_form: ReceiptForm,
    /// How message ids look in responses.
    pub id_format: IdFormat,
    /// How message ids look in receipts.
    pub receipt_id_format: IdFormat,
    /// Shares of messages refused, and with which status.
    pub errors: Vec<(f64, CommandStatus)>,
    /// Messages per second and bind above which the answer is ESME_RTHROTTLED.
    pub throttle: Option<u32>,
    /// From a message to its response.
    pub response_delay: Duration,
    /// Share of messages that are never answered.
    pub no_response: f64,
    /// Connections are cut after this many messages.
    pub cut_after: Option<u64>,
    /// Connections are cut after this long.
    pub cut_every: Option<Duration>,
    /// Every bind is refused with this.
    pub refuse_bind: Option<CommandStatus>,
    /// Most receipts and messages on their way to one bind.
    pub window: usize,
    /// Makes chance repeatable.
    pub seed: u64,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            states: vec![(MessageState::DELIVERED, 1)],
            receipt_delay: Duration::ZERO,
            receipt_form: ReceiptForm::Both,
            id_format: IdFormat::Hex,
            receipt_id_format: IdFormat::Hex,
            errors: Vec::new(),
            throttle: None,
            response_delay: Duration::ZERO,
            no_response: 0.0,
            cut_after: None,
            cut_every: None,
            refuse_bind: None,
            window: 100,
            seed: 0,
        }
    }
}

/// How receipts say what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptForm {
    /// Text and optional parameters.
    Both,
    /// Text only.
    Text,
    /// Optional parameters only.
    Tlvs,
}

/// How message ids look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdFormat {
    /// Lower-case hexadecimal digits.
    Hex,
    /// Upper-case hexadecimal digits, at least eight.
    UpperHex,
    /// Decimal digits, at least ten.
    Decimal,
}

impl IdFormat {
    /// An id in this form.
    #[must_use]
    pub fn format(self, id: u64) -> String {
        match self {
            Self::Hex => format!("{id:x}"),
            Self::UpperHex => format!("{id:08X}"),
            Self::Decimal => format!("{id:010}"),
        }
    }
}

/// Something that the simulator saw.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimEvent {
    /// An ESME bound.
    Bound {
        /// Who.
        system_id: String,
    },
    /// A message came; long ones segment by segment.
    Message {
        /// Our id; absent when it was refused.
        id: Option<String>,
        /// From whom.
        from: String,
        /// To whom.
        to: String,
        /// What it says, without header.
        text: String,
        /// What it was answered.
        status: CommandStatus,
    },
    /// A receipt or a message from a phone was acknowledged, or refused.
    Delivered {
        /// With this.
        status: CommandStatus,
        /// It was a receipt.
        receipt: bool,
    },
    /// A bind ended.
    Unbound {
        /// Whose.
        system_id: String,
        /// Why.
        why: String,
    },
}

/// A message from a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneMessage {
    /// The phone.
    pub from: String,
    /// The short code that it writes to.
    pub to: String,
    /// What it says; long text goes out in segments.
    pub text: String,
}

/// What all binds share.
pub(super) struct Shared {
    pub(super) config: SimulatorConfig,
    pub(super) outbox: Outbox,
    pub(super) events: broadcast::Sender<SimEvent>,
    pub(super) stop: CancellationToken,
    next_id: AtomicU64,
    references: AtomicU64,
    known: Mutex<Known>,
    pub(super) counters: Counters,
}

/// What the simulator has done so far.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages taken.
    pub accepted: AtomicU64,
    /// Messages refused.
    pub refused: AtomicU64,
    /// Receipts and messages from phones that were acknowledged.
    pub delivered: AtomicU64,
}

/// States of the last messages, for query_sm and its kind.
#[derive(Default)]
struct Known {
    states: HashMap<u64, MessageState>,
    order: VecDeque<u64>,
}

/// Messages whose state is remembered.
const REMEMBERED: usize = 10_000;
/// Events that a slow listener may be behind.
const EVENTS: usize = 1 << 17;

/// A running simulator; it ends when dropped.
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Simulator {
    /// Listens and serves.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(listen: SocketAddr, config: SimulatorConfig) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            config,
            outbox: Outbox::default(),
            events: broadcast::Sender::new(EVENTS),
            stop: CancellationToken::new(),
            // Ids of different runs differ, as those of a real SMSC would.
            next_id: AtomicU64::new(u64::try_from(crate::model::Timestamp::now().0 / 1_000).unwrap_or(1)),
            references: AtomicU64::new(1),
            known: Mutex::default(),
            counters: Counters::default(),
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<SimEvent> {
        self.shared.events.subscribe()
    }

    /// What has been done so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Sends a message from a phone to whoever is bound, now or later.
    pub fn inject(&self, message: &PhoneMessage) {
        let reference = self.shared.references.fetch_add(1, Ordering::Relaxed);
        let pdus = phone_pdus(message, u16::try_from(reference % 0x1_0000).unwrap_or_default());
        self.shared.outbox.push(ANYBODY, now(), pdus);
    }

    /// Unbinds everybody and ends.
    pub async fn stop(mut self) {
        self.shared.stop.cancel();
        // A panic in it has been reported.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Shared {
    /// A new message's id.
    pub(super) fn mint(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn remember(&self, id: u64, state: MessageState) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.states.insert(id, state);
        known.order.push_back(id);
        if known.order.len() > REMEMBERED
            && let Some(oldest) = known.order.pop_front()
        {
            known.states.remove(&oldest);
        }
    }

    /// The state of a message by its id as we wrote it.
    pub(super) fn state(&self, id: &str) -> Option<MessageState> {
        let number = match self.config.id_format {
            IdFormat::Decimal => id.parse().ok()?,
            IdFormat::Hex | IdFormat::UpperHex => u64::from_str_radix(id, 16).ok()?,
        };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).states.get(&number).copied()
    }
}

pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut binds = JoinSet::new();
    let mut count = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    count += 1;
                    // Nagle's algorithm makes a small window crawl; a stream that is gone already ends by itself.
                    let _ = stream.set_nodelay(true);
                    binds.spawn(bind::serve(stream, shared.clone(), shared.config.seed.wrapping_add(count)));
                }
                Err(error) => tracing::warn!(%error, "a connection could not be accepted"),
            },
            Some(_) = binds.join_next() => {}
            () = shared.stop.cancelled() => break,
        }
    }
    while binds.join_next().await.is_some() {}
}

/// A phone's message as deliver_sm, in segments when it is long.
fn phone_pdus(message: &PhoneMessage, reference: u16) -> Vec<DeliverSm> {
    let encoded = text::encode(&message.text);
    let pieces = segment::split(&encoded.octets, encoded.charset, Split::Udh8).unwrap_or_default();
    let total = u8::try_from(pieces.len()).unwrap_or(u8::MAX);
    let pdu = |(part, piece): (u8, &&[u8])| {
        let mut octets = if total > 1 { segment::header(Split::Udh8, reference, total, part) } else { Vec::new() };
        octets.extend_from_slice(piece);
        DeliverSm {
            source: address(&message.from, Ton::INTERNATIONAL, Npi::ISDN),
            destination: address(&message.to, Ton::ABBREVIATED, Npi::UNKNOWN),
            esm_class: if total > 1 { EsmClass::UDHI } else { EsmClass::default() },
            data_coding: DataCoding(encoded.data_coding.0),
            // A segment and its header fit by construction.
            short_message: ShortMessage::new(octets).unwrap_or_default(),
            ..DeliverSm::default()
        }
    };
    (1..=total).zip(&pieces).map(pdu).collect()
}

fn address(digits: &str, ton: Ton, npi: Npi) -> Address {
    Address { ton, npi, digits: digits.try_into().unwrap_or_default() }
}
