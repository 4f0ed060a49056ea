//! tshark reads captures that were made into fixtures: as many PDUs, right checksums, nothing malformed.

use std::path::Path;

use maybug::capture::{anonymise, read, write};

use crate::tshark::tshark;

/// Each PDU's command and length, in order.
async fn pdus(path: &Path) -> Vec<String> {
    let fields = ["-Y", "smpp", "-T", "fields", "-e", "smpp.command_id", "-e", "smpp.command_length"];
    let mut pdus = Vec::new();
    for frame in tshark(path, &fields).await.lines() {
        let (commands, lengths) = frame.split_once('\t').unwrap();
        pdus.extend(commands.split(',').zip(lengths.split(',')).map(|(command, length)| format!("{command} {length}")));
    }
    pdus
}

#[tokio::test]
async fn tshark_reads_a_fixture_as_it_reads_the_capture() {
    let directory = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pcap");
    let mut seen = 0;
    for entry in std::fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        if !path.extension().is_some_and(|extension| extension == "pcap" || extension == "pcapng") {
            continue;
        }
        let made = directory.path().join("made.pcap");
        let done = anonymise(&read(&path).unwrap().conversations, "seed");
        assert_eq!(done.leftovers, Vec::<Vec<u8>>::new(), "{}", path.display());
        write(&done.conversations, &mut std::fs::File::create(&made).unwrap()).unwrap();
        assert_eq!(pdus(&made).await, pdus(&path).await, "{}", path.display());
        let expert = tshark(&made, &["-V"]).await.to_lowercase();
        assert!(expert.contains("[checksum status: good]"), "{}", path.display());
        for word in ["malformed", "status: bad", "retransmission", "segment not captured"] {
            assert!(!expert.contains(word), "{}: {word}", path.display());
        }
        // What was written reads back.
        assert!(read(&made).unwrap().conversations == done.conversations, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 3);
}
