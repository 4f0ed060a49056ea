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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::accounts::Accounts;
use super::config::{SimulatorConfig, SimulatorConfigError};
use super::connection::{Connection, Wire};
use super::event::SimEvent;
use super::ids::Ids;
use super::mailbox::Delivery;
use super::phone::{self, PhoneError, PhoneMessage, PhoneOptions};
use super::shared::{Counters, Live, Shared, Tap};
use super::ussd::{TimedOut, UssdPhones};
use crate::endpoint::{Stream, TlsError, TlsServer};

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
/// From the end of an invited connection to the next.
const INVITE_AGAIN: Duration = Duration::from_secs(1);
/// How long a connection may say nothing, and a TLS handshake may take.
const BEGIN: Duration = Duration::from_secs(30);
/// What a TLS connection begins with (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;
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
    pub fn events(&self) -> broadcast::Receiver<SimEvent> {
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

/// Connects to an ESME and asks it to bind, as long as the simulator runs (§2.2.1).
async fn invite(shared: Arc<Shared>, esme: SocketAddr) {
    loop {
        let connected = tokio::select! {
            connected = TcpStream::connect(esme) => connected,
            () = shared.stop.cancelled() => return,
        };
        match connected {
            Ok(stream) => {
                let number = shared.counters.connections.fetch_add(1, Ordering::Relaxed) + 1;
                let mut connection = Connection::new(shared.clone(), number, Box::new(stream));
                connection.outbind();
                connection.serve().await;
            }
            Err(error) => tracing::debug!(%error, %esme, "cannot connect for outbind"),
        }
        tokio::select! {
            () = tokio::time::sleep(INVITE_AGAIN) => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, tls: Option<TlsServer>, tasks: TaskTracker) {
    // This one, the one that ends USSD sessions, and the one that invites.
    let own = 2 + usize::from(shared.config.load().session.outbind.is_some());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.cancelled() => return,
        };
        match accepted {
            Ok(_) if tasks.len() >= shared.config.load().max_connections + own => {}
            Ok((stream, _)) => match (stream.set_nodelay(true), &tls) {
                (Ok(()), None) => serve(&shared, Box::new(stream), &tasks),
                (Ok(()), Some(tls)) => {
                    tasks.spawn(begin(shared.clone(), stream, tls.clone(), tasks.clone()));
                }
                (Err(error), _) => tracing::debug!(%error, "the connection is gone already"),
            },
            Err(error) => {
                // Out of descriptors, mostly: whoever has them needs a moment.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves a connection that may begin TLS.
async fn begin(shared: Arc<Shared>, stream: TcpStream, tls: TlsServer, tasks: TaskTracker) {
    let handshake = async {
        let mut first = [0];
        stream.peek(&mut first).await?;
        // A PDU's length begins with zero.
        if first[0] == TLS_HANDSHAKE { tls.accept(stream).await } else { Ok(Stream::Tcp(stream)) }
    };
    tokio::select! {
        done = tokio::time::timeout(BEGIN, handshake) => match done {
            Ok(Ok(stream)) => serve(&shared, Box::new(stream), &tasks),
            Ok(Err(error)) => tracing::debug!(%error, "a connection failed before it began"),
            Err(_) => tracing::debug!("a connection said nothing"),
        },
        () = shared.stop.cancelled() => {}
    }
}

fn serve(shared: &Arc<Shared>, stream: Box<dyn Wire>, tasks: &TaskTracker) {
    let number = shared.counters.connections.fetch_add(1, Ordering::Relaxed) + 1;
    tasks.spawn(Connection::new(shared.clone(), number, stream).serve());
}
