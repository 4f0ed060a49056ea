//! Where connections begin and end, what is waited for, and how much is held.

use std::io::Cursor;
use std::time::Duration;

use maybug::capture::{Capture, read_from};
use smpp::pdu::{DeliverSm, SubmitSmResp};

use crate::wire::{Tcp, Way, Wrap, conversation, expected, octets, packets, raws, read, submit, timed};

/// Packets without an Ethernet header.
fn raw(packets: &[Tcp<'_>]) -> Capture {
    read(101, &packets.iter().map(|packet| packet.wrapped(Wrap::Raw)).collect::<Vec<_>>())
}

/// The octets of all PDUs of one direction.
fn said(way: Way) -> Vec<u8> {
    conversation().into_iter().filter(|(of, _)| *of == way).flat_map(|(_, octets)| octets).collect()
}

#[test]
fn a_syn_that_does_not_fit_begins_another_connection() {
    let (up, down) = (said(Way::Up), said(Way::Down));
    let deliver = octets(DeliverSm::default(), 9);
    let new = |acknowledges| {
        [
            Tcp::syn(Way::Up, 5_000),
            Tcp { ack: acknowledges, ..Tcp::syn(Way::Down, 9_000) },
            Tcp::data(Way::Up, 5_001, &up),
            Tcp::data(Way::Down, 9_001, &down),
        ]
    };
    let counts =
        |list: &[Tcp<'_>]| -> Vec<usize> { raw(list).conversations.iter().map(|found| found.pdus.len()).collect() };
    for acknowledges in [None, Some(5_001)] {
        // Of the old one only what the SMSC said was captured.
        let list = [&[Tcp::data(Way::Down, 77, &deliver)][..], &new(acknowledges)].concat();
        assert_eq!(counts(&list), [1, 6], "{acknowledges:?}");
    }
    // Only what the ESME said, and of the new one not the first SYN.
    let list = [&[Tcp::data(Way::Up, 77, &deliver)][..], &new(Some(5_001))[1..]].concat();
    assert_eq!(counts(&list), [1, 6]);
    // A SYN that nobody answered, and another.
    let list = [&[Tcp::syn(Way::Up, 100)][..], &new(Some(5_001))].concat();
    assert_eq!(raw(&list).conversations.len(), 1);
    // The same numbers again, behind the end of the first.
    let end = Tcp { fin: true, ..Tcp::data(Way::Up, 5_001 + u32::try_from(up.len()).unwrap(), &[]) };
    let list = [&new(Some(5_001))[..], &[end], &new(Some(5_001))].concat();
    assert_eq!(raw(&list).conversations.len(), 2);
}

#[test]
fn syns_that_come_twice_or_late_change_nothing() {
    let (up, down) = (said(Way::Up), said(Way::Down));
    let syns = [Tcp::syn(Way::Up, 100), Tcp { ack: Some(101), ..Tcp::syn(Way::Down, 200) }];
    let data = [Tcp::data(Way::Up, 101, &up), Tcp::data(Way::Down, 201, &down)];
    for list in [
        [&syns[..], &syns, &data].concat(),
        [&syns[..], &data, &syns].concat(),
        [&[syns[1], syns[0]], &data[..]].concat(),
        [&data[..1], &syns, &data[1..]].concat(),
    ] {
        let capture = raw(&list);
        let [conversation] = &capture.conversations[..] else { panic!("{list:?}: {capture:?}") };
        assert_eq!(conversation.pdus.len(), 6, "{list:?}");
        assert_eq!(conversation.esme.port(), crate::wire::ESME.1);
    }
}

#[test]
fn more_than_ten_thousand_connections_at_once_cost_the_oldest_tenth() {
    let pdus = conversation();
    let of = |port: u16, list: &[Tcp<'_>]| -> Vec<Vec<u8>> {
        list.iter().map(|packet| Tcp { port, ..*packet }.wrapped(Wrap::Raw)).collect()
    };
    let bind = Tcp::data(Way::Up, 101, &pdus[0].1);
    let rest = Tcp::data(Way::Up, 101 + u32::try_from(pdus[0].1.len()).unwrap(), &pdus[2].1);
    let ports = |count: u16| 20_000..20_000 + count;
    let open: Vec<_> = ports(10_000).flat_map(|port| of(port, &[Tcp::syn(Way::Up, 100), bind])).collect();
    let again = [of(20_999, &[rest]), of(21_000, &[rest])].concat();

    let capture = read(101, &[&open[..], &again].concat());
    assert_eq!((capture.conversations.len(), capture.notes.len()), (10_000, 0));

    let one_more = of(30_000, &[Tcp::syn(Way::Up, 100), bind]);
    let capture = read(101, &[open.clone(), one_more.clone(), again.clone()].concat());
    // The last of the tenth goes on as a conversation of its own; the first behind it goes on as itself.
    assert_eq!(capture.conversations.len(), 10_002);
    let counts = |port: u16| -> Vec<usize> {
        let found = capture.conversations.iter().filter(|found| found.esme.port() == port);
        found.map(|found| found.pdus.len()).collect()
    };
    assert_eq!((counts(20_999), counts(21_000), counts(30_000)), (vec![1, 1], vec![2], vec![1]));
    let [note] = &capture.notes[..] else { panic!("{:?}", capture.notes) };
    assert!(note.contains("more than 10000 connections") && note.contains("the 1000 that began first"), "{note}");

    // Those that have ended go first, and then nothing is lost.
    let ended: Vec<_> = ports(1_001)
        .map(|port| 10_000 - 1_001 + port)
        .flat_map(|port| of(port, &[Tcp { fin: true, ..Tcp::data(Way::Up, rest.sequence, &[]) }]))
        .collect();
    let capture = read(101, &[open, ended, one_more, again].concat());
    assert_eq!((capture.conversations.len(), capture.notes), (10_001, vec![]));
}

#[test]
fn what_waits_behind_a_gap_counts_with_what_it_costs_to_hold() {
    let bind = conversation().swap_remove(0).1;
    let from = 101 + u32::try_from(bind.len()).unwrap();
    // A first submit that comes last, and behind it others in segments of one octet each.
    let late = octets(submit("late"), 2);
    let text: Vec<u8> = (3..).take(4_000).flat_map(|n| octets(submit("some text"), n)).collect();
    let missing = |count: usize| {
        let behind = from + u32::try_from(late.len()).unwrap();
        let mut list = vec![Tcp::syn(Way::Up, 100), Tcp::data(Way::Up, 101, &bind)];
        list.extend((behind..).zip(text.chunks(1)).take(count).map(|(at, octet)| Tcp::data(Way::Up, at, octet)));
        list.push(Tcp::data(Way::Up, from, &late));
        let capture = raw(&list);
        let lost = capture.notes.iter().any(|note| note.contains("octets are missing"));
        let found = capture.conversations[0].pdus.iter().any(|pdu| pdu.raw.sequence.0 == 2);
        assert_ne!(lost, found, "{:?}", capture.notes);
        lost
    };
    assert!(!missing(20_000));
    // Not even 100 KiB, but well above 4 MiB with a hundred octets for each.
    assert!(missing(60_000));
}

#[test]
fn what_the_other_end_has_acknowledged_and_nobody_has_captured_is_given_up_soon() {
    let mut pdus = conversation();
    for n in 10..16 {
        pdus.push((Way::Up, octets(submit(&format!("text {n}")), n)));
        pdus.push((Way::Down, octets(SubmitSmResp::default(), n)));
    }
    let list = packets(Wrap::Raw, &pdus, 1);
    let file = |acknowledge: bool, seconds: u64| {
        let mut at = Duration::ZERO;
        let mut timed_packets = Vec::new();
        for (index, packet) in list.iter().enumerate() {
            at += Duration::from_millis(10);
            match index {
                // Two packets of the ESME, apart from each other, that the capture does not have.
                8 | 14 => continue,
                11 => at += Duration::from_secs(seconds),
                _ => {}
            }
            timed_packets.push((at, packet.clone()));
            let up: usize = pdus[..index.saturating_sub(1)]
                .iter()
                .filter(|(way, _)| *way == Way::Up)
                .map(|(_, octets)| octets.len())
                .sum();
            if acknowledge {
                let ack = Tcp { ack: Some(2 + u32::try_from(up).unwrap()), ..Tcp::data(Way::Down, 1, &[]) };
                timed_packets.push((at, ack.wrapped(Wrap::Raw)));
            }
        }
        timed(101, &timed_packets)
    };
    // The packet at which the first of them was given up, and that of them all.
    let noted = |file: Vec<u8>| {
        let capture = read_from(Cursor::new(file)).unwrap();
        let mut rest = pdus.clone();
        rest.remove(12);
        rest.remove(6);
        assert_eq!(raws(&capture.conversations[0]), expected(&rest));
        let missing = |note: &&String| note.contains("octets are missing");
        let notes: Vec<_> = capture.notes.iter().filter(missing).collect();
        assert_eq!(notes.len(), 2, "{:?}", capture.notes);
        notes[0].split([' ', ',']).nth(1).unwrap().parse::<usize>().unwrap()
    };
    // At the end when nothing tells sooner, after a minute, and a second after it was acknowledged.
    assert_eq!(noted(file(false, 0)), list.len() - 2);
    assert_eq!(noted(file(false, 50)), list.len() - 2);
    assert_eq!(noted(file(false, 70)), 11);
    assert_eq!(noted(file(true, 2)), 21);
}

#[test]
fn what_waits_in_all_connections_together_is_bounded() {
    let bind = conversation().swap_remove(0).1;
    let mut long = submit("");
    long.tlvs.push(smpp::Tag::MESSAGE_PAYLOAD, &[b'x'; 1_350]);
    let long = octets(long, 2);
    let (first, length) = (101 + u32::try_from(bind.len()).unwrap(), u32::try_from(long.len()).unwrap());
    let mut list = Vec::new();
    for port in 40_000..40_096 {
        // The first of them is missing.
        let behind = (2..502).map(|n| Tcp::data(Way::Up, first + n * length, &long));
        let of = [Tcp::syn(Way::Up, 100), Tcp::data(Way::Up, 101, &bind)].into_iter().chain(behind);
        list.extend(of.map(|packet| Tcp { port, ..packet }.wrapped(Wrap::Raw)));
    }
    let capture = read(101, &list);
    assert!(capture.conversations.iter().all(|found| found.pdus.len() == 501));
    let told = capture.notes.iter().filter(|note| note.contains("more than 64 MiB wait")).count();
    assert_eq!((capture.conversations.len(), told), (96, 1));
}
