//! The way to a service, which breaks as told: cut, held in one direction or both, refused, and mended again. It needs
//! `mod daemon` beside it.
//!
//! What is held is not lost: it arrives once the way is mended, also from a connection that its sender has given up
//! meanwhile, as with a network that was away. What is under way when everything is cut is lost.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::daemon::free_port;

/// Listens on loopback and forwards to a port there. Ends with the runtime that it was made on.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) port: u16,
    gate: watch::Sender<Gate>,
    listening: watch::Receiver<bool>,
    /// How many connections it has accepted.
    accepted: watch::Sender<usize>,
}

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Everything; connections are accepted nevertheless.
    Both,
    /// What goes to the service, which is not connected to either.
    There,
    /// What the service says.
    Back,
}

#[derive(Clone, Copy, Default)]
struct Gate {
    held: Option<Held>,
    refuses: bool,
    /// Connections of an earlier one are cut.
    generation: u64,
}

impl Gate {
    fn holds(&self, direction: Held) -> bool {
        self.held.is_some_and(|held| held == Held::Both || held == direction)
    }
}

impl Proxy {
    /// A sound way to this port.
    pub(crate) async fn to(service: u16) -> Self {
        let port = free_port().await;
        let (gate, watched) = watch::channel(Gate::default());
        let (told, mut listening) = watch::channel(false);
        let accepted = watch::Sender::new(0);
        tokio::spawn(listen(port, service, watched, (told, accepted.clone())));
        listening.wait_for(|listening| *listening).await.unwrap();
        Self { port, gate, listening, accepted }
    }

    /// Waits for one more connection than there have been when this is called.
    pub(crate) fn another(&self) -> impl Future<Output = ()> + use<> {
        let mut accepted = self.accepted.subscribe();
        let before = *accepted.borrow();
        async move {
            accepted.wait_for(|accepted| *accepted > before).await.unwrap();
        }
    }

    /// Resets every connection there is; new ones are as before.
    pub(crate) fn cut(&self) {
        self.gate.send_modify(|gate| gate.generation += 1);
    }

    /// Forwards nothing any more in this direction, or in both.
    pub(crate) fn hold(&self, held: Held) {
        self.gate.send_modify(|gate| gate.held = Some(held));
    }

    /// Cuts everything and takes no connection.
    pub(crate) async fn refuse(&self) {
        self.gate.send_modify(|gate| (gate.refuses, gate.generation) = (true, gate.generation + 1));
        self.listening.clone().wait_for(|listening| !listening).await.unwrap();
    }

    /// All is well again.
    pub(crate) async fn restore(&self) {
        self.gate.send_modify(|gate| (gate.held, gate.refuses) = (None, false));
        self.listening.clone().wait_for(|listening| *listening).await.unwrap();
    }
}

/// Waits until it is so; not if the proxy has gone. (What `wait_for` returns is a lock.)
async fn until(gate: &mut watch::Receiver<Gate>, is_so: impl Fn(&Gate) -> bool) -> bool {
    gate.wait_for(|gate| is_so(gate)).await.is_ok()
}

async fn listen(
    port: u16,
    service: u16,
    mut gate: watch::Receiver<Gate>,
    (listening, connections): (watch::Sender<bool>, watch::Sender<usize>),
) {
    while until(&mut gate, |gate| !gate.refuses).await {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        listening.send_replace(true);
        let mut refusing = gate.clone();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    connections.send_modify(|connections| *connections += 1);
                    tokio::spawn(serve(accepted.unwrap().0, service, gate.clone()));
                }
                _ = until(&mut refusing, |gate| gate.refuses) => break,
            }
        }
        drop(listener);
        listening.send_replace(false);
    }
}

async fn serve(mut client: TcpStream, service: u16, mut gate: watch::Receiver<Gate>) {
    let generation = gate.borrow_and_update().generation;
    let mut cut = gate.clone();
    let cut = until(&mut cut, |gate| gate.generation != generation);
    tokio::pin!(cut);
    let connected = async {
        until(&mut gate, |gate| !gate.holds(Held::There)).await;
        TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, service))).await.ok()
    };
    let server = tokio::select! {
        connected = connected => connected,
        _ = &mut cut => None,
    };
    let Some(mut server) = server else {
        // Nobody is there.
        let _ = client.set_zero_linger();
        return;
    };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let both = async {
        tokio::join!(
            pump(from_client, to_server, Held::There, gate.clone()),
            pump(from_server, to_client, Held::Back, gate.clone()),
        )
    };
    let is_cut = tokio::select! {
        _ = both => false,
        _ = cut => true,
    };
    if is_cut {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Forwards in one direction, to the end.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, direction: Held, mut gate: watch::Receiver<Gate>) {
    let mut octets = vec![0; 64 * 1024];
    while until(&mut gate, |gate| !gate.holds(direction)).await {
        tokio::select! {
            biased;
            _ = until(&mut gate, |gate| gate.holds(direction)) => {}
            read = from.read(&mut octets) => match read {
                Ok(count) if count > 0 && to.write_all(&octets[..count]).await.is_ok() => {}
                _ => break,
            }
        }
    }
    let _ = to.shutdown().await;
}
