//! What users of other gateways suffered from, each seen not to happen here (besides those that a case above names).

use serde_json::json;
use smpp::pdu::DeliverSm;
use smpp::text::Charset;
use smpp::{CommandStatus, DataCoding, EsmClass, ShortMessage};

use super::{Bound, PHONE};
use crate::peer::mo;

/// A segment with an 8-bit reference.
fn segment(reference: u8, total: u8, part: u8, text: &str) -> DeliverSm {
    let octets = [&[5, 0, 3, reference, total, part][..], text.as_bytes()].concat();
    let short_message = ShortMessage::new(octets).unwrap();
    DeliverSm { esm_class: EsmClass::UDHI, short_message, ..mo(PHONE, "") }
}

/// Pain 10: segments out of order, doubled, and of two messages at once.
#[tokio::test]
async fn pain_10_segments_in_any_order_make_their_message_once() {
    let mut bound = Bound::new(json!({})).await;
    for (reference, total, part, text) in
        [(1, 3, 3, "c"), (2, 2, 2, "B"), (1, 3, 1, "a"), (1, 3, 1, "a"), (2, 2, 1, "A"), (1, 3, 2, "b"), (1, 3, 2, "b")]
    {
        assert_eq!(bound.peer.deliver(segment(reference, total, part, text)).await, CommandStatus::ESME_ROK);
    }
    assert_eq!(bound.mo().await["content"], "AB");
    assert_eq!(bound.mo().await["content"], "abc");
    assert_eq!(bound.takes(mo(PHONE, "nothing between")).await["content"], "nothing between");
}

/// Pain 12: emoji. No segment is longer than a phone takes and none ends or begins in the middle of a pair.
#[tokio::test]
async fn pain_12_no_segment_cuts_a_surrogate_pair_or_exceeds_140_octets() {
    for long in ["send_multipart_udh", "send_multipart_sar"] {
        let mut bound = Bound::new(json!({long: true})).await;
        let text = format!("x{}", "😀👍🏽".repeat(60));
        bound.maybug.send(&bound.channel, json!({"to": PHONE, "content": text})).await;
        let mut joined = String::new();
        while joined.len() < text.len() {
            let (raw, submit) = bound.peer.submit().await;
            bound.peer.take(&raw, "1").await;
            assert_eq!(submit.data_coding, DataCoding::UCS2);
            let octets = submit.short_message.octets();
            assert!(octets.len() <= 140, "{} octets", octets.len());
            let header = if submit.esm_class.udhi() { usize::from(octets[0]) + 1 } else { 0 };
            joined += &Charset::Ucs2.decode(&octets[header..]).unwrap();
        }
        assert_eq!(joined, text, "{long}");
    }
}
