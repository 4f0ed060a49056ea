//! IP packets that arrive in fragments.

use std::time::Duration;

use maybug::capture::read_from;

use crate::wire::{Tcp, Way, Wrap, conversation, expected, octets, packets, raws, read, submit, timed};

/// An IP packet in pieces of so many octets, which are a multiple of 8.
fn pieces(packet: &[u8], identification: u16, size: usize) -> Vec<Vec<u8>> {
    let six = packet[0] >> 4 == 6;
    let (head, payload) = packet.split_at(if six { 40 } else { 20 });
    let mut out = Vec::new();
    for (index, piece) in payload.chunks(size).enumerate() {
        let more = (index + 1) * size < payload.len();
        let offset = u16::try_from(index * size / 8).unwrap();
        let mut head = head.to_vec();
        if six {
            let place = (offset << 3 | u16::from(more)).to_be_bytes();
            let id = u32::from(identification).to_be_bytes();
            head[4..6].copy_from_slice(&u16::try_from(8 + piece.len()).unwrap().to_be_bytes());
            let next = std::mem::replace(&mut head[6], 44);
            head.extend([&[next, 0][..], &place, &id].concat());
        } else {
            head[2..4].copy_from_slice(&u16::try_from(20 + piece.len()).unwrap().to_be_bytes());
            head[4..6].copy_from_slice(&identification.to_be_bytes());
            head[6..8].copy_from_slice(&(offset | u16::from(more) << 13).to_be_bytes());
        }
        head.extend(piece);
        out.push(head);
    }
    out
}

/// A packet without its Ethernet header.
fn bare(wrap: Wrap, packet: &[u8]) -> Vec<u8> {
    if matches!(wrap, Wrap::Ipv6) { packet[14..].to_vec() } else { packet.to_vec() }
}

#[test]
fn fragments_are_joined_in_any_order() {
    let mut pdus = conversation();
    pdus.push((Way::Up, octets(submit(&"a longer text ".repeat(17)), 3)));
    for wrap in [Wrap::Raw, Wrap::Ipv6] {
        let mut list = Vec::new();
        for (index, packet) in (0..).zip(packets(wrap, &pdus, 1)) {
            let mut pieces = pieces(&bare(wrap, &packet), index, 16);
            // The last first, and one of them twice.
            pieces.reverse();
            pieces.push(pieces[0].clone());
            pieces.swap(0, 1);
            if pieces.len() == 3 {
                pieces.pop();
            }
            list.extend(pieces);
        }
        let capture = read(101, &list);
        assert_eq!(raws(&capture.conversations[0]), expected(&pdus), "{wrap:?} {:?}", capture.notes);
    }
}

#[test]
fn what_does_not_come_together_is_given_up_and_counted() {
    let pdus = conversation();
    let whole = packets(Wrap::Raw, &pdus, 1);
    // The last fragments of a thousand packets that nobody has seen the rest of, and one that comes too late.
    let lost = |n: u16| pieces(&Tcp::data(Way::Down, 1, &[1; 64]).wrapped(Wrap::Raw), 1_000 + n, 24).pop().unwrap();
    let mut halves = pieces(&whole[4], 7, 24);
    let late = halves.remove(0);
    let mut list: Vec<(Duration, Vec<u8>)> = whole
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != 4)
        .map(|(_, packet)| (Duration::ZERO, packet.clone()))
        .collect();
    list.extend(halves.into_iter().map(|piece| (Duration::ZERO, piece)));
    list.extend((0..1_000).map(|n| (Duration::from_secs(1), lost(n))));
    list.push((Duration::from_secs(2), late));
    let capture = read_from(std::io::Cursor::new(timed(101, &list))).unwrap();
    assert_eq!(capture.conversations[0].pdus.len(), 5);
    let note = "1002 IP packets of which not all fragments came were passed over";
    assert!(capture.notes.iter().any(|found| found == note), "{:?}", capture.notes);
}
