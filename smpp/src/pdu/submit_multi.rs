//! submit_multi and its response (§4.5): one message, up to 254 destinations.

use bytes::{BufMut, BytesMut};

use super::body;
use crate::error::DecodeErrorKind;
use crate::field::{Address, DataCoding, EsmClass, RegisteredDelivery};
use crate::wire::{CString, Fault, Field, Reader, ShortMessage, Value};

/// One destination (§4.5.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `dest_flag` 1: an address.
    Address(Address),
    /// `dest_flag` 2: a distribution list of the SMSC's.
    List(CString<21>),
}

const SME_ADDRESS: u8 = 1;
const DISTRIBUTION_LIST: u8 = 2;

/// `number_of_dests` and the destinations that it counts; the first 255 are sent.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Destinations(pub Vec<Destination>);

/// A destination that was refused (§4.5.2.1).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Unsuccess {
    /// The destination.
    pub destination: Address,
    /// Why: a `command_status`.
    pub error_status_code: u32,
}

/// `no_unsuccess` and the destinations that it counts; the first 255 are sent.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct UnsuccessList(pub Vec<Unsuccess>);

body! {
    /// A message to many (§4.5.1).
    SubmitMulti {
        /// Teleservice.
        service_type: CString<6> = "service_type",
        /// From whom.
        source: Address = "source_addr",
        /// To whom.
        destinations: Destinations = "dest_address",
        /// Mode, type and features.
        esm_class: EsmClass = "esm_class",
        /// GSM protocol identifier.
        protocol_id: u8 = "protocol_id",
        /// 0 (lowest) to 3.
        priority_flag: u8 = "priority_flag",
        /// When to send; empty is now.
        schedule_delivery_time: CString<17> = "schedule_delivery_time",
        /// Until when to try.
        validity_period: CString<17> = "validity_period",
        /// Which receipts are wanted.
        registered_delivery: RegisteredDelivery = "registered_delivery",
        /// 1 replaces an earlier message.
        replace_if_present_flag: u8 = "replace_if_present_flag",
        /// How the text is coded.
        data_coding: DataCoding = "data_coding",
        /// A message stored at the SMSC to send instead; 0 is none.
        sm_default_msg_id: u8 = "sm_default_msg_id",
        /// The text.
        short_message: ShortMessage = "short_message",
    }
}

body! {
    /// The SMSC took it for all but those listed (§4.5.2).
    SubmitMultiResp {
        /// The SMSC's id of the message.
        message_id: CString<65> = "message_id",
        /// The destinations that it did not take.
        unsuccess: UnsuccessList = "unsuccess_sme",
    }
}

/// What a count octet can announce.
fn counted<T>(items: &[T]) -> (u8, &[T]) {
    let count = u8::try_from(items.len()).unwrap_or(u8::MAX);
    (count, &items[..usize::from(count)])
}

impl Field for Destinations {
    fn decode(reader: &mut Reader<'_>, _: &'static str) -> Result<Self, Fault> {
        let count = u8::decode(reader, "number_of_dests")?;
        // At most 255, each at least three octets of a body that is already here: no allocation runs away.
        let mut destinations = Vec::with_capacity(usize::from(count).min(reader.remaining()));
        for _ in 0..count {
            let at = reader.fault("dest_flag", DecodeErrorKind::Truncated);
            destinations.push(match u8::decode(reader, "dest_flag")? {
                SME_ADDRESS => Destination::Address(Address::decode(reader, "destination_addr")?),
                DISTRIBUTION_LIST => Destination::List(CString::decode(reader, "dl_name")?),
                value => return Err(Fault { kind: DecodeErrorKind::Undefined { value }, ..at }),
            });
        }
        Ok(Self(destinations))
    }

    fn encode(&self, out: &mut BytesMut) {
        let (count, destinations) = counted(&self.0);
        out.put_u8(count);
        for destination in destinations {
            match destination {
                Destination::Address(address) => {
                    out.put_u8(SME_ADDRESS);
                    address.encode(out);
                }
                Destination::List(name) => {
                    out.put_u8(DISTRIBUTION_LIST);
                    name.encode(out);
                }
            }
        }
    }

    fn describe(&self, name: &'static str, rows: &mut Vec<(&'static str, Value)>) {
        let (count, destinations) = counted(&self.0);
        rows.push(("number_of_dests", Value::Integer(u32::from(count))));
        let list = destinations.iter().map(|destination| {
            let mut rows = Vec::new();
            match destination {
                Destination::Address(address) => {
                    SME_ADDRESS.describe("dest_flag", &mut rows);
                    address.describe("destination_addr", &mut rows);
                }
                Destination::List(name) => {
                    DISTRIBUTION_LIST.describe("dest_flag", &mut rows);
                    name.describe("dl_name", &mut rows);
                }
            }
            rows
        });
        rows.push((name, Value::List(list.collect())));
    }
}

impl Field for UnsuccessList {
    fn decode(reader: &mut Reader<'_>, _: &'static str) -> Result<Self, Fault> {
        let count = u8::decode(reader, "no_unsuccess")?;
        let mut list = Vec::with_capacity(usize::from(count).min(reader.remaining()));
        for _ in 0..count {
            list.push(Unsuccess {
                destination: Address::decode(reader, "destination_addr")?,
                error_status_code: u32::decode(reader, "error_status_code")?,
            });
        }
        Ok(Self(list))
    }

    fn encode(&self, out: &mut BytesMut) {
        let (count, list) = counted(&self.0);
        out.put_u8(count);
        for unsuccess in list {
            unsuccess.destination.encode(out);
            unsuccess.error_status_code.encode(out);
        }
    }

    fn describe(&self, name: &'static str, rows: &mut Vec<(&'static str, Value)>) {
        let (count, list) = counted(&self.0);
        rows.push(("no_unsuccess", Value::Integer(u32::from(count))));
        let list = list.iter().map(|unsuccess| {
            let mut rows = Vec::new();
            unsuccess.destination.describe("destination_addr", &mut rows);
            unsuccess.error_status_code.describe("error_status_code", &mut rows);
            rows
        });
        rows.push((name, Value::List(list.collect())));
    }
}
