//! The captures of `fixtures/pcap`: every PDU in them decodes, and encodes to the octets that it was.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::BTreeMap;

use bytes::BytesMut;
use smpp::{Pdu, RawPdu};

fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(octets[at..at + 2].try_into().unwrap())
}

fn u32_le(octets: &[u8], at: usize) -> usize {
    usize::try_from(u32::from_le_bytes(octets[at..at + 4].try_into().unwrap())).unwrap()
}

/// Frames of a little-endian pcap or pcapng file; these captures have one interface each.
fn frames(file: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    if file.starts_with(&[0xd4, 0xc3, 0xb2, 0xa1]) {
        let mut at = 24;
        while at + 16 <= file.len() {
            let length = u32_le(file, at + 8);
            frames.push(&file[at + 16..at + 16 + length]);
            at += 16 + length;
        }
    } else {
        let mut at = 0;
        while at + 12 <= file.len() {
            let (kind, length) = (u32_le(file, at), u32_le(file, at + 4));
            if kind == 6 {
                frames.push(&file[at + 28..at + 28 + u32_le(file, at + 20)]);
            }
            at += length;
        }
    }
    frames
}

/// Where it begins, and its pieces by their distance from there.
type Stream = (u32, BTreeMap<u32, Vec<u8>>);

/// TCP payloads by connection and direction, each octet at its place in the stream.
fn streams(file: &[u8], port: u16) -> Vec<Vec<u8>> {
    let mut streams: BTreeMap<[u8; 12], Stream> = BTreeMap::new();
    for frame in frames(file) {
        // Ethernet, or the same header as loopback captures have on Linux.
        let Some(ip) = frame.get(14..).filter(|ip| u16_at(frame, 12) == 0x0800 && ip[9] == 6) else { continue };
        let total = usize::from(u16_at(ip, 2));
        let tcp = &ip[usize::from(ip[0] & 15) * 4..total];
        if u16_at(tcp, 0) != port && u16_at(tcp, 2) != port {
            continue;
        }
        let key: [u8; 12] = [&ip[12..20], &tcp[..4]].concat().try_into().unwrap();
        let sequence = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
        let syn = tcp[13] & 2 != 0;
        let payload = &tcp[usize::from(tcp[12] >> 4) * 4..];
        let (first, pieces) = streams.entry(key).or_insert_with(|| (sequence, BTreeMap::new()));
        if syn {
            *first = sequence.wrapping_add(1);
        } else if !payload.is_empty() {
            pieces.entry(sequence.wrapping_sub(*first)).or_insert_with(|| payload.to_vec());
        }
    }
    let join = |(_, pieces): Stream| {
        let mut stream = Vec::new();
        for (at, piece) in pieces {
            let at = usize::try_from(at).unwrap();
            assert!(at <= stream.len(), "a piece is missing");
            stream.extend_from_slice(piece.get(stream.len() - at..).unwrap_or_default());
        }
        stream
    };
    streams.into_values().map(join).collect()
}

#[test]
fn every_captured_pdu_encodes_to_its_own_octets() {
    for (name, port, expected) in [
        ("wireshark-smpp.pcap", 9000, 8),
        ("kannel-1.4.5-to-node-smpp-0.5.1.pcapng", 22401, 56),
        ("jasmin-0.11.1-to-node-smpp-0.5.1.pcapng", 22402, 42),
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/pcap").join(name);
        let file = std::fs::read(path).unwrap();
        let mut count = 0;
        for stream in streams(&file, port) {
            let mut buffer = BytesMut::from(&stream[..]);
            let mut out = BytesMut::new();
            while let Some(raw) = RawPdu::split(&mut buffer, 70_000).unwrap() {
                let pdu =
                    Pdu::decode(&raw).unwrap_or_else(|error| panic!("{name} {} {}: {error}", raw.id, raw.sequence));
                pdu.encode(raw.status, raw.sequence, &mut out);
                count += 1;
            }
            assert!(buffer.is_empty(), "{name} ends inside a PDU");
            assert_eq!(out, stream[..], "{name}");
        }
        assert_eq!(count, expected, "{name}");
    }
}
