//! `log_privacy`: what people write, and who they are, is in no log; without it, it is.

use hyper::StatusCode;
use serde_json::json;
use smpp::EsmClass;

use crate::peer::{ScriptedSmsc, mo};
use crate::support::{Process, Receiver, Scripted, call, soon};

const NUMBER: &str = "27831234567";
/// Of messages to the phone and from it, in a receipt, and for the phone of one that no session has.
const SECRETS: [&str; 3] = ["pin-4711", "reply-0815", NUMBER];

/// Everything that the logs of a server say after messages went both ways: the API's, of PDUs too, files, process.
async fn logged(flags: &[&str]) -> (String, String) {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let directory = tempfile::tempdir().unwrap();
    let flags = [&["--log-level", "trace"], flags].concat();
    let process = Process::start(directory.path(), &flags).await;
    let config = json!({
        "twisted_endpoint": format!("tcp:host=127.0.0.1:port={}", smsc.address().port()), "system_id": "me",
        "password": "secret", "deliver_short_message_processor": "vumi.transports.smpp.processors.sixdee.X",
    });
    let channel = json!({"type": "smpp", "config": config, "mo_url": receiver.url("/mo")});
    let created = call(&process.base, "/channels/", Some(channel)).await;
    let path = format!("/channels/{}", created["result"]["id"].as_str().unwrap());
    let mut peer = smsc.bound().await;
    let message = json!({
        "to": format!("+{NUMBER}"), "content": SECRETS[0], "channel_data": {"tlvs": {"0x1400": "70696e2d34373131"}},
    });
    call(&process.base, &format!("{path}/messages/"), Some(message)).await;
    let (raw, _) = peer.submit().await;
    peer.take(&raw, "1").await;
    let mut receipt = mo(NUMBER, &format!("id:1 stat:UNDELIV err:006 text:{}", SECRETS[0]));
    receipt.esm_class = EsmClass(4);
    peer.deliver(receipt).await;
    // A turn of a session that nobody knows.
    let mut turn = mo(NUMBER, SECRETS[1]);
    turn.tlvs.push_integer(smpp::Tag::USSD_SERVICE_OP, 18);
    receiver.script([Scripted::Echo(StatusCode::INTERNAL_SERVER_ERROR)]);
    peer.deliver(turn).await;
    assert_eq!(receiver.next().await.body["content"], SECRETS[1], "applications get it");
    let log = soon("the refusal in the log", async {
        loop {
            let log = call(&process.base, &format!("{path}/logs"), None).await.to_string();
            if log.contains("failed because of the answer 500") {
                return log;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let pdus = call(&process.base, &format!("{path}/logs?type=pdu"), None).await.to_string();
    let files = std::fs::read_dir(directory.path().join("logs")).unwrap();
    let files: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert!(files.contains("failed because of the answer 500"), "{files}");
    (log + &files + &process.kill().await, pdus)
}

fn hex(text: &str) -> String {
    text.bytes().map(|octet| format!("{octet:02x}")).collect()
}

#[tokio::test]
async fn with_it_no_text_and_no_number_is_in_any_log() {
    let (said, pdus) = logged(&["--log-privacy"]).await;
    for secret in SECRETS {
        for form in [secret.to_owned(), hex(secret)] {
            assert!(!said.contains(&form), "{form}: {said}");
            assert!(!pdus.contains(&form), "{form}: {pdus}");
        }
    }
    // What is left still tells what happened.
    assert!(said.contains("a receipt tells of a failure: error 006 of the receipt"), "{said}");
    assert!(said.contains("belongs to no known session"), "{said}");
    assert!(pdus.contains("2783***4567") && pdus.contains(&hex("id:1 stat:UNDELIV err:006 text:*")), "{pdus}");
}

#[tokio::test]
async fn without_it_they_are_where_faults_are_looked_for() {
    let (said, pdus) = logged(&[]).await;
    assert!(said.contains(SECRETS[1]), "the receiver's answer: {said}");
    assert!(pdus.contains(&hex(SECRETS[0])) && pdus.contains(NUMBER), "{pdus}");
}
