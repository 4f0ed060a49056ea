//! The header's three numbers: command id, command status, sequence number (SMPP v3.4 §3.2, §5.1).
//!
//! All three are plain 32-bit values on the wire and peers send values that no table knows, so they
//! are newtypes over `u32` with tables of names, never closed enums.

use std::fmt;

/// Which command a PDU carries (§5.1.2.1). Responses have the top bit set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u32);

/// Bit 31 of a command id marks a response (§5.1.2).
const RESPONSE_BIT: u32 = 0x8000_0000;

macro_rules! command_ids {
    ($($name:ident = $value:literal, $text:literal;)*) => {
        impl CommandId {
            $(#[doc = concat!("`", $text, "`")] pub const $name: Self = Self($value);)*

            /// The standard's name in lower case (`submit_sm_resp`), or `None` for a reserved or vendor id.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }

            /// The id with this name in the standard's spelling.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self($value)),)*
                    _ => None,
                }
            }
        }
    };
}

command_ids! {
    GENERIC_NACK = 0x8000_0000, "generic_nack";
    BIND_RECEIVER = 0x0000_0001, "bind_receiver";
    BIND_RECEIVER_RESP = 0x8000_0001, "bind_receiver_resp";
    BIND_TRANSMITTER = 0x0000_0002, "bind_transmitter";
    BIND_TRANSMITTER_RESP = 0x8000_0002, "bind_transmitter_resp";
    QUERY_SM = 0x0000_0003, "query_sm";
    QUERY_SM_RESP = 0x8000_0003, "query_sm_resp";
    SUBMIT_SM = 0x0000_0004, "submit_sm";
    SUBMIT_SM_RESP = 0x8000_0004, "submit_sm_resp";
    DELIVER_SM = 0x0000_0005, "deliver_sm";
    DELIVER_SM_RESP = 0x8000_0005, "deliver_sm_resp";
    UNBIND = 0x0000_0006, "unbind";
    UNBIND_RESP = 0x8000_0006, "unbind_resp";
    REPLACE_SM = 0x0000_0007, "replace_sm";
    REPLACE_SM_RESP = 0x8000_0007, "replace_sm_resp";
    CANCEL_SM = 0x0000_0008, "cancel_sm";
    CANCEL_SM_RESP = 0x8000_0008, "cancel_sm_resp";
    BIND_TRANSCEIVER = 0x0000_0009, "bind_transceiver";
    BIND_TRANSCEIVER_RESP = 0x8000_0009, "bind_transceiver_resp";
    OUTBIND = 0x0000_000b, "outbind";
    ENQUIRE_LINK = 0x0000_0015, "enquire_link";
    ENQUIRE_LINK_RESP = 0x8000_0015, "enquire_link_resp";
    SUBMIT_MULTI = 0x0000_0021, "submit_multi";
    SUBMIT_MULTI_RESP = 0x8000_0021, "submit_multi_resp";
    ALERT_NOTIFICATION = 0x0000_0102, "alert_notification";
    DATA_SM = 0x0000_0103, "data_sm";
    DATA_SM_RESP = 0x8000_0103, "data_sm_resp";
    BROADCAST_SM = 0x0000_0111, "broadcast_sm";
    BROADCAST_SM_RESP = 0x8000_0111, "broadcast_sm_resp";
    QUERY_BROADCAST_SM = 0x0000_0112, "query_broadcast_sm";
    QUERY_BROADCAST_SM_RESP = 0x8000_0112, "query_broadcast_sm_resp";
    CANCEL_BROADCAST_SM = 0x0000_0113, "cancel_broadcast_sm";
    CANCEL_BROADCAST_SM_RESP = 0x8000_0113, "cancel_broadcast_sm_resp";
}

impl CommandId {
    /// Whether this is a response (or generic_nack), which is never answered.
    #[must_use]
    pub const fn is_response(self) -> bool {
        self.0 & RESPONSE_BIT != 0
    }

    /// Whether a request with this id is answered: all but alert_notification and outbind are (§4.1.7, §4.12).
    #[must_use]
    pub const fn has_response(self) -> bool {
        !self.is_response() && !matches!(self, Self::ALERT_NOTIFICATION | Self::OUTBIND)
    }

    /// The response that answers this request (§5.1.2): the same id with bit 31 set.
    /// `alert_notification` and `outbind` have none; ask only for requests that are answered.
    #[must_use]
    pub const fn response(self) -> Self {
        Self(self.0 | RESPONSE_BIT)
    }
}

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:08x}", self.0),
        }
    }
}

/// The outcome a response carries (§5.1.3). Zero in requests; a non-zero value there is ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct CommandStatus(pub u32);

/// What a refusal means for the message that it refuses (field guide §3.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusClass {
    /// Success.
    Ok,
    /// Permanent: the same PDU will be refused again.
    Permanent,
    /// Temporary: the same PDU may be accepted later.
    Temporary,
    /// The SMSC asks to be sent less; the message itself is fine.
    SlowDown,
    /// The bind is refused or unusable; the message itself was not judged.
    EndsBind,
    /// Never an answer to a submit.
    NotForSubmit,
}

