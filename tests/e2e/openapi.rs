//! `openapi.json` and the route table say the same, both ways.

use std::collections::BTreeMap;

use maybug::api::routes;
use maybug::web::route::Scope;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::auth::ask;
use crate::support::{Maybug, soon};

/// What `pointer` of the description points to.
fn resolve<'a>(description: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(pointer) => description.pointer(&pointer[1..]).unwrap_or_else(|| panic!("{pointer} points nowhere")),
        None => value,
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// What is served; it is longer than the answers that callbacks are read for.
async fn description(maybug: &Maybug) -> Value {
    let mut stream = TcpStream::connect(maybug.server.addresses()[0]).await.unwrap();
    stream.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon("the description", stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: application/json\r\n"), "{head}");
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn every_route_is_described_and_nothing_else() {
    let maybug = Maybug::start().await;
    let description = description(&maybug).await;
    assert_eq!(description["openapi"], "3.1.0");
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut described = BTreeMap::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            // One of the two spellings is described; both are served.
            let key = (path.trim_end_matches('/').to_owned(), method.to_uppercase());
            assert!(described.insert(key, operation.clone()).is_none(), "{method} {path} is described twice");
        }
    }
    let mut ids = Vec::new();
    for row in routes() {
        let at = format!("{} {}", row.method, row.pattern);
        let operation = described.remove(&(row.pattern.to_owned(), row.method.to_string()));
        let operation = operation.unwrap_or_else(|| panic!("{at} is not described"));
        ids.push(operation["operationId"].as_str().unwrap().to_owned());
        let security = match row.scope {
            Scope::Open => json!([]),
            Scope::Glance => json!([{}, {"bearer": ["read"]}, {"basic": ["read"]}]),
            Scope::Read => json!([{"bearer": ["read"]}, {"basic": ["read"]}]),
            Scope::Send => json!([{"bearer": ["send"]}, {"basic": ["send"]}]),
            Scope::Admin => json!([{"bearer": ["admin"]}, {"basic": ["admin"]}]),
        };
        assert_eq!(operation["security"], security, "{at}");
        let parameters: Vec<&Value> = operation["parameters"].as_array().into_iter().flatten().collect();
        let parameters = parameters.into_iter().map(|parameter| resolve(&description, parameter));
        let of_path: Vec<&str> =
            parameters.filter(|it| it["in"] == "path").map(|it| it["name"].as_str().unwrap()).collect();
        let variable: Vec<&str> =
            row.pattern.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(of_path, variable, "{at}");
        let answers: Vec<&str> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut needed = vec!["414", "431", "503"];
        if !matches!(row.scope, Scope::Open | Scope::Glance) {
            needed.extend(["401", "403", "429"]);
        }
        if operation.get("requestBody").is_some() {
            needed.extend(["400", "408", "413", "415"]);
        }
        for status in needed {
            assert!(answers.contains(&status), "{at} may answer {status}");
        }
        // What is not there is not found, and nothing that is described is forgotten in the list of answers.
        let path = row.pattern.replace(['{', '}'], "");
        for path in [path.clone(), format!("{path}/")] {
            let status = ask(&maybug.base, &row.method, &path, &[], "[]").await.status;
            assert!(answers.contains(&&*status.to_string()), "{at} answers {status}, {answers:?} are described");
        }
    }
    assert!(described.is_empty(), "these are described and not served: {:?}", described.keys());
    let distinct = ids.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(distinct, ids.len(), "operationIds are distinct");

    let mut found = Vec::new();
    references(&description, &mut found);
    for pointer in &found {
        assert!(description.pointer(&pointer[1..]).is_some(), "{pointer} points nowhere");
    }
    for kind in ["schemas", "parameters", "responses"] {
        for name in description["components"][kind].as_object().unwrap().keys() {
            let pointer = format!("#/components/{kind}/{name}");
            assert!(found.contains(&pointer), "{pointer} is used nowhere");
        }
    }
}
