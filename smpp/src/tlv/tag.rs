//! The optional parameters that the standard defines (§5.3.1, and §5.3.2 for each): one row per tag.

use std::fmt;

/// A parameter's tag. Any value may arrive; those without a row are vendors' or reserved.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u16);

/// How a parameter's value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlvKind {
    /// An unsigned integer.
    Integer {
        /// Its width in octets: 1, 2 or 4.
        octets: usize,
    },
    /// A C-octet string.
    Text,
    /// Octets with a structure of their own, or none.
    Octets,
}

macro_rules! tags {
    ($($name:ident = $code:literal, $text:literal, $kind:expr, $section:literal;)*) => {
        impl Tag {
            $(#[doc = concat!("`", $text, "` (§", $section, ")")] pub const $name: Self = Self($code);)*

            /// The standard's name in lower case, or `None` for a vendor's or a reserved tag.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($text),)*
                    _ => None,
                }
            }

            /// How its value is read, or `None` for a tag without a row.
            #[must_use]
            pub const fn kind(self) -> Option<TlvKind> {
                match self.0 {
                    $($code => Some($kind),)*
                    _ => None,
                }
            }

            /// Every tag with a row.
            pub const ALL: &[Self] = &[$(Self($code)),*];
        }
    };
}

const U8: TlvKind = TlvKind::Integer { octets: 1 };
const U16: TlvKind = TlvKind::Integer { octets: 2 };
const U32: TlvKind = TlvKind::Integer { octets: 4 };

