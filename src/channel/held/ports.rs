//! Ports on which providers call: one listener each, shared by the channels that have a path on it.
//!
//! A port is opened by the first channel that has a path there and closed by the last one that leaves. One that cannot
//! be had is tried again and again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::response;
use crate::channel::{Intake, Setup, StatusReport};
use crate::model::{JsonObject, Level};
use crate::web::Response;
use crate::web::server::{Handler, Limits, serve};

/// What answers the requests of one path, each with whom it comes from.
pub(crate) type Hook = Arc<dyn Fn(SocketAddr, hyper::Request<Incoming>) -> Answer + Send + Sync>;
/// The answer to one.
type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// See the file's head; clones are the same ports.
#[derive(Clone, Default)]
pub(crate) struct Ports(Arc<Mutex<HashMap<SocketAddr, Arc<Slot>>>>);

/// Where there is a listener, or was, or will be. Whoever opens it holds it meanwhile; other ports are not concerned.
type Slot = tokio::sync::Mutex<Option<(Arc<Port>, JoinHandle<()>)>>;

/// A listener's paths.
struct Port {
    address: SocketAddr,
    paths: Mutex<HashMap<String, Hook>>,
    stop: CancellationToken,
}

/// Paths on a port; dropped, they are free.
pub(crate) struct Place {
    port: Arc<Port>,
    paths: Vec<String>,
}

/// Why a path could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortError {
    /// Somebody else listens there, or nobody may.
    #[error("{address} cannot be listened on: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Another channel has it.
    #[error("another channel has the path {path} on port {port}")]
    Taken {
        /// The port.
        port: u16,
        /// The path.
        path: String,
    },
}

/// First and longest pause before a port is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long running requests may take once the last channel of a port has gone.
const DRAIN: Duration = Duration::from_secs(2);

impl Ports {
    /// Has the requests of some paths answered by `hook` from now on; `/a/*` is every path below `/a` that nobody else has.
    ///
    /// # Errors
    /// [`PortError`]; none of them is had then.
    async fn open(&self, address: SocketAddr, paths: &[String], hook: Hook) -> Result<Place, PortError> {
        let slot = self.slot(address);
        let mut held = slot.lock().await;
        if let Some((port, _)) = &*held
            && port.add(paths, &hook)?
        {
            return Ok(Place { port: port.clone(), paths: paths.to_vec() });
        }
        if let Some((_, task)) = held.take() {
            // A restarted channel meets the end of its own listener. One that panicked has ended as well.
            let _ = task.await;
        }
        let listener = TcpListener::bind(address).await;
        let bound = listener.and_then(|listener| listener.local_addr().map(|address| (listener, address)));
        let (listener, bound) = bound.map_err(|source| PortError::Listen { address, source })?;
        let had = Mutex::new(paths.iter().map(|path| (path.clone(), hook.clone())).collect());
        let port = Arc::new(Port { address: bound, paths: had, stop: CancellationToken::new() });
        let serving = serve(listener, port.clone(), limits(), port.stop.clone());
        let kept = slot.clone();
        let task = tokio::spawn(async move {
            serving.await;
            drop(kept);
        });
        // Port 0 is another port each time.
        *held = (address.port() != 0).then(|| (port.clone(), task));
        Ok(Place { port, paths: paths.to_vec() })
    }

    /// The same for a channel, which says of its component `listener` how that goes; tries until it succeeds.
    pub(crate) async fn listen<I: Intake>(
        &self,
        setup: &Setup<I>,
        address: SocketAddr,
        paths: &[String],
        hook: Hook,
    ) -> Place {
        let report = |level, kind, message: String, details| StatusReport {
            component: "listener",
            level,
            kind,
            message,
            details,
        };
        let (mut pause, longest) = PAUSE;
        loop {
            match self.open(address, paths, hook.clone()).await {
                Ok(place) => {
                    let address = place.port.address;
                    let details = JsonObject::from_iter([("address".to_owned(), address.to_string().into())]);
                    let urls: Vec<String> = paths.iter().map(|path| format!("http://{address}{path}")).collect();
                    let message = format!("Listening on {}", urls.join(", "));
                    setup.intake.status(&setup.id, report(Level::Ok, "listening", message, details)).await;
                    return place;
                }
                Err(error) => {
                    let report = report(Level::Down, "cannot_listen", error.to_string(), JsonObject::new());
                    setup.intake.status(&setup.id, report).await;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// An address's slot; those that nobody needs any more are forgotten.
    fn slot(&self, address: SocketAddr) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        slots.entry(address).or_default().clone()
    }
}

impl Port {
    fn paths(&self) -> MutexGuard<'_, HashMap<String, Hook>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds paths; `false` if the port is being closed.
    fn add(&self, added: &[String], hook: &Hook) -> Result<bool, PortError> {
        let mut paths = self.paths();
        if let Some(path) = added.iter().find(|path| paths.contains_key(*path)) {
            return Err(PortError::Taken { port: self.address.port(), path: path.clone() });
        }
        if paths.is_empty() {
            return Ok(false);
        }
        paths.extend(added.iter().map(|path| (path.clone(), hook.clone())));
        Ok(true)
    }

    /// Who answers a path. A final slash makes no difference, as in the API's own paths.
    fn hook(&self, path: &str) -> Option<Hook> {
        let paths = self.paths();
        let mut above = path.strip_suffix('/').unwrap_or(path);
        let own = paths.get(path).or_else(|| paths.get(above));
        let below = || loop {
            above = above.rsplit_once('/')?.0;
            if let Some(hook) = paths.get(&format!("{above}/*")) {
                return Some(hook);
            }
        };
        own.or_else(below).cloned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut paths = self.port.paths();
        self.paths.iter().for_each(|path| {
            paths.remove(path);
        });
        if paths.is_empty() {
            self.port.stop.cancel();
        }
    }
}

/// An aggregator holds as many connections as it has sessions, all from one address.
fn limits() -> Limits {
    let limits = Limits::default();
    Limits { drain: DRAIN, per_address: limits.connections, envelopes: false, ..limits }
}

impl Handler for Port {
    async fn call(self: Arc<Self>, peer: SocketAddr, request: hyper::Request<Incoming>) -> Response {
        match self.hook(request.uri().path()) {
            Some(hook) => hook(peer, request).await,
            None => response(StatusCode::NOT_FOUND, "text/plain", "Not found"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_channel_can_hold_all_connections_of_its_port() {
        assert!(2 * super::super::MOST <= limits().connections);
    }
}
