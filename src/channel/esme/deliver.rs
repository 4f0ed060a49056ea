//! What a deliver_sm or data_sm is: a receipt, a segment, a USSD step, or an MO (field guide §3.3, §4.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use smpp::pdu::{DataSm, DeliverSm};
use smpp::receipt::{Delivery, Receipt, receipt_text};
use smpp::text::content::Content;
use smpp::text::national::Language;
use smpp::text::reassemble::Segment;
use smpp::text::udh::{CONCAT_8, CONCAT_16, Concat, Udh};
use smpp::text::{Charset, Tables, charset_of};
use smpp::ussd::Ussd;
use smpp::{Address, CommandStatus, DataCoding, EsmClass, MessageType, Npi, Tag, Tlvs, Ton};

use super::config::DeliverConfig;
use crate::model::{ChannelId, DeliveryStatus, Inbound, JsonObject, MessageId, Timestamp};

/// The parts of deliver_sm and data_sm that matter.
#[derive(Clone, Debug)]
pub(super) struct Delivered {
    pub(super) source: Address,
    pub(super) destination: Address,
    esm_class: EsmClass,
    data_coding: DataCoding,
    service_type: String,
    /// `message_payload` where there is one, else `short_message`.
    octets: Bytes,
    tlvs: Tlvs,
}

/// A text in pieces: which piece, its octets, the tables that its header announces.
struct Read {
    concat: Option<Concat>,
    text: Bytes,
    tables: Tables,
    ports: Option<(u16, u16)>,
}

/// A segment's own id, and what its message has beside text.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) id: MessageId,
    /// Destination and source.
    ports: Option<(u16, u16)>,
    service_type: String,
    /// Parameters of vendors, as messages show them.
    vendors: JsonObject,
}

/// What one is.
#[derive(Debug)]
pub(super) enum Kind {
    /// A receipt, and its text.
    Receipt(Box<Receipt>, String),
    /// Marked as a receipt but not readable as one: acknowledged, logged, nothing else.
    Unreadable,
    /// A segment of a long MO.
    Segment(Box<Segment<Piece>>),
    /// A whole MO, and its optional parameters.
    Message(Box<Inbound>, Tlvs),
    /// Not to be taken; answered with this.
    Refused(CommandStatus, String),
}

impl From<DeliverSm> for Delivered {
    fn from(pdu: DeliverSm) -> Self {
        let payload = pdu.tlvs.octets_of(Tag::MESSAGE_PAYLOAD);
        Self {
            source: pdu.source,
            destination: pdu.destination,
            esm_class: pdu.esm_class,
            data_coding: pdu.data_coding,
            service_type: pdu.service_type.to_text(),
            octets: payload.unwrap_or_else(|| pdu.short_message.octets().clone()),
            tlvs: pdu.tlvs,
        }
    }
}

impl From<DataSm> for Delivered {
    fn from(pdu: DataSm) -> Self {
        Self {
            source: pdu.source,
            destination: pdu.destination,
            esm_class: pdu.esm_class,
            data_coding: pdu.data_coding,
            service_type: pdu.service_type.to_text(),
            octets: pdu.tlvs.octets_of(Tag::MESSAGE_PAYLOAD).unwrap_or_default(),
            tlvs: pdu.tlvs,
        }
    }
}

