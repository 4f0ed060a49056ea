//! The commands of SMPP v3.4 §4, v5.0's cell broadcast, and their bodies: one variant each, one file each, one table.
//!
//! A header's status and sequence number travel beside a [`Pdu`], not in it: they mean the same in every command.

mod alert_notification;
mod bind;
mod broadcast_sm;
mod cancel_sm;
mod data_sm;
mod deliver_sm;
mod enquire_link;
mod generic_nack;
mod query_sm;
mod replace_sm;
mod submit_multi;
mod submit_sm;
mod unbind;

use bytes::{BufMut, BytesMut};

pub use alert_notification::AlertNotification;
pub use bind::{Bind, BindMode, BindResp, Outbind};
pub use broadcast_sm::{
    BroadcastSm, BroadcastSmResp, CancelBroadcastSm, CancelBroadcastSmResp, QueryBroadcastSm, QueryBroadcastSmResp,
};
pub use cancel_sm::{CancelSm, CancelSmResp};
pub use data_sm::{DataSm, DataSmResp};
pub use deliver_sm::{DeliverSm, DeliverSmResp};
pub use enquire_link::{EnquireLink, EnquireLinkResp};
pub use generic_nack::GenericNack;
pub use query_sm::{QuerySm, QuerySmResp};
pub use replace_sm::{ReplaceSm, ReplaceSmResp};
pub use submit_multi::{Destination, Destinations, SubmitMulti, SubmitMultiResp, Unsuccess, UnsuccessList};
pub use submit_sm::{SubmitSm, SubmitSmResp};
pub use unbind::{Unbind, UnbindResp};

use crate::command::{CommandId, CommandStatus, SequenceNumber};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::raw::{RawPdu, put_header};
use crate::tlv::Tlvs;
use crate::wire::{Fault, Leniency, Reader, Value};

