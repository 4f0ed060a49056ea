//! Malformed PDUs at the simulated SMSC and at a channel: the exact answer to each, and the stream goes on where it can.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Maybug, Receiver, Smsc, soon};

/// Octets of hexadecimal digits; an `L` at the front stands for the right length.
fn octets(hex: &str) -> Vec<u8> {
    let (right, hex) = hex.strip_prefix('L').map_or((false, hex), |rest| (true, rest));
    let digits: Vec<u8> = hex.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    let octets: Vec<u8> = pairs.collect();
    let length = u32::try_from(octets.len() + 4).unwrap().to_be_bytes();
    if right { [&length[..], &octets].concat() } else { octets }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// One PDU, or nothing when the peer has closed.
async fn read_pdu(stream: &mut TcpStream) -> Option<Vec<u8>> {
    soon("a PDU", async {
        let length = stream.read_u32().await.ok()?;
        let mut pdu = length.to_be_bytes().to_vec();
        pdu.resize(usize::try_from(length).unwrap(), 0);
        stream.read_exact(&mut pdu[4..]).await.ok()?;
        Some(pdu)
    })
    .await
}

const BIND: &str = "L00000009 00000000 00000001 6573 6d65 00 7365 63 00 00 34 00 00 00";
const ENQUIRE: &str = "00000010 00000015 00000000 00000063";
const ENQUIRE_RESP: &str = "00000010800000150000000000000063";

/// What is sent after the bind, what comes back, whether the stream goes on.
const TO_SMSC: &[(&str, &str, &str, bool)] = &[
    ("an unknown request", "00000010 00000110 00000000 00000007", "00000010800000000000000300000007", true),
    (
        "an unknown request with a body",
        "00000011 00000110 00000000 00000008 ff",
        "00000010800000000000000300000008",
        true,
    ),
    ("an unknown response", "00000010 80000110 00000000 00000007", "", true),
    ("a response to nothing", "00000010 80000004 00000000 00000007", "", true),
    ("a nack of nothing", "00000010 80000000 00000003 00000000", "", true),
    ("a sequence number of zero", "00000010 00000015 00000000 00000000", "00000010800000150000000000000000", true),
    (
        "a sequence number above the range",
        "00000010 00000015 00000000 ffffffff",
        "000000108000001500000000ffffffff",
        true,
    ),
    (
        "octets behind an enquire_link",
        "00000013 00000015 00000000 00000005 010203",
        "00000010800000150000000000000005",
        true,
    ),
    (
        "a second bind",
        "L00000009 00000000 00000009 6573 6d65 00 7365 63 00 00 34 00 00 00",
        "00000011800000090000000500000009 00",
        true,
    ),
    ("a submit_sm without a body", "00000010 00000004 00000000 00000002", "00000011800000040000000200000002 00", true),
    (
        "a submit_sm that ends in an address",
        "L00000004 00000000 00000002 00010131",
        "00000011800000040000000200000002 00",
        true,
    ),
    (
        "sm_length beyond the body",
        "L00000004 00000000 00000002 00 0101 3100 0101 3200 00 00 00 00 00 00 00 00 00 0a 61",
        "00000011800000040000000100000002 00",
        true,
    ),
    (
        "a dest_flag that is none",
        "L00000021 00000000 00000002 00 0101 00 01 03 00",
        "00000012800000210000004000000002 0000",
        true,
    ),
    (
        "a deliver_sm from the wrong side",
        "L00000005 00000000 00000002 00 0101 00 0101 00 00 00 00 00 00 00 00 00 00 00",
        "00000011800000050000000400000002 00",
        true,
    ),
    ("an outbind from the wrong side", "L0000000b 00000000 00000002 0000", "", true),
    (
        "a query_sm without a message",
        "00000010 00000003 00000000 00000002",
        "00000014800000030000000200000002 00000000",
        true,
    ),
    ("a length of zero", "00000000", "00000010800000000000000200000000", false),
    ("a length of four", "00000004 00000004", "00000010800000000000000200000000", false),
    ("a length below the header", "0000000f 00000015 00000000 000000", "00000010800000000000000200000000", false),
    ("a length of gigabytes", "f0000011 00000004", "00000010800000000000000200000000", false),
    ("HTTP", "48545450 2f312e31", "00000010800000000000000200000000", false),
];

#[tokio::test]
async fn the_smsc_answers_each_and_goes_on_where_it_can() {
    let smsc = Smsc::start(Default::default()).await;
    for (what, sent, expected, goes_on) in TO_SMSC {
        let mut stream = TcpStream::connect(smsc.simulator.address()).await.unwrap();
        stream.write_all(&octets(BIND)).await.unwrap();
        assert_eq!(&read_pdu(&mut stream).await.unwrap()[4..12], [0x80, 0, 0, 9, 0, 0, 0, 0], "{what}");
        stream.write_all(&octets(sent)).await.unwrap();
        if !expected.is_empty() {
            assert_eq!(hex(&read_pdu(&mut stream).await.unwrap()), expected.replace(' ', ""), "{what}");
        }
        if *goes_on {
            stream.write_all(&octets(ENQUIRE)).await.unwrap();
            assert_eq!(hex(&read_pdu(&mut stream).await.unwrap()), ENQUIRE_RESP, "{what}");
        } else {
            assert_eq!(read_pdu(&mut stream).await, None, "{what}");
        }
    }
}

/// What a hand-made SMSC sends to a bound channel, and what it must get back.
const TO_ESME: &[(&str, &str, &str)] = &[
    (
        "sm_length beyond the body",
        "L00000005 00000000 00000002 00 0101 3100 0101 00 00 00 00 00 00 00 00 00 00 0a",
        "00000011800000050000000100000002 00",
    ),
    (
        "a submit_sm from the wrong side",
        "L00000004 00000000 00000003 00 0101 00 0101 00 00 00 00 00 00 00 00 00 00 00",
        "00000011800000040000000400000003 00",
    ),
    (
        "a bind from the wrong side",
        "L00000009 00000000 00000004 6573 6d65 00 7365 63 00 00 34 00 00 00",
        "00000011800000090000000300000004 00",
    ),
    (
        "ASCII that is none",
        "L00000005 00000000 00000005 00 0101 3100 0101 00 00 00 00 00 00 00 00 01 00 01 a7",
        "0000001180000005000000fe00000005 00",
    ),
    (
        "binary",
        "L00000005 00000000 00000006 00 0101 3100 0101 00 00 00 00 00 00 00 00 04 00 01 a7",
        "0000001180000005000000fe00000006 00",
    ),
    (
        "a header longer than the text",
        "L00000005 00000000 00000007 00 0101 3100 0101 00 40 00 00 00 00 00 00 00 00 02 09 61",
        "00000011800000050000000100000007 00",
    ),
    (
        "a receipt that says nothing",
        "L00000005 00000000 00000008 00 0101 3100 0101 00 04 00 00 00 00 00 00 00 00 01 61",
        "00000011800000050000000000000008 00",
    ),
    (
        "a receipt of nobody's",
        "L00000005 00000000 00000009 00 0101 3100 0101 00 04 00 00 00 00 00 00 00 00 18 69643a666f6f 20 737461743a44454c49565244 2020202020",
        "00000011800000050000000000000009 00",
    ),
    ("an unknown request", "00000010 00000110 00000000 0000000a", "0000001080000000000000030000000a"),
];

#[tokio::test]
async fn a_channel_answers_each_and_goes_on() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let properties = json!({"mo_url": receiver.url("/mo")});
    maybug.smpp_channel(listener.local_addr().unwrap(), json!({}), properties).await;
    let (mut stream, _) = soon("the channel", listener.accept()).await.unwrap();
    let bind = read_pdu(&mut stream).await.unwrap();
    stream.write_all(&[&octets("00000011 80000009 00000000")[..], &bind[12..16], &[0]].concat()).await.unwrap();
    for (what, sent, expected) in TO_ESME {
        stream.write_all(&octets(sent)).await.unwrap();
        assert_eq!(hex(&read_pdu(&mut stream).await.unwrap()), expected.replace(' ', ""), "{what}");
    }
    let good = "L00000005 00000000 000000ff 00 0101 3100 0101 00 00 00 00 00 00 00 00 01 00 02 6869";
    stream.write_all(&octets(good)).await.unwrap();
    assert_eq!(hex(&read_pdu(&mut stream).await.unwrap()), "000000118000000500000000000000ff00");
    assert_eq!(receiver.next().await.body["content"], "hi");
}
