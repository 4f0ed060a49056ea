//! Changes of what there is, asked of the node that does not make them: it knows them when it answers.

use hyper::Method;
use serde_json::{Value, json};

use crate::pair::{Pair, loopback};

#[tokio::test]
async fn what_is_changed_by_way_of_another_node_is_known_there_at_once() {
    let pair = Pair::start().await;
    let follower = pair.follower();
    let ask = async |method: Method, path: &str, body: Value| -> (u16, Value) {
        let (status, _, answer) = follower.request(method, path, body.to_string().as_bytes()).await;
        (status, answer["result"].clone())
    };
    let made = async |path: &str, body: Value| -> String {
        let (status, answer) = ask(Method::POST, path, body).await;
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    };
    let known = async |path: &str| ask(Method::GET, path, Value::Null).await.1;
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
    assert_eq!(ask(Method::POST, "/accounts/", json!({"name": "root", "scopes": ["admin"]})).await.0, 201);
    assert_eq!(ask(Method::GET, "/channels", Value::Null).await.0, 401, "an account counts once it has been made");
}
