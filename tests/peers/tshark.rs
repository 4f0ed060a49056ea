//! tshark: what it reads in a capture.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::server::soon;

/// Ports of SMPP in `fixtures/pcap/`, and in captures that are made of them; tshark must be told.
const PORTS: [u16; 4] = [2775, 9000, 22401, 22402];

/// What it says of a capture.
pub(crate) async fn tshark(path: &Path, arguments: &[&str]) -> String {
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]);
    for port in PORTS {
        tshark.args(["-d", &format!("tcp.port=={port},smpp")]);
    }
    let output = tshark.args(arguments).arg("-r").arg(path).output();
    let output = soon("tshark", output).await.expect("tests/run installs tshark");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Its JSON of each PDU, in order; octets beside every field.
pub(crate) async fn pdus(path: &Path) -> Vec<Value> {
    let text = tshark(path, &["-Y", "smpp", "-T", "json", "-x", "--no-duplicate-keys"]).await;
    // Some senders cut a surrogate pair in two, and tshark writes the halves.
    let halves = regex::Regex::new(r"\\u[dD][89abAB][0-9a-fA-F]{2}|\\u[dD][c-fC-F][0-9a-fA-F]{2}").unwrap();
    let frames: Vec<Value> = serde_json::from_str(&halves.replace_all(&text, "?")).unwrap();
    let layer = |frame: &Value| frame["_source"]["layers"]["smpp"].clone();
    frames.iter().flat_map(|frame| several(layer(frame))).collect()
}

/// What it writes as an array when it is not alone.
pub(crate) fn several(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        one => vec![one],
    }
}
