//! §8.7: texts, segments, alphabets.

use serde_json::json;
use smpp::pdu::{DeliverSm, SubmitSm};
use smpp::{CommandId, CommandStatus, DataCoding, EsmClass, SequenceNumber, ShortMessage, Tag};

use super::{Bound, PHONE};
use crate::peer::mo;
use crate::support::types;

/// A deliver_sm with a header.
fn with_header(phone: &str, header: &[u8], text: &[u8]) -> DeliverSm {
    let short_message = ShortMessage::new([header, text].concat()).unwrap();
    DeliverSm { esm_class: EsmClass::UDHI, short_message, ..mo(phone, "") }
}

impl Bound {
    async fn part(&mut self, phone: &str, part: u8, total: u8, text: &str) {
        let pdu = with_header(phone, &[5, 0, 3, 0x2a, total, part], text.as_bytes());
        assert_eq!(self.peer.deliver(pdu).await, CommandStatus::ESME_ROK);
    }

    /// Sends a text and takes its first submit_sm.
    async fn sends(&mut self, text: &str) -> SubmitSm {
        self.maybug.send(&self.channel, json!({"to": PHONE, "content": text})).await;
        self.takes_submit().await
    }

    async fn takes_submit(&mut self) -> SubmitSm {
        let (raw, submit) = self.peer.submit().await;
        self.peer.take(&raw, "1").await;
        submit
    }

    /// How many segments a text makes, and the octets of each without its header.
    async fn segments(&mut self, text: &str) -> Vec<usize> {
        let first = self.sends(text).await;
        let octets = first.short_message.octets();
        if !first.esm_class.udhi() {
            return vec![octets.len()];
        }
        let mut sizes = vec![octets.len() - 6];
        for _ in 1..octets[4] {
            sizes.push(self.takes_submit().await.short_message.octets().len() - 6);
        }
        sizes
    }
}

/// Field guide 8.7 #100 to #102: order, senders, doubles.
#[tokio::test]
async fn segments_in_any_order_of_two_senders_and_doubled_make_two_messages() {
    let mut bound = Bound::new(json!({})).await;
    bound.part(PHONE, 1, 3, "one ").await;
    bound.part("27830001002", 2, 3, "TWO ").await;
    bound.part(PHONE, 3, 3, "three").await;
    bound.part(PHONE, 3, 3, "three").await;
    bound.part("27830001002", 1, 3, "ONE ").await;
    bound.part("27830001002", 3, 3, "THREE").await;
    bound.part(PHONE, 2, 3, "two ").await;
    let (first, second) = (bound.mo().await, bound.mo().await);
    assert_eq!((&first["content"], &first["from"]), (&json!("ONE TWO THREE"), &json!("27830001002")));
    assert_eq!((&second["content"], &second["from"]), (&json!("one two three"), &json!(PHONE)));
    // Doubled once more after it was complete.
    bound.part(PHONE, 2, 3, "two ").await;
    assert_eq!(bound.takes(mo(PHONE, "next")).await["content"], "next");
}

/// Field guide 8.7 #103 to #105: headers that say nothing usable, a wide reference, and one that overruns the text.
#[tokio::test]
async fn headers_are_walked_and_impossible_ones_make_plain_messages() {
    let mut bound = Bound::new(json!({})).await;
    for (total, part) in [(2, 0), (2, 5), (0, 0), (1, 1)] {
        let plain = bound.takes(with_header(PHONE, &[5, 0, 3, 9, total, part], b"plain")).await;
        assert_eq!(plain["content"], "plain", "part {part} of {total}");
    }
    for part in [2, 1] {
        let pdu = with_header(PHONE, &[6, 8, 4, 0, 1, 2, part], if part == 1 { b"wide " } else { b"reference" });
        assert_eq!(bound.peer.deliver(pdu).await, CommandStatus::ESME_ROK);
    }
    assert_eq!(bound.mo().await["content"], "wide reference");
    // Ports before the concatenation.
    for part in [1, 2] {
        let pdu = with_header(PHONE, &[0x0b, 5, 4, 0x15, 0x81, 0, 0, 0, 3, 0x2a, 2, part], &[b'0' + part]);
        assert_eq!(bound.peer.deliver(pdu).await, CommandStatus::ESME_ROK);
    }
    assert_eq!(bound.mo().await["content"], "12");
    let overrun = with_header(PHONE, &[9], b"short");
    assert_eq!(bound.peer.deliver(overrun).await, CommandStatus::ESME_RINVMSGLEN);
    assert_eq!(bound.takes(mo(PHONE, "goes on")).await["content"], "goes on");
}

