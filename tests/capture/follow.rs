//! Captures that are read while they are being written.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, channel};

use maybug::capture::{CaptureError, Followed, follow, read};

use smpp::pdu::{EnquireLink, EnquireLinkResp};

use crate::wire::{ESME, SMSC, Tcp, Way, Wrap, conversation, octets, packets, pcap, submit};

/// A pipe that says when everything in it was read.
struct Pipe {
    pieces: Receiver<Vec<u8>>,
    wants: Sender<()>,
    rest: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            let _ = self.wants.send(());
            self.rest = self.pieces.recv().unwrap_or_default();
        }
        let count = self.rest.len().min(into.len());
        into[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

/// What was shown after each piece.
fn shown(pieces: Vec<Vec<u8>>) -> Vec<Vec<Followed>> {
    let ((give, pieces_in), (wants, wanted)) = (channel(), channel());
    let (say, said) = channel();
    let reader = std::thread::spawn(move || {
        let pipe = Pipe { pieces: pieces_in, wants, rest: Vec::new() };
        follow::<CaptureError>(pipe, |followed| {
            say.send(followed).unwrap();
            Ok(())
        })
    });
    let mut shown = Vec::new();
    for piece in pieces {
        wanted.recv().unwrap();
        shown.push(said.try_iter().collect());
        give.send(piece).unwrap();
    }
    wanted.recv().unwrap();
    shown.push(said.try_iter().collect());
    drop(give);
    reader.join().unwrap().unwrap();
    shown.push(said.iter().collect());
    shown
}

/// Why nothing more is to be shown.
struct Enough;

impl From<CaptureError> for Enough {
    fn from(error: CaptureError) -> Self {
        panic!("{error}")
    }
}

fn sequences(shown: &[Followed]) -> Vec<(u64, u32)> {
    let pdu = |followed: &Followed| match followed {
        Followed::Pdu { conversation, pdu, .. } => Some((*conversation, pdu.raw.sequence.0)),
        _ => None,
    };
    shown.iter().filter_map(pdu).collect()
}

#[test]
fn every_pdu_is_shown_as_soon_as_it_is_there() {
    let file = pcap(1, &packets(Wrap::Ethernet, &conversation(), 1));
    // The header in two pieces, then packet by packet, each in two pieces.
    let mut pieces = vec![file[..3].to_vec(), file[3..24].to_vec()];
    let mut rest = &file[24..];
    while let Some(length) = rest.get(8..12) {
        let length = 16 + usize::try_from(u32::from_le_bytes(length.try_into().unwrap())).unwrap();
        pieces.extend([rest[..5].to_vec(), rest[5..length].to_vec()]);
        rest = &rest[length..];
    }
    let shown = shown(pieces);
    let counts: Vec<usize> = shown.iter().map(|shown| sequences(shown).len()).collect();
    // Two pieces of the header and four of the SYNs, then one PDU in the second piece of each packet.
    assert_eq!(counts, [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]);
    assert_eq!(shown.concat().last(), Some(&Followed::Ended { conversation: 1 }));
}

#[test]
fn a_gap_holds_pdus_up_for_a_second_of_the_capture_at_most() {
    let mut pdus = conversation();
    pdus.extend((10..20).map(|n| (Way::Up, octets(submit("on and on"), n))));
    let whole = packets(Wrap::Raw, &pdus, 1);
    let up: usize = pdus[..8].iter().filter(|(way, _)| *way == Way::Up).map(|(_, octets)| octets.len()).sum();
    let ack = |seconds: u64| {
        let ack = Tcp { ack: Some(2 + u32::try_from(up).unwrap()), ..Tcp::data(Way::Down, 1, &[]) };
        (std::time::Duration::from_secs(seconds), ack.wrapped(Wrap::Raw))
    };
    let mut timed: Vec<_> = whole.iter().map(|packet| (std::time::Duration::ZERO, packet.clone())).collect();
    // The first of the ten is lost; of the others the SMSC has acknowledged some.
    timed.remove(2 + 6);
    timed.extend([ack(0), ack(3)]);
    let mut found = Vec::new();
    let file = crate::wire::timed(101, &timed);
    follow::<CaptureError>(io::Cursor::new(file), |followed| {
        found.push(followed);
        Ok(())
    })
    .unwrap();
    let sequences = sequences(&found);
    assert_eq!(sequences.len(), 6 + 9, "{sequences:?}");
    assert!(matches!(&found[6], Followed::Note(note) if note.contains("octets are missing")), "{:?}", found[6]);
}

#[test]
fn following_a_file_shows_what_reading_it_shows() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/pcap");
    for entry in std::fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            continue;
        }
        let mut pdus = Vec::new();
        follow::<CaptureError>(std::fs::File::open(&path).unwrap(), |followed| {
            if let Followed::Pdu { conversation, esme, smsc, pdu } = followed {
                assert_eq!(conversation, 1);
                pdus.push((esme, smsc, pdu));
            }
            Ok(())
        })
        .unwrap();
        let capture = read(&path).unwrap();
        let [conversation] = &capture.conversations[..] else { panic!("{}", path.display()) };
        let expected = conversation.pdus.iter().map(|pdu| (conversation.esme, conversation.smsc, pdu.clone()));
        assert_eq!(pdus, expected.collect::<Vec<_>>());
    }
    // Whoever shows may have enough.
    let file = pcap(1, &packets(Wrap::Ethernet, &conversation(), 1));
    let mut count = 0;
    let enough = follow::<Enough>(io::Cursor::new(file), |_| {
        count += 1;
        if count < 3 { Ok(()) } else { Err(Enough) }
    });
    assert!(enough.is_err() && count == 3, "{count}");
}

#[test]
fn a_link_check_in_the_middle_of_an_idle_connection_is_shown_at_once() {
    let pdus = [(Way::Up, octets(EnquireLink::default(), 7)), (Way::Down, octets(EnquireLinkResp::default(), 7))];
    let mut list = packets(Wrap::Raw, &pdus, 1);
    // Who has connected was before.
    list.drain(..2);
    let file = pcap(101, &list);
    let shown = shown(vec![file]);
    let [_, now, _] = &shown[..] else { panic!("{shown:?}") };
    let Some(Followed::Pdu { esme, smsc, .. }) = now.first() else { panic!("{now:?}") };
    assert_eq!((now.len(), esme.port(), smsc.port()), (2, ESME.1, SMSC.1));
}