impl Delivered {
    /// Decides what it is, for `channel`.
    pub(super) fn classify(self, config: &DeliverConfig, channel: &ChannelId) -> Kind {
        if let Some(receipt) = self.receipt(config) {
            return receipt;
        }
        if Ussd::of(&self.tlvs).is_some() {
            return self.ussd(config, channel);
        }
        let Read { concat, text, tables, ports } = match self.read(config) {
            Ok(read) => read,
            Err(why) => return Kind::Refused(CommandStatus::ESME_RINVMSGLEN, why),
        };
        if let Some(concat) = concat.filter(|concat| concat.total > 1) {
            if is_binary(config, self.data_coding) && config.binary.is_none() {
                return Kind::Refused(config.decoding_error, self.not_text());
            }
            let vendors = vendors(config, &self.tlvs);
            return Kind::Segment(Box::new(Segment {
                source: self.source,
                destination: self.destination,
                concat,
                data_coding: self.data_coding,
                text,
                tables,
                token: Piece { id: MessageId::mint(), ports, service_type: self.service_type, vendors },
            }));
        }
        match self.decode(config, &text, tables) {
            Ok(content) => {
                // Some SMSCs do not mark their receipts; only whoever says so has them recognised by their text.
                let receipt = (!config.use_esm_class).then(|| parse_receipt(config, &self.tlvs, &content)).flatten();
                match receipt {
                    Some(receipt) => Kind::Receipt(Box::new(receipt), content),
                    None => Kind::Message(Box::new(self.with_ports(config, channel, content, ports)), self.tlvs),
                }
            }
            Err(why) => match config.binary.filter(|_| is_binary(config, self.data_coding)) {
                Some(()) => {
                    let mut message = self.with_ports(config, channel, STANDARD.encode(&text), ports);
                    message.channel_data.insert("binary".to_owned(), json!("base64"));
                    Kind::Message(Box::new(message), self.tlvs)
                }
                None => Kind::Refused(config.decoding_error, why),
            },
        }
    }

    /// Parameters of vendors, for whoever knows them.
    pub(super) fn vendors(&self, config: &DeliverConfig) -> Option<Value> {
        Some(vendors(config, &self.tlvs)).filter(|rows| !rows.is_empty()).map(Value::Object)
    }

    fn with_ports(
        &self,
        config: &DeliverConfig,
        channel: &ChannelId,
        content: String,
        ports: Option<(u16, u16)>,
    ) -> Inbound {
        let mut message = self.message(config, channel, Some(content));
        put_ports(&mut message, ports);
        message
    }

    fn receipt(&self, config: &DeliverConfig) -> Option<Kind> {
        let in_tlvs = Receipt::in_tlvs(&self.tlvs);
        let marked = config.use_esm_class && self.esm_class.message_type() != MessageType::Default;
        if !in_tlvs && !marked {
            return None;
        }
        let text = receipt_text(self.data_coding, &self.octets);
        let receipt = parse_receipt(config, &self.tlvs, &text);
        Some(receipt.map_or(Kind::Unreadable, |receipt| Kind::Receipt(Box::new(receipt), text)))
    }

    /// The concatenation, by `sar_*` or header, and the text without header.
    fn read(&self, config: &DeliverConfig) -> Result<Read, String> {
        let unflagged = config.udh_without_flag && makes_segments(&self.octets) && !self.has_sar();
        let esm_class = if unflagged { self.esm_class | EsmClass::UDHI } else { self.esm_class };
        let content = Content::new(esm_class, self.data_coding, &self.octets, &self.tlvs);
        let content = content.map_err(|error| error.to_string())?;
        let ports = content.udh.as_ref().and_then(Udh::ports);
        let text = match charset(config, self.data_coding) {
            Some(charset) => content.aligned(charset),
            None => content.octets,
        };
        Ok(Read { concat: content.concat, text, tables: content.tables, ports })
    }

    /// Whether parameters say which segment this is; then no header has to.
    fn has_sar(&self) -> bool {
        self.tlvs.octets_of(Tag::SAR_TOTAL_SEGMENTS).is_some()
    }

    fn not_text(&self) -> String {
        format!("data_coding {} is not text", self.data_coding.0)
    }

    fn decode(&self, config: &DeliverConfig, text: &[u8], tables: Tables) -> Result<String, String> {
        let charset = charset(config, self.data_coding);
        let charset = charset.ok_or_else(|| self.not_text())?;
        if text.is_empty() && !config.allow_empty {
            return Err("the message is empty".to_owned());
        }
        if charset == Charset::Gsm7 && !tables.is_default() {
            return Ok(tables.decode(text));
        }
        charset.decode(text).map_err(|error| error.to_string())
    }

