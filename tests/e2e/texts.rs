//! What texts become on the wire and back: alphabets, classes, octets, parameters, and what a dry run says of them.

use serde_json::{Value, json};
use smpp::pdu::{DeliverSm, SubmitSm};
use smpp::text::content::Content;
use smpp::{CommandStatus, DataCoding, EsmClass, Pdu, ShortMessage, Tag};
use tokio::net::TcpStream;

use crate::peer::{Peer, ScriptedSmsc, mo};
use crate::support::{Maybug, Receiver};

const PHONE: &str = "27820001001";

struct Bound {
    maybug: Maybug,
    receiver: Receiver,
    peer: Peer<TcpStream>,
    channel: String,
}

impl Bound {
    async fn new(config: Value) -> Self {
        let smsc = ScriptedSmsc::listen().await;
        let receiver = Receiver::start().await;
        let maybug = Maybug::start().await;
        let channel = maybug.smpp_channel(smsc.address(), config, json!({"mo_url": receiver.url("/mo")})).await;
        let peer = smsc.bound().await;
        Self { maybug, receiver, peer, channel }
    }

    async fn sends(&mut self, content: &str, data: Value) -> SubmitSm {
        let message = json!({"to": PHONE, "from": "40404", "content": content, "channel_data": data});
        self.maybug.send(&self.channel, message).await;
        let (raw, submit) = self.peer.submit().await;
        self.peer.take(&raw, "1").await;
        submit
    }

    async fn rejects(&mut self, content: &str, data: Value) -> String {
        let message = json!({"to": PHONE, "content": content, "channel_data": data});
        let id = self.maybug.send(&self.channel, message).await;
        let events = self.maybug.events(&self.channel, &id, 1).await;
        events[0]["event_details"]["reason"].as_str().unwrap().to_owned()
    }

    async fn dry_run(&self, content: &str, data: Value) -> Value {
        let message = json!({"to": PHONE, "content": content, "channel_data": data});
        let path = format!("/channels/{}/messages/?dry_run=true", self.channel);
        let (status, answer) = self.maybug.post(&path, message).await;
        assert_eq!(status, 200, "{answer}");
        answer["result"].clone()
    }

    async fn takes(&mut self, pdu: DeliverSm) -> Value {
        assert_eq!(self.peer.deliver(pdu).await, CommandStatus::ESME_ROK);
        self.receiver.next().await.body
    }
}

fn text(submit: &SubmitSm) -> String {
    Content::of(&Pdu::from(submit.clone())).unwrap().unwrap().text().unwrap()
}

#[tokio::test]
async fn national_tables_are_used_where_the_channel_allows_them() {
    let words = "Işık ve çağ, ığdır";
    let mut plain = Bound::new(json!({})).await;
    assert_eq!(plain.sends(words, json!({})).await.data_coding, DataCoding::UCS2);
    let mut turkish = Bound::new(json!({"national_languages": ["tr"]})).await;
    let submit = turkish.sends(words, json!({})).await;
    assert_eq!((submit.data_coding, submit.esm_class), (DataCoding(0), EsmClass::UDHI));
    assert_eq!((text(&submit).as_str(), submit.short_message.octets().len()), (words, words.chars().count() + 4));
    let long = words.repeat(12);
    let told = turkish.dry_run(&long, json!({})).await;
    assert_eq!((&told["segment_count"], &told["septets"]), (&json!(2), &json!(216)));
    assert_eq!(told["national_tables"], json!({"locking": "Turkish", "single": null}));
    let mut joined = String::new();
    turkish.maybug.send(&turkish.channel, json!({"to": PHONE, "content": long})).await;
    for _ in 0..2 {
        let (raw, submit) = turkish.peer.submit().await;
        turkish.peer.take(&raw, "1").await;
        assert_eq!(submit.short_message.octets()[0], 8, "concatenation and table in one header");
        joined += &text(&submit);
    }
    assert_eq!(joined, long);
    // And from a phone, in one piece and in two.
    let header = |part: &[u8], text: &str| {
        let tables = smpp::text::Tables { locking: Some(smpp::text::national::Language::Turkish), single: None };
        let elements = [part, &tables.elements()].concat();
        let octets = [&[u8::try_from(elements.len()).unwrap()][..], &elements, &tables.encode(text).unwrap()].concat();
        DeliverSm { esm_class: EsmClass::UDHI, short_message: ShortMessage::new(octets).unwrap(), ..mo(PHONE, "") }
    };
    assert_eq!(turkish.takes(header(&[], words)).await["content"], words);
    let second = header(&[0, 3, 9, 2, 2], "ğ!");
    assert_eq!(turkish.peer.deliver(second).await, CommandStatus::ESME_ROK);
    assert_eq!(turkish.takes(header(&[0, 3, 9, 2, 1], "Işı")).await["content"], "Işığ!");
}

