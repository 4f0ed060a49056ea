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
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::accounts::Accounts;
use super::config::{SimulatorConfig, SimulatorConfigError};
use super::connection::Connection;
use super::ids::Ids;
use super::mailbox::Delivery;
use super::mo::{Mo, MoError};
use super::shared::{Counters, Hooks, Live, Shared};

/// See the file's head.
pub struct Simulator {
    addr: SocketAddr,
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
    /// It could not listen.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

/// How long a shutdown waits for its connections to unbind.
const SHUTDOWN: Duration = Duration::from_secs(10);

impl Simulator {
    /// Listens, and serves from then on.
    ///
    /// # Errors
    /// [`StartError`] when the address is taken or the configuration contradicts itself.
    pub async fn start(config: SimulatorConfig, hooks: Hooks) -> Result<Self, StartError> {
        config.check()?;
        let listen = |error| StartError::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let seed = config.seed.unwrap_or_else(|| fastrand::u64(..));
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            ids: Ids::new(&mut Rng::with_seed(seed)),
            config: ArcSwap::from_pointee(config),
            accounts: Accounts::default(),
            seed,
            hooks,
            counters: Live::default(),
            cuts: watch::Sender::new(()),
            stop: stop.clone(),
        });
        let tasks = TaskTracker::new();
        tasks.spawn(accept(shared.clone(), listener, tasks.clone()));
        Ok(Self { addr, shared, tasks, references: AtomicU16::new(0), _stop_on_drop: stop.drop_guard() })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters.read(self.shared.accounts.dropped())
    }

    /// Behaves differently from now on. `listen`, `seed`, and what belongs to a session's beginning (windows,
    /// timers, `read_rate`, `cut_every`) stay as they are for connections that exist.
    pub fn reconfigure(&self, change: impl FnOnce(&mut SimulatorConfig)) {
        let mut config = SimulatorConfig::clone(&self.shared.config.load());
        change(&mut config);
        self.shared.config.store(Arc::new(config));
    }

    /// Cuts every connection there is.
    pub fn cut(&self) {
        self.shared.cuts.send_replace(());
    }

    /// Sends a message from a phone, at once or as soon as the account has a receiver. Gives how many PDUs it takes.
    ///
    /// # Errors
    /// [`MoError`] when there is no such account, or the message cannot be written.
    pub fn inject(&self, mo: &Mo) -> Result<usize, MoError> {
        let reference = self.references.fetch_add(1, Ordering::Relaxed);
        let pdus = mo.pdus(reference)?;
        let count = pdus.len();
        pdus.into_iter().try_for_each(|pdu| self.deliver(mo.system_id.as_deref(), pdu))?;
        Ok(count)
    }

    /// Sends a deliver_sm as it is, however odd.
    ///
    /// # Errors
    /// [`MoError::NoAccount`].
    pub fn deliver(&self, system_id: Option<&str>, pdu: DeliverSm) -> Result<(), MoError> {
        let config = self.shared.config.load();
        let mailbox = self.shared.accounts.find(&config, system_id).ok_or(MoError::NoAccount)?;
        mailbox.post(&config, Delivery { pdu: pdu.into(), receipt_for: None });
        Ok(())
    }

    /// Stops listening, unbinds every connection and waits for that, ten seconds at most.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        self.tasks.close();
        // Past the deadline they end with the runtime.
        let _ = tokio::time::timeout(SHUTDOWN, self.tasks.wait()).await;
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.cancelled() => return,
        };
        match accepted {
            // One task is this one.
            Ok(_) if tasks.len() > shared.config.load().max_connections => {}
            Ok((stream, _)) => serve(&shared, stream, &tasks),
            Err(error) => {
                // Out of descriptors, mostly: whoever has them needs a moment.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn serve(shared: &Arc<Shared>, stream: TcpStream, tasks: &TaskTracker) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection is gone already");
        return;
    }
    let number = shared.counters.connections.fetch_add(1, Ordering::Relaxed) + 1;
    tasks.spawn(Connection::new(shared.clone(), number, stream).serve());
}
