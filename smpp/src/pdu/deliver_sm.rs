//! deliver_sm and its response (§4.6): a message from a phone, or a receipt.

use super::body;
use crate::field::{Address, DataCoding, EsmClass, RegisteredDelivery};
use crate::wire::{CString, ShortMessage};

body! {
    /// A message or receipt for the ESME (§4.6.1). `esm_class` tells which.
    DeliverSm {
        /// Teleservice.
        service_type: CString<6> = "service_type",
        /// The phone, or the destination of the message that a receipt is about.
        source: Address = "source_addr",
        /// The ESME's address.
        destination: Address = "destination_addr",
        /// Mode, type and features.
        esm_class: EsmClass = "esm_class",
        /// GSM protocol identifier.
        protocol_id: u8 = "protocol_id",
        /// 0 (lowest) to 3.
        priority_flag: u8 = "priority_flag",
        /// Unused, normally empty.
        schedule_delivery_time: CString<17> = "schedule_delivery_time",
        /// Unused, normally empty.
        validity_period: CString<17> = "validity_period",
        /// Which acknowledgements the sender wants.
        registered_delivery: RegisteredDelivery = "registered_delivery",
        /// Unused.
        replace_if_present_flag: u8 = "replace_if_present_flag",
        /// How the text is coded.
        data_coding: DataCoding = "data_coding",
        /// Unused.
        sm_default_msg_id: u8 = "sm_default_msg_id",
        /// The text; empty when `message_payload` has it.
        short_message: ShortMessage = "short_message",
    }
}

body! {
    /// The ESME took it, or not (§4.6.2).
    DeliverSmResp {
        /// Unused, empty.
        message_id: CString<65> = "message_id",
    }
}
