//! data_sm and its response (§4.7): the lean message, either way; its text is in `message_payload`.

use super::body;
use crate::field::{Address, DataCoding, EsmClass, RegisteredDelivery};
use crate::wire::CString;

body! {
    /// A message either way (§4.7.1).
    DataSm {
        /// Teleservice.
        service_type: CString<6> = "service_type",
        /// From whom; 65 octets at most.
        source: Address = "source_addr",
        /// To whom; 65 octets at most.
        destination: Address = "destination_addr",
        /// Mode, type and features.
        esm_class: EsmClass = "esm_class",
        /// Which receipts are wanted.
        registered_delivery: RegisteredDelivery = "registered_delivery",
        /// How the payload is coded.
        data_coding: DataCoding = "data_coding",
    }
}

body! {
    /// The receiver took it, or not (§4.7.2).
    DataSmResp {
        /// The receiver's id of the message.
        message_id: CString<65> = "message_id",
    }
}
