//! An operator's own optional parameters, by the names that the channel has for them, in both directions.

use serde_json::json;
use smpp::{CommandStatus, Tag};

use crate::peer::{ScriptedSmsc, mo};
use crate::support::{Maybug, Receiver, types};

#[tokio::test]
async fn messages_give_and_get_an_operators_parameters_by_name() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let tlvs = json!({
        "entity_id": {"tag": "0x1400", "type": "string", "length": 19, "default": "1701158019"},
        "template_id": {"tag": "0x1401", "type": "nul_string", "length": 19, "required": true},
        "price": {"tag": 5122, "type": "integer", "length": 2},
        "carrier": {"tag": "0x1411"},
    });
    let id =
        maybug.smpp_channel(smsc.address(), json!({"vendor_tlvs": tlvs}), json!({"mo_url": receiver.url("/mo")})).await;
    let mut peer = smsc.bound().await;
    let own = json!({"template_id": 1_707_167_205, "price": 250, "carrier": "0af0", "0x1499": "01"});
    let message = json!({"to": "+27820001001", "content": "x", "channel_data": {"tlvs": own}});
    let message = maybug.send(&id, message).await;
    let (raw, submit) = peer.submit().await;
    let octets = |tag| submit.tlvs.octets_of(Tag(tag)).unwrap();
    assert_eq!(&octets(0x1400)[..], b"1701158019");
    assert_eq!(&octets(0x1401)[..], b"1707167205\0");
    assert_eq!(
        (&octets(0x1402)[..], &octets(0x1411)[..], &octets(0x1499)[..]),
        (&[0, 250][..], &[10, 0xf0][..], &[1][..])
    );
    peer.take(&raw, "1").await;
    assert_eq!(types(&maybug.events(&id, &message, 1).await), ["submitted"]);
    for (tlvs, reason) in [
        (json!({}), "Missing channel_data.tlvs.template_id, which vendor_tlvs requires"),
        (
            json!({"template_id": "12345678901234567890"}),
            "Invalid channel_data.tlvs.template_id: \"12345678901234567890\": it has 20 octets where 19 fit",
        ),
        (
            json!({"template_id": "1", "price": 65_536}),
            "Invalid channel_data.tlvs.price: 65536: 65536 does not fit 2 octets",
        ),
    ] {
        let message = json!({"to": "+27820001001", "content": "x", "channel_data": {"tlvs": tlvs}});
        let refused = maybug.send(&id, message).await;
        assert_eq!(maybug.events(&id, &refused, 1).await[0]["event_details"]["reason"], reason);
    }
    let came = [(0x1411, &[0x27][..]), (0x1402, &[1, 0]), (0x1401, b"9\0"), (0x1400, &[0xff]), (0x1499, &[2])];
    let mut text = mo("27820001001", "hello");
    came.iter().for_each(|(tag, octets)| text.tlvs.push(Tag(*tag), octets));
    assert_eq!(peer.deliver(text).await, CommandStatus::ESME_ROK);
    let posted = receiver.next().await.body;
    // What is no text stays under its tag.
    let named = json!({"carrier": "27", "price": 256, "template_id": "9", "0x1400": "ff", "0x1499": "02"});
    assert_eq!(posted["channel_data"]["tlvs"], named);
    // Segments bring theirs along; the first that says something counts, whichever comes first.
    for (part, price) in [(2, [0, 9]), (1, [0, 8])] {
        let mut segment = mo("27820001001", &format!("\u{5}\0\u{3}\u{7}\u{2}{}half", char::from(part)));
        segment.esm_class = smpp::EsmClass::UDHI;
        segment.tlvs.push(Tag(0x1402), &price);
        assert_eq!(peer.deliver(segment).await, CommandStatus::ESME_ROK);
    }
    let posted = receiver.next().await.body;
    assert_eq!((&posted["content"], &posted["channel_data"]["tlvs"]), (&json!("halfhalf"), &json!({"price": 8})));
    let mut receipt = mo("27820001001", "id:1 stat:DELIVRD err:000");
    receipt.esm_class = smpp::EsmClass(4);
    receipt.tlvs.push(Tag(0x1402), &[7]);
    peer.deliver(receipt).await;
    assert_eq!(maybug.events(&id, &message, 2).await[1]["event_details"]["tlvs"], json!({"price": 7}));
}

#[tokio::test]
async fn a_definition_that_cannot_be_is_refused_with_its_key() {
    let maybug = Maybug::start().await;
    let base = json!({"twisted_endpoint": "tcp:host=127.0.0.1:port=1", "system_id": "me", "password": "secret"});
    for (rest, message) in [
        (
            json!({"vendor_tlvs": {"id": {"tag": "0x1400", "type": "text"}}}),
            "Field 'vendor_tlvs.id.type' must be one of: octets, integer, string, nul_string",
        ),
        (
            json!({"vendor_tlvs": {"id": {"tag": "0x1400", "required": true}}, "interface_version": "33"}),
            "Field 'vendor_tlvs' has parameters for every message, but interface_version is below 3.4, which has none",
        ),
    ] {
        let mut config = base.clone();
        config.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let (status, answer) =
            maybug.post("/channels/", json!({"type": "smpp", "config": config, "mo_url": null})).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer["result"]["errors"][0]["message"].as_str().unwrap().contains(message), "{answer}");
    }
}
