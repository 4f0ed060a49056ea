//! What becomes of an MT by the answer that it gets, or does not get.

use serde_json::json;
use smpp::{CommandStatus, Pdu};

use crate::peer::ScriptedSmsc;
use crate::support::{Maybug, types};

#[tokio::test]
async fn a_temporary_refusal_is_tried_again_as_the_channel_says_and_then_final() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let retry = json!({"retry": {"ESME_RSYSERR": {"count": 2, "delay": 0.05}}});
    let id = maybug.smpp_channel(smsc.address(), retry, json!({})).await;
    let mut peer = smsc.bound().await;
    let lucky = maybug.send(&id, json!({"to": "+27820001001", "content": "lucky"})).await;
    let (raw, _) = peer.submit().await;
    peer.refuse(&raw, CommandStatus::ESME_RSYSERR).await;
    let (raw, _) = peer.submit().await;
    peer.take(&raw, "1").await;
    assert_eq!(types(&maybug.events(&id, &lucky, 1).await), ["submitted"]);
    let unlucky = maybug.send(&id, json!({"to": "+27820001001", "content": "unlucky"})).await;
    for _ in 0..3 {
        let (raw, _) = peer.submit().await;
        peer.refuse(&raw, CommandStatus::ESME_RSYSERR).await;
    }
    let events = maybug.events(&id, &unlucky, 1).await;
    let details = &events[0]["event_details"];
    assert_eq!((&events[0]["event_type"], &details["reason"]), (&json!("rejected"), &json!("ESME_RSYSERR")));
    assert_eq!((&details["command_status"], &details["tries"]), (&json!("0x00000008"), &json!(3)));
}

#[tokio::test]
async fn only_the_refused_segment_is_tried_again() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let retry = json!({"retry": {"ESME_RSYSERR": {"count": 5, "delay": 0.05}}});
    let id = maybug.smpp_channel(smsc.address(), retry, json!({})).await;
    let mut peer = smsc.bound().await;
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x".repeat(400)})).await;
    let (first, _) = peer.submit().await;
    let (second, refused) = peer.submit().await;
    let (third, _) = peer.submit().await;
    peer.take(&first, "a").await;
    peer.refuse(&second, CommandStatus::ESME_RSYSERR).await;
    peer.take(&third, "c").await;
    let (again, repeated) = peer.submit().await;
    assert_eq!(repeated, refused, "the same octets");
    assert_ne!(again.sequence, second.sequence);
    peer.take(&again, "b").await;
    let events = maybug.events(&id, &message, 1).await;
    assert_eq!(types(&events), ["submitted"]);
}

#[tokio::test]
async fn retry_elsewhere_goes_over_another_bind_at_once() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let config = json!({"bind_count": 2, "status_actions": {"0x00000450": "retry_elsewhere"}});
    let id = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let (mut one, mut two) = (smsc.bound().await, smsc.bound().await);
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    tokio::select! {
        (raw, _) = one.submit() => {
            one.refuse(&raw, CommandStatus(0x450)).await;
            let (raw, _) = two.submit().await;
            two.take(&raw, "1").await;
        }
        (raw, _) = two.submit() => {
            two.refuse(&raw, CommandStatus(0x450)).await;
            let (raw, _) = one.submit().await;
            one.take(&raw, "1").await;
        }
    }
    assert_eq!(types(&maybug.events(&id, &message, 1).await), ["submitted"]);
}

