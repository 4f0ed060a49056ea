//! Where connections come from: accepted, with TLS for whoever begins it, or made, to an ESME that is asked to bind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::connection::{Connection, Wire};
use super::shared::Shared;
use crate::endpoint::{Stream, TlsServer};

/// From the end of an invited connection to the next.
const INVITE_AGAIN: Duration = Duration::from_secs(1);
/// How long a connection may say nothing, and a TLS handshake may take.
const BEGIN: Duration = Duration::from_secs(30);
/// What a TLS connection begins with (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Connects to an ESME and asks it to bind, as long as the simulator runs (§2.2.1).
pub(super) async fn invite(shared: Arc<Shared>, esme: SocketAddr) {
    loop {
        let connected = tokio::select! {
            connected = TcpStream::connect(esme) => connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream)),
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

pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener, tls: Option<TlsServer>, tasks: TaskTracker) {
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

/// Serves a connection.
pub(super) fn serve(shared: &Arc<Shared>, stream: Box<dyn Wire>, tasks: &TaskTracker) {
    let number = shared.counters.connections.fetch_add(1, Ordering::Relaxed) + 1;
    tasks.spawn(Connection::new(shared.clone(), number, stream).serve());
}
