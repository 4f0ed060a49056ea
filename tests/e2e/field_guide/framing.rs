//! §8.1: where one PDU ends and the next begins.

use bytes::BytesMut;
use serde_json::json;
use smpp::pdu::EnquireLink;
use smpp::{CommandId, CommandStatus, Pdu, SequenceNumber};

use super::{Bound, PHONE};
use crate::peer::{ScriptedSmsc, mo};
use crate::support::{Maybug, Receiver};

fn octets(pdu: impl Into<Pdu>, sequence: u32) -> BytesMut {
    let mut out = BytesMut::new();
    pdu.into().encode(CommandStatus::ESME_ROK, SequenceNumber(sequence), &mut out);
    out
}

/// Field guide 8.1 #1 to #5: a PDU may come in any pieces, and several in one.
#[tokio::test]
async fn pdus_in_pieces_and_several_at_once() {
    let mut bound = Bound::new(json!({})).await;
    let ask = octets(EnquireLink::default(), 5);
    let answered = async |bound: &mut Bound, sequence| {
        let answer = bound.peer.expect(CommandId::ENQUIRE_LINK_RESP).await;
        assert_eq!(answer.sequence, SequenceNumber(sequence));
    };
    for cut in [3, 4, 15] {
        bound.peer.write(&ask[..cut]).await;
        bound.peer.write(&ask[cut..]).await;
        answered(&mut bound, 5).await;
    }
    let two = [octets(EnquireLink::default(), 6), octets(EnquireLink::default(), 7)].concat();
    bound.peer.write(&two).await;
    answered(&mut bound, 6).await;
    answered(&mut bound, 7).await;
    for octet in octets(mo(PHONE, "in pieces"), 8) {
        bound.peer.write(&[octet]).await;
    }
    assert_eq!(bound.peer.expect(CommandId::DELIVER_SM_RESP).await.sequence, SequenceNumber(8));
    assert_eq!(bound.mo().await["content"], "in pieces");
}

/// Field guide 8.1 #6 to #9: a length that cannot be is answered with generic_nack, and the connection is closed.
#[tokio::test]
async fn impossible_lengths_end_the_connection_with_a_nack() {
    let mut bound = Bound::new(json!({})).await;
    for length in [15_u32, 0, 4, 8, 0xf000_0011, 80_000] {
        bound.peer.write(&[&length.to_be_bytes()[..], &[0; 12]].concat()).await;
        let nack = bound.peer.read().await.unwrap();
        assert_eq!((nack.id, nack.status), (CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN), "{length:#x}");
        assert_eq!(nack.sequence, SequenceNumber(0));
        assert_eq!(bound.peer.read().await, None, "{length:#x}");
        bound.peer = bound.smsc.bound().await;
    }
}

/// Field guide 8.1 #10 and #14: the rest of a PDU never comes.
#[tokio::test]
async fn half_a_pdu_ends_the_connection_by_time_or_by_its_end() {
    let mut bound = Bound::new(json!({"pdu_read_timeout": 0.1})).await;
    let whole = octets(mo(PHONE, "never"), 9);
    bound.peer.write(&whole[..20]).await;
    let nack = bound.peer.read().await.unwrap();
    assert_eq!(nack.id, CommandId::GENERIC_NACK);
    assert_eq!(bound.peer.read().await, None);
    assert!(bound.told("connection_lost").await["message"].as_str().unwrap().contains("no SMPP"));
    let mut again = bound.smsc.bound().await;
    again.write(&whole[..20]).await;
    drop(again);
    bound.told("connection_lost").await;
    bound.peer = bound.smsc.bound().await;
    bound.takes(mo(PHONE, "all is well")).await;
}

/// Field guide 8.1 #11 and #13: what is well framed costs the stream nothing.
#[tokio::test]
async fn unknown_commands_and_stray_octets_are_passed_over() {
    let mut bound = Bound::new(json!({})).await;
    let unknown = [&[0, 0, 0, 17, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0, 0, 77, 0xff][..], &octets(mo(PHONE, "hi"), 78)];
    bound.peer.write(&unknown.concat()).await;
    let nack = bound.peer.read().await.unwrap();
    assert_eq!((nack.id, nack.status), (CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDID));
    assert_eq!(nack.sequence, SequenceNumber(77));
    assert_eq!(bound.mo().await["content"], "hi");
    let long = [&[0, 0, 0, 19, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 79][..], b"abc"].concat();
    bound.peer.write(&long).await;
    assert_eq!(bound.peer.expect(CommandId::ENQUIRE_LINK_RESP).await.sequence, SequenceNumber(79));
}

/// Field guide 8.1 #12: something else answers on the port.
#[tokio::test]
async fn a_banner_instead_of_a_bind_response_is_said() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    maybug.smpp_channel(smsc.address(), json!({}), json!({"status_url": receiver.url("/status")})).await;
    let mut peer = smsc.accept().await;
    peer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let lost = receiver.told("connection_lost").await;
    assert_eq!(lost["message"], "The SMSC sent octets that are no SMPP; the connection was closed.");
}
