//! What is taken for SMPP, and what is not.

use maybug::capture::Sender;
use smpp::pdu::{EnquireLink, EnquireLinkResp, GenericNack, SubmitSmResp};
use smpp::{CommandId, CommandStatus};

use crate::wire::{Tcp, Way, Wrap, conversation, expected, octets, packets, raws, read, submit};

/// A message of a protocol with a length in front and three words behind it.
fn frame(words: [u32; 3], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    [length].iter().chain(&words).flat_map(|word| word.to_be_bytes()).chain(body.iter().copied()).collect()
}

/// A CMPP message: length, command, sequence number (12 octets), body.
fn cmpp(command: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(12 + body.len()).unwrap();
    let words = [length, command, sequence];
    words.iter().flat_map(|word| word.to_be_bytes()).chain(body.iter().copied()).collect()
}

/// Octets, and which way they went.
type Said = (Way, Vec<u8>);

/// Connections of other protocols whose messages begin with a length and a small number.
fn foreign() -> Vec<(&'static str, Vec<Said>)> {
    let json = br#"{"method":"subscribe","topic":"orders"}"#;
    let types = (0..20).flat_map(|n| {
        let kind = if n % 2 == 0 { 0x0c } else { 0x102 };
        [(Way::Up, frame([kind, 0, n], json)), (Way::Down, frame([0x60 + kind, 0, n], json))]
    });
    let statuses = (0..20).map(|n| (Way::Up, frame([n % 9 + 1, 0x5100_0000, n], json)));
    // Numbers that SMPP has, and bodies that it has not.
    let commands = (0..20).map(|n| (Way::Up, frame([4 + n % 2, 0, n], json)));
    // CMPP_CONNECT, its answer, then submits and answers.
    let md5 = [0x9c, 0x1f, 0xd0, 0xe3, 0x88, 0x42, 0xba, 0x07, 0x6e, 0xc5, 0xff, 0x13, 0x5a, 0x90, 0xee, 0x21];
    let connect = [b"901234", &md5[..], &[0x20], &[0x3b, 0x9a, 0xca, 0x00]].concat();
    let chinese = |first: u32| {
        let mut chinese = vec![
            (Way::Up, cmpp(1, first, &connect)),
            (Way::Down, cmpp(0x8000_0001, first, &[&[0], &md5[..], &[0x20]].concat())),
        ];
        chinese.extend((first + 1..20).flat_map(|n| {
            [(Way::Up, cmpp(4, n, &[7; 140])), (Way::Down, cmpp(0x8000_0004, n, &[&[1; 8][..], &[0]].concat()))]
        }));
        chinese
    };
    // Kafka: length, API 0 (produce) in version 4, correlation id, client.
    let kafka = (0..20).flat_map(|n: u32| {
        let produce = [&4_u32.to_be_bytes()[..], &n.to_be_bytes(), b"\0\x08producer", &[0xff; 60]].concat();
        let answer = [&n.to_be_bytes()[..], &[0, 0, 0, 1, 0, 6], b"orders", &[0; 30]].concat();
        let with_length = |octets: Vec<u8>| [&u32::try_from(octets.len()).unwrap().to_be_bytes()[..], &octets].concat();
        [(Way::Up, with_length(produce)), (Way::Down, with_length(answer))]
    });
    vec![
        ("types that no version has", types.collect()),
        ("requests with a status", statuses.collect()),
        ("bodies that are none", commands.collect()),
        ("CMPP numbered from 0", chinese(0)),
        ("CMPP numbered from 1", chinese(1)),
        ("Kafka", kafka.collect()),
    ]
}

#[test]
fn other_protocols_with_a_length_in_front_are_not_malformed_smpp() {
    for (name, said) in foreign() {
        let whole = packets(Wrap::Ethernet, &said, 1);
        for (begins, packets) in [("from its beginning", &whole[..]), ("from the middle on", &whole[5..])] {
            let capture = read(1, packets);
            assert_eq!(capture.conversations, [], "{name} {begins}");
            assert_eq!(capture.notes, Vec::<String>::new(), "{name} {begins}");
        }
    }
}