    /// A USSD turn; what it means in its session is for [`Sessions`](super::ussd::Sessions) to say.
    fn ussd(self, config: &DeliverConfig, channel: &ChannelId) -> Kind {
        let content = match self.decode(config, &self.octets, Tables::default()) {
            Ok(content) => content,
            // The end of a session needs no text.
            Err(_) if self.octets.is_empty() => String::new(),
            Err(why) => return Kind::Refused(config.decoding_error, why),
        };
        Kind::Message(Box::new(self.message(config, channel, Some(content))), self.tlvs)
    }

    fn message(&self, config: &DeliverConfig, channel: &ChannelId, content: Option<String>) -> Inbound {
        let mut message = inbound(channel, &self.source, &self.destination, content, self.data_coding);
        put_extras(&mut message, &self.service_type, vendors(config, &self.tlvs));
        message
    }
}

fn put_ports(message: &mut Inbound, ports: Option<(u16, u16)>) {
    if let Some((destination, source)) = ports {
        message.channel_data.insert("destination_port".to_owned(), json!(destination));
        message.channel_data.insert("source_port".to_owned(), json!(source));
    }
}

fn put_extras(message: &mut Inbound, service_type: &str, vendors: JsonObject) {
    message.transport_metadata.insert("service_type".to_owned(), json!(service_type));
    if !vendors.is_empty() {
        message.channel_data.insert("tlvs".to_owned(), Value::Object(vendors));
    }
}

fn inbound(
    channel: &ChannelId,
    source: &Address,
    destination: &Address,
    content: Option<String>,
    data_coding: DataCoding,
) -> Inbound {
    let mut transport_metadata = JsonObject::new();
    for (key, value) in [
        ("source_addr_ton", source.ton.0),
        ("source_addr_npi", source.npi.0),
        ("dest_addr_ton", destination.ton.0),
        ("dest_addr_npi", destination.npi.0),
        ("data_coding", data_coding.0),
    ] {
        transport_metadata.insert(key.to_owned(), json!(value));
    }
    Inbound {
        id: MessageId::mint(),
        channel: channel.clone(),
        to: destination.digits.to_text(),
        from: source.digits.to_text(),
        group: None,
        content,
        reply_to: None,
        session_event: None,
        channel_data: JsonObject::new(),
        transport_type: Some("sms".to_owned()),
        transport_metadata,
        provider: None,
        destinations: Vec::new(),
        received_at: Timestamp::now(),
    }
}

/// Parameters that the standard does not know, by the names that the channel has for them or by their tags; the first of
/// two counts.
fn vendors(config: &DeliverConfig, tlvs: &Tlvs) -> JsonObject {
    let mut rows = JsonObject::new();
    for tlv in tlvs.iter().filter(|tlv| tlv.tag.name().is_none()) {
        let (name, value) = config.vendor_tlvs.show(&tlv);
        rows.entry(name).or_insert(value);
    }
    rows
}

/// Whether the octets begin with a header that makes segments, alone and sound: the ones that Vumi looks for, its spelling
/// of the wide one put right (field guide §4.4).
fn makes_segments(octets: &[u8]) -> bool {
    match octets {
        [5, CONCAT_8, 3, _, total, part, ..] | [6, CONCAT_16, 4, _, _, total, part, ..] => (1..=*total).contains(part),
        _ => false,
    }
}

/// Whether a `data_coding` says that what follows is no text.
fn is_binary(config: &DeliverConfig, data_coding: DataCoding) -> bool {
    charset(config, data_coding).is_none()
}

/// The character set of a `data_coding`: what the operator says, else what the standard says.
fn charset(config: &DeliverConfig, data_coding: DataCoding) -> Option<Charset> {
    let overridden = config.overrides.get(&data_coding.0).copied();
    match data_coding {
        DataCoding::DEFAULT => overridden.or(config.default_alphabet),
        other => overridden.or_else(|| charset_of(other)),
    }
}

