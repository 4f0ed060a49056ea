//! §8.6: what is a receipt, what it says, whose it is.

use serde_json::json;
use smpp::pdu::{DataSm, DeliverSm};
use smpp::{CommandId, CommandStatus, DataCoding, EsmClass, ShortMessage, Tag};

use super::{Bound, PHONE};
use crate::peer::{mo, receipt};
use crate::support::types;

/// Field guide 8.6 #87, #90, #91: what makes a receipt.
#[tokio::test]
async fn parameters_or_any_flag_of_a_receipt_make_one() {
    let mut bound = Bound::new(json!({})).await;
    let message = bound.submitted("a0").await;
    let mut plain = mo(PHONE, "useless text");
    plain.tlvs.push_text(Tag::RECEIPTED_MESSAGE_ID, "a0");
    plain.tlvs.push_integer(Tag::MESSAGE_STATE, 2);
    assert_eq!(bound.peer.deliver(plain).await, CommandStatus::ESME_ROK);
    assert_eq!(bound.report(&message).await, "delivery_succeeded");
    for (n, class) in [0x44, 0x08, 0x10, 0x20, 0x24].into_iter().enumerate() {
        let id = format!("b{n}");
        let message = bound.submitted(&id).await;
        let receipt = DeliverSm { esm_class: EsmClass(class), ..receipt(PHONE, &id, "DELIVRD") };
        assert_eq!(bound.peer.deliver(receipt).await, CommandStatus::ESME_ROK, "{class:#x}");
        assert_eq!(bound.report(&message).await, "delivery_succeeded", "{class:#x}");
    }
}

/// Field guide 8.6 #88 and #89: unreadable receipts, and texts that look like one.
#[tokio::test]
async fn what_only_looks_like_a_receipt_is_a_message_unless_the_channel_says_otherwise() {
    let mut bound = Bound::new(json!({})).await;
    for text in ["", "nothing that could be read"] {
        let unreadable = DeliverSm { esm_class: EsmClass(4), ..mo(PHONE, text) };
        assert_eq!(bound.peer.deliver(unreadable).await, CommandStatus::ESME_ROK);
    }
    let look = DeliverSm { esm_class: EsmClass(0), ..receipt(PHONE, "1", "DELIVRD") };
    let text = bound.takes(look.clone()).await["content"].as_str().unwrap().to_owned();
    assert!(text.starts_with("id:1 "), "{text}");
    let config = json!({"delivery_report_processor_config": {"delivery_report_use_esm_class": false}});
    let mut bound = Bound::new(config).await;
    let message = bound.submitted("1").await;
    assert_eq!(bound.peer.deliver(look).await, CommandStatus::ESME_ROK);
    assert_eq!(bound.report(&message).await, "delivery_succeeded");
}

/// Field guide 8.6 #92: every state, and the parameter before the text.
#[tokio::test]
async fn states_mean_what_the_table_says_and_the_parameter_wins() {
    let mut bound = Bound::new(json!({})).await;
    for (n, (word, event)) in [
        ("ENROUTE", "delivery_pending"),
        ("DELIVRD", "delivery_succeeded"),
        ("EXPIRED", "delivery_failed"),
        ("DELETED", "delivery_failed"),
        ("UNDELIV", "delivery_failed"),
        ("ACCEPTD", "delivery_pending"),
        ("UNKNOWN", "delivery_pending"),
        ("REJECTD", "delivery_failed"),
        ("FAILED", "delivery_failed"),
        ("BUFFRED", "delivery_pending"),
        ("WHATEVER", "delivery_pending"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("c{n}");
        let message = bound.submitted(&id).await;
        bound.peer.deliver(receipt(PHONE, &id, word)).await;
        assert_eq!(bound.report(&message).await, event, "{word}");
    }
    let message = bound.submitted("d0").await;
    let mut disagreeing = receipt(PHONE, "d0", "DELIVRD");
    disagreeing.tlvs.push_text(Tag::RECEIPTED_MESSAGE_ID, "d0");
    disagreeing.tlvs.push_integer(Tag::MESSAGE_STATE, 5);
    bound.peer.deliver(disagreeing).await;
    assert_eq!(bound.report(&message).await, "delivery_failed");
}

/// Field guide 8.6 #94 and #95: a receipt of nobody's, or of another channel's message, is acknowledged and no event.
#[tokio::test]
async fn a_receipt_for_another_channels_message_is_none_of_ours() {
    let mut bound = Bound::new(json!({})).await;
    let message = bound.submitted("e0").await;
    let other = bound.maybug.smpp_channel(bound.smsc.address(), json!({}), json!({})).await;
    let mut peer = bound.smsc.bound().await;
    assert_eq!(peer.deliver(receipt(PHONE, "e0", "DELIVRD")).await, CommandStatus::ESME_ROK);
    let (_, inbox) = bound.maybug.get(&format!("/channels/{other}/receipts")).await;
    assert_eq!(inbox["result"][0]["smsc_message_id"], "e0");
    assert_eq!(types(&bound.maybug.events(&bound.channel, &message, 1).await), ["submitted"]);
}

/// Field guide 8.6 #96: receipts that nobody wants to hear of.
#[tokio::test]
async fn disabled_reports_are_acknowledged_and_no_event() {
    let mut bound = Bound::new(json!({"disable_delivery_report": true})).await;
    let message = bound.submitted("f0").await;
    assert_eq!(bound.peer.deliver(receipt(PHONE, "f0", "DELIVRD")).await, CommandStatus::ESME_ROK);
    assert_eq!(types(&bound.maybug.events(&bound.channel, &message, 1).await), ["submitted"]);
}

/// Field guide 8.6 #98 and #99: receipts in data_sm, in a payload, in UCS2.
#[tokio::test]
async fn receipts_come_in_every_kind_of_pdu() {
    let mut bound = Bound::new(json!({})).await;
    let text = |id: &str| format!("id:{id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:x");
    let message = bound.submitted("1a0").await;
    let mut data = DataSm { esm_class: EsmClass(4), source: receipt(PHONE, "", "").source, ..DataSm::default() };
    data.tlvs.push(Tag::MESSAGE_PAYLOAD, text("1a0").as_bytes());
    bound.peer.request(data).await;
    assert_eq!(bound.peer.expect(CommandId::DATA_SM_RESP).await.status, CommandStatus::ESME_ROK);
    assert_eq!(bound.report(&message).await, "delivery_succeeded");
    let message = bound.submitted("1a1").await;
    let mut payload = DeliverSm { esm_class: EsmClass(4), ..mo(PHONE, "") };
    payload.tlvs.push(Tag::MESSAGE_PAYLOAD, text("1a1").as_bytes());
    bound.peer.deliver(payload).await;
    assert_eq!(bound.report(&message).await, "delivery_succeeded");
    let message = bound.submitted("1a2").await;
    let wide: Vec<u8> = text("1a2").encode_utf16().flat_map(u16::to_be_bytes).collect();
    let short_message = ShortMessage::new(wide).unwrap();
    let ucs2 = DeliverSm { esm_class: EsmClass(4), data_coding: DataCoding(8), short_message, ..mo(PHONE, "") };
    bound.peer.deliver(ucs2).await;
    assert_eq!(bound.report(&message).await, "delivery_succeeded");
}
