//! §8.3: bodies as peers really write them.

use serde_json::json;
use smpp::pdu::{BindResp, DeliverSm, SubmitSmResp};
use smpp::{CString, CommandStatus, DataCoding, Pdu, ShortMessage, Tag, Tlvs};

use super::{Bound, PHONE};
use crate::peer::{ScriptedSmsc, mo};
use crate::support::{Maybug, types};

/// Field guide 8.3 #37 and #38: ids are kept as they are, longer ones than the standard allows as well.
#[tokio::test]
async fn ids_of_any_kind_are_kept() {
    let mut bound = Bound::new(json!({})).await;
    for id in ["a".repeat(64), "c87c2273-7edb-4bc7-8d3a-7f57f21b625e".into(), "x-_.y".into(), "9".repeat(120)] {
        let message = bound.maybug.send(&bound.channel, json!({"to": PHONE, "content": "x"})).await;
        let (raw, _) = bound.peer.submit().await;
        let message_id = CString::oversize(id.clone().into_bytes()).unwrap();
        let answer = SubmitSmResp { message_id, tlvs: Tlvs::default() };
        bound.peer.answer(&raw, CommandStatus::ESME_ROK, answer.into()).await;
        assert_eq!(types(&bound.maybug.events(&bound.channel, &message, 1).await), ["submitted"]);
        bound.peer.deliver(crate::peer::receipt(PHONE, &id, "DELIVRD")).await;
        assert_eq!(bound.report(&message).await, "delivery_succeeded", "{id}");
    }
}

/// Field guide 8.3 #39 to #42: a bind is judged by the status of its answer.
#[tokio::test]
async fn a_bind_is_judged_by_its_status_alone() {
    let maybug = Maybug::start().await;
    let version = |octet: Option<u32>, tag| {
        let mut tlvs = Tlvs::default();
        octet.into_iter().for_each(|octet| tlvs.push_integer(tag, octet));
        BindResp { system_id: "smsc".try_into().unwrap(), tlvs }
    };
    let known = Tag::SC_INTERFACE_VERSION;
    let answers: Vec<Vec<u8>> = [version(Some(0x34), known), version(Some(0x33), known), version(Some(0x50), known)]
        .into_iter()
        .chain([version(None, known), version(Some(0x34), Tag(0x1002))])
        .map(|answer| Pdu::BindResp(smpp::BindMode::Transceiver, answer))
        .map(|pdu| pdu.to_raw(CommandStatus::ESME_ROK, smpp::SequenceNumber(1)).body.to_vec())
        .chain([Vec::new(), b"without a NUL".to_vec(), [&[b'x'; 40][..], &[0]].concat()])
        .collect();
    for body in answers {
        // Its own, for the channels before this one bind again.
        let smsc = ScriptedSmsc::listen().await;
        let channel = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
        let mut peer = smsc.accept().await;
        let bind = peer.read().await.unwrap();
        let length = u32::try_from(16 + body.len()).unwrap();
        let head = [length, 0x8000_0009, 0, bind.sequence.0];
        let octets: Vec<u8> = head.iter().flat_map(|word| word.to_be_bytes()).chain(body.iter().copied()).collect();
        peer.write(&octets).await;
        let message = maybug.send(&channel, json!({"to": PHONE, "content": "x"})).await;
        let (raw, _) = peer.submit().await;
        peer.take(&raw, "1").await;
        assert_eq!(types(&maybug.events(&channel, &message, 1).await), ["submitted"], "{body:?}");
    }
}