#[tokio::test]
async fn text_is_folded_only_where_the_channel_says_so_and_it_saves_segments() {
    let typographic = "“It’s only a quotation mark”, ".repeat(5);
    let plain = Bound::new(json!({})).await;
    let told = plain.dry_run(&typographic, json!({})).await;
    assert_eq!((&told["encoding"], &told["segment_count"]), (&json!("utf-16be"), &json!(3)));
    let suggestion = told["suggestion"].as_str().unwrap();
    assert!(suggestion.ends_with("it takes 1 instead of 3"), "{suggestion}");
    let mut folding = Bound::new(json!({"transliterate": true})).await;
    let told = folding.dry_run(&typographic, json!({})).await;
    assert_eq!(
        (&told["encoding"], &told["segment_count"], &told["septets_left"]),
        (&json!("gsm0338"), &json!(1), &json!(10))
    );
    assert_eq!(told["replaced"]["“"], "\"");
    assert_eq!(folding.sends(&typographic, json!({})).await.data_coding, DataCoding(0));
    // One segment either way: nothing is gained by losing an accent.
    assert_eq!(text(&folding.sends("žluť", json!({})).await), "žluť");
}

#[tokio::test]
async fn a_dry_run_sends_nothing_and_tells_what_would_be_lost() {
    let mut bound = Bound::new(json!({"submit_sm_encoding": "latin1", "submit_sm_data_coding": 3})).await;
    let told = bound.dry_run("5 € or 漢字", json!({})).await;
    assert_eq!((&told["sendable"], &told["lost"]), (&json!(false), &json!(["€", "漢", "字"])));
    assert_eq!(told["reason"], "Invalid content: '€' at character 2 cannot be written in latin1");
    let told = bound.dry_run("grün", json!({})).await;
    assert_eq!((&told["sendable"], &told["octets"], &told["data_coding"]), (&json!(true), &json!(4), &json!(3)));
    assert_eq!(told["segments"], json!([{"octets": 4, "text": "grün"}]));
    for query in ["dry_run=maybe", "dryRun=true", "dry-run"] {
        let path = format!("/channels/{}/messages/?{query}", bound.channel);
        assert_eq!(bound.maybug.post(&path, json!({"to": PHONE, "content": "never"})).await.0, 400, "{query}");
    }
    // The first that is on the wire is the first that was really sent.
    assert_eq!(bound.sends("really", json!({})).await.short_message.octets(), &b"really"[..]);
}

