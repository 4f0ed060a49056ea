//! Schemathesis reads `/openapi.json` and asks a server of ours for everything in it, rightly and wrongly.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderMap};
use maybug::web::client::{Allowed, Client};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::process::installed;
use crate::server::{DEADLINE, start};

/// How long all of it may take; it takes a quarter of that.
const PATIENCE: Duration = Duration::from_secs(180);

/// Everything but `positive_data_acceptance`: what the shapes allow may still make no sense, and is refused.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,\
                      allow_header_conformance,use_after_free,ensure_resource_availability,ignored_auth";

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_that_is_not_as_described() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path()).await;
    let base = format!("http://{}", server.addresses()[0]);
    let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
    let mut headers = HeaderMap::new();
    let make = async |headers: &HeaderMap, path: &str, body: Value| -> Value {
        let url = format!("{base}{path}").parse().unwrap();
        let body = Bytes::from(body.to_string());
        let answer = client.request(Method::POST, &url, headers.clone(), body, DEADLINE).await.unwrap();
        assert_eq!(answer.status, 201, "{path}: {:?}", answer.body);
        let made: Value = serde_json::from_slice(&answer.body).unwrap();
        made["result"].clone()
    };
    // From the first account on everybody is asked.
    let root = make(&headers, "/accounts/", json!({"name": "root", "scopes": ["admin"]})).await;
    let authorization = format!("Bearer {}", root["token"].as_str().unwrap());
    headers.insert(AUTHORIZATION, authorization.parse().unwrap());
    make(&headers, "/accounts/", json!({"name": "shop", "scopes": ["send"]})).await;
    let loopback = json!({"type": "loopback", "config": {}});
    let routed = make(&headers, "/channels/", loopback).await["id"].clone();
    let router = json!({"type": "from_address", "config": {"channel": routed}});
    let router = make(&headers, "/routers/", router).await["id"].as_str().unwrap().to_owned();
    let destination = json!({"config": {"regular_expression": "^404"}, "mo_url": "http://127.0.0.1:9/"});
    let destination = make(&headers, &format!("/routers/{router}/destinations/"), destination).await["id"].clone();
    let channel = json!({"type": "loopback", "config": {}, "mo_url": null});
    let channel = make(&headers, "/channels/", channel).await["id"].as_str().unwrap().to_owned();
    let message = json!({"to": "+27820001001", "content": "Hello"});
    let message = make(&headers, &format!("/channels/{channel}/messages/"), message).await["message_id"].clone();

    // What there is to ask for; deleting looks for its own.
    let config = directory.path().join("schemathesis.toml");
    let there = format!(
        "[[operations]]\nexclude-method = \"DELETE\"\nparameters = {{ channel = \"{channel}\", router = \"{router}\", \
         destination = {destination}, message = {message}, account = \"shop\" }}\n"
    );
    std::fs::write(&config, there).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/venv/bin/schemathesis");
    let mut schemathesis = Command::new(installed(program));
    schemathesis.arg("--config-file").arg(&config).args(["--no-color", "run", &format!("{base}/openapi.json")]);
    schemathesis.args(["--header", &format!("Authorization: {authorization}"), "--checks", CHECKS]);
    schemathesis.args(["--max-examples", "12", "--seed", "1", "--continue-on-failure", "--warnings", "off"]);
    let run = schemathesis.current_dir(directory.path()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, run).await.expect("schemathesis ends in time").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaints}");
    for phase in ["Examples", "Coverage", "Fuzzing"] {
        assert!(said.contains(&format!("✅ {phase}")), "{phase} was not run: {said}");
    }
    server.stop().await;
}
