//! Whom a node believes: one that knows its key, and nobody else who says that they are a node.

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderName};
use hyper::{HeaderMap, Method};
use maybug::api::routes;
use maybug::web::route::On;
use serde_json::{Value, json};
use url::Url;

use crate::pair::{Pair, loopback};
use crate::support::{DEADLINE, Maybug, client};

const KEY: &str = "x-maybug-key";
const CALLER: &str = "x-maybug-caller";

async fn ask(node: &Maybug, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
    let url = Url::parse(&format!("{}{path}", node.base)).unwrap();
    let headers = headers.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
    let headers = HeaderMap::from_iter(headers);
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let answer = client().request(method, &url, headers, body, DEADLINE).await.unwrap();
    assert!(!answer.headers.contains_key("x-maybug-key"));
    (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap())
}

#[tokio::test]
async fn credentials_are_asked_for_once_and_a_node_is_believed_that_knows_the_key() {
    let pair = Pair::start().await;
    let on = pair.leader;
    let mut properties = loopback();
    properties["amqp_queue"] = json!("theirs");
    let channel = format!("/channels/{}", pair.channel(on, properties).await);
    let (holder, other) = (&pair.nodes[on], pair.follower());
    let account = async |body: Value, by: &[(&str, &str)]| -> String {
        let (status, made) = ask(other, Method::POST, "/accounts/", by, &body).await;
        assert_eq!(status, 201, "{made}");
        format!("Bearer {}", made["result"]["token"].as_str().unwrap())
    };
    let root = account(json!({"name": "root", "scopes": ["admin"]}), &[]).await;
    let root = [(AUTHORIZATION.as_str(), root.as_str())];
    let id = channel.strip_prefix("/channels/").unwrap();
    let limited = account(json!({"name": "shop", "scopes": ["admin"], "channels": [id]}), &root).await;
    let limited = [(AUTHORIZATION.as_str(), limited.as_str())];

    let none = Value::Null;
    assert_eq!(ask(other, Method::GET, &channel, &root, &none).await.0, 200);
    assert_eq!(ask(other, Method::GET, &channel, &limited, &none).await.0, 200);
    assert_eq!(ask(other, Method::GET, &channel, &[], &none).await.0, 401);
    assert_eq!(ask(other, Method::POST, &channel, &limited, &json!({"label": "ours"})).await.0, 200);
    let (status, answer) = ask(other, Method::POST, &channel, &limited, &json!({"amqp_queue": "another"})).await;
    assert_eq!(status, 403, "the one that leads knows that the account is limited: {answer}");
    assert!(answer["result"]["errors"][0]["message"].as_str().unwrap().contains("'shop'"), "{answer}");

    let members = pair.members().await;
    let key_of = |node: &Maybug| members.iter().find(|member| member.url == node.base).unwrap().key.clone();
    let claims = |key: String| [(KEY, key), (CALLER, "account root".to_owned())];
    let asks = async |node: &Maybug, key: String, method: Method, path: &str| {
        let claims = claims(key);
        let headers: Vec<(&str, &str)> = claims.iter().map(|(name, value)| (*name, value.as_str())).collect();
        ask(node, method, path, &headers, &Value::Null).await
    };
    let with = async |node: &Maybug, key: String, path: &str| asks(node, key, Method::GET, path).await;
    for node in [holder, other] {
        for key in ["wrong".to_owned(), String::new(), format!("{}x", key_of(node))] {
            for path in [&channel, "/accounts/", "/nodes"] {
                assert_eq!(with(node, key.clone(), path).await.0, 401, "a stranger's");
            }
            assert_eq!(with(node, key, "/nodes/own/duties").await.0, 404);
        }
        assert_eq!(with(node, key_of(node), "/nodes/own/duties").await.0, 200);
    }
    assert_eq!(with(holder, key_of(other), &channel).await.0, 401, "each has a key of its own");
    assert_eq!(with(holder, key_of(holder), &channel).await.0, 200);
    // What is passed on is not passed on again: whoever does not have it says so, and does nothing.
    for row in routes() {
        let of_channel = row.pattern.starts_with("/channels/{channel}") && row.on != On::Any;
        if of_channel || row.on == On::Leader {
            let path = row.pattern.replace("/channels/{channel}", &channel).replace(['{', '}'], "");
            let (status, answer) = asks(other, key_of(other), row.method.clone(), &path).await;
            assert_eq!(status, 421, "{} {path}: {answer}", row.method);
        }
    }
    let (status, answer) = with(holder, key_of(holder), &format!("{channel}/failures")).await;
    assert_eq!((status, &answer["result"]["errors"][0]["type"]), (400, &json!("ApiUsageError")), "no RabbitMQ");
}
