//! A simulated SMSC: listens, takes what ESMEs submit, delivers receipts and MOs, misbehaves as told.
//!
//! Used by `maybug sim`, by `serve --demo` and by tests, several in one process. Stops when dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use fastrand::Rng;
use smpp::pdu::DeliverSm;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::accounts::Accounts;
use super::config::{SimulatorConfig, SimulatorConfigError};
use super::connection::Wire;
use super::event::SimEvent;
use super::ids::Ids;
use super::listener::{accept, invite, serve};
use super::mailbox::Delivery;
use super::phone::{self, PhoneError, PhoneMessage, PhoneOptions};
use super::shared::{Counters, Live, Shared, Tap};
use super::ussd::{TimedOut, UssdPhones};
use crate::endpoint::{TlsError, TlsServer};

/// See the file's head.
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    references: AtomicU16,
    _stop_on_drop: DropGuard,
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] SimulatorConfigError),
    /// Its certificate or key is of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It could not listen.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

/// How long the end waits for connections to unbind.
const STOP: Duration = Duration::from_secs(10);
/// Events that a slow listener may be behind.
const EVENTS: usize = 1 << 17;

impl Simulator {
    /// Listens, and serves from then on.
    ///
    /// # Errors
    /// [`StartError`] when the address cannot be listened on or the configuration contradicts itself.
    pub async fn start(listen: SocketAddr, config: SimulatorConfig) -> Result<Self, StartError> {
        Self::serve(listen, config, None).await
    }

    /// The same, and shows all octets that cross the wire to `tap`.
    ///
    /// # Errors
    /// As [`Simulator::start`].
    pub async fn start_tapped(listen: SocketAddr, config: SimulatorConfig, tap: Tap) -> Result<Self, StartError> {
        Self::serve(listen, config, Some(tap)).await
    }

    async fn serve(listen: SocketAddr, config: SimulatorConfig, tap: Option<Tap>) -> Result<Self, StartError> {
        config.check()?;
        let tls = config.tls_cert.as_deref().map(|file| TlsServer::new(file, config.tls_key.as_deref())).transpose()?;
        let failed = |error| StartError::Listen(listen, error);
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let seed = config.seed.unwrap_or_else(|| fastrand::u64(..));
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            ids: Ids::new(&mut Rng::with_seed(seed)),
            config: ArcSwap::from_pointee(config),
            accounts: Accounts::default(),
            ussd: UssdPhones::default(),
            seed,
            tap,
            events: broadcast::Sender::new(EVENTS),
            counters: Live::default(),
            cuts: watch::Sender::new(()),
            stop: stop.clone(),
        });
        let tasks = TaskTracker::new();
        if let Some(esme) = shared.config.load().session.outbind {
            tasks.spawn(invite(shared.clone(), esme));
        }
        tasks.spawn(end_sessions(shared.clone()));
        tasks.spawn(accept(shared.clone(), listener, tls, tasks.clone()));
        Ok(Self { address, shared, tasks, references: AtomicU16::new(0), _stop_on_drop: stop.drop_guard() })
    }

    /// Serves an ESME on a stream that somebody else has made, of this process for instance.
    pub fn attach(&self, stream: impl Wire + 'static) {
        serve(&self.shared, Box::new(stream), &self.tasks);
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens from now on. A listener that is more than some hundred thousand events behind misses the oldest,
    /// and is told how many.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Arc<SimEvent>> {
        self.shared.events.subscribe()
    }

    /// What has been done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters.read(self.shared.accounts.dropped())
    }

    /// Behaves differently from now on. What belongs to a session's beginning (windows, timers,
    /// `read_rate`) stays as it is for connections that exist; `seed`, `outbind` and the certificate for good.
    pub fn reconfigure(&self, change: impl FnOnce(&mut SimulatorConfig)) {
        let mut config = SimulatorConfig::clone(&self.shared.config.load());
        change(&mut config);
        self.shared.config.store(Arc::new(config));
    }

    /// Cuts every connection there is.
    pub fn cut(&self) {
        self.shared.cuts.send_replace(());
    }

    /// Sends a message from a phone to whoever is bound, now or later. Gives how many PDUs it takes.
    ///
    /// # Errors
    /// [`PhoneError`] when the message cannot be written.
    pub fn inject(&self, message: &PhoneMessage) -> Result<usize, PhoneError> {
        self.inject_with(message, &PhoneOptions::default())
    }

    /// The same, as the options say.
    ///
    /// # Errors
    /// As [`Simulator::inject`].
    pub fn inject_with(&self, message: &PhoneMessage, options: &PhoneOptions) -> Result<usize, PhoneError> {
        let reference = self.references.fetch_add(1, Ordering::Relaxed);
        let pdus = phone::pdus(message, options, reference)?;
        let count = pdus.len();
        pdus.into_iter().for_each(|pdu| self.deliver(options.system_id.as_deref(), pdu));
        Ok(count)
    }

    /// A phone dials a USSD code, and gives these answers to the menus that come.
    pub fn dial(&self, phone: &str, code: &str, answers: &[String]) {
        let config = self.shared.config.load();
        if let Some(pdu) = self.shared.ussd.dial(&config, None, phone, code, &[], answers) {
            self.deliver(None, pdu);
        }
    }

    /// Sends a deliver_sm as it is, however odd, to an account or to whoever is bound.
    pub fn deliver(&self, system_id: Option<&str>, pdu: DeliverSm) {
        let config = self.shared.config.load();
        self.shared.accounts.post(&config, system_id, Delivery { pdu: pdu.into(), receipt_for: None });
    }

    /// Stops listening, unbinds every connection and waits for that, ten seconds at most.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.tasks.close();
        // Past the deadline they end with the runtime.
        let _ = tokio::time::timeout(STOP, self.tasks.wait()).await;
    }
}

/// Ends USSD sessions that take too long, as long as the simulator runs.
async fn end_sessions(shared: Arc<Shared>) {
    loop {
        let timed_out = tokio::select! {
            timed_out = shared.ussd.timed_out() => timed_out,
            () = shared.stop.cancelled() => return,
        };
        let config = shared.config.load();
        for TimedOut { phone, system_id, abort, outcome } in timed_out {
            let delivery = Delivery { pdu: abort.into(), receipt_for: None };
            shared.accounts.post(&config, system_id.as_deref(), delivery);
            shared.tell(|| SimEvent::UssdTimedOut { phone: phone.clone() });
            shared.walked(phone, outcome);
        }
    }
}
