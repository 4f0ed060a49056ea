//! An SMSC that answers as an SMSC does, but for what a test says; and what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use smpp::pdu::{BindMode, DeliverSm};
use smpp::session::answer_to;
use smpp::{Address, CommandId, CommandStatus, Pdu, RawPdu, SequenceNumber, ShortMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is sent: a PDU with its status and its number.
pub(super) type Sent = (Pdu, CommandStatus, SequenceNumber);

/// What is done about a PDU.
pub(super) enum Do {
    Say(Vec<Sent>),
    Close,
}

/// See the file's head.
pub(super) struct Scripted {
    pub(super) address: SocketAddr,
    /// All that came, with the number of its connection from 0.
    heard: Arc<Mutex<Vec<(usize, RawPdu)>>>,
}

impl Scripted {
    /// `script` says what a PDU is answered with; where it says nothing, it is answered as usual.
    pub(super) async fn start(script: impl Fn(&RawPdu) -> Option<Do> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (log, script) = (heard.clone(), Arc::new(script));
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, script) = (log.clone(), script.clone());
                tokio::spawn(async move {
                    let keep = |raw: &RawPdu| log.lock().unwrap().push((number, raw.clone()));
                    serve(stream, |raw| {
                        keep(raw);
                        script(raw)
                    })
                    .await;
                });
            }
        });
        Self { address, heard }
    }

    /// All PDUs of this kind.
    pub(super) fn heard(&self, id: CommandId) -> Vec<RawPdu> {
        self.heard.lock().unwrap().iter().filter(|(_, raw)| raw.id == id).map(|(_, raw)| raw.clone()).collect()
    }

    /// Modes and versions of the binds, in their order.
    pub(super) fn binds(&self) -> Vec<(BindMode, u8)> {
        let heard = self.heard.lock().unwrap();
        let bind = |raw: &RawPdu| match Pdu::decode(raw) {
            Ok(Pdu::Bind(mode, bind)) => Some((mode, bind.interface_version)),
            _ => None,
        };
        heard.iter().filter_map(|(_, raw)| bind(raw)).collect()
    }
}

async fn serve(mut stream: TcpStream, script: impl Fn(&RawPdu) -> Option<Do>) {
    let mut received = BytesMut::new();
    loop {
        while let Some(raw) = RawPdu::split(&mut received, 70_000).unwrap() {
            let mut octets = BytesMut::new();
            let Do::Say(answers) = script(&raw).unwrap_or_else(|| Do::Say(usual(&raw))) else { return };
            for (pdu, status, sequence) in answers {
                pdu.encode(status, sequence, &mut octets);
            }
            if stream.write_all(&octets).await.is_err() {
                return;
            }
        }
        if !matches!(stream.read_buf(&mut received).await, Ok(1..)) {
            return;
        }
    }
}

pub(super) fn usual(raw: &RawPdu) -> Vec<Sent> {
    let status = if raw.id.name().is_some() { CommandStatus::ESME_ROK } else { CommandStatus::ESME_RINVCMDID };
    answer_to(raw.id).map(|answer| (answer, status, raw.sequence)).into_iter().collect()
}

/// The usual answer with this status.
pub(super) fn refuse(raw: &RawPdu, status: CommandStatus) -> Option<Do> {
    Some(Do::Say(vec![(answer_to(raw.id)?, status, raw.sequence)]))
}

/// A deliver_sm that asks nothing but to be answered.
pub(super) fn delivery(from: &str, octets: &[u8], number: u32) -> Sent {
    let deliver = DeliverSm {
        source: Address::detected(from).unwrap(),
        short_message: ShortMessage::new(octets.to_vec()).unwrap(),
        ..DeliverSm::default()
    };
    (deliver.into(), CommandStatus::ESME_ROK, SequenceNumber(number))
}
