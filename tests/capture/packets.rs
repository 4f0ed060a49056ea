//! Every link type, and TCP as it really arrives.

use std::io::Cursor;

use maybug::capture::{Sender, read_from};
use proptest::prelude::*;
use smpp::RawPdu;
use smpp::pdu::SubmitSmResp;

use crate::wire::{ESME, SMSC, Way, Wrap, conversation, expected, octets, packet, packets, pcap, raws, read, submit};

#[test]
fn every_link_type_gives_the_same_conversation() {
    let pdus = conversation();
    for wrap in [Wrap::Ethernet, Wrap::Vlan, Wrap::Ipv6, Wrap::Raw, Wrap::Null, Wrap::Sll, Wrap::Sll2] {
        let capture = read(wrap.link(), &packets(wrap, &pdus, 7));
        assert_eq!(capture.notes, Vec::<String>::new(), "{wrap:?}");
        let [conversation] = &capture.conversations[..] else { panic!("{wrap:?}: {capture:?}") };
        assert_eq!((conversation.esme.port(), conversation.smsc.port()), (ESME.1, SMSC.1), "{wrap:?}");
        assert_eq!(raws(conversation), expected(&pdus), "{wrap:?}");
    }
}

#[test]
fn sequence_numbers_wrap_and_a_capture_may_begin_in_the_middle() {
    let pdus = conversation();
    let wrapped = packets(Wrap::Raw, &pdus, u32::MAX - 20);
    assert_eq!(raws(&read(101, &wrapped).conversations[0]), expected(&pdus));
    // Without the SYNs, and with the front of the first PDU missing.
    let mut late = wrapped[2..].to_vec();
    late[0] = packet(Wrap::Raw, Way::Up, u32::MAX - 20 + 1 + 9, false, &pdus[0].1[9..]);
    let capture = read(101, &late);
    assert_eq!(raws(&capture.conversations[0]), expected(&pdus[1..]));
    assert_eq!(capture.conversations[0].esme.port(), ESME.1, "whoever submits is the ESME");
}

#[test]
fn a_lost_packet_costs_the_pdus_in_it_and_is_said() {
    let mut pdus = conversation();
    for n in 10..20 {
        pdus.push((Way::Up, octets(submit(&format!("text {n}")), n)));
        pdus.push((Way::Down, octets(SubmitSmResp::default(), n)));
    }
    let mut lossy = packets(Wrap::Ethernet, &pdus, 1);
    // One in the middle of the ESME's submits.
    lossy.remove(2 + 10);
    let capture = read(1, &lossy);
    let mut rest = pdus.clone();
    rest.remove(10);
    // What follows the loss keeps its place among what the other side said.
    assert_eq!(raws(&capture.conversations[0]), expected(&rest));
    assert!(capture.notes.iter().any(|note| note.contains("octets are missing")), "{:?}", capture.notes);
}

#[test]
fn other_protocols_are_left_out_and_what_is_no_capture_is_refused() {
    let http =
        [(Way::Up, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()), (Way::Down, b"HTTP/1.1 200 OK\r\n\r\n".to_vec())];
    assert_eq!(read(1, &packets(Wrap::Ethernet, &http, 1)).conversations, Vec::new());
    let error = read_from(Cursor::new(b"this is a text, and no capture at all".to_vec())).unwrap_err();
    assert_eq!(error.to_string(), "this is no pcap or pcapng file");
    let mut cut = pcap(1, &packets(Wrap::Ethernet, &conversation(), 1));
    cut.truncate(cut.len() - 5);
    let capture = read_from(Cursor::new(cut)).unwrap();
    assert_eq!(capture.conversations[0].pdus.len(), 5);
    assert!(capture.notes[0].contains("ends in the middle of packet 8"), "{:?}", capture.notes);
}

#[test]
fn a_hundred_thousand_pdus_are_read() {
    let mut pdus = conversation();
    for n in 3..50_003 {
        pdus.push((Way::Up, octets(submit("a hundred thousand"), n)));
        pdus.push((Way::Down, octets(SubmitSmResp::default(), n)));
    }
    let capture = read(1, &packets(Wrap::Ethernet, &pdus, 1));
    assert_eq!(capture.conversations[0].pdus.len(), 100_006);
}