#[tokio::test]
async fn what_was_not_taken_in_time_is_expired_and_what_was_says_how_long_is_left() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let config = json!({"validity_period": 3600});
    let id = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let mut peer = smsc.bound().await;
    maybug.send(&id, json!({"to": "+27820001001", "content": "in time"})).await;
    let (_, submit) = peer.submit().await;
    let left = submit.validity_period.to_text();
    // An hour, less what this test took.
    assert!(left == "000000010000000R" || left.starts_with("0000000059"), "{left}");
    // One that no retry can save: the first would come after two hours.
    let config = json!({"validity_period": 3600, "retry": {"ESME_RSYSERR": {"count": -1, "delay": 7200}}});
    let id = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let mut peer = smsc.bound().await;
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "late"})).await;
    let (raw, _) = peer.submit().await;
    peer.refuse(&raw, CommandStatus::ESME_RSYSERR).await;
    let events = maybug.events(&id, &message, 1).await;
    assert_eq!(events[0]["event_type"], "expired");
    let reason = events[0]["event_details"]["reason"].as_str().unwrap();
    assert!(reason.ends_with("the SMSC's last answer was ESME_RSYSERR (0x00000008)"), "{reason}");
}

#[tokio::test]
async fn what_expires_in_the_queue_is_never_sent() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.address(), json!({"window_size": 1}), json!({})).await;
    let mut peer = smsc.bound().await;
    maybug.send(&id, json!({"to": "+27820001001", "content": "blocks the window"})).await;
    let (raw, _) = peer.submit().await;
    // A millionth of a second is over by the time that the answer to the send is here.
    let brief = json!({"to": "+27820001001", "content": "waits", "channel_data": {"validity_period": 0.000_001}});
    let waits = maybug.send(&id, brief).await;
    let next = maybug.send(&id, json!({"to": "+27820001001", "content": "next"})).await;
    peer.take(&raw, "1").await;
    let (raw, submit) = peer.submit().await;
    assert_eq!(&submit.short_message.octets()[..], b"next");
    peer.take(&raw, "2").await;
    assert_eq!(types(&maybug.events(&id, &waits, 1).await), ["expired"]);
    assert_eq!(types(&maybug.events(&id, &next, 1).await), ["submitted"]);
}

/// A status that nobody knows is a refusal of one message, by its number; the bind goes on (pain 16).
#[tokio::test]
async fn pain_16_an_unknown_status_costs_its_message_only() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    let (raw, _) = peer.submit().await;
    peer.refuse(&raw, CommandStatus(0x0000_1234)).await;
    let events = maybug.events(&id, &message, 1).await;
    let details = &events[0]["event_details"];
    assert_eq!((&details["reason"], &details["command_status"]), (&json!("0x00001234"), &json!("0x00001234")));
    let next = maybug.send(&id, json!({"to": "+27820001001", "content": "y"})).await;
    let (raw, _) = peer.submit().await;
    peer.take(&raw, "1").await;
    assert_eq!(types(&maybug.events(&id, &next, 1).await), ["submitted"]);
}

#[tokio::test]
async fn a_submit_that_is_never_answered_is_rejected_where_the_channel_says_so() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let config = json!({"on_response_timeout": "nack", "response_timeout": 0.2});
    let id = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let mut peer = smsc.bound().await;
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    let (raw, _) = peer.submit().await;
    let events = maybug.events(&id, &message, 1).await;
    assert_eq!(events[0]["event_details"]["reason"], "unknown: the SMSC did not answer");
    // The answer that comes after all changes nothing.
    peer.take(&raw, "late").await;
    let config = json!({"on_response_timeout": "reconnect", "response_timeout": 2});
    let id = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let mut peer = smsc.bound().await;
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    peer.submit().await;
    peer.unbound().await;
    let mut peer = smsc.bound().await;
    let (raw, _) = peer.submit().await;
    peer.take(&raw, "1").await;
    assert_eq!(types(&maybug.events(&id, &message, 1).await), ["submitted"]);
}

/// Field guide 8.3 #31 to #36: what a submit_sm_resp may look like.
#[tokio::test]
async fn answers_without_a_body_or_with_a_broken_one_count_by_their_status() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    let rows: [(u32, &[u8], &str); 6] = [
        (0x0b, b"", "rejected"),
        (0x0b, b"17\0", "rejected"),
        (0x0b, b"17", "rejected"),
        (0, b"", "submitted"),
        (0, b"\0", "submitted"),
        (0, b"9", "submitted"),
    ];
    for (status, body, event) in rows {
        let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
        let (raw, _) = peer.submit().await;
        let length = u32::try_from(16 + body.len()).unwrap();
        let head = [length, 0x8000_0004, status, raw.sequence.0];
        let octets: Vec<u8> = head.iter().flat_map(|word| word.to_be_bytes()).chain(body.iter().copied()).collect();
        peer.write(&octets).await;
        assert_eq!(types(&maybug.events(&id, &message, 1).await), [event], "{status:#x} {body:?}");
    }
}

