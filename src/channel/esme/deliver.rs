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
use smpp::text::udh::{Concat, Udh};
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

/// A segment's id where it is stored, and the vendors' parameters that came with it.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) id: MessageId,
    tlvs: Option<Value>,
}

/// A text in pieces: which piece, its octets, the tables that its header announces.
struct Read {
    concat: Option<Concat>,
    text: Bytes,
    tables: Tables,
    ports: Option<(u16, u16)>,
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
        let Read { concat, text, tables, ports } = match self.read() {
            Ok(read) => read,
            Err(why) => return Kind::Refused(CommandStatus::ESME_RINVMSGLEN, why),
        };
        if let Some(concat) = concat.filter(|concat| concat.total > 1) {
            return Kind::Segment(Box::new(Segment {
                source: self.source,
                destination: self.destination,
                concat,
                data_coding: self.data_coding,
                text,
                tables,
                token: Piece { id: MessageId::mint(), tlvs: vendors(config, &self.tlvs) },
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
        vendors(config, &self.tlvs)
    }

    fn with_ports(
        &self,
        config: &DeliverConfig,
        channel: &ChannelId,
        content: String,
        ports: Option<(u16, u16)>,
    ) -> Inbound {
        let mut message = self.message(config, channel, Some(content));
        if let Some((destination, source)) = ports {
            message.channel_data.insert("destination_port".to_owned(), json!(destination));
            message.channel_data.insert("source_port".to_owned(), json!(source));
        }
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
    fn read(&self) -> Result<Read, String> {
        let content = Content::new(self.esm_class, self.data_coding, &self.octets, &self.tlvs);
        let content = content.map_err(|error| error.to_string())?;
        let ports = content.udh.as_ref().and_then(Udh::ports);
        Ok(Read { concat: content.concat, text: content.octets, tables: content.tables, ports })
    }

    fn decode(&self, config: &DeliverConfig, text: &[u8], tables: Tables) -> Result<String, String> {
        let charset = charset(config, self.data_coding);
        let charset = charset.ok_or_else(|| format!("data_coding {} is not text", self.data_coding.0))?;
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
        message.transport_metadata.insert("service_type".to_owned(), json!(self.service_type));
        if let Some(vendors) = vendors(config, &self.tlvs) {
            message.channel_data.insert("tlvs".to_owned(), vendors);
        }
        message
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
        received_at: Timestamp::now(),
    }
}

/// Parameters that the standard does not know, by the names that the channel has for them or by their tags, if there are
/// any; the first of two counts.
fn vendors(config: &DeliverConfig, tlvs: &Tlvs) -> Option<Value> {
    if tlvs.octets().is_empty() {
        return None;
    }
    let mut rows = JsonObject::new();
    for tlv in tlvs.iter().filter(|tlv| tlv.tag.name().is_none()) {
        let (name, value) = config.vendor_tlvs.show(&tlv);
        rows.entry(name).or_insert(value);
    }
    (!rows.is_empty()).then_some(Value::Object(rows))
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

fn parse_receipt(config: &DeliverConfig, tlvs: &Tlvs, text: &str) -> Option<Receipt> {
    // A pattern that takes too many steps does not match.
    if let Some(captures) = config.regex.as_ref().and_then(|regex| regex.captures(text).ok().flatten()) {
        let group = |name: &str| captures.name(name).map(|found| found.as_str().trim().to_owned());
        let mut receipt = Receipt::parse(tlvs, "").unwrap_or_default();
        if receipt.smsc_message_id.is_empty() {
            receipt.smsc_message_id = group("id")?;
            receipt.state = group("stat")?;
        }
        receipt.err = group("err");
        return Some(receipt);
    }
    Receipt::parse(tlvs, text)
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
    /// Vendors' parameters, as the message will show them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vendors: Option<Value>,
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
            vendors: segment.token.tlvs.clone(),
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
            token: Piece { id, tlvs: stored.vendors },
        })
    }
}

/// Segments, in order, as one MO. They have been acknowledged, so what cannot be read is marked, not refused.
pub(super) fn join(config: &DeliverConfig, channel: &ChannelId, segments: &[Segment<Piece>]) -> Option<Inbound> {
    let first = segments.first()?;
    let plain = |segment: &Segment<Piece>| segment.tables.is_default();
    let uniform = segments.iter().all(|segment| segment.data_coding == first.data_coding && plain(segment));
    let lossy = |segment: &Segment<Piece>| match charset(config, segment.data_coding) {
        Some(Charset::Gsm7) if !plain(segment) => segment.tables.decode(&segment.text),
        charset => charset.unwrap_or(Charset::Latin1).decode_lossy(&segment.text),
    };
    // Octets first: a character may have been cut between two segments.
    let joined: Vec<u8> = segments.iter().flat_map(|segment| segment.text.iter().copied()).collect();
    let whole = charset(config, first.data_coding).filter(|_| uniform).and_then(|charset| charset.decode(&joined).ok());
    let content = whole.unwrap_or_else(|| segments.iter().map(lossy).collect());
    let total = usize::from(first.concat.total);
    let mut message = inbound(channel, &first.source, &first.destination, Some(content), first.data_coding);
    let mut vendors = JsonObject::new();
    for (name, value) in segments.iter().filter_map(|segment| segment.token.tlvs.as_ref()?.as_object()).flatten() {
        vendors.entry(name).or_insert_with(|| value.clone());
    }
    if !vendors.is_empty() {
        message.channel_data.insert("tlvs".to_owned(), Value::Object(vendors));
    }
    if segments.len() < total {
        message.transport_metadata.insert("incomplete".to_owned(), json!(true));
        message.channel_data.insert("missing_segments".to_owned(), json!(total - segments.len()));
    }
    Some(message)
}
