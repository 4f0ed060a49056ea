//! What becomes of a capture that is given away.

use std::collections::HashMap;

use maybug::capture::{Conversation, anonymise, id_given, receipt_of};
use proptest::prelude::*;
use smpp::pdu::{DeliverSmResp, SubmitSm};
use smpp::receipt::{IdRule, canonical_id};
use smpp::text::content::Content;
use smpp::{CommandStatus, Description, EsmClass, Pdu, ShortMessage, Tag};

use crate::support::{Script, from_phone, receipt, submit};

/// Everything that a reader tells apart, without what it says.
fn structure(conversation: &Conversation) -> Vec<String> {
    let of = |captured: &maybug::capture::CapturedPdu| {
        let description = Description::of(&captured.raw);
        let pdu = Pdu::decode(&captured.raw).ok();
        let content = pdu.as_ref().and_then(Content::of).and_then(Result::ok);
        let shape = content.map(|content| (content.udh.map(|udh| udh.elements), content.concat, content.octets.len()));
        let numbers: Vec<_> = description
            .fields
            .iter()
            .map(|(name, value)| match value {
                smpp::Value::Integer(value) => format!("{name} {value}"),
                smpp::Value::Text(text) => format!("{name} {} characters", text.len()),
                _ => (*name).to_owned(),
            })
            .collect();
        let tlvs: Vec<_> = description.tlvs.iter().map(|(tag, _, octets)| (*tag, octets.len())).collect();
        format!(
            "{:?} {:?} {} {} {} {numbers:?} {tlvs:?} {:?} {shape:?} {:?}",
            captured.at,
            captured.sender,
            description.command,
            description.status,
            description.sequence,
            description.length,
            description.error.map(|error| (error.field, error.offset)),
        )
    };
    conversation.pdus.iter().map(of).collect()
}

/// Which answer each receipt belongs to.
fn matching(conversation: &Conversation) -> Vec<Option<usize>> {
    let mut given = HashMap::new();
    let mut found = Vec::new();
    for (index, captured) in conversation.pdus.iter().enumerate() {
        let Ok(pdu) = Pdu::decode(&captured.raw) else { continue };
        if let Some(id) = id_given(&pdu) {
            given.insert(canonical_id(&id), index);
        }
        if let Some(receipt) = receipt_of(&pdu) {
            let forms = IdRule::Any.forms(&receipt.smsc_message_id);
            found.push(forms.iter().find_map(|form| given.get(form).copied()));
        }
    }
    found
}

fn octets(conversation: &Conversation) -> Vec<u8> {
    let mut octets = Vec::new();
    maybug::capture::write(std::slice::from_ref(conversation), &mut octets).unwrap();
    octets
}

