//! What is found out with a message: ids, receipts, the alphabet, TON and NPI; and what is not ours.

use std::sync::Mutex;

use serde_json::json;
use smpp::field::address::{Npi, Ton};
use smpp::pdu::{DeliverSm, SubmitSm, SubmitSmResp};
use smpp::{Address, CommandId, CommandStatus, EsmClass, Pdu, RawPdu, SequenceNumber, ShortMessage, Tag, Tlvs};

use super::examine;
use super::smsc::{Do, Scripted, Sent, delivery, refuse};

const PHONE: &str = "27820001001";

fn submit(raw: &RawPdu) -> Option<SubmitSm> {
    match Pdu::decode(raw) {
        Ok(Pdu::SubmitSm(submit)) => Some(submit),
        _ => None,
    }
}

fn taken(raw: &RawPdu, id: &str) -> Sent {
    let answer = SubmitSmResp { message_id: id.try_into().unwrap(), ..SubmitSmResp::default() };
    (answer.into(), CommandStatus::ESME_ROK, raw.sequence)
}

fn receipt(phone: &str, text: &str, tlvs: Tlvs) -> Sent {
    let deliver = DeliverSm {
        source: Address::detected(phone).unwrap(),
        esm_class: EsmClass(4),
        short_message: ShortMessage::new(text.as_bytes().to_vec()).unwrap(),
        tlvs,
        ..DeliverSm::default()
    };
    (deliver.into(), CommandStatus::ESME_ROK, SequenceNumber(900))
}

/// What the phone says back, with an address that some SMSCs write so.
fn echo(submit: &SubmitSm) -> Sent {
    let source = Address { ton: Ton(0), npi: Npi(0), digits: format!("+{PHONE}").as_str().try_into().unwrap() };
    let deliver = DeliverSm { source, short_message: submit.short_message.clone(), ..DeliverSm::default() };
    (deliver.into(), CommandStatus::ESME_ROK, SequenceNumber(901))
}

#[tokio::test]
async fn what_others_send_is_refused_for_now_and_not_taken_for_ours() {
    let smsc = Scripted::start(|raw| {
        if raw.id == CommandId::ENQUIRE_LINK && raw.sequence.0 == 2 {
            let mut early = vec![delivery(PHONE, b"from the phone, but earlier", 1)];
            early.extend(super::smsc::usual(raw));
            return Some(Do::Say(early));
        }
        let submit = submit(raw)?;
        Some(Do::Say(vec![
            delivery("27820009999", b"somebody else's", 2),
            receipt("27820009999", "id:999 stat:UNDELIV err:001", Tlvs::default()),
            taken(raw, "ab12"),
            delivery("27820009998", b"somebody else's, too", 3),
            receipt(PHONE, "id:ab12 stat:DELIVRD err:000", Tlvs::default()),
            echo(&submit),
        ]))
    })
    .await;
    let examined = examine(&[&smsc.address.to_string(), "--to", PHONE]).await;
    assert_eq!(examined.verdicts("alphabet"), ["good"], "{:?}", examined.diagnosis);
    assert_eq!(examined.said("receipt"), ["DELIVRD"]);
    let refused = smsc.heard(CommandId::DELIVER_SM_RESP);
    assert_eq!(refused.len(), 6);
    assert!(refused.iter().all(|raw| raw.status == CommandStatus::ESME_RX_T_APPN), "{refused:?}");
    assert!(examined.said("deliveries")[0].starts_with("6 came and were refused with ESME_RX_T_APPN"));
}

#[tokio::test]
async fn a_strangers_message_is_no_copy() {
    let smsc = Scripted::start(|raw| {
        submit(raw)?;
        let stranger = delivery("27820009999", b"hello", 2);
        let receipt = receipt(PHONE, "id:ab12 stat:\u{7}BUFFRED", Tlvs::default());
        Some(Do::Say(vec![taken(raw, "ab12"), stranger, receipt]))
    })
    .await;
    let examined = examine(&[&smsc.address.to_string(), "--to", PHONE, "--timeout", "1s"]).await;
    assert_eq!(examined.said("receipt"), [r"\u{7}BUFFRED"], "no word of the SMSC's reaches the terminal as a command");
    let said = examined.said("alphabet");
    assert!(said[0].starts_with("no copy came from the phone within 1 s; it should show: maybug test: @"), "{said:?}");
}

