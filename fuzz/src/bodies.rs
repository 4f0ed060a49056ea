// What each target asserts of any octets. Included by the fuzz targets and by the test that replays their corpus.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use smpp::pdu::{Bind, BindMode, BindResp, DeliverSm, SubmitSm};
use smpp::receipt::{IdRule, Receipt, StatusMapping, receipt_text};
use smpp::session::{Event, SessionConfig, answer_to};
use smpp::testing::{End, Link, Pair};
use smpp::text::segment::{Split, split};
use smpp::text::udh::Udh;
use smpp::text::{Encoded, Charset, charset_of};
use smpp::{CommandId, CommandStatus, DataCoding, Description, Pdu, RawPdu, SequenceNumber, Tlvs};

/// Header and body of one PDU: decoding neither panics nor loses what it accepts.
pub fn decode(data: &[u8]) {
    let Some((head, body)) = data.split_first_chunk::<8>() else { return };
    let [id, status] = [&head[..4], &head[4..]].map(|word| u32::from_be_bytes(word.try_into().unwrap()));
    let body = Bytes::copy_from_slice(body);
    let raw = RawPdu { id: CommandId(id), status: CommandStatus(status), sequence: SequenceNumber(1), body };
    let _ = Description::of(&raw).to_string();
    if let Ok(pdu) = Pdu::decode(&raw) {
        assert_eq!(pdu.command_id(), raw.id);
        let again = pdu.to_raw(raw.status, raw.sequence);
        if !matches!(pdu, Pdu::NoBody(_)) {
            assert_eq!(Pdu::decode(&again), Ok(pdu));
        }
    }
}

/// A stream: any cut gives the same frames, and frames give the same octets.
pub fn stream(data: &[u8]) {
    let Some((cut, data)) = data.split_first() else { return };
    let frames = |pieces: &[&[u8]]| {
        let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match RawPdu::split(&mut buffer, 70_000) {
                    Ok(Some(raw)) => frames.push(raw),
                    Ok(None) => break,
                    Err(_) => return frames,
                }
            }
        }
        frames
    };
    let whole = frames(&[data]);
    let (front, back) = data.split_at(usize::from(*cut).min(data.len()));
    assert_eq!(whole, frames(&[front, back]));
    let mut out = BytesMut::new();
    whole.iter().for_each(|raw| raw.encode(&mut out));
    assert_eq!(out, data[..out.len()]);
}

/// Operations on both ends of a link, an octet each: it always ends.
pub fn session(data: &[u8]) {
    let config = SessionConfig { response_timeout: Duration::from_secs(5), ..SessionConfig::default() };
    let mut pair: Pair<usize> = Pair::new(config.clone(), config, Link { latency: Duration::from_millis(3), split: 7 });
    let now = pair.now;
    pair.esme.bind(now, BindMode::Transceiver, Bind::default()).unwrap();
    for (index, octet) in data.iter().take(300).enumerate() {
        let now: Instant = pair.now;
        let end = if octet & 1 == 0 { End::Esme } else { End::Smsc };
        match octet >> 1 & 7 {
            0 | 1 => {
                let pdu: Pdu =
                    if end == End::Esme { SubmitSm::default().into() } else { DeliverSm::default().into() };
                let _ = pair.end(end).request(now, &pdu, index);
            }
            2 => pair.inject(end, &data[index..data.len().min(index + 40)]),
            3 if octet >> 4 == 0 => pair.end(end).unbind(now),
            4 if octet >> 4 == 0 => pair.cut(),
            _ => {
                for (end, event) in pair.step().unwrap_or_default() {
                    let now = pair.now;
                    let (sequence, answer) = match event {
                        Event::BindRequest { sequence, mode, .. } => {
                            (sequence, Some(Pdu::BindResp(mode, BindResp::default())))
                        }
                        Event::Request { sequence, pdu } => (sequence, answer_to(pdu.command_id())),
                        _ => continue,
                    };
                    if let Some(answer) = answer {
                        let _ = pair.end(end).respond(now, sequence, CommandStatus::ESME_ROK, &answer);
                    }
                }
            }
        }
    }
}

/// A receipt's text and parameters.
pub fn receipt(data: &[u8]) {
    let Some((coding, data)) = data.split_first() else { return };
    let (text, tlvs) = data.split_at(data.len() / 2);
    let text = receipt_text(DataCoding(*coding), &Bytes::copy_from_slice(text));
    let tlvs = Tlvs::from_octets(Bytes::copy_from_slice(tlvs));
    if let Some(receipt) = Receipt::parse(&tlvs, &text) {
        let _ = StatusMapping::default().delivery(&receipt.state);
        assert!(!IdRule::Any.forms(&receipt.smsc_message_id).is_empty());
        let _ = receipt.format();
    }
}

/// Text in every character set, and headers.
pub fn text(data: &[u8]) {
    let Some((coding, data)) = data.split_first() else { return };
    let _ = Udh::split(&Bytes::copy_from_slice(data)).map(|udh| (udh.concat(), udh.ports()));
    let charset = charset_of(DataCoding(*coding)).unwrap_or(Charset::Ucs2);
    let _ = charset.decode_lossy(data);
    // A byte order mark is none at the beginning of a segment read by itself.
    if let Ok(text) = charset.decode(data).map(|text| text.replace('\u{feff}', "")) {
        for charset in [Charset::Gsm7, Charset::Ucs2, Charset::Utf8] {
            let Ok(octets) = charset.encode(&text) else { continue };
            let encoded = Encoded::new(charset, DataCoding(*coding), octets);
            let Ok(pieces) = split(&encoded, Split::Udh8) else { continue };
            let read: String = pieces.iter().filter_map(|piece| charset.decode(piece).ok()).collect();
            assert_eq!(read, charset.decode(&encoded.octets).unwrap_or_default());
        }
    }
}
