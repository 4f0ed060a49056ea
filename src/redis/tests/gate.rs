//! A way to a server whose first traveller can be held up, or each of them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on to a server.
pub(super) struct Gate {
    pub(super) port: u16,
    open: watch::Sender<bool>,
}

impl Gate {
    /// One that holds up the first connection.
    pub(super) async fn before(port: u16) -> Self {
        Self::with(port, 1).await
    }

    /// One that holds up all of them.
    pub(super) async fn around(port: u16) -> Self {
        Self::with(port, usize::MAX).await
    }

    async fn with(port: u16, connections: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (open, held) = watch::channel(true);
        let gate = Self { port: listener.local_addr().unwrap().port(), open };
        tokio::spawn(async move {
            let mut gates = std::iter::repeat_n(held, connections);
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, port, gates.next()));
            }
        });
        gate
    }

    /// Holds back what is sent on such a connection from now on, or lets it through; also when nobody waits for an answer
    /// any more.
    pub(super) fn open(&self, open: bool) {
        self.open.send(open).unwrap();
    }
}

async fn pass(client: TcpStream, port: u16, mut gate: Option<watch::Receiver<bool>>) {
    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut said, mut heard) = client.into_split();
    let (mut answers, mut requests) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut answers, &mut heard).await });
    let mut octets = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = said.read(&mut octets).await {
        if let Some(gate) = &mut gate {
            gate.wait_for(|open| *open).await.unwrap();
        }
        if requests.write_all(&octets[..read]).await.is_err() {
            return;
        }
    }
}