/// The text by the usual reading, over it what the operator's pattern finds, over both the parameters.
fn parse_receipt(config: &DeliverConfig, tlvs: &Tlvs, text: &str) -> Option<Receipt> {
    let mut receipt = Receipt::of_text(text);
    // A pattern that takes too many steps does not match.
    if let Some(captures) = config.regex.as_ref().and_then(|regex| regex.captures(text).ok().flatten()) {
        let group = |name: &str| {
            let found = captures.name(name).map(|found| found.as_str().trim());
            found.filter(|found| !found.is_empty()).map(str::to_owned)
        };
        if let Some(id) = group("id") {
            receipt.smsc_message_id = id;
        }
        if let Some(state) = group("stat") {
            receipt.state = state;
        }
        if let Some(err) = group("err") {
            receipt.err = Some(err);
        }
    }
    receipt.with_tlvs(tlvs)
}

/// What a receipt means, and what its event tells beyond that.
pub(super) fn report(config: &DeliverConfig, receipt: &Receipt) -> (DeliveryStatus, JsonObject) {
    let status = match config.mapping.delivery(&receipt.state) {
        Delivery::Pending => DeliveryStatus::Pending,
        Delivery::Delivered => DeliveryStatus::Delivered,
        Delivery::Failed => DeliveryStatus::Failed,
    };
    let mut details = JsonObject::new();
    details.insert("smpp_delivery_status".to_owned(), json!(receipt.state));
    if let Some(error) = receipt.network_error {
        details.insert("network_error_code".to_owned(), json!(error.code));
    } else if let Some(err) = receipt.err.as_deref().filter(|err| err.bytes().any(|octet| octet != b'0')) {
        details.insert("error_code".to_owned(), json!(err));
    }
    (status, details)
}

/// A segment as it is stored until the others come.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredSegment {
    source: (u8, u8, String),
    destination: (u8, u8, String),
    concat: (u16, u8, u8),
    data_coding: u8,
    text: Vec<u8>,
    /// Identifiers of its locking and single tables; zero is the default.
    #[serde(default)]
    tables: (u8, u8),
    #[serde(default)]
    ports: Option<(u16, u16)>,
    #[serde(default)]
    service_type: String,
    #[serde(default)]
    vendors: JsonObject,
}

impl StoredSegment {
    /// The record of a segment.
    pub(super) fn record(segment: &Segment<Piece>) -> Vec<u8> {
        let address = |address: &Address| (address.ton.0, address.npi.0, address.digits.to_text());
        let stored = Self {
            source: address(&segment.source),
            destination: address(&segment.destination),
            concat: (segment.concat.reference, segment.concat.total, segment.concat.part),
            data_coding: segment.data_coding.0,
            text: segment.text.to_vec(),
            tables: (
                segment.tables.locking.map_or(0, |language| language as u8),
                segment.tables.single.map_or(0, |language| language as u8),
            ),
            ports: segment.token.ports,
            service_type: segment.token.service_type.clone(),
            vendors: segment.token.vendors.clone(),
        };
        serde_json::to_vec(&stored).expect("numbers and strings are JSON")
    }

    /// The segment of a record; `None` for a record of another making.
    pub(super) fn restore(id: MessageId, record: &[u8]) -> Option<Segment<Piece>> {
        let stored: Self = serde_json::from_slice(record).ok()?;
        let address = |(ton, npi, digits): (u8, u8, String)| {
            let digits =
                Bytes::from(digits.chars().map(|digit| u8::try_from(digit).unwrap_or(b'?')).collect::<Vec<_>>());
            Some(Address { ton: Ton(ton), npi: Npi(npi), digits: smpp::CString::oversize(digits).ok()? })
        };
        let (reference, total, part) = stored.concat;
        Some(Segment {
            source: address(stored.source)?,
            destination: address(stored.destination)?,
            concat: Concat::new(reference, total, part)?,
            data_coding: DataCoding(stored.data_coding),
            text: stored.text.into(),
            tables: Tables {
                locking: Language::identified(stored.tables.0),
                single: Language::identified(stored.tables.1),
            },
            token: Piece { id, ports: stored.ports, service_type: stored.service_type, vendors: stored.vendors },
        })
    }
}

