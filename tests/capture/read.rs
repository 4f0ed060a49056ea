//! What is read of captures that networks have treated badly.

use std::time::Duration;

use maybug::capture::{Capture, CaptureError, Conversation, read, write};

use proptest::prelude::*;

use crate::support::{Script, submit};

/// The file's header, and its packets with their headers.
fn packets(conversation: &Conversation) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut file = Vec::new();
    write(std::slice::from_ref(conversation), &mut file).unwrap();
    let mut rest = file.split_off(24);
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap());
        let after = rest.split_off(16 + usize::try_from(length).unwrap());
        packets.push(std::mem::replace(&mut rest, after));
    }
    (file, packets)
}

fn read_octets(octets: &[u8]) -> Result<Capture, CaptureError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("capture");
    std::fs::write(&path, octets).unwrap();
    read(&path)
}

fn conversation() -> Conversation {
    let mut script = Script::bound();
    for number in 0..20 {
        script.wait(Duration::from_millis(7));
        script.taken(number + 2, submit("27820001001", &"x".repeat(140)), &number.to_string());
    }
    // Longer than a segment.
    let mut long = submit("27820001001", "");
    long.tlvs.push(smpp::Tag::MESSAGE_PAYLOAD, &[b'y'; 5_000]);
    script.taken(99, long, "long");
    script.conversation
}

#[test]
fn what_is_written_reads_back_even_out_of_order_twice_and_cut_off() {
    let original = conversation();
    let (header, packets) = packets(&original);
    let whole = [&header[..], &packets.concat()].concat();
    assert_eq!(read_octets(&whole).unwrap().conversations, std::slice::from_ref(&original));

    let mut shuffled = packets.clone();
    let said = |capture: Capture| capture.conversations[0].pdus.iter().map(|pdu| pdu.raw.clone()).collect::<Vec<_>>();
    // Behind the handshake, so that the first sequence numbers are known.
    for at in (3..shuffled.len() - 4).step_by(5) {
        shuffled.swap(at, at + 2);
        let again = shuffled[at + 1].clone();
        shuffled.insert(at + 3, again);
    }
    let read = read_octets(&[&header[..], &shuffled.concat()].concat()).unwrap();
    assert_eq!(read.conversations.len(), 1);
    let in_direction = |raws: Vec<smpp::RawPdu>, response: bool| {
        raws.into_iter().filter(|raw| raw.id.is_response() == response).collect::<Vec<_>>()
    };
    let expected: Vec<_> = original.pdus.iter().map(|pdu| pdu.raw.clone()).collect();
    for response in [false, true] {
        let read = in_direction(said(read.clone()), response);
        assert_eq!(read, in_direction(expected.clone(), response));
    }
    assert!(!read_octets(&whole[..whole.len() - 20]).unwrap().conversations.is_empty());
    assert!(matches!(read_octets(b"no capture at all, but as long as a header"), Err(CaptureError::NotACapture)));
    assert!(matches!(read_octets(b""), Err(CaptureError::NotACapture)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_an_error_or_a_loss_and_never_a_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        end in any::<prop::sample::Index>(),
    ) {
        let (header, packets) = packets(&conversation());
        let mut octets = [&header[..], &packets.concat()].concat();
        for (at, octet) in damage {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        octets.truncate(end.index(octets.len()));
        if let Ok(capture) = read_octets(&octets) {
            // What came of it can still be anonymised and written.
            let done = maybug::capture::anonymise(&capture.conversations, "seed");
            prop_assert_eq!(done.conversations.len(), capture.conversations.len());
            write(&done.conversations, &mut Vec::new()).unwrap();
        }
    }
}
