//! What is polled for together is not lost together.

use serde_json::json;

use super::Stage;
use crate::support::{soon, types};

#[tokio::test]
async fn a_message_that_cannot_be_handed_over_costs_only_itself() {
    let config = json!({
        "web_port": 0, "tables": {"prices": {"free": "0", "dear": "9"}}, "mailbox": {"of": "", "most": 50},
        "inbound": [{"path": "/poll", "kind": "poll", "response": {"body": {"json": {
            "$each": {"text": "{content}", "price": "{channel_data.price|table:prices}", "key": "{channel_data.key}"},
        }}}}],
    });
    let mut stage = Stage::open(config).await;
    let (mut fit, mut unfit) = (Vec::new(), Vec::new());
    for number in 0..4 {
        let message = |data| json!({"to": "1", "content": number.to_string(), "channel_data": data});
        fit.push(stage.sends(&message(json!({"price": "free", "key": "a"}))).await);
        let reason = "channel_data.price is not in the table 'prices'";
        unfit.push((stage.sends(&message(json!({"price": "gold", "key": "a"}))).await, reason));
        unfit.push((stage.sends(&message(json!({"price": "dear"}))).await, "there is no channel_data.key"));
    }
    let mut had = Vec::new();
    soon("what can be handed over", async {
        while had.len() < fit.len() {
            let (status, body) = stage.gets("/poll").await;
            assert_eq!(status, 200, "{body}");
            had.extend(serde_json::from_str::<Vec<serde_json::Value>>(&body).unwrap());
        }
    })
    .await;
    let expected: Vec<_> = (0..4).map(|number| json!({"text": number.to_string(), "price": "0", "key": "a"})).collect();
    assert_eq!(had, expected);
    for id in fit {
        assert_eq!(types(&stage.maybug.events(&stage.channel, &id, 1).await), ["submitted"]);
    }
    for (id, reason) in unfit {
        // The last of them may have come behind what was polled for.
        let _ = stage.gets("/poll").await;
        let events = stage.maybug.events(&stage.channel, &id, 1).await;
        assert_eq!(types(&events), ["rejected"]);
        let told = events[0]["event_details"]["reason"].as_str().unwrap();
        assert!(told.ends_with(reason), "{told}");
    }
    assert_eq!(stage.gets("/poll").await, (200, "[]".to_owned()));
}
