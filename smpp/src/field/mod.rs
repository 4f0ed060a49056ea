//! Fields whose octet has a structure of its own (§5.2): newtypes over the wire value, so that nothing a peer
//! sends is lost, with names for what the standard defines.

pub mod address;
pub mod data_coding;
pub mod esm_class;
pub mod message_state;
pub mod registered_delivery;
pub mod time;

pub use address::{Address, Npi, Ton};
pub use data_coding::DataCoding;
pub use esm_class::{EsmClass, MessageType};
pub use message_state::MessageState;
pub use registered_delivery::RegisteredDelivery;

/// Makes a one-octet newtype a field.
macro_rules! octet_field {
    ($type:ident) => {
        impl crate::wire::Field for $type {
            fn decode(reader: &mut crate::wire::Reader<'_>, name: &'static str) -> Result<Self, crate::wire::Fault> {
                u8::decode(reader, name).map(Self)
            }

            fn encode(&self, out: &mut bytes::BytesMut) {
                self.0.encode(out);
            }

            fn describe(&self, name: &'static str, rows: &mut Vec<(&'static str, crate::wire::Value)>) {
                self.0.describe(name, rows);
            }
        }
    };
}
pub(crate) use octet_field;
