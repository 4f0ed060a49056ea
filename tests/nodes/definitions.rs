//! Changes of what there is, asked of the node that makes them and of the one that does not: both know them when they are
//! answered.

use hyper::Method;
use serde_json::{Value, json};

use crate::pair::{Pair, loopback};
use crate::support::Maybug;

#[tokio::test]
async fn what_is_changed_on_one_node_is_known_on_all_at_once() {
    let pair = Pair::start().await;
    let follower = pair.follower();
    for asked in [&pair.nodes[pair.leader], follower] {
        changes(asked, follower).await;
    }
    let account = json!({"name": "root", "scopes": ["admin"]});
    assert_eq!(follower.post("/accounts/", account).await.0, 201);
    for node in &pair.nodes {
        assert_eq!(node.get("/channels").await.0, 401, "an account counts once it has been made");
    }
}

/// Makes, changes and deletes a channel, a router and a destination; the `other` node knows it.
async fn changes(asked: &Maybug, other: &Maybug) {
    let ask = async |method: Method, path: &str, body: Value| -> (u16, Value) {
        let (status, _, answer) = asked.request(method, path, body.to_string().as_bytes()).await;
        (status, answer["result"].clone())
    };
    let made = async |path: &str, body: Value| -> String {
        let (status, answer) = ask(Method::POST, path, body).await;
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    };
    let known = async |path: &str| other.get(path).await.1["result"].clone();
    let mut properties = loopback();
    properties.as_object_mut().unwrap().remove("mo_url");
    let channel = made("/channels/", properties).await;
    assert_eq!(known("/channels/").await, json!([channel]));
    let router = json!({"type": "from_address", "config": {"channel": channel}});
    let router = made("/routers/", router).await;
    assert_eq!(known("/routers").await, json!([router]));
    let router = format!("/routers/{router}");
    assert_eq!(ask(Method::PATCH, &router, json!({"label": "changed"})).await.0, 200);
    assert_eq!(known(&router).await["label"], "changed");
    let destinations = format!("{router}/destinations");
    let destination = json!({"config": {"regular_expression": "^1"}});
    let destination = made(&destinations, destination).await;
    assert_eq!(known(&destinations).await, json!([destination]));
    let destination = format!("{destinations}/{destination}");
    let replaced = json!({"config": {"regular_expression": "^2"}, "label": "replaced"});
    assert_eq!(ask(Method::PUT, &destination, replaced).await.0, 200);
    assert_eq!(known(&destination).await["label"], "replaced");
    assert_eq!(ask(Method::DELETE, &destination, Value::Null).await.0, 200);
    assert_eq!(known(&destinations).await, json!([]));
    assert_eq!(ask(Method::DELETE, &router, Value::Null).await.0, 200);
    assert_eq!(known("/routers").await, json!([]));
    let channel = format!("/channels/{channel}");
    let (status, answer) = ask(Method::POST, &channel, json!({"label": "changed", "mo_url": null})).await;
    assert_eq!((status, &answer["label"]), (200, &json!("changed")));
    // What is wrong is said by the one that leads, and passed back as it is.
    let (status, answer) = ask(Method::POST, &channel, json!({"type": "none"})).await;
    assert_eq!((status, &answer["errors"][0]["type"]), (400, &json!("InvalidChannelType")), "{answer}");
    assert_eq!(ask(Method::DELETE, &channel, Value::Null).await.0, 200);
    assert_eq!(known("/channels").await, json!([]));
}