/// Segments, in order, as one MO. They have been acknowledged, so what cannot be read is marked, not refused.
pub(super) fn join(config: &DeliverConfig, channel: &ChannelId, segments: &[Segment<Piece>]) -> Option<Inbound> {
    let first = segments.first()?;
    let binary = segments.iter().any(|segment| is_binary(config, segment.data_coding));
    let content = if binary { STANDARD.encode(octets(segments)) } else { text(config, segments) };
    let total = usize::from(first.concat.total);
    let mut message = inbound(channel, &first.source, &first.destination, Some(content), first.data_coding);
    if binary {
        message.channel_data.insert("binary".to_owned(), json!("base64"));
    }
    put_ports(&mut message, segments.iter().find_map(|segment| segment.token.ports));
    let mut vendors = JsonObject::new();
    for (name, value) in segments.iter().flat_map(|segment| &segment.token.vendors) {
        vendors.entry(name).or_insert_with(|| value.clone());
    }
    put_extras(&mut message, &first.token.service_type, vendors);
    if segments.len() < total {
        message.transport_metadata.insert("incomplete".to_owned(), json!(true));
        message.channel_data.insert("missing_segments".to_owned(), json!(total - segments.len()));
    }
    Some(message)
}

fn octets(segments: &[Segment<Piece>]) -> Vec<u8> {
    segments.iter().flat_map(|segment| segment.text.iter().copied()).collect()
}

/// The text of segments: as a whole where they are alike, since a character may have been cut between two; else of each.
fn text(config: &DeliverConfig, segments: &[Segment<Piece>]) -> String {
    let plain = |segment: &Segment<Piece>| segment.tables.is_default();
    let lossy = |segment: &Segment<Piece>| match charset(config, segment.data_coding) {
        Some(Charset::Gsm7) if !plain(segment) => segment.tables.decode(&segment.text),
        charset => charset.unwrap_or(Charset::Latin1).decode_lossy(&segment.text),
    };
    let coding = segments.first().map(|first| first.data_coding).unwrap_or_default();
    let uniform = segments.iter().all(|segment| segment.data_coding == coding && plain(segment));
    // Septets that are packed begin anew in each.
    let charset = charset(config, coding).filter(|charset| uniform && *charset != Charset::Gsm7Packed);
    let whole = charset.and_then(|charset| charset.decode(&octets(segments)).ok());
    whole.unwrap_or_else(|| segments.iter().map(lossy).collect())
}

#[cfg(test)]
mod tests {
    use smpp::ShortMessage;
    use smpp::text::gsm7;

    use super::*;
    use crate::channel::esme::config::EsmeConfig;

    fn config(mut config: Value) -> DeliverConfig {
        for (key, value) in [("twisted_endpoint", "tcp:h:1"), ("system_id", "s"), ("password", "p")] {
            config[key] = json!(value);
        }
        EsmeConfig::parse(config.as_object().unwrap()).unwrap().deliver
    }

    fn classified(config: &DeliverConfig, esm_class: EsmClass, coding: u8, octets: &[u8], tlvs: Tlvs) -> Kind {
        let pdu = DeliverSm {
            esm_class,
            data_coding: DataCoding(coding),
            service_type: "WAP".try_into().unwrap(),
            short_message: ShortMessage::new(octets.to_vec()).unwrap(),
            tlvs,
            ..DeliverSm::default()
        };
        Delivered::from(pdu).classify(config, &ChannelId::from("c"))
    }

    fn message(config: &DeliverConfig, esm_class: EsmClass, coding: u8, octets: &[u8], tlvs: Tlvs) -> Inbound {
        match classified(config, esm_class, coding, octets, tlvs) {
            Kind::Message(message, _) => *message,
            other => panic!("{other:?}"),
        }
    }

    /// Joined after each was stored and read back.
    fn joined(config: &DeliverConfig, coding: u8, parts: &[(&[u8], Tlvs)]) -> Inbound {
        let segments: Vec<_> = parts
            .iter()
            .map(|(part, tlvs)| match classified(config, EsmClass::UDHI, coding, part, tlvs.clone()) {
                Kind::Segment(segment) => {
                    StoredSegment::restore(MessageId::mint(), &StoredSegment::record(&segment)).unwrap()
                }
                other => panic!("{other:?}"),
            })
            .collect();
        join(config, &ChannelId::from("c"), &segments).unwrap()
    }

