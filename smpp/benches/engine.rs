//! Decoding, encoding, splitting and a session, each beside what it cannot be faster than.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::Instant;

use bytes::{BufMut, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use smpp::pdu::{Bind, BindMode, BindResp, SubmitSm, SubmitSmResp};
use smpp::session::{Event, Role, Session, SessionConfig};
use smpp::text::segment::{Split, split};
use smpp::text::{self, Charset};
use smpp::{
    Address, CommandStatus, Npi, Pdu, RawPdu, RegisteredDelivery, SequenceNumber, ShortMessage, Tag, Tlvs, Ton,
};

/// A usual submit_sm: 160 octets of text, three optional parameters.
fn submit() -> SubmitSm {
    let mut tlvs = Tlvs::default();
    tlvs.push_integer(Tag::USER_MESSAGE_REFERENCE, 7);
    tlvs.push_integer(Tag::SOURCE_PORT, 9200);
    tlvs.push_integer(Tag::PAYLOAD_TYPE, 0);
    SubmitSm {
        source: Address { ton: Ton::ALPHANUMERIC, npi: Npi::UNKNOWN, digits: "Maybug".try_into().unwrap_or_default() },
        destination: Address {
            ton: Ton::INTERNATIONAL,
            npi: Npi::ISDN,
            digits: "27820001001".try_into().unwrap_or_default(),
        },
        registered_delivery: RegisteredDelivery::RECEIPT,
        short_message: ShortMessage::new(vec![b'x'; 160]).unwrap_or_default(),
        tlvs,
        ..SubmitSm::default()
    }
}

/// The least that decoding can do: every string copied out, nothing checked twice.
fn copy_fields(body: &[u8]) -> Option<[Vec<u8>; 6]> {
    let mut rest = body;
    let mut string = |skip: usize| -> Option<Vec<u8>> {
        rest = rest.get(skip..)?;
        let end = rest.iter().position(|octet| *octet == 0)?;
        let (text, after) = rest.split_at(end);
        rest = after.get(1..)?;
        Some(text.to_vec())
    };
    let strings = [string(0)?, string(2)?, string(2)?, string(3)?, string(0)?];
    let length = usize::from(*rest.get(4)?);
    let message = rest.get(5..5 + length)?.to_vec();
    let [service, source, destination, schedule, validity] = strings;
    Some([service, source, destination, [schedule, validity].concat(), message, rest.get(5 + length..)?.to_vec()])
}

fn codec(criterion: &mut Criterion) {
    let pdu = Pdu::from(submit());
    let raw = pdu.to_raw(CommandStatus::ESME_ROK, SequenceNumber(7));
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode", |bencher| bencher.iter(|| Pdu::decode(black_box(&raw))));
    group.bench_function("decode, hand-written copy", |bencher| bencher.iter(|| copy_fields(black_box(&raw.body))));
    let mut out = BytesMut::with_capacity(4_096);
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&pdu).encode(CommandStatus::ESME_ROK, SequenceNumber(7), &mut out);
        });
    });
    group.bench_function("encode, hand-written copy", |bencher| {
        bencher.iter(|| {
            out.clear();
            out.put_slice(&[0; 16]);
            out.put_slice(black_box(&raw.body));
        });
    });
}

fn segment(criterion: &mut Criterion) {
    let gsm = "The quick brown fox jumps over [the] lazy dog. ".repeat(20);
    let ucs2 = "Příliš žluťoučký kůň úpěl ďábelské ódy 😀. ".repeat(20);
    let mut group = criterion.benchmark_group("segment");
    for (name, text) in [("GSM 03.38", gsm), ("UCS-2", ucs2)] {
        group.throughput(Throughput::Elements(u64::try_from(text.chars().count()).unwrap_or(1)));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let encoded = text::encode(black_box(&text));
                split(&encoded, Split::Udh8).map(|pieces| pieces.len())
            });
        });
    }
    let octets = Charset::Ucs2.encode(&"ж".repeat(70)).unwrap_or_default();
    group.bench_function("decode UCS-2", |bencher| bencher.iter(|| Charset::Ucs2.decode(black_box(&octets))));
}

/// Both ends in one thread: what the engine itself costs per message, without any I/O.
fn window(criterion: &mut Criterion) {
    let now = Instant::now();
    let window = NonZeroUsize::new(100).unwrap_or(NonZeroUsize::MIN);
    let config = SessionConfig { window, ..SessionConfig::default() };
    let mut esme: Session<u32> = Session::new(config.clone(), now);
    let mut smsc: Session<u32> = Session::new(SessionConfig { role: Role::Smsc, ..config }, now);
    let (mut up, mut down) = (BytesMut::new(), BytesMut::new());
    let submit = Pdu::from(submit());
    let response = Pdu::from(SubmitSmResp { message_id: "17a2b".try_into().unwrap_or_default(), ..Default::default() });
    let bound = esme.bind(now, BindMode::Transceiver, Bind::default());
    assert!(bound.is_ok());
    let mut exchange = move |messages: u32| {
        for token in 0..messages {
            let _ = esme.request(now, &submit, token);
        }
        while let Some(octets) = esme.poll_transmit() {
            up.extend_from_slice(&octets);
        }
        while let Ok(Some(raw)) = RawPdu::split(&mut up, 70_000) {
            smsc.handle_pdu(now, raw);
        }
        while let Some(event) = smsc.poll_event() {
            let _ = match event {
                Event::BindRequest { sequence, mode, .. } => {
                    smsc.respond(now, sequence, CommandStatus::ESME_ROK, &Pdu::BindResp(mode, BindResp::default()))
                }
                Event::Request { sequence, .. } => smsc.respond(now, sequence, CommandStatus::ESME_ROK, &response),
                _ => Ok(()),
            };
        }
        while let Some(octets) = smsc.poll_transmit() {
            down.extend_from_slice(&octets);
        }
        while let Ok(Some(raw)) = RawPdu::split(&mut down, 70_000) {
            esme.handle_pdu(now, raw);
        }
        std::iter::from_fn(|| esme.poll_event()).count()
    };
    exchange(0);
    let mut group = criterion.benchmark_group("session");
    group.throughput(Throughput::Elements(100));
    group.bench_function("100 submits and their responses", |bencher| {
        bencher.iter(|| assert_eq!(exchange(100), 100));
    });
}

criterion_group!(benches, codec, segment, window);
criterion_main!(benches);