macro_rules! command_statuses {
    ($($name:ident = $value:literal, $class:ident, $doc:literal;)*) => {
        impl CommandStatus {
            $(#[doc = $doc] pub const $name: Self = Self($value);)*

            /// The standard's name (`ESME_RINVDSTADR`), or `None` for a reserved or vendor status.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// The status with this name in the standard's spelling.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self($value)),)*
                    _ => None,
                }
            }

            /// One sentence on what the status means; unknown ones say so.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self.0 {
                    $($value => $doc,)*
                    0x400..=0x4ff => "Vendor-specific error; the operator's documentation has its meaning",
                    _ => "Reserved status that no version of the standard defines",
                }
            }

            /// What this status means for a submitted message. Unknown statuses are permanent.
            #[must_use]
            pub const fn class(self) -> StatusClass {
                match self.0 {
                    $($value => StatusClass::$class,)*
                    _ => StatusClass::Permanent,
                }
            }
        }
    };
}

command_statuses! {
    ESME_ROK = 0x00, Ok, "No error";
    ESME_RINVMSGLEN = 0x01, Permanent, "Message length is invalid";
    ESME_RINVCMDLEN = 0x02, Permanent, "Command length is invalid";
    ESME_RINVCMDID = 0x03, Permanent, "Invalid command id";
    ESME_RINVBNDSTS = 0x04, EndsBind, "Incorrect bind status for the given command";
    ESME_RALYBND = 0x05, EndsBind, "ESME already in bound state";
    ESME_RINVPRTFLG = 0x06, Permanent, "Invalid priority flag";
    ESME_RINVREGDLVFLG = 0x07, Permanent, "Invalid registered delivery flag";
    ESME_RSYSERR = 0x08, Temporary, "System error";
    ESME_RINVSRCADR = 0x0a, Permanent, "Invalid source address";
    ESME_RINVDSTADR = 0x0b, Permanent, "Invalid destination address";
    ESME_RINVMSGID = 0x0c, Permanent, "Message id is invalid";
    ESME_RBINDFAIL = 0x0d, EndsBind, "Bind failed";
    ESME_RINVPASWD = 0x0e, EndsBind, "Invalid password";
    ESME_RINVSYSID = 0x0f, EndsBind, "Invalid system id";
    ESME_RCANCELFAIL = 0x11, NotForSubmit, "cancel_sm failed";
    ESME_RREPLACEFAIL = 0x13, NotForSubmit, "replace_sm failed";
    ESME_RMSGQFUL = 0x14, SlowDown, "Message queue full";
    ESME_RINVSERTYP = 0x15, Permanent, "Invalid service type";
    ESME_RINVNUMDESTS = 0x33, Permanent, "Invalid number of destinations";
    ESME_RINVDLNAME = 0x34, Permanent, "Invalid distribution list name";
    ESME_RINVDESTFLAG = 0x40, Permanent, "Destination flag is invalid";
    ESME_RINVSUBREP = 0x42, Permanent, "Invalid submit with replace request";
    ESME_RINVESMCLASS = 0x43, Permanent, "Invalid esm_class";
    ESME_RCNTSUBDL = 0x44, Permanent, "Cannot submit to distribution list";
    ESME_RSUBMITFAIL = 0x45, Permanent, "submit_sm or submit_multi failed";
    ESME_RINVSRCTON = 0x48, Permanent, "Invalid source address TON";
    ESME_RINVSRCNPI = 0x49, Permanent, "Invalid source address NPI";
    ESME_RINVDSTTON = 0x50, Permanent, "Invalid destination address TON";
    ESME_RINVDSTNPI = 0x51, Permanent, "Invalid destination address NPI";
    ESME_RINVSYSTYP = 0x53, EndsBind, "Invalid system type";
    ESME_RINVREPFLAG = 0x54, Permanent, "Invalid replace_if_present flag";
    ESME_RINVNUMMSGS = 0x55, Permanent, "Invalid number of messages";
    ESME_RTHROTTLED = 0x58, SlowDown, "Throttling error: the ESME has exceeded its allowed rate";
    ESME_RINVSCHED = 0x61, Permanent, "Invalid scheduled delivery time";
    ESME_RINVEXPIRY = 0x62, Permanent, "Invalid message validity period";
    ESME_RINVDFTMSGID = 0x63, Permanent, "Predefined message is invalid or not found";
    ESME_RX_T_APPN = 0x64, Temporary, "ESME receiver temporary application error";
    ESME_RX_P_APPN = 0x65, Permanent, "ESME receiver permanent application error";
    ESME_RX_R_APPN = 0x66, Permanent, "ESME receiver reject message error";
    ESME_RQUERYFAIL = 0x67, NotForSubmit, "query_sm failed";
    ESME_RINVOPTPARSTREAM = 0xc0, Permanent, "Error in the optional part of the PDU body";
    ESME_ROPTPARNOTALLWD = 0xc1, Permanent, "Optional parameter not allowed";
    ESME_RINVPARLEN = 0xc2, Permanent, "Invalid parameter length";
    ESME_RMISSINGOPTPARAM = 0xc3, Permanent, "Expected optional parameter missing";
    ESME_RINVOPTPARAMVAL = 0xc4, Permanent, "Invalid optional parameter value";
    ESME_RDELIVERYFAILURE = 0xfe, Temporary, "Delivery failure (data_sm_resp)";
    ESME_RUNKNOWNERR = 0xff, Temporary, "Unknown error";
    ESME_RSERTYPUNAUTH = 0x100, Permanent, "ESME is not authorised to use the service type";
    ESME_RPROHIBITED = 0x101, Permanent, "ESME is prohibited from the operation";
    ESME_RSERTYPUNAVAIL = 0x102, Temporary, "Service type is unavailable";
    ESME_RSERTYPDENIED = 0x103, Permanent, "Service type is denied";
    ESME_RINVDCS = 0x104, Permanent, "Invalid data coding scheme";
    ESME_RINVSRCADDRSUBUNIT = 0x105, Permanent, "Invalid source address subunit";
    ESME_RINVDSTADDRSUBUNIT = 0x106, Permanent, "Invalid destination address subunit";
    ESME_RINVBCASTFREQINT = 0x107, NotForSubmit, "Broadcast frequency interval is invalid";
    ESME_RINVBCASTALIAS_NAME = 0x108, NotForSubmit, "Broadcast alias name is invalid";
    ESME_RINVBCASTAREAFMT = 0x109, NotForSubmit, "Broadcast area format is invalid";
    ESME_RINVNUMBCAST_AREAS = 0x10a, NotForSubmit, "Number of broadcast areas is invalid";
    ESME_RINVBCASTCNTTYPE = 0x10b, NotForSubmit, "Broadcast content type is invalid";
    ESME_RINVBCASTMSGCLASS = 0x10c, NotForSubmit, "Broadcast message class is invalid";
    ESME_RBCASTFAIL = 0x10d, NotForSubmit, "broadcast_sm failed";
    ESME_RBCASTQUERYFAIL = 0x10e, NotForSubmit, "query_broadcast_sm failed";
    ESME_RBCASTCANCELFAIL = 0x10f, NotForSubmit, "cancel_broadcast_sm failed";
    ESME_RINVBCAST_REP = 0x110, NotForSubmit, "Number of repeated broadcasts is invalid";
    ESME_RINVBCASTSRVGRP = 0x111, NotForSubmit, "Broadcast service group is invalid";
    ESME_RINVBCASTCHANIND = 0x112, NotForSubmit, "Broadcast channel indicator is invalid";
}