#[test]
fn commands_that_no_version_has_are_pdus_once_the_connection_is_known() {
    let mut said = conversation();
    let nack = |sequence| {
        let pdu = smpp::Pdu::from(GenericNack::default());
        let raw = pdu.to_raw(CommandStatus::ESME_RINVCMDID, smpp::SequenceNumber(sequence));
        let mut octets = bytes::BytesMut::new();
        raw.encode(&mut octets);
        octets.to_vec()
    };
    for (n, command) in (10..).zip([0x0000_0abc, 0x0001_0203, 0x1234_5678, 0x0000_0022]) {
        said.push((Way::Up, frame([command, 0, n], b"whatever it says")));
        said.push((Way::Down, nack(n)));
    }
    // A request with a status is against the standard, and seen.
    said.push((Way::Up, frame([CommandId::ENQUIRE_LINK.0, 8, 20], b"")));
    said.push((Way::Up, octets(submit("and on it goes"), 21)));
    let capture = read(1, &packets(Wrap::Ethernet, &said, 1));
    assert_eq!(capture.notes, Vec::<String>::new());
    assert_eq!(raws(&capture.conversations[0]), expected(&said));
}

#[test]
fn a_bind_that_cannot_be_read_is_shown_whether_it_is_answered_or_not() {
    // The NUL of its address_range is missing.
    let bind = frame([CommandId::BIND_TRANSCEIVER.0, 0, 1], b"maybug\0secret\0\0\x34\0\0");
    let with_status = frame([CommandId::BIND_TRANSCEIVER.0, 5, 1], b"\0secret\0\0\x34\0\0\0");
    let refused = frame([CommandId::BIND_TRANSCEIVER_RESP.0, 0x0000_000e, 1], b"");
    for said in [
        vec![(Way::Up, bind.clone())],
        vec![(Way::Up, bind), (Way::Down, refused.clone())],
        vec![(Way::Up, with_status), (Way::Down, refused)],
    ] {
        let capture = read(1, &packets(Wrap::Ethernet, &said, 1));
        assert_eq!(raws(&capture.conversations[0]), expected(&said));
    }
}

#[test]
fn in_the_middle_of_a_connection_one_answered_request_or_some_whole_ones_are_enough() {
    let link = [(Way::Up, octets(EnquireLink::default(), 7)), (Way::Down, octets(EnquireLinkResp::default(), 7))];
    let one_way: Vec<_> = (1..6).map(|n| (Way::Up, octets(submit(&format!("text {n}")), n))).collect();
    for said in [&link[..], &link[..1], &one_way, &one_way[..1]] {
        let capture = read(1, &packets(Wrap::Ethernet, said, 1)[2..]);
        assert_eq!(raws(&capture.conversations[0]), expected(said));
    }
    // Ahead of them the rest of something longer, in which words of PDUs occur.
    let mut list = packets(Wrap::Ethernet, &one_way, 1_000);
    let rest = [&b"... the end of a text\0\0\0\x15\0\0\0\0"[..], &[0; 40]].concat();
    list[1] = Tcp::data(Way::Up, 1_001 - u32::try_from(rest.len()).unwrap(), &rest).wrapped(Wrap::Ethernet);
    assert_eq!(raws(&read(1, &list[1..]).conversations[0]), expected(&one_way));
}

#[test]
fn what_a_proxy_says_in_front_costs_no_more_than_the_first_pdus() {
    let mut said = conversation();
    said[0].1 = [b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 2775\r\n", &said[0].1[..]].concat();
    for n in 10..20 {
        said.push((Way::Up, octets(submit(&format!("text {n}")), n)));
        said.push((Way::Down, octets(SubmitSmResp::default(), n)));
    }
    let capture = read(1, &packets(Wrap::Ethernet, &said, 1));
    let found = raws(&capture.conversations[0]);
    let count = |wanted| found.iter().filter(|(sender, _)| *sender == wanted).count();
    // Three of the SMSC's show what it is, and what the ESME says after that is read.
    assert_eq!((count(Sender::Smsc), count(Sender::Esme)), (13, 11), "{:?}", capture.notes);
}
