//! What a simulated SMSC saw and did, for whoever watches: the command line, tests.
//!
//! The observer is called by the connection's task, in order for each connection; without one nothing is decoded.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use smpp::net::Direction;
use smpp::text::udh::Concat;
use smpp::{BindMode, CommandStatus, Pdu};
use tokio::sync::watch;

/// Something that happened on connection `connection`, counted from 1.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Observed {
    /// Somebody asked to bind.
    Bind {
        /// Where.
        connection: u64,
        /// Who.
        system_id: String,
        /// How.
        mode: BindMode,
        /// Our answer.
        status: CommandStatus,
    },
    /// A submit_sm, submit_multi or data_sm came.
    Submit(Box<Submit>),
    /// A receipt or an MO was answered.
    Delivered(Box<Delivered>),
    /// A connection ended.
    Closed {
        /// Which.
        connection: u64,
        /// Why.
        why: String,
    },
}

/// A message from an ESME.
#[derive(Clone, Debug)]
pub struct Submit {
    /// On which connection.
    pub connection: u64,
    /// Whose.
    pub system_id: String,
    /// The id given to it; empty when it was refused.
    pub message_id: String,
    /// From whom.
    pub from: String,
    /// To whom; several joined by commas.
    pub to: String,
    /// Its text, or this segment's; `None` for binary.
    pub text: Option<String>,
    /// Its octets, without header.
    pub octets: Bytes,
    /// Which segment it is.
    pub concat: Option<Concat>,
    /// The whole message, with the last segment to come.
    pub whole: Option<Whole>,
    /// What it was answered.
    pub status: CommandStatus,
    /// Whether it was answered at all.
    pub answered: bool,
    /// The PDU.
    pub pdu: Pdu,
}

/// A long message, joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Its text; `None` for binary.
    pub text: Option<String>,
    /// How many segments it had.
    pub segments: usize,
}

/// A message to an ESME, and its answer.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// On which connection.
    pub connection: u64,
    /// To whom.
    pub system_id: String,
    /// The id that it is a receipt for, as the receipt has it; `None` for an MO.
    pub receipt_for: Option<String>,
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: String,
    /// Its text; `None` for binary.
    pub text: Option<String>,
    /// What the ESME answered.
    pub status: CommandStatus,
}

/// Told of each event.
pub type Observer = Arc<dyn Fn(Observed) + Send + Sync>;
/// Told of the octets on each connection, whole PDUs, one or more at a time.
pub type OctetTap = Arc<dyn Fn(u64, Direction, &[u8]) + Send + Sync>;

/// Keeps what was observed, up to a limit, and wakes whoever waits for it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use maybug::smsc::{Hooks, Recorder, Simulator, SimulatorConfig};
///
/// let recorder = Recorder::new(1000);
/// let config = SimulatorConfig { listen: ([127, 0, 0, 1], 0).into(), ..SimulatorConfig::default() };
/// let simulator = Simulator::start(config, Hooks::observer(recorder.observer())).await.unwrap();
/// // ... let something bind to simulator.addr() and submit, then:
/// // let submits = recorder.submits(1).await;
/// simulator.shutdown().await;
/// # });
/// ```
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<(Mutex<Vec<Observed>>, watch::Sender<()>)>,
    limit: usize,
}

impl Recorder {
    /// Keeps the first `limit` events.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { inner: Arc::new((Mutex::new(Vec::new()), watch::Sender::new(()))), limit }
    }

    /// The observer that records here.
    #[must_use]
    pub fn observer(&self) -> Observer {
        let this = self.clone();
        Arc::new(move |observed| {
            let mut all = this.inner.0.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() < this.limit {
                all.push(observed);
            }
            drop(all);
            this.inner.1.send_replace(());
        })
    }

    /// Everything so far.
    #[must_use]
    pub fn observed(&self) -> Vec<Observed> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `look` finds what it looks for among everything so far.
    pub async fn wait<R>(&self, look: impl Fn(&[Observed]) -> Option<R>) -> R {
        let mut changed = self.inner.1.subscribe();
        loop {
            changed.mark_unchanged();
            let found = look(&self.inner.0.lock().unwrap_or_else(PoisonError::into_inner));
            if let Some(found) = found {
                return found;
            }
            // The sender lives as long as `self`.
            let _ = changed.changed().await;
        }
    }

    /// Waits for so many submits and gives all there are, in order.
    pub async fn submits(&self, count: usize) -> Vec<Submit> {
        self.collect(count, |observed| if let Observed::Submit(submit) = observed { Some(submit) } else { None }).await
    }

    /// Waits for so many answered deliveries and gives all there are, in order.
    pub async fn delivered(&self, count: usize) -> Vec<Delivered> {
        self.collect(count, |observed| if let Observed::Delivered(done) = observed { Some(done) } else { None }).await
    }

    async fn collect<R: Clone>(&self, count: usize, pick: impl Fn(&Observed) -> Option<&Box<R>>) -> Vec<R> {
        self.wait(|all| {
            let picked: Vec<R> = all.iter().filter_map(&pick).map(|one| R::clone(one)).collect();
            (picked.len() >= count).then_some(picked)
        })
        .await
    }
}
