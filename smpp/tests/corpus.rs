//! Every input that fuzzing has kept goes through its target again.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

include!("../../fuzz/src/bodies.rs");

fn replay(target: &str, body: fn(&[u8])) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(path).unwrap() {
        body(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "the corpus of {target} is empty");
}

#[test]
fn the_corpus_passes() {
    replay("decode", decode);
    replay("stream", stream);
    replay("session", session);
    replay("receipt", receipt);
    replay("text", text);
}
