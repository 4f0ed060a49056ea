//! What every node has a part of: logs, rates, who does what.

use maybug::smsc::SimulatorConfig;
use maybug::store::Member;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::pair::{NODES, Pair, loopback};
use crate::support::{Smsc, soon};

#[tokio::test]
async fn logs_are_those_of_all_nodes_and_one_that_is_silent_is_left_out() {
    let (pair, mut smsc) = (Pair::start().await, Smsc::start(SimulatorConfig::default()).await);
    let id = pair.smpp_channel(1, smsc.simulator.address().port()).await;
    smsc.bound().await;
    let message = pair.nodes[0].send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    pair.nodes[0].events(&id, &message, 1).await;
    let logs = async |node: usize, rest: &str| -> Vec<Value> {
        let (status, answer) = pair.nodes[node].get(&format!("/channels/{id}/{rest}")).await;
        assert_eq!(status, 200, "{answer}");
        answer["result"].as_array().unwrap().clone()
    };
    // Lines reach their file a little later; then they are the same wherever they are asked for.
    soon("what the other node has logged", async {
        loop {
            let (here, there) = (logs(0, "logs").await, logs(1, "logs").await);
            if !here.is_empty() && here == there {
                break;
            }
        }
    })
    .await;
    assert_eq!(logs(0, "logs?n=1").await, logs(1, "logs?n=1").await);
    assert_eq!(logs(0, "logs?n=1").await.len(), 1);
    assert_eq!(logs(0, "logs?type=pdu").await, logs(1, "logs?type=pdu").await);
    let about = logs(0, &format!("messages/{message}/logs")).await;
    assert!(about.iter().any(|entry| entry["message"].as_str().unwrap().contains("sent submit_sm ")), "{about:?}");

    // What the first node has logged while it had the channel, and has now, is put among the other's by its time.
    let own = [json!({"timestamp": 1.0, "message": "first"}), json!({"timestamp": 9_999_999_999.0, "message": "last"})];
    let lines: String = own.iter().map(|entry| format!("{entry}\n")).collect();
    std::fs::write(pair.nodes[0].directory.path().join("logs").join(&id), lines).unwrap();
    for node in [0, 1] {
        let all = logs(node, "logs").await;
        assert!(all.len() > 2);
        assert_eq!((all.first().unwrap(), all.last().unwrap()), (&own[1], &own[0]));
        assert_eq!(logs(node, "logs?n=1").await, own[1..]);
    }

    // One that takes connections and says nothing. It is about to go, so that nothing is placed on it.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Member {
        id: "silent".to_owned(),
        name: "silent:1".to_owned(),
        url: format!("http://user:password@{}", listener.local_addr().unwrap()),
        draining: true,
        ..Member::default()
    };
    let said = serde_json::to_string(&silent).unwrap();
    let mut connection = pair.redis.connection().await.unwrap();
    let said = format!("99999999999999 {said}");
    let () = ::redis::cmd("HSET").arg(NODES).arg("silent").arg(said).query_async(&mut connection).await.unwrap();
    let listed = async || {
        let (_, answer) = pair.nodes[0].get("/nodes").await;
        let nodes = answer["result"]["nodes"].as_array().unwrap().clone();
        nodes.into_iter().find(|node| node["name"] == "silent:1")
    };
    let silent = soon("a third node", async {
        loop {
            if let Some(silent) = listed().await {
                return silent;
            }
        }
    })
    .await;
    assert_eq!(
        (&silent["leads"], &silent["channels"], &silent["draining"]),
        (&json!(null), &json!(null), &json!(true))
    );
    assert_eq!(silent["url"], format!("http://{}", listener.local_addr().unwrap()), "without the password");
    assert!(silent.get("key").is_none());
    let path = format!("/channels/{id}/logs");
    let (status, headers, answer) = pair.nodes[0].request(hyper::Method::GET, &path, b"").await;
    assert_eq!((status, answer["result"].as_array().unwrap()), (200, &logs(1, "logs").await));
    assert_eq!(headers["warning"], "199 - \"the node silent:1 has not told its part\"");
}

#[tokio::test]
async fn messages_count_wherever_they_were_accepted() {
    let pair = Pair::with(|config| config.metric_window = 2.0).await;
    let id = pair.channel(1, loopback()).await;
    let path = format!("/channels/{id}");
    let sends = async |node: usize, count: usize| {
        for _ in 0..count {
            pair.nodes[node].send(&id, json!({"to": "1", "content": "x"})).await;
        }
    };
    let rate =
        async |node: usize| pair.nodes[node].get(&path).await.1["result"]["status"]["outbound_message_rate"].as_f64();
    soon("seven messages in a window of two seconds", async {
        // They may come in two windows.
        loop {
            sends(0, 3).await;
            sends(1, 4).await;
            let counted = async {
                loop {
                    match rate(0).await {
                        Some(counted) if counted > 0.0 => return counted,
                        _ => {}
                    }
                }
            };
            if counted.await == 3.5 && rate(1).await == Some(3.5) {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn any_node_says_which_nodes_there_are_and_what_each_does() {
    let pair = Pair::start().await;
    let ids = [pair.channel(0, loopback()).await, pair.channel(1, loopback()).await, pair.channel(1, loopback()).await];
    for node in &pair.nodes {
        let (_, answer) = node.get("/nodes/").await;
        let listed = &answer["result"];
        assert_eq!(listed["nodes"].as_array().unwrap().len(), 2);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(pair.each(listed, "version"), json!([version, version]));
        assert_eq!(pair.each(listed, "draining"), json!([false, false]));
        assert_eq!(pair.each(listed, "channels"), json!([1, 2]));
        assert_eq!(pair.each(listed, "leads"), json!([pair.leader == 0, pair.leader == 1]));
        let names = pair.each(listed, "name");
        let mut held = Vec::new();
        let mut path = "/nodes/?limit=1".to_owned();
        loop {
            let (_, page) = node.get(&path).await;
            held.extend(page["result"]["channels"].as_array().unwrap().clone());
            let Some(cursor) = page["result"]["cursor"].as_str() else { break };
            path = format!("/nodes/?limit=1&cursor={cursor}");
        }
        let mut expected: Vec<Value> =
            ids.iter().zip([0, 1, 1]).map(|(id, on)| json!({"id": id, "node": names[on]})).collect();
        expected.sort_by_key(|channel| channel["id"].to_string());
        assert_eq!(held, expected);
        assert_eq!(node.get("/nodes/?limit=x").await.0, 400);
    }
}