/// Field guide 8.2 #27 to #30.
#[tokio::test]
async fn generic_nack_answers_what_it_names() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    let nack = || Pdu::from(smpp::pdu::GenericNack::default());
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    let (raw, _) = peer.submit().await;
    let nobody = smpp::RawPdu { sequence: smpp::SequenceNumber(0), ..raw.clone() };
    peer.answer(&nobody, CommandStatus::ESME_RINVCMDLEN, nack()).await;
    peer.answer(&raw, CommandStatus::ESME_RTHROTTLED, nack()).await;
    let (raw, _) = peer.submit().await;
    peer.answer(&raw, CommandStatus::ESME_RINVCMDID, nack()).await;
    let events = maybug.events(&id, &message, 1).await;
    assert_eq!(events[0]["event_details"]["reason"], "ESME_RINVCMDID");
}

#[tokio::test]
async fn an_operators_own_words_stand_beside_ours_in_events_and_log() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let texts = json!({
        "status_texts": {"0x00000450": "daily quota used up", "ESME_RINVDSTADR": "not in our prefix list"},
        "error_texts": {"21b": "number ported"},
    });
    let id = maybug.smpp_channel(smsc.address(), texts, json!({})).await;
    let mut peer = smsc.bound().await;
    for (status, name, text) in [
        (CommandStatus(0x450), json!(null), "daily quota used up"),
        (CommandStatus::ESME_RINVDSTADR, json!("ESME_RINVDSTADR"), "not in our prefix list"),
    ] {
        let refused = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
        let (raw, _) = peer.submit().await;
        peer.refuse(&raw, status).await;
        let details = &maybug.events(&id, &refused, 1).await[0]["event_details"];
        assert_eq!((&details["operator_text"], &details["name"]), (&json!(text), &name));
        assert!(["meaning", "cause", "advice"].iter().all(|key| details[*key].is_string()), "{details}");
    }
    let absent = "absent subscriber (MAP error 6)";
    for (id_there, text, tlv, meaning, own) in [
        ("e1", "id:e1 stat:UNDELIV err:21b", None, "error 21b of the receipt", json!("number ported")),
        ("e2", "id:e2 stat:UNDELIV", Some([3, 0, 6]), absent, json!(null)),
    ] {
        let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
        let (raw, _) = peer.submit().await;
        peer.take(&raw, id_there).await;
        maybug.events(&id, &message, 1).await;
        let mut receipt = crate::peer::mo("27820001001", text);
        receipt.esm_class = smpp::EsmClass(4);
        if let Some(code) = tlv {
            receipt.tlvs.push(smpp::Tag::NETWORK_ERROR_CODE, &code);
        }
        peer.deliver(receipt).await;
        let details = &maybug.events(&id, &message, 2).await[1]["event_details"];
        assert_eq!((&details["meaning"], &details["operator_text"]), (&json!(meaning), &own));
        assert!(details["cause"].is_string() && details["advice"].is_string(), "{details}");
    }
    let log = maybug.get(&format!("/channels/{id}/logs?n=100")).await.1.to_string();
    for line in [
        "a submit_sm was refused: ESME_RINVDSTADR (0x0000000b): Invalid destination address. The operator says: not in our",
        "a submit_sm was refused: 0x00000450: Vendor-specific error",
        "a receipt tells of a failure: error 21b of the receipt. The operator says: number ported. The code is",
        "a receipt tells of a failure: absent subscriber (MAP error 6). The phone is off or out of reach. Wait",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}