#[tokio::test]
async fn a_message_may_have_wishes_of_its_own() {
    let mut bound = Bound::new(json!({})).await;
    let flash = bound.sends("now", json!({"message_class": 0})).await;
    assert_eq!(flash.data_coding, DataCoding(0xf0));
    let waiting = bound.sends("", json!({"message_waiting": {"indication": "voicemail"}})).await;
    assert_eq!(waiting.data_coding, DataCoding(0xc8));
    // WAP push: octets to port 2948.
    let push = json!({"binary": "hex", "destination_port": 2948, "source_port": 9200});
    let push = bound.sends("0605040b8423f0", push).await;
    assert_eq!((push.data_coding, push.esm_class), (DataCoding(4), EsmClass::UDHI));
    assert_eq!(push.short_message.octets()[..7], [6, 5, 4, 0x0b, 0x84, 0x23, 0xf0]);
    assert_eq!(push.short_message.octets()[7..], [6, 5, 4, 0x0b, 0x84, 0x23, 0xf0]);
    let latin = bound.sends("grün", json!({"encoding": "latin1"})).await;
    assert_eq!((latin.data_coding, &latin.short_message.octets()[..]), (DataCoding(3), &b"gr\xfcn"[..]));
    let many = json!({
        "service_type": "CMT", "protocol_id": 64, "priority_flag": 3, "registered_delivery": true,
        "schedule_delivery_time": "261202080000004+", "validity_period": 7200,
    });
    let many = bound.sends("x", many).await;
    assert_eq!((many.service_type.to_text().as_str(), many.protocol_id, many.priority_flag), ("CMT", 64, 3));
    assert_eq!((many.registered_delivery.0, many.schedule_delivery_time.to_text().as_str()), (1, "261202080000004+"));
    assert!(["000000020000000R", "000000015959000R"].contains(&many.validity_period.to_text().as_str()));
    assert_eq!(bound.rejects("x", json!({"message_class": 9})).await, "Invalid channel_data.message_class: 9");
    let reason = bound.rejects("zz", json!({"binary": "hex"})).await;
    assert_eq!(reason, "Invalid content: channel_data.binary says hexadecimal, which it is not");
}

/// Pain 18: vendors' parameters, both ways and in receipts.
#[tokio::test]
async fn pain_18_vendor_parameters_are_sent_and_read() {
    let mut bound = Bound::new(json!({})).await;
    let submit = bound.sends("x", json!({"tlvs": {"0x1400": "31303037", "user_message_reference": 9}})).await;
    assert_eq!(submit.tlvs.octets_of(Tag(0x1400)).unwrap(), &b"1007"[..]);
    assert_eq!(submit.tlvs.integer(Tag::USER_MESSAGE_REFERENCE), Some(9));
    let mut reply = mo(PHONE, "hi");
    reply.tlvs.push(Tag(0x1401), b"\x01\xff");
    assert_eq!(bound.takes(reply).await["channel_data"]["tlvs"], json!({"0x1401": "01ff"}));
    let message = json!({"to": PHONE, "content": "x"});
    let id = bound.maybug.send(&bound.channel, message).await;
    let (raw, _) = bound.peer.submit().await;
    bound.peer.take(&raw, "77").await;
    bound.maybug.events(&bound.channel, &id, 1).await;
    let mut receipt = crate::peer::receipt(PHONE, "77", "DELIVRD");
    receipt.tlvs.push(Tag(0x1403), b"\x02");
    bound.peer.deliver(receipt).await;
    let events = bound.maybug.events(&bound.channel, &id, 2).await;
    assert_eq!(events[1]["event_details"]["tlvs"], json!({"0x1403": "02"}));
}

#[tokio::test]
async fn octets_from_phones_are_passed_on_where_the_channel_says_so() {
    let octets = || {
        let short_message = ShortMessage::new(vec![6, 5, 4, 0x0b, 0x84, 0x23, 0xf0, 0, 0xff]).unwrap();
        DeliverSm { esm_class: EsmClass::UDHI, data_coding: DataCoding(4), short_message, ..mo(PHONE, "") }
    };
    let mut refusing = Bound::new(json!({})).await;
    assert_eq!(refusing.peer.deliver(octets()).await, CommandStatus::ESME_RDELIVERYFAILURE);
    let mut taking = Bound::new(json!({"binary": "base64"})).await;
    let body = taking.takes(octets()).await;
    assert_eq!(body["content"], "AP8=");
    let data = json!({"binary": "base64", "destination_port": 2948, "source_port": 9200});
    assert_eq!(body["channel_data"], data);
}