    fn vendor(tag: u16, octet: u8) -> Tlvs {
        let mut tlvs = Tlvs::default();
        tlvs.push(Tag(tag), &[octet]);
        tlvs
    }

    #[test]
    fn a_message_in_segments_tells_what_a_whole_one_tells() {
        let config = config(json!({"binary": "base64"}));
        let ports = |rest: &[u8]| [&[5, 4, 0x0b, 0x84, 0x23, 0xf0][..], rest].concat();
        for (coding, text) in [(4, [0xff, 0x80]), (0, *b"ab")] {
            let whole = [&[6][..], &ports(&text)].concat();
            let mut tlvs = vendor(0x1400, 1);
            tlvs.extend(&vendor(0x1401, 2));
            let one = message(&config, EsmClass::UDHI, coding, &whole, tlvs);
            let part = |number| [&[11][..], &ports(&[0, 3, 7, 2, number, text[usize::from(number) - 1]])].concat();
            let two = joined(&config, coding, &[(&part(1), vendor(0x1400, 1)), (&part(2), vendor(0x1401, 2))]);
            assert_eq!(one.content.as_deref(), Some(if coding == 4 { "/4A=" } else { "ab" }));
            assert_eq!((one.content, one.channel_data), (two.content, two.channel_data.clone()));
            assert_eq!(one.transport_metadata, two.transport_metadata);
            assert_eq!(two.channel_data["destination_port"], json!(2948));
            assert_eq!(two.transport_metadata["service_type"], json!("WAP"));
        }
    }

    #[test]
    fn octets_in_segments_are_refused_where_octets_in_one_are() {
        let config = config(json!({}));
        for (esm_class, octets) in [(EsmClass::default(), &[0xff][..]), (EsmClass::UDHI, &[5, 0, 3, 7, 2, 1, 0xff])] {
            let Kind::Refused(status, why) = classified(&config, esm_class, 4, octets, Tlvs::default()) else {
                panic!()
            };
            assert_eq!((status, why.as_str()), (CommandStatus::ESME_RDELIVERYFAILURE, "data_coding 4 is not text"));
        }
    }

    #[test]
    fn a_segment_stored_by_an_earlier_version_is_read_back() {
        let record = br#"{"source":[1,1,"27820001001"],"destination":[0,0,"40404"],"concat":[7,2,1],"data_coding":0,"text":[97],"tables":[0,0]}"#;
        let segment = StoredSegment::restore(MessageId::mint(), record).unwrap();
        let message = join(&config(json!({})), &ChannelId::from("c"), &[segment]).unwrap();
        assert_eq!((message.content.as_deref(), &message.channel_data["missing_segments"]), (Some("a"), &json!(1)));
    }

    /// 3GPP TS 23.040 §9.2.3.24.
    #[test]
    fn packed_text_is_read_behind_the_fill_bits_of_its_header() {
        let config = config(json!({"data_coding_overrides": {"0": "gsm0338-packed"}}));
        let part = |number: u8, text: &[u8]| [&[5, 0, 3, 7, 2, number][..], &gsm7::pack(text, 1)].concat();
        let (one, two) = (part(1, &[b'x'; 153]), part(2, b"yyy"));
        let long = joined(&config, 0, &[(&one, Tlvs::default()), (&two, Tlvs::default())]);
        assert_eq!(long.content.unwrap(), "x".repeat(153) + "yyy");
        let short = [&[6, 5, 4, 0, 1, 0, 2][..], &gsm7::pack(b"hello", 0)].concat();
        let short = message(&config, EsmClass::UDHI, 0, &short, Tlvs::default());
        assert_eq!(short.content.as_deref(), Some("hello"));
    }

