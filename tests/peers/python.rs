//! PyPI `smpplib` as an ESME.

use std::process::Command;

use crate::support::{Talker, installed, must_succeed, source};

#[test]
fn as_esme_it_binds_submits_long_text_and_receives() {
    let (mut sim, address) = Talker::sim(&["--account", "peer:secret", "--mo-every", "200ms"]);
    let (host, port) = address.split_once(':').unwrap();
    let mut esme = Command::new(installed("venv/bin/python"));
    esme.arg(source("tests/peers/python/esme.py")).args([host, port]);
    must_succeed(esme);
    let whole = sim.next("the whole message", |event| event["whole"].is_object())["whole"].clone();
    assert_eq!(whole["text"], "Ĉu vi ŝatas longajn mesaĝojn? ".repeat(5));
}