/// Field guide 8.7 #106: octets that look like a header are text where no flag says otherwise.
#[tokio::test]
async fn without_its_flag_a_header_is_text() {
    let mut bound = Bound::new(json!({})).await;
    let pdu = DeliverSm { esm_class: EsmClass(0), ..with_header(PHONE, &[5, 0, 3, 1, 2, 1], b"x") };
    assert_eq!(bound.takes(pdu).await["content"], "é@¥£$£x");
}

/// Field guide 8.7 #107: a pair that was cut between two segments.
#[tokio::test]
async fn a_surrogate_pair_that_was_cut_is_joined() {
    let mut bound = Bound::new(json!({})).await;
    let octets: Vec<u8> = "x😀y".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let (front, back) = octets.split_at(4);
    for (part, text) in [(1, front), (2, back)] {
        let pdu = with_header(PHONE, &[5, 0, 3, 7, 2, part], text);
        let pdu = DeliverSm { data_coding: DataCoding::UCS2, ..pdu };
        assert_eq!(bound.peer.deliver(pdu).await, CommandStatus::ESME_ROK);
    }
    assert_eq!(bound.mo().await["content"], "x😀y");
}

/// Field guide 8.7 #108: ASCII that is none is refused, twice under one number, and the next message is fine.
#[tokio::test]
async fn what_cannot_be_decoded_is_refused_and_the_next_is_fine() {
    let mut bound = Bound::new(json!({})).await;
    let short_message = ShortMessage::new(vec![b'a', 0xa7]).unwrap();
    let bad = DeliverSm { data_coding: DataCoding(1), short_message, ..mo(PHONE, "") };
    let mut out = bytes::BytesMut::new();
    for _ in 0..2 {
        smpp::Pdu::from(bad.clone()).encode(CommandStatus::ESME_ROK, SequenceNumber(42), &mut out);
    }
    bound.peer.write(&out).await;
    for _ in 0..2 {
        let answer = bound.peer.expect(CommandId::DELIVER_SM_RESP).await;
        assert_eq!((answer.sequence, answer.status), (SequenceNumber(42), CommandStatus::ESME_RDELIVERYFAILURE));
    }
    assert_eq!(bound.takes(mo(PHONE, "fine")).await["content"], "fine");
}

/// Field guide 8.7 #109 and #110: how much fits.
#[tokio::test]
async fn the_usual_limits_hold_on_the_wire() {
    let mut bound = Bound::new(json!({})).await;
    assert_eq!(bound.segments(&"x".repeat(160)).await, [160]);
    assert_eq!(bound.segments(&"x".repeat(161)).await, [153, 8]);
    assert_eq!(bound.segments(&format!("{}€", "x".repeat(159))).await, [153, 8]);
    assert_eq!(bound.segments(&"ж".repeat(70)).await, [140]);
    assert_eq!(bound.segments(&"ж".repeat(71)).await, [134, 8]);
}

/// Field guide 8.7 #111: nothing that the field cannot hold is sent.
#[tokio::test]
async fn more_than_the_field_holds_is_rejected_with_the_reason() {
    let mut bound = Bound::new(json!({"strict_vumi": true})).await;
    assert_eq!(bound.sends(&"x".repeat(254)).await.short_message.octets().len(), 254);
    let message = bound.maybug.send(&bound.channel, json!({"to": PHONE, "content": "x".repeat(255)})).await;
    let events = bound.maybug.events(&bound.channel, &message, 1).await;
    let reason = events[0]["event_details"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("Message too long: 255 octets where 254 fit"), "{reason}");
}

/// Field guide 8.7 #112 and #113: no text, and no number.
#[tokio::test]
async fn an_empty_text_is_sent_and_a_number_that_is_none_is_not() {
    let mut bound = Bound::new(json!({})).await;
    assert!(bound.sends("").await.short_message.octets().is_empty());
    let message = bound.maybug.send(&bound.channel, json!({"to": "+27ж", "content": "x"})).await;
    let events = bound.maybug.events(&bound.channel, &message, 1).await;
    assert_eq!(types(&events), ["rejected"]);
    assert_eq!(events[0]["event_details"]["reason"], "Invalid to_addr: +27ж");
    let payload = bound.sends("the next one").await;
    assert!(payload.tlvs.octets_of(Tag::MESSAGE_PAYLOAD).is_none());
    assert_eq!(payload.short_message.octets(), &b"the next one"[..]);
}