    /// Field guide §4.4.
    #[test]
    fn a_header_without_its_flag_counts_where_the_channel_says_so() {
        let narrow: &[u8] = &[5, 0, 3, 7, 2, 1, b'a'];
        let wide: &[u8] = &[6, 8, 4, 1, 7, 2, 1, b'a'];
        let segment = |config: Value, octets: &[u8]| match classified(
            &self::config(config),
            EsmClass::default(),
            1,
            octets,
            Tlvs::default(),
        ) {
            Kind::Segment(segment) => Some(segment.text.to_vec()),
            _ => None,
        };
        for octets in [narrow, wide] {
            assert_eq!(segment(json!({"strict_vumi": true}), octets).as_deref(), Some(&b"a"[..]));
            assert_eq!(segment(json!({"udh_without_flag": true}), octets).as_deref(), Some(&b"a"[..]));
            assert_eq!(segment(json!({"strict_vumi": true, "udh_without_flag": false}), octets), None);
            assert_eq!(segment(json!({}), octets), None);
        }
        for unsound in
            [&[5, 0, 3, 7, 2, 3, b'a'][..], &[5, 0, 3, 7, 2, 0, b'a'], &[6, 0, 4, 7, 2, 2, 1], &[5, 0, 3, 7, 2]]
        {
            assert_eq!(segment(json!({"udh_without_flag": true}), unsound), None, "{unsound:?}");
        }
    }

    const PATTERN: &str = r"id:(?P<id>\S+) .*stat:(?P<stat>\w+)(?: err:(?P<err>\S+))?";

    fn receipt(pattern: &str, tlvs: &Tlvs, text: &str) -> Option<Receipt> {
        parse_receipt(&config(json!({"delivery_report_regex": pattern})), tlvs, text)
    }

    #[test]
    fn a_pattern_of_ones_own_reads_what_parameters_leave_open() {
        let mut tlvs = Tlvs::default();
        tlvs.push(Tag::NETWORK_ERROR_CODE, &[3, 0, 1]);
        let found = receipt(PATTERN, &tlvs, "id:7 sub:001 stat:UNDELIV err:021").unwrap();
        assert_eq!((found.smsc_message_id.as_str(), found.state.as_str()), ("7", "UNDELIV"));
        assert_eq!((found.network_error.map(|error| error.code), found.err.as_deref()), (Some(1), Some("021")));
        tlvs.push_text(Tag::RECEIPTED_MESSAGE_ID, "38601fa");
        let found = receipt(PATTERN, &tlvs, "id:59113978 sub:001 stat:UNDELIV").unwrap();
        assert_eq!((found.smsc_message_id.as_str(), found.state.as_str()), ("38601fa", "UNDELIV"));
        assert_eq!(found.text_message_id.as_deref(), Some("59113978"));
        tlvs.push_integer(Tag::MESSAGE_STATE, 2);
        let found = receipt(PATTERN, &tlvs, "id:59113978 sub:001 stat:UNDELIV").unwrap();
        assert_eq!((found.state.as_str(), found.text_message_id.as_deref()), ("DELIVERED", Some("59113978")));
    }

    #[test]
    fn a_pattern_of_ones_own_comes_before_the_usual_reading_and_falls_back_on_it() {
        let own = r"message (?P<id>\S+) is (?P<stat>\w+)";
        let found = receipt(own, &Tlvs::default(), "id:1 stat:EXPIRED message 7 is DELIVRD").unwrap();
        assert_eq!((found.smsc_message_id.as_str(), found.state.as_str()), ("7", "DELIVRD"));
        let found = receipt(own, &Tlvs::default(), "id:1 stat:EXPIRED err:021").unwrap();
        assert_eq!((found.smsc_message_id.as_str(), found.err.as_deref()), ("1", Some("021")));
        // A group that takes no part leaves its field to the usual reading.
        let loose = r"(?:id:(?P<id>\d+) )?.*stat:(?P<stat>\w+)";
        let found = receipt(loose, &Tlvs::default(), "sub:001 id:abc stat:DELIVRD").unwrap();
        assert_eq!((found.smsc_message_id.as_str(), found.state.as_str()), ("abc", "DELIVRD"));
        assert_eq!(receipt(own, &Tlvs::default(), "hello"), None);
    }
}