#[tokio::test]
async fn one_pair_of_ids_tells_what_it_tells() {
    for (response, receipted, kind, said) in [
        ("7", "0007", json!(null), "that is the same in decimal and in hexadecimal, and tells nothing"),
        ("12345", "12345", json!("string"), "the same"),
        ("c87c-7edb", "C87C-7EDB", json!("string"), "the same"),
        ("38601fa", "0059113978", json!(1), "hexadecimal in the response, decimal in the receipt"),
        ("59113978", "38601FA", json!(2), "decimal in the response, hexadecimal in the receipt"),
    ] {
        let smsc = Scripted::start(move |raw| {
            let submit = submit(raw)?;
            let text = format!("id:{receipted} sub:001 dlvrd:001 stat:DELIVRD err:000 text:");
            Some(Do::Say(vec![taken(raw, response), receipt(PHONE, &text, Tlvs::default()), echo(&submit)]))
        })
        .await;
        let examined = examine(&[&smsc.address.to_string(), "--to", PHONE]).await;
        let pair = format!("{response:?} in the response, {receipted:?} in the receipt: {said}");
        assert_eq!(examined.said("message ids"), [pair], "{:?}", examined.diagnosis);
        assert_eq!(examined.config()["msg_id_type"], kind, "{response} {receipted}");
    }
}

#[tokio::test]
async fn a_receipt_under_another_id_and_one_of_failure_are_explained() {
    let mut tlvs = Tlvs::default();
    tlvs.push(Tag::NETWORK_ERROR_CODE, &[3, 0, 6]);
    for (text, tlvs, verdict, said) in [
        (
            "id:4711 stat:DELIVRD",
            Tlvs::default(),
            "bad",
            r#"its id "4711" is not that of the message, "ab12", in any base"#,
        ),
        ("id:ab12 stat:UNDELIV err:027", tlvs, "note", "UNDELIV: absent subscriber (MAP error 6)"),
    ] {
        let smsc = Scripted::start(move |raw| {
            let submit = submit(raw)?;
            Some(Do::Say(vec![taken(raw, "ab12"), receipt(PHONE, text, tlvs.clone()), echo(&submit)]))
        })
        .await;
        let examined = examine(&[&smsc.address.to_string(), "--to", PHONE]).await;
        assert_eq!(examined.verdicts("receipt"), [verdict]);
        assert!(examined.said("receipt")[0].starts_with(said), "{:?}", examined.diagnosis);
    }
}

/// Refuses a submit for its numbering until it is the one that is wanted.
async fn particular(status: CommandStatus, wanted: (u8, u8)) -> Scripted {
    Scripted::start(move |raw| {
        let submit = submit(raw)?;
        if (submit.destination.ton.0, submit.destination.npi.0) != wanted {
            return refuse(raw, status);
        }
        let text = "id:ab12 stat:DELIVRD";
        Some(Do::Say(vec![taken(raw, "ab12"), receipt(PHONE, text, Tlvs::default()), echo(&submit)]))
    })
    .await
}

#[tokio::test]
async fn another_numbering_is_tried_once_and_kept_if_it_works() {
    let smsc = particular(CommandStatus::ESME_RINVDSTTON, (0, 0)).await;
    let examined = examine(&[&smsc.address.to_string(), "--to", PHONE]).await;
    let said = examined.said("message");
    assert!(
        said[0].starts_with(r#"from "" (TON 0, NPI 0) to "27820001001" (TON 1, NPI 1): refused with ESME_RINVDSTTON"#)
    );
    assert!(said[1].starts_with(r#"from "" (TON 0, NPI 0) to "27820001001" (TON 0, NPI 0): taken with id "ab12""#));
    assert_eq!((&examined.config()["dest_addr_ton"], &examined.config()["dest_addr_npi"]), (&json!(0), &json!(0)));
    assert_eq!(examined.verdicts("alphabet"), ["good"]);

    let never = particular(CommandStatus::ESME_RINVDSTADR, (9, 9)).await;
    let examined = examine(&[&never.address.to_string(), "--to", PHONE]).await;
    assert_eq!(never.heard(CommandId::SUBMIT_SM).len(), 2, "no more messages than promised");
    assert_eq!(examined.config().get("dest_addr_ton"), None);

    let sender = particular(CommandStatus::ESME_RINVSRCADR, (9, 9)).await;
    examine(&[&sender.address.to_string(), "--to", PHONE]).await;
    assert_eq!(sender.heard(CommandId::SUBMIT_SM).len(), 1, "no other numbering makes it a good sender");
}

#[tokio::test]
async fn the_operators_own_words_are_shown() {
    let heard = Mutex::new(0);
    let smsc = Scripted::start(move |raw| {
        submit(raw)?;
        *heard.lock().unwrap() += 1;
        let mut tlvs = Tlvs::default();
        tlvs.push_text(Tag::ADDITIONAL_STATUS_INFO_TEXT, "no credit");
        let answer = SubmitSmResp { tlvs, message_id: "0".try_into().unwrap() };
        Some(Do::Say(vec![(answer.into(), CommandStatus(0x40b), raw.sequence)]))
    })
    .await;
    let examined = examine(&[&smsc.address.to_string(), "--to", PHONE]).await;
    let said = examined.said("message")[0];
    assert!(said.contains("refused with 0x0000040b: "), "{said}");
    assert!(said.ends_with(r#"The SMSC adds "no credit"."#), "{said}");
    assert!(examined.bindable);
}