/// Field guide 8.3 #43, #46 to #49: deliver_sm that bend the standard are taken.
#[tokio::test]
async fn lenient_with_what_arrives() {
    let mut bound = Bound::new(json!({})).await;
    let long = |text: &str| CString::oversize(text.as_bytes().to_vec()).unwrap();
    let odd = DeliverSm { service_type: long("LONGTYPE"), ..mo(PHONE, "service type") };
    assert_eq!(bound.takes(odd).await["content"], "service type");
    let times = DeliverSm {
        schedule_delivery_time: "261202080000004+".try_into().unwrap(),
        validity_period: "000002000000000R".try_into().unwrap(),
        ..mo(PHONE, "times")
    };
    assert_eq!(bound.takes(times).await["content"], "times");
    let text = "y".repeat(255);
    assert_eq!(bound.takes(mo(PHONE, &text)).await["content"], json!(text));
    let nobody = bound.takes(mo("", "nobody")).await;
    assert_eq!((&nobody["from"], &nobody["content"]), (&json!(""), &json!("nobody")));
    let mut nowhere = mo(PHONE, "nowhere");
    nowhere.destination = smpp::Address::default();
    assert_eq!(bound.takes(nowhere).await["to"], "");
    for (octets, from) in [(&b"+27 82 000"[..], "+27 82 000"), (b"Caf\xe9", "Caf\u{e9}")] {
        let mut odd = mo(PHONE, "address");
        odd.source.digits = CString::oversize(octets.to_vec()).unwrap();
        assert_eq!(bound.takes(odd).await["from"], json!(from));
    }
}

/// Field guide 8.3 #44 and #45: an sm_length that is not the text's.
#[tokio::test]
async fn a_wrong_sm_length_costs_its_message_at_most() {
    let mut bound = Bound::new(json!({})).await;
    let pdu = Pdu::from(mo(PHONE, "abcdefgh"));
    let mut raw = pdu.to_raw(CommandStatus::ESME_ROK, smpp::SequenceNumber(50));
    let mut body = raw.body.to_vec();
    let at = body.len() - 9;
    assert_eq!(body[at], 8);
    for (length, status, content) in
        [(16_u8, CommandStatus::ESME_RINVMSGLEN, None), (5, CommandStatus::ESME_ROK, Some("abcde"))]
    {
        body[at] = length;
        raw.body = body.clone().into();
        let mut out = bytes::BytesMut::new();
        raw.encode(&mut out);
        bound.peer.write(&out).await;
        let answer = bound.peer.expect(smpp::CommandId::DELIVER_SM_RESP).await;
        assert_eq!(answer.status, status);
        if let Some(content) = content {
            assert_eq!(bound.mo().await["content"], content);
        }
    }
}

/// Field guide 8.3 #50 to #52: which octets are the text, and by which data_coding.
#[tokio::test]
async fn the_payload_wins_and_data_codings_follow_the_rules() {
    let mut bound = Bound::new(json!({})).await;
    let mut both = mo(PHONE, "short");
    both.tlvs.push(Tag::MESSAGE_PAYLOAD, b"payload");
    assert_eq!(bound.takes(both).await["content"], "payload");
    for payload in [&b""[..], b"1", b"12"] {
        let mut pdu = mo(PHONE, "");
        pdu.tlvs.push(Tag::MESSAGE_PAYLOAD, payload);
        assert_eq!(bound.takes(pdu).await["content"], json!(std::str::from_utf8(payload).unwrap()));
    }
    // 0xF1 is GSM 03.38 for class 1; 0xF5 is octets for class 1, which are no text; 0x18 is UCS2 with class bits.
    let class = DeliverSm { data_coding: DataCoding(0xf1), ..mo(PHONE, "class") };
    assert_eq!(bound.takes(class).await["content"], "class");
    let octets = DeliverSm { data_coding: DataCoding(0xf5), ..mo(PHONE, "octets") };
    assert_eq!(bound.peer.deliver(octets).await, CommandStatus::ESME_RDELIVERYFAILURE);
    let ucs2 = ShortMessage::new(vec![0, b'h', 0, b'i']).unwrap();
    let ucs2 = DeliverSm { data_coding: DataCoding(0x18), short_message: ucs2, ..mo(PHONE, "") };
    assert_eq!(bound.takes(ucs2).await["content"], "hi");
}