/// The body of one command: what the `body!` macro makes of a list of fields in wire order.
pub(crate) trait Body: Sized {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Fault>;
    fn encode(&self, out: &mut BytesMut);
    fn describe(&self, rows: &mut Vec<(&'static str, Value)>);
    fn tlvs(&self) -> &Tlvs;
}

/// Declares a command's body: fields in wire order with the standard's names, optional parameters last.
macro_rules! body {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
            /// Optional parameters, and whatever octets followed the mandatory ones.
            pub tlvs: crate::tlv::Tlvs,
        }

        impl crate::pdu::Body for $name {
            fn decode(reader: &mut crate::wire::Reader<'_>) -> Result<Self, crate::wire::Fault> {
                Ok(Self {
                    $($field: crate::wire::Field::decode(reader, $text)?,)*
                    tlvs: crate::tlv::Tlvs::from_octets(reader.tail()),
                })
            }

            fn encode(&self, out: &mut bytes::BytesMut) {
                $(crate::wire::Field::encode(&self.$field, out);)*
                bytes::BufMut::put_slice(out, self.tlvs.octets());
            }

            #[allow(unused_variables, reason = "bodies without mandatory fields have nothing to describe")]
            fn describe(&self, rows: &mut Vec<(&'static str, crate::wire::Value)>) {
                $(crate::wire::Field::describe(&self.$field, $text, rows);)*
            }

            fn tlvs(&self) -> &crate::tlv::Tlvs {
                &self.tlvs
            }
        }
    };
}
use body;

/// The table of commands: variant, body, id, and whether a peer may cut the body short.
macro_rules! commands {
    ($($(#[$doc:meta])* $variant:ident = $id:ident, $leniency:ident;)*) => {
        /// A decoded PDU.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        #[allow(clippy::large_enum_variant, reason = "the large ones are the common ones; boxing would cost each an allocation")]
        pub enum Pdu {
            /// bind_transmitter, bind_receiver or bind_transceiver (§4.1)
            Bind(BindMode, Bind),
            /// Their responses (§4.1)
            BindResp(BindMode, BindResp),
            $($(#[$doc])* $variant($variant),)*
            /// A response that came without the body its command has, as peers send on errors (§4.4.2 note) and
            /// some on success; the status alone tells what happened.
            NoBody(CommandId),
        }

        impl Pdu {
            /// Which command this is.
            #[must_use]
            pub const fn command_id(&self) -> CommandId {
                match self {
                    Self::Bind(mode, _) => mode.command_id(),
                    Self::BindResp(mode, _) => mode.command_id().response(),
                    $(Self::$variant(_) => CommandId::$id,)*
                    Self::NoBody(id) => *id,
                }
            }

            /// Its optional parameters; none for [`Pdu::NoBody`].
            #[must_use]
            pub fn tlvs(&self) -> Option<&Tlvs> {
                match self {
                    Self::Bind(_, body) => Some(body.tlvs()),
                    Self::BindResp(_, body) => Some(body.tlvs()),
                    $(Self::$variant(body) => Some(body.tlvs()),)*
                    Self::NoBody(_) => None,
                }
            }

            pub(crate) fn describe(&self, rows: &mut Vec<(&'static str, Value)>) {
                match self {
                    Self::Bind(_, body) => body.describe(rows),
                    Self::BindResp(_, body) => body.describe(rows),
                    $(Self::$variant(body) => body.describe(rows),)*
                    Self::NoBody(_) => {}
                }
            }

            fn decode_body(raw: &RawPdu) -> Result<Self, Fault> {
                if let Some(mode) = BindMode::of(raw.id) {
                    let body = Body::decode(&mut Reader::new(&raw.body, Leniency::Strict))?;
                    return Ok(Self::Bind(mode, body));
                }
                if let Some(mode) = BindMode::of_response(raw.id) {
                    if raw.body.is_empty() {
                        return Ok(Self::NoBody(raw.id));
                    }
                    let body = Body::decode(&mut Reader::new(&raw.body, Leniency::Shortened))?;
                    return Ok(Self::BindResp(mode, body));
                }
                match raw.id {
                    $(CommandId::$id => {
                        let leniency = Leniency::$leniency;
                        if leniency == Leniency::Shortened && raw.body.is_empty() {
                            return Ok(Self::NoBody(raw.id));
                        }
                        let mut reader = Reader::new(&raw.body, leniency);
                        Body::decode(&mut reader).map(Self::$variant)
                    })*
                    _ => Err(Reader::new(&raw.body, Leniency::Strict).fault("command_id", DecodeErrorKind::UnknownCommand)),
                }
            }

            fn encode_body(&self, out: &mut BytesMut) {
                match self {
                    Self::Bind(_, body) => body.encode(out),
                    Self::BindResp(_, body) => body.encode(out),
                    $(Self::$variant(body) => body.encode(out),)*
                    Self::NoBody(_) => {}
                }
            }
        }

        $(impl From<$variant> for Pdu {
            fn from(body: $variant) -> Self {
                Self::$variant(body)
            }
        })*
    };
}

commands! {
    /// outbind (§4.1.7)
    Outbind = OUTBIND, Strict;
    /// unbind (§4.2.1)
    Unbind = UNBIND, Strict;
    /// unbind_resp (§4.2.2)
    UnbindResp = UNBIND_RESP, Strict;
    /// generic_nack (§4.3.1)
    GenericNack = GENERIC_NACK, Strict;
    /// submit_sm (§4.4.1)
    SubmitSm = SUBMIT_SM, Strict;
    /// submit_sm_resp (§4.4.2)
    SubmitSmResp = SUBMIT_SM_RESP, Shortened;
    /// submit_multi (§4.5.1)
    SubmitMulti = SUBMIT_MULTI, Strict;
    /// submit_multi_resp (§4.5.2)
    SubmitMultiResp = SUBMIT_MULTI_RESP, Shortened;
    /// deliver_sm (§4.6.1)
    DeliverSm = DELIVER_SM, Strict;
    /// deliver_sm_resp (§4.6.2)
    DeliverSmResp = DELIVER_SM_RESP, Shortened;
    /// data_sm (§4.7.1)
    DataSm = DATA_SM, Strict;
    /// data_sm_resp (§4.7.2)
    DataSmResp = DATA_SM_RESP, Shortened;
    /// query_sm (§4.8.1)
    QuerySm = QUERY_SM, Strict;
    /// query_sm_resp (§4.8.2)
    QuerySmResp = QUERY_SM_RESP, Shortened;
    /// cancel_sm (§4.9.1)
    CancelSm = CANCEL_SM, Strict;
    /// cancel_sm_resp (§4.9.2)
    CancelSmResp = CANCEL_SM_RESP, Strict;
    /// replace_sm (§4.10.1)
    ReplaceSm = REPLACE_SM, Strict;
    /// replace_sm_resp (§4.10.2)
    ReplaceSmResp = REPLACE_SM_RESP, Strict;
    /// enquire_link (§4.11.1)
    EnquireLink = ENQUIRE_LINK, Strict;
    /// enquire_link_resp (§4.11.2)
    EnquireLinkResp = ENQUIRE_LINK_RESP, Strict;
    /// alert_notification (§4.12.1)
    AlertNotification = ALERT_NOTIFICATION, Strict;
    /// broadcast_sm (SMPP v5.0 §4.6.1.1)
    BroadcastSm = BROADCAST_SM, Strict;
    /// broadcast_sm_resp (SMPP v5.0 §4.6.1.2)
    BroadcastSmResp = BROADCAST_SM_RESP, Shortened;
    /// query_broadcast_sm (SMPP v5.0 §4.6.2.1)
    QueryBroadcastSm = QUERY_BROADCAST_SM, Strict;
    /// query_broadcast_sm_resp (SMPP v5.0 §4.6.2.3)
    QueryBroadcastSmResp = QUERY_BROADCAST_SM_RESP, Shortened;
    /// cancel_broadcast_sm (SMPP v5.0 §4.6.3.1)
    CancelBroadcastSm = CANCEL_BROADCAST_SM, Strict;
    /// cancel_broadcast_sm_resp (SMPP v5.0 §4.6.3.3)
    CancelBroadcastSmResp = CANCEL_BROADCAST_SM_RESP, Strict;
}

impl Pdu {
    /// Reads a PDU's body. Strings and octets share the frame's allocation.
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use smpp::{CommandStatus, Pdu, RawPdu, SequenceNumber};
    ///
    /// let octets = [0, 0, 0, 0x14, 0x80, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 10, b'1', b'7', b'a', 0];
    /// let raw = RawPdu::split(&mut BytesMut::from(&octets[..]), 1024).unwrap().unwrap();
    /// let Ok(Pdu::SubmitSmResp(response)) = Pdu::decode(&raw) else { panic!() };
    /// assert_eq!(response.message_id.to_text(), "17a");
    ///
    /// let mut out = BytesMut::new();
    /// Pdu::from(response).encode(CommandStatus::ESME_ROK, SequenceNumber(10), &mut out);
    /// assert_eq!(out, octets[..]);
    /// ```
    ///
    /// # Errors
    /// [`DecodeError`] names the field, where it begins and the status to answer with. A response with an error
    /// status never fails: its body is irrelevant (field guide §8.3).
    pub fn decode(raw: &RawPdu) -> Result<Self, DecodeError> {
        match Self::decode_body(raw) {
            Ok(pdu) => Ok(pdu),
            Err(fault) if fault.kind == DecodeErrorKind::UnknownCommand => Err(error(raw, fault)),
            Err(_) if raw.id.is_response() && !raw.status.is_ok() => Ok(Self::NoBody(raw.id)),
            Err(fault) => Err(error(raw, fault)),
        }
    }

    /// Appends the PDU's octets, header first.
    pub fn encode(&self, status: CommandStatus, sequence: SequenceNumber, out: &mut BytesMut) {
        let start = out.len();
        put_header(out, 0, self.command_id(), status, sequence);
        self.encode_body(out);
        let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
        (&mut out[start..start + 4]).put_u32(length);
    }

    /// The PDU as a frame of its own.
    #[must_use]
    pub fn to_raw(&self, status: CommandStatus, sequence: SequenceNumber) -> RawPdu {
        let mut body = BytesMut::new();
        self.encode_body(&mut body);
        RawPdu { id: self.command_id(), status, sequence, body: body.freeze() }
    }
}

fn error(raw: &RawPdu, fault: Fault) -> DecodeError {
    DecodeError { field: fault.field, offset: fault.offset, kind: fault.kind, sequence: raw.sequence }
}