fn contains(octets: &[u8], wanted: &[u8]) -> bool {
    octets.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn receipts_keep_their_messages_across_bases_padding_and_case() {
    let mut script = Script::bound();
    let ids = [
        ("38601fa", "0059113978"),
        ("38601FB", "38601fb"),
        ("0012345678", "12345678"),
        ("990011223344", "E681446D30"),
        ("c87c2273-7edb-4bc7-8d3a-7f57f21b625e", "c87c2273-7edb-4bc7-8d3a-7f57f21b625e"),
    ];
    for (sequence, (id, _)) in (2..).zip(ids) {
        script.taken(sequence, submit("27820001001", "Your code is 918273"), id);
    }
    for (sequence, (_, id)) in (100..).zip(ids) {
        let mut deliver = receipt("27820001001", id, "Your code is 918273");
        deliver.tlvs.push_text(Tag::RECEIPTED_MESSAGE_ID, id);
        deliver.tlvs.push_integer(Tag::MESSAGE_STATE, 2);
        script.smsc(sequence, CommandStatus::ESME_ROK, deliver.into());
        script.esme(sequence, DeliverSmResp::default().into());
    }
    let original = script.conversation;
    let done = anonymise(std::slice::from_ref(&original), "a seed");
    let [other] = &done.conversations[..] else { panic!() };
    assert!(done.leftovers.is_empty(), "{:?}", done.leftovers);
    assert!(matching(&original).iter().all(Option::is_some));
    assert_eq!(matching(other), matching(&original));
    assert_eq!(structure(other), structure(&original));
    let all = octets(other);
    for word in
        ["27820001001", "40404", "918273", "59113978", "38601f", "operator7", "hunter22", "MNO-SMSC", "2609011130"]
    {
        assert!(!contains(&all, word.as_bytes()), "{word}");
    }
    assert!(contains(&all, b"stat:DELIVRD err:000 text:"));
    assert_ne!((original.esme.ip(), original.smsc.ip()), (other.esme.ip(), other.smsc.ip()));
    assert_eq!(anonymise(std::slice::from_ref(&original), "a seed"), done);
    assert_ne!(anonymise(std::slice::from_ref(&original), "another").conversations, done.conversations);
}

#[test]
fn malformed_shortened_and_vendors_pdus_keep_their_form_and_lose_their_text() {
    let mut script = Script::bound();
    script.taken(2, submit("27820001001", "x"), "secret-id-77");
    let mut broken = submit("27820009999", "confidential words").into();
    script.esme(3, std::mem::replace(&mut broken, Pdu::NoBody(smpp::CommandId::SUBMIT_SM_RESP)));
    let mut submit = submit("27820001001", "y");
    submit.tlvs.push(Tag(0x1454), b"MSISDN=27831112222");
    submit.tlvs.push(Tag::CALLBACK_NUM, b"\x01\x01\x0127820001001");
    script.esme(4, submit.into());
    let conversation = &mut script.conversation;
    // The answer without its NUL, and a submit cut short.
    let shortened = conversation.pdus[3].raw.body.len() - 1;
    conversation.pdus[3].raw.body.truncate(shortened);
    let cut = conversation.pdus[4].raw.body.len() - 3;
    conversation.pdus[4].raw.body.truncate(cut);
    let done = anonymise(std::slice::from_ref(conversation), "s");
    let other = &done.conversations[0];
    for (other, original) in other.pdus.iter().zip(&conversation.pdus) {
        assert_eq!(other.raw.body.len(), original.raw.body.len());
    }
    let all = octets(other);
    for word in ["secret-id-77", "27820009999", "confidential", "27831112222", "27820001001"] {
        assert!(!contains(&all, word.as_bytes()), "{word}");
    }
    // The same number is the same other one in a parameter.
    let Ok(Pdu::SubmitSm(first)) = Pdu::decode(&other.pdus[2].raw) else { panic!() };
    let Ok(Pdu::SubmitSm(last)) = Pdu::decode(&other.pdus[5].raw) else { panic!() };
    let callback = last.tlvs.octets_of(Tag::CALLBACK_NUM).unwrap();
    assert_eq!((&callback[..3], &callback[3..]), (&[1, 1, 1][..], &first.destination.digits.octets()[..]));
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof!["[1-9][0-9]{8,13}", "\\+[1-9][0-9]{8,13}", "00[1-9][0-9]{9}", "[A-Z][a-z]{4,9}", "[1-9][0-9]{4}"]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9 .,@€{}\\[\\]!?ÄÖÜäöüñ]{6,100}", "[А-Яа-я0-9 😀😎]{6,40}", "[一-龠]{6,30}",]
}

fn exchange() -> impl Strategy<Value = (String, String, String, bool)> {
    let id = prop_oneof!["[1-9a-f][0-9a-f]{7}", "[1-9][0-9]{9}", "[0-9]{10}"];
    (number(), text(), id, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_was_said_remains_and_everything_is_as_it_was(
        exchanges in proptest::collection::vec(exchange(), 1..12),
        seed in "[a-z]{1,8}",
    ) {
        let mut script = Script::bound();
        let mut said: Vec<Vec<u8>> = Vec::new();
        for (sequence, (number, text, id, headed)) in (2..).zip(&exchanges) {
            let mut submit = SubmitSm { destination: smpp::Address::detected(number).unwrap(), ..submit("1", text) };
            said.push(submit.destination.digits.octets().to_vec());
            said.push(submit.short_message.octets().to_vec());
            said.push(id.clone().into_bytes());
            if *headed {
                let octets = [&[5, 0, 3, 9, 2, 1][..], submit.short_message.octets()].concat();
                submit.esm_class = EsmClass::UDHI;
                submit.short_message = ShortMessage::new(octets).unwrap();
            }
            script.taken(sequence, submit, id);
            script.smsc(sequence, CommandStatus::ESME_ROK, from_phone(number, text).into());
            let named = match u64::from_str_radix(id, 16) {
                Ok(value) if *headed => format!("{value:010}"),
                _ => id.clone(),
            };
            script.smsc(sequence + 1_000, CommandStatus::ESME_ROK, receipt("40404", &named, "").into());
        }
        let original = script.conversation;
        let done = anonymise(std::slice::from_ref(&original), &seed);
        let other = &done.conversations[0];
        prop_assert_eq!(structure(other), structure(&original));
        prop_assert_eq!(matching(other), matching(&original));
        let all = octets(other);
        for said in said {
            prop_assert!(!contains(&all, &said), "{:?} is left", String::from_utf8_lossy(&said));
        }
    }
}