impl CommandStatus {
    /// Whether the request succeeded.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not with the alternate form: that is how structs are laid out.
        write!(f, "{self}")
    }
}

/// The name, or eight hex digits for a status without one: `0x0000040b`.
/// The name, or the number where it has none; `{:#}` is both, for whoever looks it up: `ESME_RTHROTTLED (0x00000058)`.
impl fmt::Display for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) if f.alternate() => write!(f, "{name} (0x{:08x})", self.0),
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:08x}", self.0),
        }
    }
}

/// Pairs a response with its request (§5.1.4). Ours run from 1 to 0x7FFFFFFF and wrap to 1; a peer's may be
/// any 32-bit value and are echoed unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SequenceNumber(pub u32);

impl SequenceNumber {
    /// The first number of a session.
    pub const FIRST: Self = Self(1);
    /// The last number before the wrap.
    pub const LAST: Self = Self(0x7fff_ffff);

    /// The number after this one, wrapping from [`Self::LAST`] to [`Self::FIRST`].
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 >= Self::LAST.0 { Self::FIRST } else { Self(self.0 + 1) }
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree_both_ways() {
        assert_eq!(CommandId::SUBMIT_SM.response(), CommandId::SUBMIT_SM_RESP);
        assert_eq!(CommandId::from_name("data_sm_resp"), Some(CommandId::DATA_SM_RESP));
        assert_eq!(CommandId(0x110).to_string(), "0x00000110");
        assert_eq!(CommandStatus::from_name("ESME_RTHROTTLED"), Some(CommandStatus(0x58)));
        assert_eq!(CommandStatus(0x40b).to_string(), "0x0000040b");
        assert_eq!(format!("{:#}", CommandStatus::ESME_RTHROTTLED), "ESME_RTHROTTLED (0x00000058)");
        assert_eq!(format!("{:#}", CommandStatus(0x40b)), "0x0000040b");
    }

    #[test]
    fn sequence_numbers_wrap_to_one() {
        assert_eq!(SequenceNumber::LAST.next(), SequenceNumber::FIRST);
        assert_eq!(SequenceNumber(7).next(), SequenceNumber(8));
    }
}
