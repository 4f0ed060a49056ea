//! `esm_class` (§5.2.12): messaging mode, message type, GSM features in one octet.

use super::octet_field;

/// The octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct EsmClass(pub u8);

/// What a deliver_sm or data_sm carries (bits 5 to 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// An ordinary message.
    Default,
    /// The SMSC's delivery receipt.
    DeliveryReceipt,
    /// The phone's delivery acknowledgement.
    DeliveryAcknowledgement,
    /// The user's manual acknowledgement.
    UserAcknowledgement,
    /// Abort of a Korean CDMA conversation.
    ConversationAbort,
    /// An intermediate delivery notification.
    IntermediateNotification,
    /// A value that the standard reserves.
    Reserved,
}

impl EsmClass {
    /// Bit 6: the short message begins with a user data header.
    pub const UDHI: Self = Self(0x40);
    /// Bit 7: the reply path is set.
    pub const REPLY_PATH: Self = Self(0x80);
    /// Store and forward mode.
    pub const STORE_AND_FORWARD: Self = Self(0x03);
    /// An SMSC delivery receipt.
    pub const DELIVERY_RECEIPT: Self = Self(0x04);

    /// The message type bits.
    #[must_use]
    pub const fn message_type(self) -> MessageType {
        match self.0 >> 2 & 0x0f {
            0 => MessageType::Default,
            1 => MessageType::DeliveryReceipt,
            2 => MessageType::DeliveryAcknowledgement,
            4 => MessageType::UserAcknowledgement,
            6 => MessageType::ConversationAbort,
            8 => MessageType::IntermediateNotification,
            _ => MessageType::Reserved,
        }
    }

    /// Whether the short message begins with a user data header.
    #[must_use]
    pub const fn udhi(self) -> bool {
        self.0 & Self::UDHI.0 != 0
    }
}

impl std::ops::BitOr for EsmClass {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

octet_field!(EsmClass);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_with_a_header_flag_is_still_a_receipt() {
        let class = EsmClass(0x44);
        assert_eq!((class.message_type(), class.udhi()), (MessageType::DeliveryReceipt, true));
        assert_eq!(EsmClass(0x20).message_type(), MessageType::IntermediateNotification);
        assert_eq!(EsmClass::UDHI.message_type(), MessageType::Default);
    }
}