proptest! {
    #[test]
    fn any_cutting_reordering_and_doubling_of_segments_gives_the_same_pdus(
        count in 1_usize..30,
        sizes in prop::collection::vec(1_usize..90, 1..40),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..6), 0..20),
        doubles in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40), 0..10),
        start in any::<u32>(),
    ) {
        let pdus: Vec<Vec<u8>> = (1..).take(count).map(|n| octets(submit(&format!("text {n}")), n)).collect();
        let stream = pdus.concat();
        let mut segments = Vec::new();
        let mut at = 0;
        for size in sizes.iter().cycle() {
            if at >= stream.len() {
                break;
            }
            let end = (at + size).min(stream.len());
            segments.push((at, end));
            at = end;
        }
        // Again, and longer or shorter than before.
        for (place, more) in &doubles {
            let (from, to) = segments[place.index(segments.len())];
            segments.push((from, (to + more).min(stream.len())));
        }
        for (place, by) in &swaps {
            let a = place.index(segments.len());
            let b = (a + by).min(segments.len() - 1);
            segments.swap(a, b);
        }
        let mut list = vec![packet(Wrap::Raw, Way::Up, start, true, &[])];
        for (from, to) in segments {
            let sequence = start.wrapping_add(1).wrapping_add(u32::try_from(from).unwrap());
            list.push(packet(Wrap::Raw, Way::Up, sequence, false, &stream[from..to]));
        }
        let capture = read(101, &list);
        let read: Vec<(Sender, RawPdu)> = raws(&capture.conversations[0]);
        let pdus: Vec<_> = pdus.into_iter().map(|octets| (Way::Up, octets)).collect();
        prop_assert_eq!(read, expected(&pdus));
    }

    #[test]
    fn what_is_lost_costs_the_pdus_in_it_and_no_others(
        count in 4_usize..40,
        sizes in prop::collection::vec(1_usize..90, 1..40),
        losses in prop::collection::vec(any::<prop::sample::Index>(), 1..10),
        start in any::<u32>(),
    ) {
        let pdus: Vec<Vec<u8>> = (1..).take(count).map(|n| octets(submit(&format!("text {n}")), n)).collect();
        let stream = pdus.concat();
        let mut segments: Vec<(usize, usize)> = Vec::new();
        let mut at = 0;
        for size in sizes.iter().cycle() {
            if at >= stream.len() {
                break;
            }
            let end = (at + size).min(stream.len());
            segments.push((at, end));
            at = end;
        }
        let lost: Vec<usize> = losses.iter().map(|loss| loss.index(segments.len())).collect();
        let mut kept = vec![true; stream.len()];
        let mut list = vec![packet(Wrap::Raw, Way::Up, start, true, &[])];
        for (index, (from, to)) in segments.into_iter().enumerate() {
            if lost.contains(&index) {
                kept[from..to].fill(false);
            } else {
                let sequence = start.wrapping_add(1).wrapping_add(u32::try_from(from).unwrap());
                list.push(packet(Wrap::Raw, Way::Up, sequence, false, &stream[from..to]));
            }
        }
        let mut whole = Vec::new();
        let mut at = 0;
        for pdu in pdus {
            let end = at + pdu.len();
            if kept[at..end].iter().all(|kept| *kept) {
                whole.push((Way::Up, pdu));
            }
            at = end;
        }
        let found: Vec<_> = read(101, &list).conversations.iter().flat_map(raws).collect();
        prop_assert_eq!(found, expected(&whole));
    }

    #[test]
    fn arbitrary_packets_and_files_never_panic(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..20),
        link in prop_oneof![Just(0_u32), Just(1), Just(101), Just(113), Just(276), any::<u32>()],
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = read_from(Cursor::new(pcap(link, &packets)));
        let _ = read_from(Cursor::new(noise));
    }
}