tags! {
    DEST_ADDR_SUBUNIT = 0x0005, "dest_addr_subunit", U8, "5.3.2.1";
    DEST_NETWORK_TYPE = 0x0006, "dest_network_type", U8, "5.3.2.3";
    DEST_BEARER_TYPE = 0x0007, "dest_bearer_type", U8, "5.3.2.5";
    DEST_TELEMATICS_ID = 0x0008, "dest_telematics_id", U16, "5.3.2.7";
    SOURCE_ADDR_SUBUNIT = 0x000d, "source_addr_subunit", U8, "5.3.2.2";
    SOURCE_NETWORK_TYPE = 0x000e, "source_network_type", U8, "5.3.2.4";
    SOURCE_BEARER_TYPE = 0x000f, "source_bearer_type", U8, "5.3.2.6";
    SOURCE_TELEMATICS_ID = 0x0010, "source_telematics_id", U8, "5.3.2.8";
    QOS_TIME_TO_LIVE = 0x0017, "qos_time_to_live", U32, "5.3.2.9";
    PAYLOAD_TYPE = 0x0019, "payload_type", U8, "5.3.2.10";
    ADDITIONAL_STATUS_INFO_TEXT = 0x001d, "additional_status_info_text", TlvKind::Text, "5.3.2.11";
    RECEIPTED_MESSAGE_ID = 0x001e, "receipted_message_id", TlvKind::Text, "5.3.2.12";
    MS_MSG_WAIT_FACILITIES = 0x0030, "ms_msg_wait_facilities", U8, "5.3.2.13";
    PRIVACY_INDICATOR = 0x0201, "privacy_indicator", U8, "5.3.2.14";
    SOURCE_SUBADDRESS = 0x0202, "source_subaddress", TlvKind::Octets, "5.3.2.15";
    DEST_SUBADDRESS = 0x0203, "dest_subaddress", TlvKind::Octets, "5.3.2.16";
    USER_MESSAGE_REFERENCE = 0x0204, "user_message_reference", U16, "5.3.2.17";
    USER_RESPONSE_CODE = 0x0205, "user_response_code", U8, "5.3.2.18";
    SOURCE_PORT = 0x020a, "source_port", U16, "5.3.2.20";
    DESTINATION_PORT = 0x020b, "destination_port", U16, "5.3.2.21";
    SAR_MSG_REF_NUM = 0x020c, "sar_msg_ref_num", U16, "5.3.2.22";
    LANGUAGE_INDICATOR = 0x020d, "language_indicator", U8, "5.3.2.19";
    SAR_TOTAL_SEGMENTS = 0x020e, "sar_total_segments", U8, "5.3.2.23";
    SAR_SEGMENT_SEQNUM = 0x020f, "sar_segment_seqnum", U8, "5.3.2.24";
    SC_INTERFACE_VERSION = 0x0210, "sc_interface_version", U8, "5.3.2.25";
    CALLBACK_NUM_PRES_IND = 0x0302, "callback_num_pres_ind", U8, "5.3.2.37";
    CALLBACK_NUM_ATAG = 0x0303, "callback_num_atag", TlvKind::Octets, "5.3.2.38";
    NUMBER_OF_MESSAGES = 0x0304, "number_of_messages", U8, "5.3.2.39";
    CALLBACK_NUM = 0x0381, "callback_num", TlvKind::Octets, "5.3.2.36";
    DPF_RESULT = 0x0420, "dpf_result", U8, "5.3.2.28";
    SET_DPF = 0x0421, "set_dpf", U8, "5.3.2.29";
    MS_AVAILABILITY_STATUS = 0x0422, "ms_availability_status", U8, "5.3.2.30";
    NETWORK_ERROR_CODE = 0x0423, "network_error_code", TlvKind::Octets, "5.3.2.31";
    MESSAGE_PAYLOAD = 0x0424, "message_payload", TlvKind::Octets, "5.3.2.32";
    DELIVERY_FAILURE_REASON = 0x0425, "delivery_failure_reason", U8, "5.3.2.33";
    MORE_MESSAGES_TO_SEND = 0x0426, "more_messages_to_send", U8, "5.3.2.34";
    MESSAGE_STATE = 0x0427, "message_state", U8, "5.3.2.35";
    CONGESTION_STATE = 0x0428, "congestion_state", U8, "4.8.4.18 of v5.0";
    USSD_SERVICE_OP = 0x0501, "ussd_service_op", U8, "5.3.2.44";
    BROADCAST_CHANNEL_INDICATOR = 0x0600, "broadcast_channel_indicator", U8, "4.8.4.7 of v5.0";
    BROADCAST_CONTENT_TYPE = 0x0601, "broadcast_content_type", TlvKind::Octets, "4.8.4.8 of v5.0";
    BROADCAST_CONTENT_TYPE_INFO = 0x0602, "broadcast_content_type_info", TlvKind::Octets, "4.8.4.6 of v5.0";
    BROADCAST_MESSAGE_CLASS = 0x0603, "broadcast_message_class", U8, "4.8.4.12 of v5.0";
    BROADCAST_REP_NUM = 0x0604, "broadcast_rep_num", U16, "4.8.4.13 of v5.0";
    BROADCAST_FREQUENCY_INTERVAL = 0x0605, "broadcast_frequency_interval", TlvKind::Octets, "4.8.4.11 of v5.0";
    BROADCAST_AREA_IDENTIFIER = 0x0606, "broadcast_area_identifier", TlvKind::Octets, "4.8.4.4 of v5.0";
    BROADCAST_ERROR_STATUS = 0x0607, "broadcast_error_status", U32, "4.8.4.10 of v5.0";
    BROADCAST_AREA_SUCCESS = 0x0608, "broadcast_area_success", U8, "4.8.4.5 of v5.0";
    BROADCAST_END_TIME = 0x0609, "broadcast_end_time", TlvKind::Text, "4.8.4.9 of v5.0";
    BROADCAST_SERVICE_GROUP = 0x060a, "broadcast_service_group", TlvKind::Octets, "4.8.4.14 of v5.0";
    DISPLAY_TIME = 0x1201, "display_time", U8, "5.3.2.26";
    SMS_SIGNAL = 0x1203, "sms_signal", U16, "5.3.2.40";
    MS_VALIDITY = 0x1204, "ms_validity", U8, "5.3.2.27";
    ALERT_ON_MESSAGE_DELIVERY = 0x130c, "alert_on_message_delivery", TlvKind::Octets, "5.3.2.41";
    ITS_REPLY_TYPE = 0x1380, "its_reply_type", U8, "5.3.2.42";
    ITS_SESSION_INFO = 0x1383, "its_session_info", TlvKind::Octets, "5.3.2.43";
}

/// The name, or the tag in hex: `0x1454`.
impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:04x}", self.0),
        }
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
