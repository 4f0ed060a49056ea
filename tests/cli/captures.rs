//! The captures of `fixtures/pcap`: every PDU decodes, and encodes to the octets that it came from.

use std::collections::BTreeMap;

use bytes::BytesMut;
use smpp::{Pdu, RawPdu};

use crate::capture::flows;

#[test]
fn every_pdu_of_the_captures_goes_out_as_it_came_in() {
    for (file, expected) in [
        ("wireshark-smpp.pcap", 8),
        ("kannel-1.4.5-to-node-smpp-0.5.1.pcapng", 56),
        ("jasmin-0.11.1-to-node-smpp-0.5.1.pcapng", 42),
    ] {
        let path = format!("{}/fixtures/pcap/{file}", env!("CARGO_MANIFEST_DIR"));
        let mut commands = BTreeMap::new();
        for (flow, octets) in flows(&std::fs::read(path).unwrap()) {
            let mut buffer = BytesMut::from(&octets[..]);
            let mut out = BytesMut::new();
            while let Some(raw) = RawPdu::split(&mut buffer, 70_000).unwrap() {
                let pdu = Pdu::decode(&raw).unwrap_or_else(|error| panic!("{file} {flow:?} {}: {error}", raw.id));
                pdu.encode(raw.status, raw.sequence, &mut out);
                *commands.entry(raw.id.to_string()).or_insert(0) += 1;
            }
            assert!(buffer.is_empty(), "{file} {flow:?} ends inside a PDU");
            assert_eq!(out, octets, "{file} {flow:?}");
        }
        assert_eq!(commands.values().sum::<i32>(), expected, "{file}: {commands:?}");
    }
}
