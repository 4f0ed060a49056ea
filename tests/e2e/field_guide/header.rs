//! §8.2: commands, statuses and sequence numbers. Cases of a session alone are in the engine's own tests.

use bytes::BytesMut;
use serde_json::json;
use smpp::{CommandId, CommandStatus, Pdu, SequenceNumber};

use super::{Bound, PHONE};
use crate::peer::mo;
use crate::support::types;

/// Field guide 8.2 #15 to #18: unknown commands, and sequence numbers that no standard allows.
#[tokio::test]
async fn unknown_commands_are_nacked_and_any_number_is_echoed() {
    let mut bound = Bound::new(json!({})).await;
    let request = |id: u32, sequence: u32| [16, id, 0, sequence].iter().flat_map(|word| word.to_be_bytes()).collect();
    for sequence in [7, 0, 0x8000_0000, 0xa285_9f22, 0xffff_ffff] {
        let octets: Vec<u8> = request(0x110, sequence);
        bound.peer.write(&octets).await;
        let nack = bound.peer.read().await.unwrap();
        assert_eq!((nack.id, nack.status), (CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDID));
        assert_eq!(nack.sequence, SequenceNumber(sequence));
    }
    // An unknown response has no answer; the next PDU is the one that gets one.
    let octets: Vec<u8> = request(0x8000_0110, 8);
    bound.peer.write(&octets).await;
    assert_eq!(bound.takes(mo(PHONE, "goes on")).await["content"], "goes on");
}

/// Field guide 8.2 #23 and #24: the peer numbers its requests as it likes, and their status means nothing.
#[tokio::test]
async fn a_peers_numbers_are_its_own_and_its_requests_have_no_status() {
    let mut bound = Bound::new(json!({})).await;
    let message = bound.maybug.send(&bound.channel, json!({"to": PHONE, "content": "x"})).await;
    let (ours, _) = bound.peer.submit().await;
    let mut out = BytesMut::new();
    Pdu::from(mo(PHONE, "same number")).encode(CommandStatus::ESME_RSYSERR, ours.sequence, &mut out);
    bound.peer.write(&out).await;
    let answer = bound.peer.expect(CommandId::DELIVER_SM_RESP).await;
    assert_eq!((answer.sequence, answer.status), (ours.sequence, CommandStatus::ESME_ROK));
    assert_eq!(bound.mo().await["content"], "same number");
    bound.peer.take(&ours, "1").await;
    assert_eq!(types(&bound.maybug.events(&bound.channel, &message, 1).await), ["submitted"]);
}
