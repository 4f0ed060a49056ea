//! §8.4: optional parameters that are unknown, cut, of the wrong width, twice, or where none belong.

use bytes::BytesMut;
use serde_json::json;
use smpp::pdu::DeliverSm;
use smpp::{CommandId, CommandStatus, EsmClass, Pdu, SequenceNumber, Tag, Tlvs};

use super::{Bound, PHONE};
use crate::peer::mo;

/// A deliver_sm with these octets behind its mandatory part.
fn with(tail: &[u8], text: &str) -> DeliverSm {
    DeliverSm { tlvs: Tlvs::from_octets(tail.to_vec().into()), ..mo(PHONE, text) }
}

/// Field guide 8.4 #53 to #55, #60; pain 17: what cannot be read as parameters leaves the message whole.
#[tokio::test]
async fn pain_17_unknown_and_broken_parameters_cost_nothing() {
    let mut bound = Bound::new(json!({})).await;
    let tails: [&[u8]; 7] = [
        &[0x14, 0x54, 0, 1, 7],
        &[0x06, 0x0d, 0, 2, 1, 2, 0x00, 0x2b, 0, 0, 0x96, 0xec, 0, 1, 9],
        &[0x00, 0x1e, 0, 0x41, 1, 2, 3, 4, 5],
        &[0xff],
        &[0xff, 0xff],
        &[0xff, 0xff, 0xff],
        &[0x14, 0x54, 0x80, 0x00, 1],
    ];
    for tail in tails {
        assert_eq!(bound.takes(with(tail, "whole")).await["content"], "whole", "{tail:02x?}");
    }
}

/// A receipt whose parameters are these octets; what became of its message.
async fn reported(bound: &mut Bound, tail: &[u8]) -> String {
    let id = format!("{:x}", fastrand::u64(..));
    let message = bound.submitted(&id).await;
    let mut octets = vec![0x00, 0x1e, 0, u8::try_from(id.len()).unwrap()];
    octets.extend_from_slice(id.as_bytes());
    octets.extend_from_slice(tail);
    let receipt = DeliverSm { esm_class: EsmClass(4), ..with(&octets, "") };
    assert_eq!(bound.peer.deliver(receipt).await, CommandStatus::ESME_ROK, "{tail:02x?}");
    bound.report(&message).await
}

/// Field guide 8.4 #56, #58, #59, #61: parameters as peers write them.
#[tokio::test]
async fn parameters_are_read_as_they_come() {
    let mut bound = Bound::new(json!({})).await;
    // The id without its NUL throughout; an integer of two octets; the first of two wins.
    for tail in [&[0x04, 0x27, 0, 2, 0, 2][..], &[0x04, 0x27, 0, 1, 2, 0x04, 0x27, 0, 1, 5]] {
        assert_eq!(reported(&mut bound, tail).await, "delivery_succeeded", "{tail:02x?}");
    }
    // network_error_code of one and four octets is ignored, three digits are a number.
    for (code, shown) in [(&[0x04, 0x23, 0, 1, 3][..], json!(null)), (&[0x04, 0x23, 0, 3, b'0', b'1', b'2'], json!(12))]
    {
        let message = bound.submitted("5e").await;
        let octets = [&[0x04, 0x27, 0, 1, 5, 0x00, 0x1e, 0, 3, b'5', b'e', 0][..], code].concat();
        bound.peer.deliver(DeliverSm { esm_class: EsmClass(4), ..with(&octets, "") }).await;
        let events = bound.maybug.events(&bound.channel, &message, 2).await;
        assert_eq!(events[1]["event_type"], "delivery_failed");
        assert_eq!(events[1]["event_details"]["network_error_code"], shown, "{code:02x?}");
    }
    // Two NULs: cut at the first.
    let message = bound.submitted("5f").await;
    let octets = [0x04, 0x27, 0, 1, 2, 0x00, 0x1e, 0, 4, b'5', b'f', 0, 0];
    bound.peer.deliver(DeliverSm { esm_class: EsmClass(4), ..with(&octets, "") }).await;
    assert_eq!(bound.report(&message).await, "delivery_succeeded");
}

/// Field guide 8.4 #57: an empty integer is absent, and the text says the state.
#[tokio::test]
async fn an_empty_integer_is_absent() {
    let mut bound = Bound::new(json!({})).await;
    let message = bound.submitted("60").await;
    let octets = [0x04, 0x27, 0, 0, 0x00, 0x1e, 0, 3, b'6', b'0', 0];
    let receipt = DeliverSm { esm_class: EsmClass(4), ..with(&octets, "id:60 stat:UNDELIV") };
    bound.peer.deliver(receipt).await;
    assert_eq!(bound.report(&message).await, "delivery_failed");
}

/// Field guide 8.4 #62: parameters where none belong are passed over.
#[tokio::test]
async fn parameters_in_an_enquire_link_are_passed_over() {
    let mut bound = Bound::new(json!({})).await;
    let mut tlvs = Tlvs::default();
    tlvs.push(Tag(0x1400), b"x");
    let mut out = BytesMut::new();
    Pdu::from(smpp::pdu::EnquireLink { tlvs: tlvs.clone() }).encode(
        CommandStatus::ESME_ROK,
        SequenceNumber(9),
        &mut out,
    );
    bound.peer.write(&out).await;
    assert_eq!(bound.peer.expect(CommandId::ENQUIRE_LINK_RESP).await.sequence, SequenceNumber(9));
    out.clear();
    Pdu::from(smpp::pdu::Unbind { tlvs }).encode(CommandStatus::ESME_ROK, SequenceNumber(10), &mut out);
    bound.peer.write(&out).await;
    assert_eq!(bound.peer.expect(CommandId::UNBIND_RESP).await.status, CommandStatus::ESME_ROK);
}
